"""What a suite of faults is told at its end: the seed, the figures, how to have a failure again.

Loaded as a plugin by ``tests/conftest.py``: the process that hands tests to workers must know the
options, draw the seed for all of them, and sum up.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

RUNS = 300
SEED = 20261126
"""Of the runs of continuous integration, so that a change is judged by what it changes; moments
differ a little all the same. Other seeds find what this one does not."""

PROPERTY = "fault"
FINDINGS = {
    "UNKNOWN": "resources unknown to state and journal",
    "IN CLEAR": "plaintext found",
    "TWICE": "double applies",
    "UNTRUE": "false words of what was cut off",
}
"""By the word with which the oracle begins."""


Report = dict[str, Any]
"""What one run has to say, as a property of its test: ``case``; ``hit``, whether the command was
still at work when the fault came; ``outcome``, the ``commands`` that led to it, ``seconds``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", type=int, default=RUNS, help=f"runs with a fault ({RUNS})")
    parser.addoption(
        "--fault-seed", default=str(SEED), help=f"a number, or new: the seed of these runs ({SEED})"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have one seed; a worker is given that of the process that started it."""
    given = config.option.fault_seed
    drawn = random.SystemRandom().randrange(1_000_000) if given == "new" else int(given)
    config.option.fault_seed = getattr(config, "workerinput", {}).get(PROPERTY, drawn)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[PROPERTY] = node.config.option.fault_seed


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Seed, figures, and for each failure the command that has it again."""
    passed = _reports(terminalreporter, "passed")
    failed = _reports(terminalreporter, "failed")
    if not passed and not failed:
        return
    line = terminalreporter.write_line
    terminalreporter.section("faults")
    seed = config.option.fault_seed
    told = [told for _, told in passed + failed]
    line(f"seed {seed}: {len(told)} runs, {sum(t['hit'] for t in told)} hit a command at work")
    for what in ("world", "command", "fault"):
        counts = Counter(t["case"][what] for t in told)
        line(f"  by {what}: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
    outcomes = Counter(t["outcome"] for _, t in passed)
    line(
        f"  next command: {outcomes['reached']} brought it to the wanted state, "
        f"{outcomes['named']} named what they could not settle"
    )
    tries = Counter(len(t["commands"]) for _, t in passed)
    line(
        "  commands until then: " + ", ".join(f"{n}x{count}" for n, count in sorted(tries.items()))
    )
    for word, what in FINDINGS.items():
        line(f"  {what}: {sum(word in report.longreprtext for report, _ in failed)}")
    if told:
        line(f"  {sum(t['seconds'] for _, t in passed) / max(1, len(passed)):.1f} s a run")
    for _, t in failed:
        run = f"run-{t['case']['number']:03}"
        line(f"  again: ./scripts/test --cloud tests/faults --fault-seed {seed} -k {run}", red=True)


def _reports(
    terminalreporter: pytest.TerminalReporter, outcome: str
) -> list[tuple[pytest.TestReport, dict[str, Any]]]:
    found = []
    for report in terminalreporter.stats.get(outcome, []):
        told = dict(getattr(report, "user_properties", ())).get(PROPERTY)
        if told and report.when == "call":
            found.append((report, told))
    return found
