"""One run's private folder in memory, its lock and its ssh-agent; and the sweeping of dead ones.

The folder is the only place where plaintext may have a file name: Terraform's state and plans, an
editor's file, a socket. It lies on tmpfs, belongs to us, has mode 0700, and is held by a lock that
every long-living child inherits. A folder whose lock can be taken is therefore nobody's any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from barehub import reading, survivors, system_errors
from barehub.console import console
from barehub.errors import BarehubError, Interrupted, LeftoverError, ToolError
from barehub.lock import Holder, Lock
from barehub.ssh.agent import Agent, Door, OwnAgent
from barehub.ssh.public_key import PublicKey

ROOM = 16 * 1024 * 1024
"""Bytes that must be free for a run: state, plans and logs, with much to spare."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only ever used by way of a private folder in there

AGENT = "agent.sock"

SWEEP_SECONDS = 60.0
"""How long another command may take to sweep a session that we need gone."""

FRESH_SECONDS = 10.0
"""An unlocked folder younger than this may belong to a run that is just beginning."""


@dataclass(frozen=True)
class Purpose:
    """What a session is for; written into its folder so that a later run can take over."""

    root: str
    instance: str | None
    command: str


class Session:
    """A private folder; ``fds`` hold its lock and go to every child that may outlive us."""

    def __init__(self, folder: Path, lock: Lock) -> None:
        self.folder, self.lock = folder, lock
        self._agent: Agent | None = None

    @property
    def state(self) -> Path:
        """Where Terraform keeps its plaintext state during the run."""
        return self.folder / "terraform.tfstate"

    @property
    def fds(self) -> tuple[int, ...]:
        return self.lock.fds + (self._agent.fds if self._agent else ())

    def start_agent(self, private_key: str) -> dict[str, str]:
        """An ssh-agent of this session that holds ``private_key``; what to add to an environment.

        :raises VaultError: ssh-add refuses the key.
        """
        own = OwnAgent(self.folder / AGENT)
        self._agent = own
        own.add(private_key)
        return own.env

    def open_agent(self, behind: str, keys: Sequence[PublicKey]) -> dict[str, str]:
        """A way to ``keys`` of the agent at ``behind``, a socket, and to no other of its keys."""
        self._agent = Door(self.folder / AGENT, behind, keys)
        return self._agent.env

    def close(self) -> None:
        """End the agent and remove the folder.

        :raises LeftoverError: it could not be removed.
        """
        try:
            self.end_agent()
            _remove(self.folder)
        finally:
            self.lock.release()

    def leave(self) -> None:
        """End the agent and leave the folder to the next command's sweep."""
        self.end_agent()
        self.lock.release()

    def end_agent(self) -> None:
        if self._agent:
            self._agent.close()
            self._agent = None


def create(purpose: Purpose) -> Session:
    """A session for one run.

    :raises ToolError: this machine has no fit place for it.
    """
    base = home()
    if shutil.disk_usage(base).free < ROOM:
        raise ToolError(f"less than {ROOM >> 20} MiB are free in {base}", f"df -h {base}")
    # locked before it is published, so that no sweep ever sees it without its owner
    with system_errors.attempt("written", base, ToolError):
        unborn = Path(tempfile.mkdtemp(prefix=".new-", dir=base))
    lock = Lock(unborn / "lock")
    try:
        with system_errors.attempt("written", base, ToolError):
            lock.acquire(Holder.me(purpose.command))
            (unborn / "session.json").write_text(json.dumps(purpose.__dict__))
            folder = unborn.rename(base / unborn.name.removeprefix(".new-"))
    except BaseException:
        shutil.rmtree(unborn, ignore_errors=True)
        lock.release()
        raise
    lock.path = folder / "lock"
    return Session(folder, lock)


def home() -> Path:
    """The folder of all our sessions: below ``$XDG_RUNTIME_DIR``, else below ``/dev/shm``.

    :raises ToolError: neither is on tmpfs, or the folder is not ours alone.
    """
    base = _memory() / f"barehub-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    about = base.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise ToolError(
            f"{base} is not a folder that only you can read", f"look at it, then: rm -r {base}"
        )
    return base


