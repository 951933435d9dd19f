"""A plan is a promise: what was shown and agreed to is all that a run may lose.

Before anything is applied, the whole recipe is planned and shown. When only one stage changes, that
plan is applied, to the letter. Otherwise each stage is planned anew when its turn has come, because
what the later ones do depends on what the earlier ones made. Such a plan is applied exactly as it
was saved, too, and is first held against the one that was shown: what it adds is told; if it would
lose anything more, the run stops before it.
"""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from barehub.console import console
from barehub.errors import TerraformError, UsageError
from barehub.plan import arguments, showing
from barehub.plan.change import read
from barehub.plan.showing import Shown
from barehub.project import STAGES
from barehub.run import Run
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress


def describe(run: Run, terraform: Terraform, path: Path, plan: Progress) -> Shown:
    """A saved plan in words; what the guard refuses is marked."""
    told = {"update", "replace", "delete", "forget", "move"} & set(plan.planned.values())
    document = terraform.explain(path) if told else None
    changes = read(plan.planned, document, _changed(run))
    never_whole = plan.tainted & run.instance.journal.ledger().never_whole
    held = [c.address for c in changes if c.lost and c.role and c.address not in never_whole]
    refused = [address for address in held if address not in run.terms.allowed]
    return Shown(run.instance.name, changes, refused, plan.outputs_change)


def agree(run: Run, plan: Progress, shown: Shown) -> None:
    """Show a plan, and ask before something that exists is lost.

    What is tainted and was never whole holds nothing of anybody's yet: it may go unasked.

    :raises UsageError: the guard refuses it, or the person does, or cannot be asked.
    """
    show(shown)
    if shown.refused:
        raise _refusal(run, shown)
    never_whole = plan.tainted & run.instance.journal.ledger().never_whole
    run.losses = {address: plan.planned[address] for address in plan.losing()}
    asked = run.losses.keys() - never_whole - run.terms.allowed
    if asked and not run.terms.agreed:
        name = run.instance.name
        what = "a resource" if len(asked) == 1 else f"{len(asked)} resources"
        console.confirm(
            f"this plan loses {what}; type {name} to go on:",
            name,
            f"{_again(run)} --yes",
        )


def hold(run: Run, stage: str, plan: Progress) -> None:
    """See that a stage's plan loses nothing but what was agreed to, and tell what it adds.

    :raises TerraformError: it would lose more.
    """
    _hold_first(run, stage, plan)
    shown = run.shown or {}
    more = {a: plan.planned[a] for a in plan.losing() if run.losses.get(a) != plan.planned[a]}
    if more:
        told = ", ".join(f"{showing.word(action)} {address}" for address, action in more.items())
        plan_of = f"invoke plan --name {run.instance.name}"
        raise TerraformError(
            f"stage {stage} would now {told}, which was not in the plan that was shown",
            f"{plan_of} --destroy" if run.command == "teardown" else plan_of,
            f"{_again(run)}   shows it and asks",
        )
    for address, action in plan.planned.items():
        if shown.get(address) != action:
            console.say(f"  {stage}: also {showing.word(action)} {address}")


def from_stage(plan: Progress, first: str) -> Progress:
    """A plan without what the stages before ``first`` would change."""
    earlier = tuple(f"module.{stage}." for stage in STAGES[: STAGES.index(first)])
    kept = {a: action for a, action in plan.planned.items() if not a.startswith(earlier)}
    return dataclasses.replace(plan, planned=kept)


def _hold_first(run: Run, stage: str, plan: Progress) -> None:
    """:raises UsageError: a plan changes a stage that ``--from`` leaves as it is."""
    first = run.terms.first
    drawn = plan.planned.keys() - from_stage(plan, first).planned.keys() if first else ()
    if drawn:
        name = run.instance.name
        raise UsageError(
            f"stage {stage} cannot go first: {', '.join(sorted(drawn))} would change with it",
            f"invoke spawn --name {name}   begins with the first stage that changes",
        )


def show(shown: Shown) -> None:
    """Print a plan for a person."""
    console.step("plan", shown.summary)
    view = showing.table(shown, console.paint) if console.live else showing.lines(shown)
    for line in view:
        console.say(line)


def _refusal(run: Run, shown: Shown) -> UsageError:
    held = [change for change in shown.changes if change.address in shown.refused]
    told = "; ".join(
        f"{showing.word(c.action)} {c.address}" + (f" ({c.why})" if c.why else "") for c in held
    )
    name = run.instance.name
    allow = " ".join(f"--allow-replace {shlex.quote(c.address)}" for c in held)
    hints = [f"{_again(run)} {allow}   loses them all the same"]
    behind = sorted({name for change in held for name in change.arguments})
    if behind and not run.terms.again:  # a command that edits the recipe takes its line back itself
        recipe = run.project.relative(run.instance.recipe)
        hints.insert(0, f"take back what changed in {recipe}, or in the vault: {', '.join(behind)}")
    return UsageError(f"the guard keeps {name} from this plan: it would {told}", *hints)


def _again(run: Run) -> str:
    command = "teardown" if run.command == "teardown" else "spawn"
    return run.terms.again or f"invoke {command} --name {run.instance.name}"


def remember(run: Run, stage: str) -> None:
    """Write down, as fingerprints, with what arguments a stage is as it is now."""
    now = _fingerprints(run, stage)
    last = run.instance.journal.last("arguments", stage=stage)
    if last is None or last["fingerprints"] != now:
        run.instance.journal.add("arguments", stage=stage, fingerprints=now)


def _changed(run: Run) -> dict[str, set[str]]:
    """By stage, the arguments that are not what they were when it was last applied."""
    assert run.recipe, "read_recipe comes first"
    found = {}
    for stage in run.recipe.calls:
        last = run.instance.journal.last("arguments", stage=stage)
        before = last["fingerprints"] if last else None
        found[stage] = arguments.changed(before, _fingerprints(run, stage))
    return found


def _fingerprints(run: Run, stage: str) -> dict[str, str]:
    assert run.recipe, "read_recipe comes first"
    values = run.values
    given = dict(run.recipe.calls[stage])
    given |= {n: values[n] for n in run.recipe.open_arguments(stage) if n in values}
    return arguments.fingerprints(
        f"{run.state.lineage} {stage}", given, {**run.recipe.defaults, **values}, run.recipe.locals
    )
