"""Looks at endpoints, once or until they are there, and says what it waits for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from barehub.verify.probe import probe
from barehub.verify.report import Report
from barehub.verify.target import Target

PASSES = 2
"""How many passes in a row count: a hub behind a load balancer may answer once and not again."""

AGAIN_SECONDS = 0.05
BELOW_TLS_SECONDS = 2.0
ABOVE_TCP_SECONDS = 5.0
"""Pauses after a pass, until TCP answers, and after that: BinderHub keeps its health for 15 s."""

HEARTBEAT_SECONDS = 30.0


async def until_ready(target: Target, seconds: float, now: Callable[[str], None]) -> Report:
    """See :func:`barehub.verify.wait`."""
    deadline = asyncio.get_running_loop().time() + seconds
    report, passes, news = await probe(target), 0, _News(now)
    while True:
        passes = passes + 1 if report.verdict == "pass" else 0
        if passes == PASSES or report.verdict == "fail":
            return report
        if report.failures:
            finding = report.failures[0]
            news.tell(f"waiting for {finding.rung}: {finding.message}")
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(_pause_after(report))
                report = await probe(target)
        except TimeoutError:
            return report


class _News:
    """Tells what is new, and from time to time that nothing is."""

    def __init__(self, now: Callable[[str], None]) -> None:
        self._now = now
        self._said, self._at = "", 0.0

    def tell(self, text: str) -> None:
        if text == self._said and time.monotonic() < self._at + HEARTBEAT_SECONDS:
            return
        self._now(f"still {text}" if text == self._said else text)
        self._said, self._at = text, time.monotonic()


def _pause_after(report: Report) -> float:
    if not report.failures:
        return AGAIN_SECONDS
    below = report.failures[0].rung in ("dns", "tcp")
    return (BELOW_TLS_SECONDS if below else ABOVE_TCP_SECONDS) * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
