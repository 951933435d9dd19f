"""Keeps the machine awake while Terraform makes something, where the system has a way to.

A closed lid or an idle hour is no reason to cut an apply in two. systemd-logind is asked by
`systemd-inhibit`, macOS by `caffeinate`; both hold their lock for as long as a program of ours
runs, here `cat` on a pipe whose other end Terraform inherits: so it lasts as long as Terraform
does, even if barehub is killed, and no longer. Where there is no such program, or it refuses (no
logind, no seat), nothing comes of it. A Mac on battery sleeps all the same when its lid is closed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from barehub import process
from barehub.errors import ToolError


@contextmanager
def awake(name: str) -> Iterator[tuple[int, ...]]:
    """Ask the system not to sleep while Terraform works on the instance ``name``. Never fails.

    :returns: what a child must inherit to keep the machine awake after our death
    """
    try:
        child, writing = _ask(name)
    except (OSError, ToolError):
        yield ()
        return
    try:
        yield (writing,)
    finally:
        os.close(writing)
        _end(child)


def _ask(name: str) -> tuple[process.Child, int]:
    reading, writing = os.pipe()
    try:
        with open(os.devnull, "wb") as nowhere:
            argv = [*_inhibitor(name), "cat"]
            env = process.environment()
            return process.start(argv, env=env, stdin=reading, output=nowhere), writing
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)


def _inhibitor(name: str) -> list[str]:
    """When a lid is closed, logind heeds no lock on `sleep`, but one on the lid switch: see
    LidSwitchIgnoreInhibited in logind.conf(5)."""
    if sys.platform == "darwin":
        return ["caffeinate", "-is"]
    how = ("--what=sleep:handle-lid-switch", "--mode=block", "--who=barehub")
    return ["systemd-inhibit", *how, f"--why=terraform works on {name}"]


def _end(child: process.Child) -> None:
    """The program and `cat`; a daemon that a provisioner started may have the pipe, too."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
