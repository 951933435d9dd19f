"""Is the hub there, is it a BinderHub, is its TLS right; and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from barehub.verify.finding import Finding
from barehub.verify.report import Report
from barehub.verify.target import Target, machine, parse

__all__ = [
    "Finding",
    "Report",
    "Target",
    "machine",
    "parse",
    "try_launch",
    "verify",
    "verify_each",
    "wait",
]


def verify(target: Target, *, stop: Callable[[], None] = lambda: None) -> Report:
    """Climb the ladder dns, tcp, tls, http, binder once from each vantage.

    Whatever is wrong with the endpoint is in the report: this raises nothing of its own.
    ``stop`` is called several times a second and may raise.
    """
    import asyncio

    from barehub.verify.probe import probe
    from barehub.verify.waiting import stoppable

    return asyncio.run(stoppable(probe(target), stop))


def wait(
    target: Target, *, seconds: float, now: Callable[[str], None], stop: Callable[[], None]
) -> Report:
    """Verify again and again until the endpoint is there; the last report.

    That is two passes in a row, a fault that waiting cannot heal, or ``seconds`` gone by (the first
    climb is always finished). ``now`` is told what is waited for each time that this changes, and
    every half minute; ``stop`` is called several times a second and may raise.
    """
    import asyncio

    from barehub.verify.waiting import stoppable, until_ready

    return asyncio.run(stoppable(until_ready(target, seconds, now), stop))


def verify_each(
    targets: Sequence[Target],
    done: Callable[[Report], None],
    *,
    seconds: float = 0,
    now: Callable[[str], None] = lambda text: None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Verify many side by side; ``done`` is told of each as it comes in.

    With ``seconds`` each is waited for as :func:`wait` does.
    """
    import asyncio

    from barehub.verify import waiting
    from barehub.verify.probe import probe

    async def patient(target: Target) -> Report:
        return await waiting.until_ready(
            target, seconds, lambda text: now(f"{target.host}: {text}")
        )

    look = patient if seconds else probe
    asyncio.run(waiting.stoppable(waiting.each(targets, look, done), stop))


def try_launch(
    target: Target,
    repo: str,
    now: Callable[[str], None],
    line: Callable[[str], None],
    *,
    stop: Callable[[], None],
) -> Sequence[Finding]:
    """Build and launch ``repo``, compute in it and stop it again, whatever happens.

    ``now`` is told of each phase, ``line`` the log of what failed; ``stop`` is called several times
    a second and may raise: then the server is stopped first.
    """
    import asyncio

    from barehub.verify.launching.launch import launch
    from barehub.verify.waiting import stoppable

    return asyncio.run(stoppable(launch(target, repo, now, line), stop))
