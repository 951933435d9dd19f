"""A lock that says who holds it, and that ends with its holder.

flock(2) on an open file: the kernel releases it when the last process that inherited the
descriptor is gone, however it ended. So a lock that can be taken proves that its owner is dead, and
Terraform, which inherits it, keeps it while it still works for a barehub that was killed.

What Terraform starts inherits it as well. When neither the holder nor Terraform lives, a server
that a provisioner started, say, holds nothing: the lock is taken over from it, as a new file.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from barehub import reading
from barehub.errors import UsageError

WORKERS = ("terraform", "tofu")
"""Beginnings of the names of programs that work on a state. Their plugins do not by themselves."""

PLUGIN = "terraform-prov"
"""How the name of a plugin begins; the kernel cuts names off after 15 characters (proc(5))."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, where, since when (Unix seconds) and with what command.

    ``started`` is :func:`started_at` of its process: a number is used again, that pair is not.
    """

    user: str = "?"
    host: str = "?"
    pid: int = 0
    since: float = 0.0
    command: str = "?"
    started: int = 0

    @classmethod
    def me(cls, command: str) -> Holder:
        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a container's user may have no name
            user = str(os.getuid())
        pid = os.getpid()
        return cls(user, socket.gethostname(), pid, time.time(), command, started_at(pid))

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
        if not self.here or self.pid <= 0:
            return False
        started = started_at(self.pid)
        return started > 0 and self.started in (0, started)

    def __str__(self) -> str:
        return f"{self.command!r} of {self.person} (process {self.pid}, since {clock(self.since)})"


def clock(seconds: float) -> str:
    """Word a moment, in Unix seconds: the time of day, or a date if it is long ago."""
    today = time.time() - seconds < 12 * 3600
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", time.localtime(seconds))


def started_at(pid: int) -> int:
    """When a process started, in clock ticks since the machine did (proc(5), stat, field 22).

    :returns: 0 where it does not run; 1 where it does and the system does not say since when. One
        that has ended and was not collected by its parent (a zombie) does not run.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if stat[0] in (b"Z", b"X") else int(stat[19])
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return 0
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        pass
    return 1


def moment(ticks: int) -> float:
    """What :func:`started_at` says, in Unix seconds."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")


class Keeper(NamedTuple):
    """A process that has a lock, by its own doing or by inheritance."""

    pid: int
    name: str

    @property
    def works(self) -> bool:
        """Whether it is one of :data:`WORKERS`; Nix names what it wraps ``.terraform-wrapped``."""
        name = self.name.lstrip(".")
        return name.startswith(WORKERS) and not name.startswith(PLUGIN)


class Lock:
    """``path``, held from :meth:`acquire` to :meth:`release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self.survivors: list[int] = []
        """The processes that it was taken over from."""

    @property
    def fds(self) -> tuple[int, ...]:
        """What a child must inherit to keep the lock after our death."""
        return () if self._fd is None else (self._fd,)

    def acquire(self, holder: Holder, *, create: bool = True) -> Holder | None:
        """Take the lock for ``holder``, without waiting; who has it, when it is taken."""
        new = os.O_CREAT if create else 0
        with _alone(self.path.parent) as alone:
            fd = self._opened(new)
            if not _flock(fd):
                os.close(fd)
                if not (alone and self._survived()):
                    return self.holder()
                fd = self._taken_over()
            if self._is_at_path(fd):
                os.ftruncate(fd, 0)
                os.write(fd, json.dumps(asdict(holder)).encode())
                self._fd = fd
                return None
            os.close(fd)  # its last holder removed it between our open and our flock
        return self.acquire(holder, create=create)

    def _taken_over(self) -> int:
        """Put a locked new file in the place of the one that survivors have; its descriptor."""
        self.survivors = [keeper.pid for keeper in self.keepers()]
        new = self.path.with_name(f".{self.path.name.lstrip('.')}.unfinished")
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        new.replace(self.path)
        return fd

    def _survived(self) -> bool:
        """Whether only such processes have it as outlive a run without working on its state.

        That is sure where the holder is known, was on this machine and is dead, and we see who has
        the lock. To be called with nobody else changing the lock.
        """
        holder, keepers = self.holder(), self.keepers()
        dead = holder.pid > 0 and holder.here and not holder.alive
        return dead and bool(keepers) and not any(keeper.works for keeper in keepers)

    def _opened(self, create: int = 0) -> int:
        """:raises UsageError: it is not a regular file, or cannot be opened."""
        return reading.opened(self.path, os.O_RDWR | create, UsageError, links=False)

    def _is_at_path(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False

    def held(self) -> bool:
        """Whether a run has it at this moment, or Terraform that a killed run left at work."""
        try:
            with _alone(self.path.parent):
                fd = self._opened()
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return not self._survived()
                finally:
                    os.close(fd)
        except FileNotFoundError:
            pass
        return False

    def keepers(self) -> list[Keeper]:
        """The processes that have it; none where /proc does not tell, or they are another user's.

        The kernel says of each descriptor whether its file is locked by it (proc(5), fdinfo), so
        whoever has the file merely open is none of them.
        """
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # not ours to look at, or it has ended since
                if any(_locks(entry, fd) for fd in (entry / "fd").iterdir() if self._same(fd)):
                    found.append(Keeper(int(entry.name), (entry / "comm").read_text().strip()))
        return found

    def _same(self, fd: Path) -> bool:
        try:
            return fd.samefile(self.path)
        except OSError:
            return False

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


def _locks(process: Path, fd: Path) -> bool:
    return b"FLOCK" in (process / "fdinfo" / fd.name).read_bytes()


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """While nobody else takes a lock in ``folder`` or looks at one; false where that is not sure.

    flock(2) on the folder itself, which some file systems (NFS) do not have.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        alone = True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            alone = False
        yield alone
    finally:
        os.close(fd)


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
