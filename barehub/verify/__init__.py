"""Is the hub there, is it a BinderHub, is its TLS right; and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from barehub.verify.finding import Finding, Findings
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


MAY_RUN = "a server may have been started; the hub's culler ends it when nobody uses it"


def verify(target: Target, *, stop: Callable[[], None] = lambda: None) -> Report:
    """Climb the ladder dns, tcp, tls, http, binder once from each vantage.

    Whatever is wrong with the endpoint is in the report: this raises nothing of its own.
    ``stop`` is called several times a second and may raise.
    """
    reports: list[Report] = []
    verify_each([target], reports.append, stop=stop)
    return reports[0]


def wait(
    target: Target, *, seconds: float, now: Callable[[str], None], stop: Callable[[], None]
) -> Report:
    """Verify again and again until the endpoint is there; the last report.

    That is two passes in a row, a fault that waiting cannot heal, or ``seconds`` gone by (the first
    climb is always finished). ``now`` is told what is waited for each time that this changes, and
    every half minute; ``stop`` is called several times a second and may raise.
    """
    reports: list[Report] = []
    verify_each([target], reports.append, seconds=seconds, now=lambda _, text: now(text), stop=stop)
    return reports[0]


def verify_each(
    targets: Sequence[Target],
    done: Callable[[Report], None],
    *,
    seconds: float = 0,
    now: Callable[[Target, str], None] = lambda target, text: None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Verify many side by side; ``done`` is told of each as it comes in.

    With ``seconds`` each is waited for as :func:`wait` does. A check that hangs or crashes is a
    finding of its endpoint, and keeps no other from its report.
    """
    from barehub.verify.workers import look_at_each

    look_at_each(targets, done, seconds=seconds, now=now, stop=stop)


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
    from barehub.verify.launching.launch import launch
    from barehub.verify.workers import Tell, Worker, drain

    found = Findings(target.vantages[0])

    def take(kind: str, said: Any) -> None:
        if kind == "found":
            found.extend(said)
        else:
            (now if kind == "now" else line)(said)

    async def work(tell: Tell) -> None:
        caught = Findings(target.vantages[0])
        with caught.catching():
            caught += await launch(
                target, repo, lambda text: tell("now", text), lambda text: tell("line", text)
            )
        tell("found", list(caught))

    worker = Worker(work)
    drain(worker, take, stop)
    if worker.crash:
        found.unjudged(f"{worker.crash}; {MAY_RUN}")
    return found
