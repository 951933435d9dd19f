"""Private bytes behind the name of a pipe: for a child whose own children must not inherit them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RETRY_SECONDS = 0.01


@contextmanager
def piped_variables(values: Mapping[str, Any], folder: Path) -> Iterator[Path | None]:
    """Give ``values`` to one command as ``-var-file``; without any there is no file."""
    if not values:
        yield None
        return
    with piped(json.dumps(dict(values)).encode(), folder / "ephemeral.tfvars.json") as path:
        yield path


@contextmanager
def piped(content: bytes, path: Path) -> Iterator[Path]:
    """Give ``content`` to whoever opens ``path``, a named pipe (mkfifo(3)), until the end.

    No file holds it, and no descriptor that a provisioner inherits.
    """
    os.mkfifo(path, 0o600)
    over = threading.Event()
    server = threading.Thread(target=_serve, args=(content, path, over), daemon=True)
    server.start()
    try:
        yield path
    finally:
        over.set()
        while server.is_alive():  # it waits for a reader, or is about to
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            server.join(RETRY_SECONDS)
        path.unlink(missing_ok=True)


def _serve(content: bytes, path: Path, over: threading.Event) -> None:
    while True:
        fd = os.open(path, os.O_WRONLY)
        try:
            if over.is_set():
                return
            _renew(path)
            with contextlib.suppress(BrokenPipeError):  # its reader ended
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
        finally:
            os.close(fd)


def _renew(path: Path) -> None:
    """Put a new pipe at ``path``: in the old one, the next reader would delay the end of file."""
    new = path.with_name(f"{path.name}.new")
    os.mkfifo(new, 0o600)
    new.replace(path)
