"""Polls an endpoint until it is there, and says what it waits for."""

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

TICK_SECONDS = 0.1


async def once(target: Target, stop: Callable[[], None]) -> Report:
    """See :func:`barehub.verify.verify`."""
    task = asyncio.ensure_future(probe(target))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=TICK_SECONDS)
            stop()
    finally:
        task.cancel()
    return task.result()


async def until_ready(
    target: Target, seconds: float, now: Callable[[str], None], stop: Callable[[], None]
) -> Report:
    """See :func:`barehub.verify.wait`."""
    deadline = time.monotonic() + seconds
    passes, said = 0, ""
    report: Report | None = None
    while True:
        task = asyncio.ensure_future(probe(target))
        try:
            while not task.done() and (report is None or time.monotonic() < deadline):
                await asyncio.wait({task}, timeout=TICK_SECONDS)
                stop()
        finally:
            task.cancel()
        if not task.done():
            await asyncio.wait({task})
        if task.cancelled():
            break
        report = task.result()
        passes = passes + 1 if report.verdict == "pass" else 0
        if passes == PASSES or report.verdict == "fail":
            break
        if report.failures:
            finding = report.failures[0]
            if (text := f"waiting for {finding.rung}: {finding.message}") != said:
                now(text)
                said = text
        if not await _pause(_pause_after(report), deadline, stop):
            break
    assert report is not None, "the first probe is never cut short"
    return report


def _pause_after(report: Report) -> float:
    if not report.failures:
        return AGAIN_SECONDS
    below = report.failures[0].rung in ("dns", "tcp")
    return (BELOW_TLS_SECONDS if below else ABOVE_TCP_SECONDS) * random.uniform(0.9, 1.1)  # noqa: S311 - jitter


async def _pause(seconds: float, deadline: float, stop: Callable[[], None]) -> bool:
    """Sleep, calling ``stop`` often; false when the deadline is reached in the meantime."""
    end = time.monotonic() + seconds
    while (left := min(end, deadline) - time.monotonic()) > 0:
        await asyncio.sleep(min(left, TICK_SECONDS))
        stop()
    return time.monotonic() < deadline
