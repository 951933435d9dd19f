"""What `verify` does for one endpoint or many."""

from __future__ import annotations

import json
from collections.abc import Sequence

from barehub.console import console
from barehub.endpoint import failure_of, target_of
from barehub.errors import UsageError
from barehub.process import Interruptions
from barehub.project import Project
from barehub.verify import Report, Target, parse, verify


def targets(project: Project, name: str, url: str, ca_file: str, connect_to: str) -> list[Target]:
    """What the command line means: an endpoint, an instance, or every living instance.

    :raises UsageError: it means nothing, or two things at once.
    """
    if url and name:
        raise UsageError("--url and --name exclude each other", "invoke verify --help")
    if url:
        return [parse(url, connect_to=connect_to or None, ca_file=ca_file or None)]
    if ca_file or connect_to:
        raise UsageError("--ca-file and --connect-to go with --url", "invoke verify --help")
    if name:
        return [target_of(project.existing(name))]
    living = [i for i in project.instances() if i.living and i.journal.last("endpoint")]
    if not living:
        raise UsageError("there is no living instance to verify", "invoke list")
    return [target_of(instance) for instance in living]


def verify_all(goals: Sequence[Target], *, as_json: bool, interruptions: Interruptions) -> None:
    """Verify each endpoint, print what was found, and fail if one of them is not right.

    :raises CheckFailed: an endpoint is not what it must be
    :raises NotReadyError: an endpoint is not there (yet), and nothing worse
    """
    reports = [_verify(goal, as_json, interruptions) for goal in goals]
    if as_json:
        documents = [report.document() for report in reports]
        console.out(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    failures = [failure_of(report) for report in reports if report.verdict != "pass"]
    if failures:
        raise min(failures, key=lambda failure: failure.exit_code)


def _verify(goal: Target, as_json: bool, interruptions: Interruptions) -> Report:
    with interruptions.polled(), console.working("verify") as work:
        work.now(goal.url)
        report = verify(goal, stop=interruptions.check)
    if not as_json:
        for line in report.lines(console.paint):
            console.say(line)
    return report
