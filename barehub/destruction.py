"""What a teardown will destroy: planned as a whole, shown and agreed to before anything is touched.

The stages are then destroyed one by one, each by a plan of its own that is held against this one.
"""

from __future__ import annotations

from pathlib import Path

from barehub import agreement, recovery
from barehub.console import console
from barehub.errors import TerraformError
from barehub.plan import guard
from barehub.plan.change import Change
from barehub.plan.showing import Shown
from barehub.preparation import SEEING, complete_recipe, terraform_of
from barehub.recovery import Account
from barehub.run import Run
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress


def foresee(run: Run) -> tuple[Account | None, Shown]:
    """Plan the destruction of all that the state has, and of what it should have; change nothing.

    Returns what a crash left, to be settled first (None where there is nothing to destroy), and the
    plan in words.

    :raises TerraformError: it cannot be planned as a whole: something is protected, or a condition
        or a provider fails.
    """
    name, ledger = run.instance.name, run.instance.journal.ledger()
    perhaps = ledger.begun or ledger.failed or ledger.intended
    if not (run.instance.living or ledger.made or perhaps):
        return None, Shown(name, (), nothing="there is no state: nothing to destroy")
    for step in (*SEEING, complete_recipe):
        run.interruptions.check()
        step(run)
    found = recovery.look_up(run, recovery.account(run))
    shown = Shown(name, ())
    if run.state.resources() or run.state.outputs():
        terraform = terraform_of(run)
        path, plan = whole(terraform)
        run.losses = {address: plan.planned[address] for address in plan.losing()}
        shown = agreement.describe(run, terraform, path, plan)
    missing = [Change(a, "delete", role=guard.role_of(a, {})) for a in _to_import(found)]
    run.losses |= {change.address: change.action for change in missing}
    run.shown = dict(run.losses)
    changes = [change for change in shown.changes if change.lost] + missing
    return found, Shown(name, changes, nothing="nothing to destroy")


def agree(run: Run) -> Account | None:
    """Show what will be destroyed, and ask; what :func:`foresee` found.

    :raises UsageError: the person does not agree, or cannot be asked.
    """
    try:
        found, shown = foresee(run)
    except TerraformError as error:
        error.problem = f"nothing was destroyed: {error.problem}"
        error.add()
        raise
    agreement.show(shown)
    if found:
        tell(found)
    if not run.terms.agreed:
        name = run.instance.name
        console.confirm(
            f"this destroys {name} and all that people have in it; type its name to go on:",
            name,
            f"invoke teardown --name {name} --yes",
        )
    return found


def tell(found: Account) -> None:
    """Say what of the plan is not in the state, and what may be in a cloud besides."""
    for address, id in _to_import(found).items():
        console.warn(f"{address} ({id}) is not in the state: it is imported, then destroyed")
    for address in found.in_a_cloud:
        console.warn(f"creation of {address} was interrupted; it may exist in the cloud")


def settle(run: Run, found: Account) -> None:
    """Bring the state up to what the journal has; nothing of that may be protected.

    :raises TerraformError: something cannot be imported, or must not be destroyed.
    """
    recovery.settle(run, found)
    if imported := _to_import(found):
        _, plan = whole(terraform_of(run))
        run.losses |= {a: plan.planned[a] for a in plan.losing() if a in imported}
        run.shown = dict(run.losses)


def whole(terraform: Terraform) -> tuple[Path, Progress]:
    """The plan that destroys everything, by what the state says where that is all that can be told:
    how many of something there are may depend on what was never made.
    """
    forecast = terraform.forecast(destroy=True)
    return forecast or terraform.plan("plan", destroy=True, refresh=False)


def _to_import(found: Account) -> dict[str, str]:
    """What a teardown takes into the state, by address with its id."""
    return {**found.unknown, **{address: thing.id for address, thing in found.there.items()}}
