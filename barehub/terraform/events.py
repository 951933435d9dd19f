"""What Terraform says with ``-json`` (https://developer.hashicorp.com/terraform/internals/machine-readable-ui)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from barehub.redaction import Redactor, Stream

Event = dict[str, Any]

Notice = Callable[[str, str, str, str], None]

ACTIONS = {"create": "created", "update": "changed", "delete": "destroyed", "read": "read"}
DOING = {"create": "creating", "update": "changing", "delete": "destroying", "read": "reading"}

SAME = {"remove": "forget", "noop": "replace"}
"""Actions that the events of a plan name otherwise than ``terraform show -json`` does. OpenTofu
1.12 has "noop" for what it replaces without destroying the old one."""

NOISE = (
    "Resource targeting is in effect",
    "Applied changes may be incomplete",
    "Deprecated flag: -state",
)
"""Warnings that every staged run with a state of its own causes, and that say nothing."""

SHOWN_BEGINNING = 2
"""Characters at the end of a line that are shown although a secret may begin with them: nearly
every line ends like the beginning of something."""


RULE = re.compile(r"SecurityGroupRuleExists.* Rule id is ([0-9a-f-]{36})")
"""As Neutron says it (neutron/extensions/securitygroup.py)."""


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning of Terraform's, in its own words."""

    severity: str
    summary: str
    detail: str
    address: str
    place: str

    @property
    def there(self) -> str:
        """The id of what a cloud refuses to make because it is there already, where it tells."""
        rule = RULE.search(f"{self.summary} {self.detail}")
        return rule[1] if rule and self.address else ""

    def lines(self) -> list[str]:
        where = ", ".join(part for part in (self.address, self.place) if part)
        head = f"{self.summary} ({where})" if where else self.summary
        return [head, *(f"  {line}" for line in self.detail.splitlines() if line.strip())]

    def own_words(self, redact: Callable[[str], str]) -> tuple[str, list[str]]:
        """The problem and the hints of a provisioner's program, or Terraform's summary, without
        the secrets that ``redact`` knows."""
        detail = redact(self.detail)
        problem = re.search(r"^error: (.+)$", detail, re.MULTILINE)
        hints = re.findall(r"^hint: (.+)$", detail, re.MULTILINE)
        return (problem[1] if problem else redact(self.lines()[0])), hints


