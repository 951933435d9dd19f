"""A fault at a random moment of a command, and what the next command makes of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from . import oracle
from .draw import Anchor, Case
from .faults import Running
from .moment import wait_for
from .outside import FAULTS
from .place import Place
from .report import Report
from .world import World


@pytest.mark.timeout(400)
def test_the_next_command_settles_it(
    case: Case, world: World, tmp_path: Path, report: Report
) -> None:
    begun = time.monotonic()
    fault = FAULTS[case.fault]
    with world.prepared(case, tmp_path / "run") as place, fault.around(case, place):
        before = oracle.Snapshot.of(world, place)
        told = _disturbed(case, world, place, world.command(case), case.anchor, report)
        print(told)
        first, then = before, oracle.Snapshot.of(world, place)
        if case.again:
            said = _disturbed(case, world, place, _next(case, place), case.again, report)
            print(said)
            oracle.nothing_untrue(said, before, then)
            before, then, told = then, oracle.Snapshot.of(world, place), told + said
        verdict = oracle.settled(world, case, place)
        oracle.nothing_untrue(verdict.told, before, then)
        oracle.recipe_told(verdict.told, first, then)
        oracle.nothing_in_clear(world, place, memory=True)
        oracle.nothing_running(place)
        oracle.nothing_stale(world, place)
        oracle.nothing_twice(world, place, told + verdict.told)
    report.update(outcome=verdict.outcome, commands=verdict.commands)
    report["seconds"] = time.monotonic() - begun


def _next(case: Case, place: Place) -> tuple[str, ...]:
    """The next command, which goes on without a question."""
    argv = oracle.next_command(case, place)
    return argv if argv[0] == "teardown" else (*argv, "--recover", "--yes")


def _disturbed(
    case: Case,
    world: World,
    place: Place,
    arguments: Sequence[str],
    anchor: Anchor,
    report: Report,
) -> str:
    """A command, the case's fault in it, and what must be so before another command begins; what it
    said.
    """
    fault = FAULTS[case.fault]
    run = Running(case, place, arguments, place.cli.start(*arguments))
    wait_for(anchor, world, run)
    report["hit"] = report["hit"] or run.command.poll() is None
    fault.strike(run)
    said = run.ended()
    fault.mend(run)
    oracle.no_bug(said)
    fault.judge(run)
    world.note(case, place)
    oracle.nothing_unknown(world, place)
    oracle.nothing_in_clear(world, place, memory=False)
    return said
