"""How long a program is waited for: its limit is for an idle machine, and longer on a busy one."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

GENEROUS = 600.0
"""Seconds for what lives and needs nobody but this machine: it may be slow, and is not hung."""

WORKED_SECONDS = 5.0
"""How long ago a program may have used the processor, to count as one that gets on."""


class Patience:
    """From now on; ``seconds`` is what an idle machine needs at most.

    Where the machine has more to do than processors, the limit is as many times longer, up to
    :data:`GENEROUS`. So it is for a program that is still computing.
    """

    def __init__(self, seconds: float = GENEROUS) -> None:
        self.seconds = seconds
        self._began = self._worked = time.monotonic()
        self._used = 0
        self._factor = 1.0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def over(self, pid: int = 0) -> bool:
        """Whether it has been long enough, for process ``pid`` if one is given; to be polled."""
        if self.elapsed < self.seconds:
            return False
        self._factor = max(self._factor, _load() / _processors())
        limit = max(self.seconds, min(GENEROUS, self.seconds * self._factor))
        if (used := _used(pid)) > self._used:
            self._used, self._worked = used, time.monotonic()
        if self._used and time.monotonic() - self._worked < WORKED_SECONDS:
            limit = max(limit, GENEROUS)
        return self.elapsed >= limit

    @property
    def had(self) -> str:
        """How long that was, and how busy the machine, in words."""
        return f"within {self.elapsed:.0f} s ({busy()})"


def busy() -> str:
    """How busy the machine is, in words; see getloadavg(3)."""
    count = _processors()
    return f"load {_load():.1f} on {count} core{'s' * (count != 1)}"


def _load() -> float:
    """How many processes want a processor: on average in the last minute, or now if that is more.

    The average is slow to notice; /proc/loadavg tells as well how many can run now (proc(5)).
    """
    average = 0.0
    with suppress(OSError):
        average = os.getloadavg()[0]
    with suppress(OSError, ValueError, IndexError):
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        return max(average, float(running))
    return average


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _used(pid: int) -> int:
    """The clock ticks of the processor that a process has used (proc(5), stat, fields 14, 15)."""
    if not pid:
        return 0
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return 0
