"""What `verify` does for one endpoint or many."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.console import console
from barehub.endpoint import failure_of, target_of
from barehub.errors import BarehubError, CheckFailed, UsageError
from barehub.process import Interruptions
from barehub.project import Project
from barehub.verify import Report, Target, machine, parse, try_launch, verify_each

KINDS = ("junit", "prometheus", "html")
"""Of the reports that can be written to files."""

_HELP = "invoke verify --help"


@dataclass(frozen=True)
class Wish:
    """The command line; ``seconds`` to wait (0: one look), ``files`` to write by their kind."""

    name: str = ""
    all: bool = False
    url: str = ""
    file: str = ""
    ca_file: str = ""
    connect_to: str = ""
    vantage: str = ""
    jupyterhub: str = ""
    resolver: str = ""
    seconds: float = 0
    launch: bool = False
    repo: str = ""
    strict: bool = False
    json: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any], seconds: float) -> Wish:
        """``given`` has the options by their names; those of the kinds of report say where to."""
        named = {one.name: given[one.name] for one in dataclasses.fields(cls) if one.name in given}
        return cls(**named, seconds=seconds, files={kind: given[kind] for kind in KINDS})


def check(project: Project, wish: Wish, interruptions: Interruptions) -> None:
    """Verify each endpoint, say what was found, and fail if one of them is not right.

    :raises UsageError: the wish means nothing, or two things at once
    :raises CheckFailed: an endpoint is not what it must be
    :raises NotReadyError: an endpoint is not there (yet), and nothing worse
    """
    unread: list[BarehubError] = []
    goals = [_seen(goal, wish) for goal in targets(project, wish, unread)]
    spec = _spec(wish)
    reports = _look(goals, wish, interruptions)
    if spec:
        reports = [_launched(report, spec, interruptions) for report in reports]
    if not wish.json:
        _tell(reports)
    _write(wish, reports)
    if wish.json:
        documents = [report.document() for report in reports]
        console.out(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    failures = [failure_of(report) for report in reports if report.verdict != "pass"]
    for error in unread:
        console.failed("verify", error.problem)
        for hint in error.hints:
            console.hint(hint)
    failures += [CheckFailed(f"not judged: {error.problem}", *error.hints) for error in unread[:1]]
    if failures:
        raise min(failures, key=lambda failure: failure.exit_code)


def targets(project: Project, wish: Wish, unread: list[BarehubError]) -> list[Target]:
    """What is meant: an endpoint, a list, an instance, or every living instance.

    :param unread: takes the errors of those living instances whose endpoint cannot be told: they
        fail, and do not keep the others from being looked at.
    :raises UsageError: nothing is meant, or two things at once.
    """
    meant = [f"--{key}" for key in ("url", "name", "file", "all") if getattr(wish, key)]
    if len(meant) > 1:
        raise UsageError(f"{' and '.join(meant)} exclude each other", _HELP)
    if wish.url:
        ca_file, connect_to = wish.ca_file or None, wish.connect_to or None
        return [parse(wish.url, connect_to=connect_to, ca_file=ca_file)]
    if wish.connect_to or (wish.ca_file and not wish.file):
        raise UsageError("--ca-file and --connect-to go with --url", _HELP)
    if wish.file:
        return listed(wish.file, wish.ca_file)
    if wish.name:
        return [target_of(project.existing(wish.name))]
    found: list[Target] = []
    for instance in project.instances():
        try:
            if instance.living and instance.journal.last("endpoint"):
                found.append(target_of(instance))
        except BarehubError as error:
            unread.append(error)
    if not (found or unread):
        raise UsageError("there is no living instance to verify", "invoke list")
    return found


def _seen(goal: Target, wish: Wish) -> Target:
    """The target, seen as the command line wants it."""
    if wish.vantage not in ("", "edge", "origin"):
        raise UsageError(f"--vantage {wish.vantage} is neither edge nor origin", _HELP)
    if wish.vantage == "origin" and goal.connect_to is None:
        raise UsageError("--vantage origin needs the machine's address", "--connect-to ADDRESS")
    if wish.vantage:
        goal = goal.at(wish.vantage)
    if wish.resolver:
        goal = dataclasses.replace(goal, resolver=machine(wish.resolver, 53, "--resolver"))
    if wish.jupyterhub:
        from barehub.verify import hub

        goal = dataclasses.replace(goal, hub=hub.place(wish.jupyterhub))
    return goal


def _spec(wish: Wish) -> str | None:
    """What to launch, if anything."""
    if not wish.launch:
        if wish.repo:
            raise UsageError("--repo goes with --launch", _HELP)
        return None
    from barehub.verify.launching import launch

    return launch.parse_repo(wish.repo or launch.REPO)


def listed(file: str, ca_file: str) -> list[Target]:
    """The endpoints of a file, one a line: its URL, then the machine if it is to be looked at, too.

    :raises UsageError: there is none, or a line is none.
    """
    try:
        if file == "-":
            text = reading.decoded(sys.stdin.buffer.read(reading.SETTINGS), UsageError, "stdin")
        else:
            text = reading.text(Path(file).expanduser(), UsageError, shown=file, pipes=True)
    except FileNotFoundError:
        problem = f"{file} cannot be read: no such file"
        raise UsageError(problem, "one https:// a line") from None
    found: list[Target] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if len(words) > 2:
                raise UsageError("more than an address and a machine")
            machine = words[1] if len(words) == 2 else None
            found.append(parse(words[0], connect_to=machine, ca_file=ca_file or None))
        except UsageError as error:
            hint = "https://hub.example.org, then the machine's address if you like"
            raise UsageError(f"{file}, line {number}: {error.problem}", hint) from None
    if not found:
        raise UsageError(f"{file} names no endpoint", "one https:// a line")
    return list(dict.fromkeys(found))


def _look(goals: Sequence[Target], wish: Wish, interruptions: Interruptions) -> list[Report]:
    """The reports, in the order of the goals."""
    reports: dict[Target, Report] = {}
    many = len(goals) > 1

    with interruptions.polled(), console.working("verify") as work:

        def done(report: Report) -> None:
            reports[report.target] = (
                dataclasses.replace(report, strict=True) if wish.strict else report
            )
            if many and not wish.json:
                work.above(reports[report.target].line(console.paint))

        def now(target: Target, waits: str) -> None:
            # what is waited for is said at once, and stays where nothing can be redrawn
            text = f"{target.host}: {waits}"
            if console.live:
                work.now(text)
            else:
                work.above(f"  verify     {text}")

        def stop() -> None:
            interruptions.check()
            work.go_on()

        work.now(f"{len(goals)} endpoints" if many else goals[0].url)
        verify_each(goals, done, seconds=wish.seconds, now=now, stop=stop)
    return [reports[target] for target in goals]


def _launched(report: Report, spec: str, interruptions: Interruptions) -> Report:
    """The report with what came of a launch; a hub that is not up is not asked for one."""
    if report.verdict != "pass":
        return report
    with interruptions.polled(), console.working("launch") as work:
        found = try_launch(report.target, spec, work.now, work.above, stop=interruptions.check)
    return dataclasses.replace(report, findings=[*report.findings, *found])


def _tell(reports: Sequence[Report]) -> None:
    from barehub.verify.outputs import table

    if len(reports) == 1:
        lines = reports[0].lines(console.paint)
    else:
        lines = ["", *table.lines(reports, console.paint)]
    for line in lines:
        console.say(line)


def _write(wish: Wish, reports: Sequence[Report]) -> None:
    """The files that were asked for, and what GitHub shows."""
    from datetime import UTC, datetime

    from barehub.verify.outputs import files, github, junit, page, prometheus

    formats: dict[str, Callable[[], str]] = {
        "junit": lambda: junit.text(reports, strict=wish.strict),
        "prometheus": lambda: prometheus.text(reports),
        "html": lambda: page.html(reports, datetime.now(UTC)),
    }
    for kind, name in wish.files.items():
        if name:
            files.write(Path(name).expanduser(), formats[kind]())
    for report in reports:
        for finding in report.findings:
            if finding.status == "fail":
                kind = "error" if finding in report.failures else "warning"
                about = f"{report.target.url} {finding.id}: {finding.message}"
                console.annotate(kind, f"{about}\nfix: {finding.fix}")
    if page_of_job := os.environ.get("GITHUB_STEP_SUMMARY"):
        files.append(Path(page_of_job), github.summary(reports))
