"""The changes of one plan, read from Terraform's own account of it.

``terraform show -json`` writes every value of the plan in clear. It is read in memory, and nothing
but names leaves this package: addresses, attributes, arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from barehub.plan import causes, guard
from barehub.project import STAGES

Document = dict[str, Any]

LOSING = ("replace", "delete")


@dataclass(frozen=True)
class Change:
    """What a plan does to one resource.

    ``action`` is Terraform's: create, update, replace, delete, move, import, forget. ``attributes``
    are those that change, or that force a replacement; ``arguments`` those of the recipe that are
    behind them, as far as that can be told.
    """

    address: str
    action: str
    attributes: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    tainted: bool = False
    role: str = ""
    previous: str = ""
    """Where the state has it, if that is another address."""

    kept: bool = False
    """Whether what is there now stays there, and only the state loses it."""

    @property
    def stage(self) -> str:
        """The stage that it belongs to; empty for what stands beside the three modules."""
        return next((s for s in STAGES if self.address.startswith(f"module.{s}.")), "")

    @property
    def lost(self) -> bool:
        """Whether what is there now goes away."""
        return self.action in LOSING and not self.kept

    @property
    def loses(self) -> str:
        """What goes with it, in words."""
        return guard.LOSES.get(self.role, "") if self.lost else ""

    @property
    def why(self) -> str:
        """``user_data: nb_nodes``, ``never finished``; empty where nobody can say more."""
        if self.tainted:
            return "tainted: its creation failed, or somebody marked it"
        parts = (", ".join(self.attributes), ", ".join(self.arguments))
        changed = ": ".join(part for part in parts if part)
        moved = f"moved from {self.previous}" if self.previous else ""
        kept = "is not destroyed, and stays there" if self.kept else ""
        return "; ".join(part for part in (moved, kept, changed) if part)


def read(
    planned: Mapping[str, str],
    document: Document | None,
    changed: Mapping[str, Collection[str]],
) -> list[Change]:
    """The changes of a plan, in the order of the stages.

    :param planned: address to action, from the events of ``terraform plan -json``
    :param document: what ``terraform show -json`` says of it, where more is to be told
    :param changed: by stage, the arguments that are not what they were when it was last applied
    """
    details = {} if document is None else _details(document)
    found = [_change(address, planned[address], document, details, changed) for address in planned]
    order = {stage: place for place, stage in enumerate(STAGES)}
    return sorted(found, key=lambda change: order.get(change.stage, len(order)))


def drifted(document: Document) -> list[Change]:
    """What a refreshing plan found to be otherwise than Terraform left it: update, delete."""
    return [
        Change(one["address"], one["change"]["actions"][0], _attributes(one["change"]))
        for one in document.get("resource_drift", [])
    ]


def _details(document: Document) -> dict[str, Document]:
    changes = document.get("resource_changes", [])
    return {c["address"]: c for c in changes if "deposed" not in c}


def _change(
    address: str,
    action: str,
    document: Document | None,
    details: Mapping[str, Document],
    changed: Mapping[str, Collection[str]],
) -> Change:
    detail = details.get(address)
    if document is None or detail is None:
        return Change(address, action)
    reason = detail.get("action_reason", "")
    attributes = _attributes(detail["change"])
    change = Change(
        address,
        action,
        attributes,
        tainted=reason == "replace_because_tainted",
        role=guard.role_of(address, document),
        previous=detail.get("previous_address", ""),
        kept="forget" in detail["change"]["actions"],
    )
    asked = ("count",) if reason.startswith("delete_because_") else attributes
    behind = causes.arguments_behind(address, asked, document, changed.get(change.stage, ()))
    return replace(change, arguments=behind)


def _attributes(change: Document) -> tuple[str, ...]:
    """The names of what forces a replacement, or else of what changes."""
    if paths := change.get("replace_paths"):
        return tuple(dict.fromkeys(str(path[0]) for path in paths if path))
    before, after = change.get("before"), change.get("after")
    if change.get("actions") != ["update"] or not before or after is None:
        return ()
    unknown = change.get("after_unknown") or {}
    return tuple(n for n in before if n not in unknown and before[n] != after.get(n))
