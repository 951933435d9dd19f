"""`invoke terraform`: a command of Terraform's own, the state unsealed for it alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from barehub import moves, reconcile
from barehub import run as runs
from barehub.console import console
from barehub.errors import TerraformError, UsageError
from barehub.pipeline import PREPARATION
from barehub.preparation import make_vault, terraform_of
from barehub.process import Interruptions
from barehub.project import Project
from barehub.reconcile import kind_of
from barehub.run import Run, Terms
from barehub.terraform.state import Object

WITH_VARIABLES = ("apply", "console", "destroy", "import", "plan", "refresh")
WITH_STATE = (*WITH_VARIABLES, "output", "taint", "untaint")
OF_STATE = ("list", "mv", "replace-provider", "rm", "show")
"""Commands after ``terraform state`` that take ``-state``."""

COLORS = re.compile(r"\x1b\[[0-9;]*m")
"""What Terraform paints with, because not all of its commands take ``-no-color``."""

STATELESS = ("fmt", "get", "graph", "providers", "validate", "version")
LOOKING = ("", *STATELESS, "output", "plan", "show", "state list", "state show")
"""Commands that change neither resources nor the state."""


def terraform(
    project: Project, name: str, args: Sequence[str], interruptions: Interruptions, terms: Terms
) -> None:
    """Run ``terraform ARGS`` and print what it says, without the vault's values.

    What comes into the state by it, or out of it, is written into the journal.

    :raises UsageError: barehub does not run this one.
    :raises TerraformError: it failed.
    """
    _see(name, args)
    instance = project.existing(name)
    with runs.opened(project, instance, f"terraform {args[0]}", interruptions, terms) as run:
        for step in PREPARATION:
            if step is not make_vault:
                interruptions.check()
                step(run)
        reconcile.catch_up(run)
        before, tainted = run.state.objects(), run.state.tainted()
        _see_import(args, before)
        code, said = terraform_of(run).by_hand(_completed(run, args))
        said = COLORS.sub("", said)
        _note(run, before, tainted, args, said)
    if said := said.strip("\n"):
        console.out(said)
    if code != 0:
        raise TerraformError(f"terraform {args[0]} ended with exit code {code}")


def unasked(args: Sequence[str]) -> str:
    """The command, where it may change resources or the state; empty where it only looks."""
    words = " ".join(args[: 2 if args[:1] == ["state"] else 1])
    return "" if words in LOOKING else words


def _see_import(args: Sequence[str], objects: Sequence[Object]) -> None:
    """:raises UsageError: the state has what is to be imported at another address."""
    if args[0] == "import" and len(args) > 2:
        moves.see_imports({args[-2]: args[-1]}, objects)


def _note(
    run: Run, before: Sequence[Object], tainted: Sequence[str], args: Sequence[str], said: str
) -> None:
    """Write into the journal what came into the state, left it, or has another address now.

    What left it without being destroyed, by Terraform's own words, is released, unless a refresh
    has not found it any more.
    """
    journal, after = run.instance.journal, run.state.objects()
    spared = [] if args[0] != "untaint" else [a for a in tainted if a not in run.state.tainted()]
    old, new = ({o.address: o.id for o in objects if not o.aside} for objects in (before, after))
    moved = _moved(old, new)
    gone = [a for a in sorted(old) if a not in moved and new.get(a) != old[a]]
    come = [a for a in sorted(new) if a not in moved.values() and old.get(a) != new[a]]
    if moved:
        journal.add("moved", moves=moved)
    for address in gone:
        if f"{address}: Destruction complete" in said:
            journal.resource("start", address, "delete", old[address])
            journal.resource("done", address, "delete", "")
        elif args[0] == "refresh" or "-refresh-only" in args:
            journal.add("resource-forgotten", address=address, by="hand")
        else:
            journal.resource("done", address, "forget", old[address])
    for address in [*come, *spared]:
        journal.add("resource-imported", address=address, id=new[address], by="hand")
    reconcile.catch_up(run)
    pairs = reconcile.released(journal, after)
    reconcile.tell(run.instance.name, [pair for pair in pairs if pair[0] in gone])


def _moved(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Old address to new one of what has the same type and id at another address."""
    moved: dict[str, str] = {}
    for address in sorted(old.keys() - new.keys()):
        free = sorted(new.keys() - old.keys() - {*moved.values()})
        same = (a for a in free if new[a] == old[address] and kind_of(a) == kind_of(address))
        if to := next(same, ""):
            moved[address] = to
    return moved


def _see(name: str, args: Sequence[str]) -> None:
    """:raises UsageError: the state would lie on a disk, or the command is ours."""
    example = f"invoke terraform --name {name} -- state list"
    if not args:
        raise UsageError("there is no command behind --", example)
    state = list(args[:1]) == ["state"] and args[1:2] and args[1] in OF_STATE
    if not (state or args[0] in (*WITH_STATE, *STATELESS, "show")):
        told = " ".join(args[:2] if args[0] == "state" else args[:1])
        raise UsageError(f"barehub does not run terraform {told} by hand", example)
    options = {arg.lstrip("-").partition("=")[0] for arg in args if arg.startswith("-")}
    if kept := options & {"state", "state-out", "backup", "out", "chdir"}:
        raise UsageError(
            f"-{min(kept)} would put a state or a plan, and its secrets, onto a disk",
            f"invoke plan --name {name}",
        )


def _completed(run: Run, args: Sequence[str]) -> list[str]:
    """``args`` with where the state is, and the variables."""
    command, *rest = args
    state = [] if run.state.backend else [f"-state={run.state.plain}"]
    if command == "state":
        return [command, rest[0], *state, *rest[1:]]
    if command == "show":
        positional = [arg for arg in rest if not arg.startswith("-")]
        return [command, *rest, *([] if positional else [str(run.state.plain)])]
    more = [*state] if command in WITH_STATE else []
    if command in WITH_VARIABLES:
        more.append("-input=false")
        if run.variables:
            more.append(f"-var-file={run.variables}")
    return [command, *more, *rest]
