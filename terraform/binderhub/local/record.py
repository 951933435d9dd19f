"""The record of a running hub, `hub/process.json`: {"pid", "start_time", "port"}.

A process is known by its number and the moment of its start, never by its name, so that another
process which was given the same number later is left alone. Python 3.9 or later, nothing else.
"""

# Part of hub.py, which is outside of the package: it starts processes and prints.
# ruff: noqa: T201, TID251

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TERM_SECONDS = 10.0
KILL_SECONDS = 60.0


def start_time(pid: int) -> str | None:
    """When process `pid` started, as text to compare; None where it does not run (any more).

    On Linux the machine's boot and field 22 of /proc/PID/stat (proc(5)), elsewhere ps's lstart.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _start_time_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything, a parenthesis too.
    fields = stat.rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return f"{boot} {fields[19].decode()}"


def _start_time_by_ps(pid: int) -> str | None:
    shown = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC0"},
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
    )
    state, _, started = shown.stdout.strip().partition(" ")
    if not started or state.startswith("Z"):
        return None
    return " ".join(started.split())


def write(path: Path, pid: int, port: int) -> None:
    """Record process `pid`, which serves on `port`, in the file `path`, in one step."""
    record = {"pid": pid, "start_time": start_time(pid), "port": port}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(record) + "\n", encoding="utf-8")
    draft.replace(path)


def running(path: Path) -> int | None:
    """The number of the process recorded in `path`, if it still runs; else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        pid, started = int(record["pid"]), record["start_time"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        print(f"warning: {path} cannot be read: a hub may still run", file=sys.stderr)
        return None
    return pid if started is not None and start_time(pid) == started else None


def stop(path: Path) -> None:
    """End the process recorded in `path`, if it still runs, and remove the record.

    It has 10 s to end by SIGTERM, then it is killed; RuntimeError if even that does not end it.
    """
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        pid = running(path)
        if pid is None:
            break
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + seconds
        while running(path) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
    pid = running(path)
    if pid is not None:
        raise RuntimeError(f"process {pid} of the hub does not end, not even by SIGKILL")
    path.unlink(missing_ok=True)
