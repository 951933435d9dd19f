"""Writes what a report became to where it was asked for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from barehub import system_errors


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
        raise system_errors.cannot("written", path, error) from None


def append(path: Path, text: str) -> None:
    """Add ``text`` at the end of a file, which others write to as well.

    :raises UsageError: it cannot be written there.
    """
    with system_errors.attempt("written", path), path.open("a", encoding="utf-8") as file:
        file.write(text)
