"""How long one command of Terraform's may take, and how it is ended then.

Terraform ends in order at one SIGINT: it finishes or gives up what is under way, marks what is half
made and writes its state. What does not heed that (a provider that waits for a cloud that says
nothing) is left at the second, as Terraform's own words are: "data loss may have occurred". The
journal then names what was under way. Time in which nothing ran does not count: Linux and macOS
stop the clock of :func:`time.monotonic` while they sleep, and where it goes on (a process that was
stopped, a virtual machine that was paused) it jumps between two looks.
"""

from __future__ import annotations

import time

from barehub.console import console
from barehub.process import Interruptions

GRACE_SECONDS = 120.0
"""How long Terraform may take to stop in order."""

LOOK_SECONDS = 5.0
"""The most that counts of the time between two looks, of which there are many a second."""


class Deadline:
    """``seconds`` from now; 0 means never."""

    def __init__(self, seconds: float, interruptions: Interruptions) -> None:
        self._seconds, self._interruptions = seconds, interruptions
        self._last, self._ran = time.monotonic(), 0.0
        self.passed = False
        self._abandoned = False

    def watch(self) -> None:
        """Called again and again while the command runs."""
        if not self._seconds:
            return
        now = time.monotonic()
        self._ran += min(now - self._last, LOOK_SECONDS)
        self._last = now
        over = self._ran - self._seconds
        if over >= 0 and not self.passed:
            self.passed = True
            if self._interruptions.end_child():
                console.warn(f"{self._seconds:.0f} s have gone by: terraform is asked to stop")
        if over >= GRACE_SECONDS and not self._abandoned:
            self._abandoned = True
            console.warn(f"terraform did not stop within {GRACE_SECONDS:.0f} s more: it is left")
            self._interruptions.abandon_child()
