"""The steps that run Terraform: apply the stages in order, destroy them in reverse."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from barehub.console import console
from barehub.endpoint import target_of
from barehub.errors import LeftoverError
from barehub.preparation import (
    complete_recipe,
    fetch_modules,
    open_state,
    read_recipe,
    read_secrets,
    start_agent,
    terraform_of,
)
from barehub.project import STAGES
from barehub.run import Run
from barehub.terraform import recipe as recipes
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress
from barehub.verify import verify


def apply_stages(run: Run) -> None:
    """Plan and apply each stage that changes, in order; at the end nothing may be left to do."""
    terraform = terraform_of(run)
    known = set(STAGES)
    if run.state.resources():
        _, plan = terraform.plan("plan")
        if plan.empty:
            console.step("terraform", "nothing to change")
            return
        _agree(run, plan)
        known = {stage for stage in STAGES if plan.touching(stage)}
    run.changed = True
    for stage in STAGES[:-1]:
        if stage in known:
            _apply(run, terraform, stage, target=f"module.{stage}")
    _apply_rest(run, terraform)


def _apply_rest(run: Run, terraform: Terraform) -> None:
    """Apply the last stage, and what belongs to none (outputs, resources beside the modules).

    A plan without a target shows all that is left. When that is the last stage alone, it is that
    stage's plan.
    """
    last = STAGES[-1]
    path, left = terraform.plan(last)
    if left.beside(last):
        _apply(run, terraform, last, target=f"module.{last}")
        path, left = terraform.plan("rest")
        last = "rest"
    if not left.empty:
        _apply_plan(run, terraform, last, path, left)
        _, left = terraform.plan("check")
    if not left.empty:
        console.warn(f"terraform would change again: {', '.join(left.planned) or 'outputs'}")


def _apply(run: Run, terraform: Terraform, stage: str, target: str = "", replace: str = "") -> None:
    path, plan = terraform.plan(stage, target=target, replace=replace)
    if plan.empty:
        console.step(stage, "nothing to change")
    else:
        _apply_plan(run, terraform, stage, path, plan, meant=bool(replace))


def _apply_plan(
    run: Run, terraform: Terraform, stage: str, path: Path, plan: Progress, meant: bool = False
) -> None:
    """Apply a saved plan; what it loses must be ``meant``, or agreed to."""
    if not meant:
        _agree(run, plan)
    started = time.monotonic()
    run.instance.journal.add("stage", stage=stage)
    try:
        done = terraform.apply(stage, path)
    except BaseException:
        console.failed(stage, "stopped", time.monotonic() - started)
        raise
    if done.changes:
        console.step(stage, done.summary(), time.monotonic() - started)


def _agree(run: Run, plan: Progress) -> None:
    """Ask, once, before something that exists is lost.

    What is tainted and was never whole holds nothing of anybody's yet.
    """
    never_whole = plan.tainted - run.instance.journal.made().keys()
    known = run.agreed_losses | never_whole
    losing = [address for address in plan.losing() if address not in known]
    if not losing or run.agreed:
        return
    for address in losing:
        console.say(f"  {plan.planned[address]}: {address}")
    name = run.instance.name
    what = "a resource" if len(losing) == 1 else f"{len(losing)} resources"
    console.confirm(
        f"this plan loses {what}; type {name} to go on:", name, f"invoke spawn --name {name} --yes"
    )
    run.agreed_losses.update(losing)


def restart_if_dead(run: Run) -> None:
    """Start a hub again that Terraform believes in and nothing answers for (a reboot, a kill)."""
    event = run.instance.journal.last("endpoint")
    if run.changed or not event or not event.get("service"):
        return
    with run.interruptions.polled():
        report = verify(target_of(run.instance), stop=run.interruptions.check)
    if any(f.id == "net.connect" and f.status == "fail" for f in report.findings):
        console.warn(f"{run.instance.name} does not answer: starting it again")
        address = f"module.binderhub.{event['service']}"
        _apply(run, terraform_of(run), "binderhub", target="module.binderhub", replace=address)


def destroy(run: Run) -> None:
    """Destroy stage by stage, last one first, and then whatever else the state knows."""
    if not run.instance.living and not run.instance.journal.made():
        console.step("terraform", "there is no state: nothing to destroy")
        return
    for step in (
        read_recipe,
        read_secrets,
        start_agent,
        fetch_modules,
        complete_recipe,
        open_state,
    ):
        step(run)
    terraform = terraform_of(run)
    for stage in reversed(STAGES):
        if any(address.startswith(f"module.{stage}.") for address in run.state.resources()):
            _destroy(run, terraform, stage, f"module.{stage}")
    if run.state.resources() or run.state.outputs():
        _destroy(run, terraform, "rest", "")
    if left := run.state.resources():
        raise LeftoverError(
            f"terraform still knows of {', '.join(left)}",
            f"invoke teardown --name {run.instance.name}",
        )


def _destroy(run: Run, terraform: Terraform, stage: str, target: str) -> None:
    path, plan = terraform.plan(stage, target=target, destroy=True)
    _apply_plan(run, terraform, stage, path, plan, meant=True)


def forget_instance(run: Run) -> None:
    """Remove what runs generated in the instance's folder; the recipe and the journal stay."""
    recipes.forget(run.instance)
    shutil.rmtree(run.instance.folder / ".terraform", ignore_errors=True)
