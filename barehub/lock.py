"""A lock that says who holds it, and that ends with its holder.

flock(2) on an open file: the kernel releases it when the last process that inherited the
descriptor is gone, however it ended. So a lock that can be taken proves that its owner is dead, and
Terraform, which inherits it, keeps it while it still works for a barehub that was killed.
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import json
import os
import socket
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from barehub import reading
from barehub.errors import UsageError


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, where, since when (Unix seconds) and with what command."""

    user: str = "?"
    host: str = "?"
    pid: int = 0
    since: float = 0.0
    command: str = "?"

    @classmethod
    def me(cls, command: str) -> Holder:
        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a container's user may have no name
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid(), time.time(), command)

    @property
    def person(self) -> str:
        """``user@host``."""
        return f"{self.user}@{self.host}"

    @property
    def here(self) -> bool:
        """Whether it is on this machine, as far as the name of a machine tells."""
        return self.host in (socket.gethostname(), "?")

    @property
    def alive(self) -> bool:
        """Whether its process runs on this machine."""
        if not self.here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return self.pid > 0

    def __str__(self) -> str:
        today = time.time() - self.since < 12 * 3600
        at = time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"{self.command!r} of {self.person} (process {self.pid}, since {at})"


class Lock:
    """``path``, held from :meth:`acquire` to :meth:`release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def fds(self) -> tuple[int, ...]:
        """What a child must inherit to keep the lock after our death."""
        return () if self._fd is None else (self._fd,)

    def acquire(self, holder: Holder, *, create: bool = True) -> Holder | None:
        """Take the lock for ``holder``, without waiting; who has it, when it is taken."""
        new = os.O_CREAT if create else 0
        fd = self._opened(new)
        if not _flock(fd):
            os.close(fd)
            return self.holder()
        if not self._is_at_path(fd):  # its last holder removed it between our open and our flock
            os.close(fd)
            return self.acquire(holder, create=create)
        os.ftruncate(fd, 0)
        os.write(fd, json.dumps(asdict(holder)).encode())
        self._fd = fd
        return None

    def _opened(self, create: int = 0) -> int:
        """:raises UsageError: it is no regular file."""
        flags = os.O_RDWR | create | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise
            said = os.strerror(error.errno or 0).lower()
            raise UsageError(f"{self.path}: {said}", f"rm -r {self.path}") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise UsageError(f"{self.path}: not a file", f"rm {self.path}")
        return fd

    def _is_at_path(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False

    def held(self) -> bool:
        """Whether anybody has it at this moment."""
        try:
            fd = self._opened()
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def keepers(self) -> list[tuple[int, str]]:
        """The processes that have it open, by number and name; none where /proc does not tell."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if any(fd.samefile(self.path) for fd in (entry / "fd").iterdir() if fd.exists()):
                    found.append((int(entry.name), (entry / "comm").read_text().strip()))
            except OSError:  # not ours to look at, or it ended meanwhile
                continue
        return found

    def holder(self) -> Holder:
        """Who wrote into the lock last."""
        try:
            return Holder(**json.loads(reading.lenient(self.path, UsageError)))
        except (OSError, ValueError, TypeError, RecursionError, UsageError):
            return Holder()

    def release(self, *, remove: bool = False) -> None:
        """Let go, and with ``remove`` take the file away while it is still ours."""
        if self._fd is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        # a daemon that a provisioner started may have inherited it, and must not keep it
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = None


def _flock(fd: int) -> bool:
    """Take it; a few tries, because :meth:`Lock.held` of another process has it for a moment."""
    for _ in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False