@dataclass
class Progress:
    """What one run of Terraform has done so far.

    ``notice(kind, address, action, id)`` is called for each resource, as it happens; the kinds are
    ``start``, ``done`` and ``failed``, the actions Terraform's. ``stream()`` takes the secrets out
    of what others word: diagnostics, and what a resource's provisioners print.
    """

    notice: Notice = lambda kind, address, action, id: None
    stream: Callable[[], Stream] = Redactor().stream
    changes: dict[str, list[str]] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)
    tainted: set[str] = field(default_factory=set)
    """What a plan replaces because it is tainted: its creation failed, or a person marked it."""
    moves: dict[str, str] = field(default_factory=dict)
    """What a plan finds at another address than the state has it: old address to new one."""
    imports: dict[str, str] = field(default_factory=dict)
    """What a plan imports: address to id."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    under_way: dict[str, str] = field(default_factory=dict)
    outputs_change: bool = False
    _streams: dict[str, Stream] = field(default_factory=dict)

    def feed(self, line: str) -> None:
        """One line of output, as JSON or, where Terraform forgets itself, as text."""
        try:
            event: Event = json.loads(line)
            kind = event["type"]
        except (ValueError, KeyError, TypeError):
            if line.strip():
                self.raw.append(line.rstrip())
            return
        handler = getattr(self, f"_on_{kind}", None)
        if handler:
            handler(event)

    @property
    def doing(self) -> str:
        """What began last of all that is under way: its own words, or ours."""
        return next(reversed(self.under_way.values()), "")

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [
            d
            for d in self.diagnostics
            if d.severity == "warning" and not d.summary.startswith(NOISE)
        ]

    @property
    def empty(self) -> bool:
        """Whether a plan changes nothing."""
        return not self.planned and not self.outputs_change

    def touching(self, stage: str) -> bool:
        """Whether a plan changes a resource of a stage."""
        return any(address.startswith(f"module.{stage}.") for address in self.planned)

    def beside(self, stage: str) -> bool:
        """Whether a plan changes a resource of anything but a stage."""
        return any(not address.startswith(f"module.{stage}.") for address in self.planned)

    def of(self, stages: Collection[str]) -> list[str]:
        """The addresses in any of ``stages`` that a plan changes."""
        within = tuple(f"module.{stage}." for stage in stages)
        return [address for address in self.planned if address.startswith(within)]

    def losing(self) -> list[str]:
        """The addresses that a plan destroys, or replaces."""
        return [a for a, action in self.planned.items() if action in ("delete", "replace")]

    def creating(self) -> list[str]:
        """The addresses that a plan creates, or creates anew."""
        return [a for a, action in self.planned.items() if action in ("create", "replace")]

    def summary(self) -> str:
        """``2 created, 1 destroyed``, in that order whatever came first."""
        actions = sorted(self.changes, key=[*ACTIONS, *self.changes].index)
        done = [f"{len(self.changes[a])} {ACTIONS.get(a, a)}" for a in actions]
        return ", ".join(done) or "nothing to change"

    def _on_planned_change(self, event: Event) -> None:
        change = event["change"]
        address = change["resource"]["addr"]
        self.planned[address] = SAME.get(change["action"], change["action"])
        if change.get("reason") == "tainted":
            self.tainted.add(address)
        if importing := change.get("importing"):
            self.imports[address] = str(importing.get("id") or "")
        self._on_resource_drift(event)

    def _on_resource_drift(self, event: Event) -> None:
        if previous := event["change"].get("previous_resource"):
            self.moves[previous["addr"]] = event["change"]["resource"]["addr"]

    def _on_outputs(self, event: Event) -> None:
        actions = {output.get("action", "noop") for output in event["outputs"].values()}
        self.outputs_change = bool(actions - {"noop"})

    def _on_apply_start(self, event: Event) -> None:
        self._hook(event, "start")

    def _on_apply_complete(self, event: Event) -> None:
        hook = self._hook(event, "done")
        self.changes.setdefault(hook["action"], []).append(hook["resource"]["addr"])

    def _on_apply_errored(self, event: Event) -> None:
        self._hook(event, "failed")

    def _on_provision_progress(self, event: Event) -> None:
        address = event["hook"]["resource"]["addr"]
        output = event["hook"].get("output", "")
        shown = self._without_secrets(address, output).strip()
        if "output suppressed" in output or output.startswith("Executing: "):
            return
        if shown.strip("… "):
            self.under_way[address] = shown.splitlines()[-1]

    def _without_secrets(self, address: str, output: str) -> str:
        """``output`` as it may be shown: a secret may have begun before it, or go on after it.

        A line that a program does not end within 0.1 s comes in several events, without the blanks
        before each cut.
        """
        stream = self._streams.setdefault(address, self.stream())
        before = stream.waiting
        shown = stream.feed(output).removeprefix(before)
        return shown + (stream.waiting if len(stream.waiting) <= SHOWN_BEGINNING else "…")

    def _clean(self, text: str) -> str:
        stream = self.stream()
        return stream.feed(text) + stream.end()

    def _hook(self, event: Event, kind: str) -> Event:
        hook: Event = event["hook"]
        address = hook["resource"]["addr"]
        if kind == "start":
            what = address.removeprefix(hook["resource"].get("module", "") + ".")
            self.under_way[address] = f"{DOING.get(hook['action'], hook['action'])} {what}"
        else:
            self.under_way.pop(address, None)
            self._streams.pop(address, None)
        self.notice(kind, address, hook["action"], str(hook.get("id_value", "")))
        return hook

    def _on_diagnostic(self, event: Event) -> None:
        told = event["diagnostic"]
        place = ""
        if "range" in told:
            place = f"{told['range']['filename']}:{told['range']['start']['line']}"
        self.diagnostics.append(
            Diagnostic(
                told["severity"],
                self._clean(told["summary"]),
                self._clean(told.get("detail", "")),
                told.get("address", ""),
                place,
            )
        )
