"""Whole files or none: locked folders and atomic replacement."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barehub import reading, system_errors
from barehub.errors import VaultError

UNFINISHED = ".unfinished"
"""How the name of a file ends that is being written: ciphertext, and after a kill a part of it."""

_threads = threading.RLock()
_held: set[Path] = set()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only writer in ``folder``, among all processes and threads; may be nested.

    The lock (flock(2)) is on the folder itself, so that no lock file is left behind. It is held
    for moments only, which is why this waits. A file system that cannot lock folders (NFS) is
    written to without.
    """
    with _threads:
        if folder in _held:
            yield
            return
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(fd)
            _held.add(folder)
            for left in folder.glob(f".*{UNFINISHED}"):  # by a killed writer: we are alone
                left.unlink(missing_ok=True)
            yield
        finally:
            _held.discard(folder)
            os.close(fd)


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
            raise


def content(path: Path, shown: str) -> bytes:
    """All of a file of the vault, which is no link: git would keep the link.

    :raises FileNotFoundError: there is none.
    :raises VaultError: it cannot be read.
    """
    return reading.content(path, VaultError, shown=shown, links=False)


def replace(path: Path, content: bytes, shown: str) -> None:
    """Make ``content`` the whole of ``path``, or leave the old file as it was.

    :param content: must be fit for the disk: ciphertext or public.
    :param shown: the file's name in an error.
    :raises VaultError: it cannot be written, for instance because the disk is full.
    """
    temporary = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with alone(path.parent):
            try:
                _write(temporary, content)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
    except OSError as error:
        untouched = "; the file that was there is untouched" if os.path.lexists(path) else ""
        problem = f"{shown} cannot be written: {system_errors.reason(error)}"
        raise VaultError(problem + untouched, system_errors.remedy(error, path.parent)) from None


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # a killed writer's, where folders cannot be locked
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    """See the rename onto the disk; some file systems cannot sync a folder, and need not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)
