"""What outlives the Terraform that started it, or the run: ended, where its work is for nothing.

A provisioner whose Terraform was killed has nobody to report to, and its resource is made again:
the two must not work at the same time. It is in the process group of its Terraform, which
:func:`barehub.process.start` makes; a server that is to stay leaves that (setsid(2)) and is left
alone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from barehub.lock import PLUGIN, WORKERS, started_at

END_SECONDS = 10.0
"""How long a program may take to end in order, before it is killed."""

POLL_SECONDS = 0.02

RECORD = "terraform.pid"
"""The file in a session that says which process Terraform was started as last."""


def record(session: Path, pid: int) -> None:
    """Note in the folder of a session which process Terraform is."""
    (session / RECORD).write_text(str(pid))


def end_provisioners(terraform: int) -> int:
    """End what a Terraform left that is dead, by the number of its process; how many they were."""
    return _end(lambda: _members(terraform))


def end_recorded(session: Path, survivors: Iterable[int], *, plugins: bool) -> int:
    """Likewise of a session whose run was killed: of ``survivors`` those that its Terraform had
    started, or its ``plugins`` alone; how many they were."""
    try:
        terraform = int((session / RECORD).read_text())
    except (OSError, ValueError):
        return 0
    ours = set(survivors)
    # a number may belong to another group by now: only what had the session's lock is ours
    if not ours.intersection(_members(terraform)):
        return 0
    if plugins:
        return _end(lambda: [pid for pid in _members(terraform) if _name(pid).startswith(PLUGIN)])
    return end_provisioners(terraform)


def end_consoles(session: Path) -> int:
    """End Terraform's consoles, each of which keeps a lock in a backend for the run of a session
    (:mod:`barehub.terraform.shared_lock`), when that run is over; how many they were.
    """
    return _end(lambda: _below(session), first=signal.SIGINT)


def _end(find: Callable[[], list[int]], first: int = signal.SIGTERM) -> int:
    found = find()
    for number, seconds in ((first, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
        for pid in find():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while (left := find()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if not left:
            break
    return len(found)


def _members(group: int) -> list[int]:
    """The living processes of a process group."""
    return [pid for pid in _all() if _group(pid) == group]


def _below(folder: Path) -> list[int]:
    """The Terraforms whose working directory is in ``folder``."""
    return [pid for pid in _all() if _name(pid).startswith(WORKERS) and _in(pid, folder)]


def _all() -> list[int]:
    numbers = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return [pid for pid in numbers if started_at(pid)]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:  # it has ended since
        return 0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _in(pid: int, folder: Path) -> bool:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(folder)
    except OSError:
        return False
