"""Waiting for the moment of a fault: a part of what a command writes, or of its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .draw import Anchor
from .faults import Running
from .place import POLL_SECONDS, Place
from .world import World


def wait_for(anchor: Anchor, world: World, run: Running) -> None:
    """Until the moment has come, or the command has ended before it."""
    case = run.case
    begun, before = time.monotonic(), _lines(run.place.journal.path)
    extent = world.extents[case.command]
    reached: dict[str, Callable[[], bool]] = {
        "journal": lambda: _lines(run.place.journal.path) - before > anchor.part * extent.journal,
        "output": lambda: _output(run.place) > anchor.part * extent.output,
        "clock": lambda: time.monotonic() - begun > anchor.part * extent.seconds,
    }
    while run.command.poll() is None and not reached[anchor.kind]():
        time.sleep(POLL_SECONDS)
    time.sleep(case.delay)


def _output(place: Place) -> int:
    return sum(_lines(log) for folder in place.sessions() for log in folder.glob("*.log"))


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:  # not there yet, or not any more
        return 0
