"""A line at the end of a file: all of it and on the disk, or none of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def append(path: Path, line: str, opened: Callable[[int], int]) -> None:
    """Add ``line`` to ``path`` and see it onto the disk (fsync) before going on.

    A line that a crash tore is ended first.

    :param opened: opens the file with these flags (open(2)), and gives the descriptor.
    :raises OSError: it cannot be written; what the file held before is all that it holds.
    """
    new = not os.path.lexists(path)
    fd = opened(os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        view = memoryview((("\n" if torn else "") + line).encode())
        try:
            while view:  # a disk that fills up takes a part, and refuses the rest
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, size)
                if new:
                    os.unlink(path)
            raise
    finally:
        os.close(fd)
