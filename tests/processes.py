"""What tests ask of processes, most of which are not their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from barehub.patience import Patience


def ended(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends within ``seconds``; one that only waits to be collected has."""
    patience = Patience(seconds)
    while not patience.over():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def kill(*pids: int) -> None:
    """Kill processes, some of which may have ended by themselves: a ``sleep``, say."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(parent: int) -> list[tuple[int, str]]:
    """The processes that ``parent`` started, each with its command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            of = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            command = (entry / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:  # it has ended meanwhile
            continue
        if int(of) == parent:
            found.append((int(entry.name), command))
    return found


def until(run: subprocess.Popen[str], word: str) -> str:
    """What ``run`` says on standard error, until it says ``word``."""
    assert run.stderr
    said = ""
    while word not in said:
        line = run.stderr.readline()
        assert line, said
        said += line
    return said


def descendants(parent: int) -> list[int]:
    """The processes below ``parent``, whoever of them started them."""
    found = []
    for pid, _ in children(parent):
        found += [pid, *descendants(pid)]
    return found


def named(pid: int) -> str:
    """The name of a process's program; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
