"""Moves and imports of a plan that concern the whole recipe, settled before its stages.

Terraform refuses every plan with ``-target`` while a move outside of the target is pending ("Moved
resource instances excluded by targeting"). A plan that only refreshes takes all moves into the
state, those that ``count`` or ``for_each`` imply, too, and changes nothing else
(https://developer.hashicorp.com/terraform/language/modules/develop/refactoring).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from barehub import reading, reconcile
from barehub.console import console
from barehub.errors import RecipeError, UsageError
from barehub.project import STAGES
from barehub.run import Run
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress
from barehub.terraform.state import Object, State

STAGE = "moves"
"""What the journal calls the apply that carries moves out."""

UNIQUE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{20,}", re.IGNORECASE)
"""An id that two things cannot share: a UUID, or as many hexadecimal digits."""

_MOVED = re.compile(r"^[ \t]*+moved[ \t]*+\{[^}]{0,400}?\bto[ \t]*+=[ \t]*+([^\s}]+)", re.MULTILINE)


def carry_out(run: Run, terraform: Terraform, expected: Mapping[str, str] | None = None) -> None:
    """Take all pending moves into the state; nothing else is changed.

    What no plan has shown yet is shown here.

    :param expected: old address to new one, as a plan of the whole recipe has them
    :raises RecipeError: one of them cannot be carried out by itself; nothing is changed then
    :raises TerraformError: with what Terraform said
    """
    path, plan = terraform.plan(STAGE, refresh_only=True)
    for old, new in (expected or {}).items():
        if plan.moves.get(old) != new:
            raise _impossible(run, old, new)
    if not plan.moves:
        return
    for old, new in plan.moves.items():
        if new not in (run.shown or {}):
            console.say(f"  move: {old} to {new}")
    journal = run.instance.journal
    journal.add("stage", stage=STAGE, moves=plan.moves)
    for address, id in _vanished(terraform, path):
        journal.resource("start", address, "forget", id)
    run.changed = True
    try:
        terraform.apply(STAGE, path)
    finally:
        reconcile.catch_up(run)
    journal.add("stage-done", stage=STAGE)
    count = len(plan.moves)
    console.step(STAGE, f"{count} resource{'s have' if count > 1 else ' has'} a new address")


def _vanished(terraform: Terraform, path: Path) -> list[tuple[str, str]]:
    """Address and id of what a refreshing plan did not find, and would take out of the state."""
    drift = terraform.explain(path).get("resource_drift", [])
    return [
        (one["address"], str((one["change"]["before"] or {}).get("id") or ""))
        for one in drift
        if one["change"]["actions"] == ["delete"]
    ]


def releases(terraform: Terraform, path: Path, plan: Progress) -> list[tuple[str, str]]:
    """Address and id of what a plan takes out of the state without destroying it.

    By a ``removed`` block with ``destroy = false``, or by ``lifecycle { destroy = false }`` of the
    resource, where a replacement leaves the old one (Terraform 1.16, OpenTofu 1.12).
    """
    if not {"forget", "replace", "delete"} & {*plan.planned.values()}:
        return []
    changes = terraform.explain(path).get("resource_changes", [])
    return [
        (one["address"], str((one["change"]["before"] or {}).get("id") or ""))
        for one in changes
        if "forget" in one["change"]["actions"]
    ]


def pending_in(destroyed: Collection[str], state: State) -> bool:
    """Whether what a plan of the whole destroys is at other addresses in the state."""
    return not set(destroyed) <= set(state.resources())


def see_imports(imports: Mapping[str, str], objects: Collection[Object]) -> None:
    """See that nothing is imported that the state has already.

    :param imports: address to id, as ``terraform import`` takes it
    :raises UsageError: it would be one thing at two addresses, and be destroyed twice
    """
    for address, id in imports.items():
        own = id.rpartition("/")[2]  # of a record of Cloudflare's: ZONE/ID
        for one in objects:
            same = reconcile.kind_of(one.address) == reconcile.kind_of(address)
            if same and one.address != address and UNIQUE.fullmatch(own) and one.id in (id, own):
                raise UsageError(
                    f"{address} cannot be imported as {id}: the state has it as {one.address}",
                    f"moved {{ from = {one.address}, to = {address} }}   instead of an import",
                )


def _impossible(run: Run, old: str, new: str) -> RecipeError:
    """The error for a move that a refreshing plan leaves out."""
    place = next(iter(_declared(run, new)), run.project.relative(run.instance.recipe))
    return RecipeError(
        f"{place}: the move of {old} to {new} cannot be carried out before the stages",
        "take everything else back that changed since the last spawn, and spawn with it alone",
    )


def _declared(run: Run, address: str) -> list[str]:
    """``FILE:LINE`` of each moved block of the address's stage, or the recipe, that leads to it."""
    folders = [run.instance.folder]
    stage = next((s for s in STAGES if address.startswith(f"module.{s}.")), "")
    if run.recipe and stage:
        folders.append(run.recipe.folder(stage))
    found = []
    for path in (path for folder in folders for path in reading.below(folder, "*.tf")):
        text = reading.lenient(path, RecipeError)
        for block in _MOVED.finditer(text):
            to = block[1].partition("[")[0]
            if re.sub(r"\[[^\[\]]*+\]", "", address).endswith(to):
                line = text.count("\n", 0, block.start()) + 1
                found.append(f"{run.project.relative(path)}:{line}")
    return found