def _memory() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for place in (Path(runtime) if runtime else None, Path(SHARED_MEMORY)):
        if place and place.is_dir() and _is_fit(place) and in_memory(place):
            return place
    if sys.platform != "linux":
        return Path(tempfile.gettempdir())
    raise ToolError(
        "there is no tmpfs to keep secrets in: neither $XDG_RUNTIME_DIR nor /dev/shm is one",
        "mount -t tmpfs tmpfs /dev/shm",
    )


def _is_fit(place: Path) -> bool:
    """Whether nobody else can rename what is ours in there: it is ours alone, or sticky."""
    about = place.stat()
    ours = about.st_uid == os.getuid() and not about.st_mode & 0o022
    sticky = about.st_uid == 0 and bool(about.st_mode & stat.S_ISVTX)
    return (ours or sticky) and os.access(place, os.W_OK)


def in_memory(path: Path) -> bool:
    """Whether ``path`` lies on tmpfs or ramfs (proc(5), mountinfo); never so outside Linux."""
    if sys.platform != "linux":
        return False
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount = before.split()[4]
        if path.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, after.split()[0]
    return kind in ("tmpfs", "ramfs")


@dataclass(frozen=True)
class Abandoned:
    """A session whose run is dead."""

    folder: Path
    purpose: Purpose | None
    holder: Holder
    survivors: Sequence[int] = ()
    """The processes that it was taken over from: see :class:`~barehub.lock.Lock`."""

    @property
    def state(self) -> Path:
        return self.folder / "terraform.tfstate"


def present() -> list[Path]:
    """The folders of all sessions, living or dead; none where there can be none."""
    try:
        return sorted(home().iterdir())
    except ToolError:
        return []


def working() -> list[Purpose]:
    """What those sessions are for whose run is dead, and whose Terraform works on."""
    found = []
    for folder in present():
        lock = Lock(folder / "lock")
        if lock.held() and not lock.holder().alive and (purpose := _purpose(folder)):
            found.append(purpose)
    return found


def living() -> list[Holder]:
    """Who runs at this moment."""
    locks = [Lock(folder / "lock") for folder in present()]
    return [lock.holder() for lock in locks if lock.held()]


def sweep(
    recover: Callable[[Abandoned], str | None], awaited: tuple[str, str] | None = None
) -> list[str]:
    """Remove what killed runs left, after ``recover`` has saved what is worth it.

    ``recover`` says in a few words what it saved. A session that cannot be recovered stays, with
    a warning; but a session of ``awaited`` (root, instance) must be gone before anything else is
    done there: its failure is raised, and another command that is sweeping it is waited for.

    :returns: a line for each session that was removed.
    """
    said = []
    for folder in present():
        purpose = _purpose(folder)
        must = purpose is not None and (purpose.root, purpose.instance) == awaited
        lock = Lock(folder / "lock")
        holder = lock.holder()
        if not _taken_over(folder, lock, wait=SWEEP_SECONDS if must else 0):
            continue
        try:
            survivors.end_consoles(folder)
            saved = recover(Abandoned(folder, purpose, holder, lock.survivors))
            _remove(folder)
            said.append(f"removed what {holder} left" + (f", {saved}" if saved else ""))
        except Interrupted:
            raise
        except BarehubError as error:
            if must:
                raise
            console.warn(f"{folder} stays: {error.problem}")
        finally:
            lock.release()
    return said


def _taken_over(folder: Path, lock: Lock, wait: float) -> bool:
    """Take the lock of a dead run; false while its owner lives, and when the folder vanished."""
    deadline = time.monotonic() + wait
    while True:
        try:
            fresh = time.time() - folder.stat().st_mtime < FRESH_SECONDS
            if folder.name.startswith(".new-") and fresh:
                return False
            if lock.acquire(Holder.me("sweep"), create=False) is None:
                return True
        except (FileNotFoundError, NotADirectoryError):
            with contextlib.suppress(OSError):
                folder.rmdir()  # its owner died between the two last steps of removing it
            return False
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def _purpose(folder: Path) -> Purpose | None:
    try:
        return Purpose(**json.loads(reading.text(folder / "session.json", LeftoverError)))
    except (OSError, ValueError, TypeError, RecursionError, LeftoverError):
        return None


def _remove(folder: Path) -> None:
    # the lock last: a folder without one is empty, and a sweep never takes it
    try:
        for path in folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (folder / "lock").unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        problem = f"{folder} could not be removed: {system_errors.reason(error)}"
        raise LeftoverError(problem, f"rm -r {folder}") from None
