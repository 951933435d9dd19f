"""Writes what a report became to where it was asked for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from barehub.errors import UsageError


def write(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` at once: who reads there finds the old one or the new one, whole.

    A device or a pipe (``/dev/stdout``) is written to, a link stays one: what it leads to changes.

    :raises UsageError: it cannot be written there.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        path = path.resolve()
        handle, unfinished = tempfile.mkstemp(".unfinished", f".{path.name}.", path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(unfinished, 0o644)  # node_exporter reads as somebody else
            os.replace(unfinished, path)
        except BaseException:
            os.unlink(unfinished)
            raise
    except OSError as error:
        raise _cannot(path, error) from None


def append(path: Path, text: str) -> None:
    """Add ``text`` at the end of a file, which others write to as well.

    :raises UsageError: it cannot be written there.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> UsageError:
    said = os.strerror(error.errno or 0).lower()
    return UsageError(f"{path} cannot be written: {said}", f"ls -ld {path.parent}")
