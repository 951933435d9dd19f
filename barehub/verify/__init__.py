"""Is the hub there, is it a BinderHub, is its TLS right; and if not, why."""

from __future__ import annotations

from collections.abc import Callable

from barehub.verify.finding import Finding
from barehub.verify.report import Report
from barehub.verify.target import Target, parse

__all__ = ["Finding", "Report", "Target", "parse", "verify", "wait"]


def verify(target: Target, *, stop: Callable[[], None] = lambda: None) -> Report:
    """Climb the ladder dns, tcp, tls, http, binder once.

    Whatever is wrong with the endpoint is in the report: this raises nothing of its own.
    ``stop`` is called several times a second and may raise.
    """
    import asyncio

    from barehub.verify.waiting import once

    return asyncio.run(once(target, stop))


def wait(
    target: Target, *, seconds: float, now: Callable[[str], None], stop: Callable[[], None]
) -> Report:
    """Verify again and again until the endpoint is there; the last report.

    That is two passes in a row, a fault that waiting cannot heal, or ``seconds`` gone by (the first
    climb is always finished). ``now`` is told what is waited for each time that this changes,
    ``stop`` is called several times a second and may raise.
    """
    import asyncio

    from barehub.verify.waiting import until_ready

    return asyncio.run(until_ready(target, seconds, now, stop))
