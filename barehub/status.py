"""`invoke status`: how an instance stands: to its journal, to Terraform, and to visitors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from barehub import edits, overview, turn
from barehub import run as runs
from barehub.console import console
from barehub.endpoint import target_of
from barehub.errors import BarehubError, Interrupted
from barehub.plan import change, guard
from barehub.plan.change import Change, Document
from barehub.preparation import SEEING, complete_recipe, open_state, reach_state, terraform_of
from barehub.process import Interruptions
from barehub.project import STAGES, Instance, Project
from barehub.recovery import BEGINNINGS, ENDS
from barehub.verify import verify

SCHEMA_VERSION = 1

STEPS = (*SEEING, complete_recipe)
"""What Terraform needs to look at what is there; nothing is made, and no cloud asked beside it."""


@dataclass
class Drift:
    """What is not as Terraform left it; ``problem`` says why nobody could look."""

    problem: str = ""
    changes: Sequence[Change] = ()
    outputs_change: bool = False

    @property
    def summary(self) -> str:
        if self.problem:
            return f"not looked at: {self.problem}"
        if self.changes:
            return f"{len(self.changes)} not as terraform left them"
        return "none but in outputs" if self.outputs_change else "none"


@dataclass
class Status:
    """How an instance stands; times are Unix seconds.

    ``about`` is its row of `list`; ``state`` there may also be ``down``: it was up, and does not
    verify now.
    """

    about: dict[str, Any]
    spawned_by: str | None = None
    last: dict[str, Any] | None = None
    endpoint: dict[str, Any] | None = None
    certificate: dict[str, Any] | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    tainted: list[str] = field(default_factory=list)
    """What the next spawn makes again."""

    begun: list[str] = field(default_factory=list)
    """What was being made when a run was killed."""

    losses: list[dict[str, str]] = field(default_factory=list)
    revision: dict[str, str] | None = None
    """What the recipe carries of an upgrade that was cut off, or a scale."""

    drift: Drift | None = None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        drift = self.drift and {
            "problem": self.drift.problem or None,
            "outputs_change": self.drift.outputs_change,
            "changes": [
                {"address": c.address, "action": c.action, "attributes": list(c.attributes)}
                for c in self.drift.changes
            ],
        }
        own = {name: value for name, value in asdict(self).items() if name != "about"}
        return {"schema_version": SCHEMA_VERSION, **self.about, **own, "drift": drift}


def tell(
    project: Project,
    name: str,
    interruptions: Interruptions,
    *,
    as_json: bool,
    no_wait: bool = False,
) -> None:
    """Print how the instance stands. What cannot be looked at is said so, and fails nothing."""
    instance = project.existing(name)
    if not no_wait and turn.outlast(instance, interruptions):
        runs.swept()
    status = Status(overview.describe(instance))
    begun = next((e for e in instance.journal.life() if e["event"] == "spawn"), {})
    status.spawned_by = begun.get("by") if instance.living else None
    status.last = _last(instance, busy=status.about["state"] == "busy")
    if status.about["state"] != "busy" and (edit := edits.unfinished(instance)):
        status.revision = asdict(edit)
    ledger = instance.journal.ledger()
    status.begun = list(ledger.begun) if status.about["state"] != "busy" else []
    addresses: Iterable[str] = ledger.made
    document: Document = {}
    if instance.living:
        _visit(instance, status, interruptions)
        if status.about["state"] == "up" and (status.endpoint or {}).get("verdict") != "pass":
            status.about["state"] = "down"
        seen, document = _look(project, instance, interruptions, status)
        addresses = addresses if seen is None else seen
    status.stages = _stages(instance, addresses)
    status.losses = _losses(addresses, document)
    if as_json:
        console.out(json.dumps(status.document(), indent=2))
    else:
        for line in _lines(status):
            console.out(line)
        if status.revision:
            edits.tell(instance, project.relative(instance.recipe), going_on=False)


def _last(instance: Instance, *, busy: bool) -> dict[str, Any] | None:
    """The last run that was to change something, and how it ended, if it has."""
    last = instance.journal.last(*BEGINNINGS)
    if last is None:
        return None
    end = instance.journal.last(*BEGINNINGS, *ENDS) or last
    event = "cut-off" if end["event"] in BEGINNINGS else end["event"]
    return {
        "event": last["event"],
        "at": last["at"],
        "by": last.get("by"),
        "end": None if busy else event,
        "problem": end.get("problem"),
    }


def _visit(instance: Instance, status: Status, interruptions: Interruptions) -> None:
    """One look at the endpoint, if the instance ever had one."""
    url = status.about["endpoint"]
    if not url:
        return
    try:
        goal = target_of(instance)
    except BarehubError as error:
        status.endpoint = {"url": url, "verdict": "fail", "failures": [error.problem]}
        return
    with interruptions.polled(), console.working("verify", goal.url) as work:

        def stop() -> None:
            interruptions.check()
            work.go_on()

        report = verify(goal, stop=stop)
    told = [f"{finding.id}: {finding.message}" for finding in report.failures]
    status.endpoint = {"url": url, "verdict": report.verdict, "failures": told}
    if shown := report.certificate:
        status.certificate = {key: shown[key] for key in ("not_after", "days_left")}


def _look(
    project: Project, instance: Instance, interruptions: Interruptions, status: Status
) -> tuple[list[str] | None, Document]:
    """Note what a plan that only refreshes finds; the addresses of the state, if it could be read,
    and what Terraform tells of the plan."""
    addresses = None
    try:
        with runs.opened(
            project, instance, "status", interruptions, runs.Terms(no_wait=True)
        ) as run:
            for step in STEPS:
                interruptions.check()
                step(run)
                if step is (reach_state if instance.backend else open_state):
                    addresses = run.state.resources()
                    status.tainted = run.state.tainted()
            terraform = terraform_of(run)
            path, plan = terraform.plan("drift", refresh_only=True)
            document = terraform.explain(path)
    except Interrupted:
        raise
    except BarehubError as error:
        status.drift = Drift(error.problem)
        return addresses, {}
    status.drift = Drift("", change.drifted(document), plan.outputs_change)
    return addresses, document


def _stages(instance: Instance, addresses: Iterable[str]) -> list[dict[str, Any]]:
    """By stage, its resources, and when it was last applied to its end."""
    rows = []
    for stage in STAGES:
        own = [address for address in addresses if address.startswith(f"module.{stage}.")]
        ended = instance.journal.last("stage-done", stage=stage)
        begun = instance.journal.last("stage", stage=stage)
        cut = begun and (not ended or ended["at"] < begun["at"])
        rows.append(
            {
                "stage": stage,
                "state": "unfinished" if cut else "done" if own else "nothing",
                "resources": own,
                "at": ended["at"] if ended and own else None,
            }
        )
    return rows


def _losses(addresses: Iterable[str], document: Document) -> list[dict[str, str]]:
    roles = ((address, guard.role_of(address, document)) for address in addresses)
    return [
        {"address": address, "role": role, "loses": guard.LOSES[role]}
        for address, role in roles
        if role
    ]


def _lines(status: Status) -> Iterable[str]:
    about = status.about
    yield f"{about['name']}: {about['state']}"
    if about["since"]:
        by = f" by {status.spawned_by}" if status.spawned_by else ""
        yield _line("age", f"{overview.age(about['since'])}, spawned {_at(about['since'])}{by}")
    if status.last and status.last["at"] != about["since"]:
        by = f" by {status.last['by']}" if status.last["by"] else ""
        why = f": {status.last['problem']}" if status.last["problem"] else ""
        end = {"failed": f", failed{why}", "cut-off": ", was cut off"}.get(status.last["end"], "")
        yield _line("last", f"{status.last['event']} {_at(status.last['at'])}{by}{end}")
    if status.endpoint:
        yield _line("endpoint", f"{status.endpoint['url']}  {status.endpoint['verdict']}")
        for failure in status.endpoint["failures"]:
            yield _line("", failure)
    if status.certificate:
        left, until = status.certificate["days_left"], status.certificate["not_after"][:10]
        days = f"{left:.0f} days left" if left >= 0 else f"expired {-left:.0f} days ago"
        yield _line("certificate", f"{days}, until {until}")
    for row in status.stages:
        count = len(row["resources"])
        what = f"{row['state']}, {count} resource{'s' * (count != 1)}" if count else row["state"]
        yield _line(row["stage"], what)
    for address in status.tainted:
        yield _line("tainted", f"{address}: the next spawn makes it again")
    for address in status.begun:
        yield _line("unfinished", f"{address}: it was being made when a run was killed")
    if status.drift:
        yield _line("drift", status.drift.summary)
        for one in status.drift.changes:
            why = f" ({one.why})" if one.why else ""
            yield _line(
                "", f"{'gone' if one.action == 'delete' else 'changed'}: {one.address}{why}"
            )
    for loss in status.losses:
        yield _line("to lose", f"{loss['address']}: {loss['loses']}")


def _line(label: str, text: str) -> str:
    return f"  {label:<11} {text}"


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
