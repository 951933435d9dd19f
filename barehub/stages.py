"""The steps that run Terraform: apply the stages in order, destroy them in reverse."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from barehub import agreement, clouds, destruction, machines, moves, reconcile, recovery
from barehub.cloud.search import Found
from barehub.console import console
from barehub.endpoint import target_of
from barehub.errors import BarehubError, Interrupted, LeftoverError, TerraformError
from barehub.preparation import read_recipe, read_secrets, terraform_of
from barehub.project import STAGES
from barehub.recovery import Account
from barehub.run import Run
from barehub.terraform import recipe as recipes
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress
from barehub.verify import verify


def apply_stages(run: Run) -> None:
    """Show what will change, then apply each stage that does, in order; then nothing may be left.

    A plan that changes one stage alone is applied as it was shown; otherwise each stage is planned
    again when its turn has come.
    """
    terraform = terraform_of(run)
    first = run.terms.first or STAGES[0]
    stages = STAGES[STAGES.index(first) :]
    forecast = terraform.forecast()
    if forecast is None:
        console.say("  how much there will be is only known as stages are made: each shows its own")
    else:
        path, plan = forecast
        whole = plan
        plan = agreement.from_stage(plan, first)
        if plan.empty:
            console.step("terraform", "nothing to change")
            _converged(run, whole)
            return
        moves.see_imports(plan.imports, run.state.objects())
        agreement.agree(run, plan, agreement.describe(run, terraform, path, plan))
        run.shown = dict(plan.planned)
        if plan.moves:
            moves.carry_out(run, terraform, plan.moves)
            path, whole = terraform.plan("plan")
            plan = agreement.from_stage(whole, first)
            if plan.empty:
                _converged(run, whole)
                return
        stages = tuple(stage for stage in stages if plan.touching(stage))
        _tell_where(run, stages)
    run.changed = True
    if forecast and len(stages) == 1 and not whole.beside(stages[0]):
        _apply_plan(run, terraform, stages[0], path, plan)
        _converged(run, terraform.plan("check")[1])
        return
    for stage in stages:
        if forecast is None and run.state.resources():  # more is known after each stage
            moves.carry_out(run, terraform)
        if stage != STAGES[-1]:
            _apply(run, terraform, stage, target=f"module.{stage}")
    _converged(run, _apply_rest(run, terraform, stages))


def _tell_where(run: Run, stages: Sequence[str]) -> None:
    """Say so when the last run stopped in a stage, and this one goes on there."""
    last = run.instance.journal.last("stage", "stage-done", "up", "destroyed")
    if last and last["event"] == "stage" and stages:
        done = STAGES[: STAGES.index(stages[0])]
        rest = f"; as they should be: {', '.join(done)}" if done else ""
        console.say(f"  the last run stopped in {last['stage']}; on from {stages[0]}{rest}")


def _apply_rest(run: Run, terraform: Terraform, applied: Collection[str]) -> Progress:
    """Apply the last stage, and what belongs to none (outputs, resources beside the modules).

    A plan without a target shows all that is left. When that is the last stage alone, it is that
    stage's plan. With ``--from`` the rest may be what is to be left as it is. What it would change
    again of stages that this run has ``applied`` is left as well: such a module never settles, and
    to apply it once more would replace what has just been made.

    :returns: what terraform would change after that
    """
    last = STAGES[-1]
    if run.terms.first:
        _apply(run, terraform, last, target=f"module.{last}")
    path, left = terraform.plan(last)
    if run.terms.first and left.planned:
        return left
    if left.beside(last):
        _apply(run, terraform, last, target=f"module.{last}")
        path, left = terraform.plan("rest")
        last = "rest"
        if again := left.of({*applied, STAGES[-1]}):
            return _apply_beside(run, terraform, left, again)
    if not left.empty:
        _apply_plan(run, terraform, last, path, left)
        _, left = terraform.plan("check")
    return left


def _converged(run: Run, left: Progress) -> None:
    """Tell what the run leaves undone; where that is nothing, the arguments are all applied."""
    if left.empty:
        for stage in STAGES:
            agreement.remember(run, stage)
    elif run.terms.first:
        console.warn(f"left as they are: {', '.join(left.planned) or 'outputs'}")
    else:
        console.warn(f"terraform would change again: {', '.join(left.planned) or 'outputs'}")


def _apply_beside(
    run: Run, terraform: Terraform, left: Progress, again: Collection[str]
) -> Progress:
    """Apply what is ``left`` but for what would be changed ``again``, and the outputs; that."""
    if rest := [address for address in left.planned if address not in again]:
        _apply_plan(run, terraform, "rest", *terraform.plan("rest", target=rest))
    path, outputs = terraform.plan("outputs", refresh_only=True)
    if not outputs.empty:
        terraform.apply("outputs", path)
    still = {address: left.planned[address] for address in again}
    return dataclasses.replace(left, planned=still, outputs_change=False)


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
    if not meant and run.shown is None:
        agreement.agree(run, plan, agreement.describe(run, terraform, path, plan))
    elif not meant:
        agreement.hold(run, stage, plan)
    started = time.monotonic()
    # before Terraform begins: when the power goes, what it told of in the last moment is lost
    facts = {"creates": plan.creating(), "moves": plan.moves}
    releases = moves.releases(terraform, path, plan)
    run.instance.journal.add("stage", stage=stage, **{k: v for k, v in facts.items() if v})
    for address, id in releases:
        run.instance.journal.resource("start", address, "forget", id)
    try:
        done = terraform.apply(stage, path)
    except BaseException as error:
        console.failed(stage, "stopped", time.monotonic() - started)
        with suppress(BarehubError):  # what failed first is what is told
            reconcile.catch_up(run)
            machines.record(run)  # they are most wanted now
        if isinstance(error, TerraformError):
            with suppress(BarehubError):  # what failed first is what is told
                error.add(*clouds.faults(run))
        raise
    reconcile.catch_up(run)
    reconcile.tell(run.instance.name, reconcile.outside(releases, run.state.objects()))
    run.instance.journal.add("stage-done", stage=stage)
    machines.record(run)
    if done.changes:
        console.step(stage, done.summary(), time.monotonic() - started)
    if not meant and stage in STAGES:
        agreement.remember(run, stage)


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


def stop_hub(run: Run) -> bool:
    """Destroy what runs the hub, if that is a process beside us; whether it is.

    The state then says what is true, and the next spawn starts the hub again.
    """
    event = run.instance.journal.last("endpoint")
    if not event or not event.get("service"):
        return False
    _destroy(run, terraform_of(run), "binderhub", "module.binderhub")
    console.warn(
        f"the hub of {run.instance.name} ran in this container and ends with it; "
        "without --container it stays"
    )
    return True


def destroy_and_look(run: Run, found: Account | None) -> Found:
    """Destroy all, and look in the clouds for what is left of it, also after a failure.

    :param found: what was agreed to; nothing where there is nothing to destroy
    :raises BarehubError: what failed first; its hints tell what is left
    """
    try:
        if found is not None:
            destroy(run, found)
    except Interrupted:
        raise
    except BarehubError as error:
        with suppress(BarehubError):  # what failed first is what is told
            for item in clouds.leftovers(_look(run), run.instance.name):
                error.add(f"{item.what}: {item.remove}")
        raise
    return _look(run)


def _look(run: Run) -> Found:
    if not clouds.used(run.instance, clouds.plan_of(run.instance)):
        return Found()
    if run.recipe is None:  # there was nothing to destroy
        try:
            read_recipe(run)
            read_secrets(run)
        except BarehubError as error:
            if isinstance(error, Interrupted):
                raise
            return Found(unseen=[f"the clouds: {error.problem}"])
    return clouds.look(run)


def destroy(run: Run, found: Account) -> None:
    """Destroy stage by stage, last one first, and then whatever else the state knows.

    So a name goes before the address that it points to is given back, which somebody else may get.

    :param found: what a crash left, to be settled first
    """
    reconcile.catch_up(run)
    destruction.settle(run, found)
    recovery.tell_of_traces(found)
    clouds.note_addresses(run)
    terraform = terraform_of(run)
    if moves.pending_in(run.shown or (), run.state):
        moves.carry_out(run, terraform)
    for stage in reversed(STAGES):
        if any(address.startswith(f"module.{stage}.") for address in run.state.resources()):
            _destroy(run, terraform, stage, f"module.{stage}", held=True)
    if run.state.resources() or run.state.outputs():
        _destroy(run, terraform, "rest", "", held=True)
    if left := run.state.resources():
        raise LeftoverError(
            f"terraform still knows of {', '.join(left)}",
            f"invoke teardown --name {run.instance.name}",
        )
    if found.in_a_cloud:
        raise recovery.unfound(run, found)


def _destroy(
    run: Run, terraform: Terraform, stage: str, target: str, *, held: bool = False
) -> None:
    """Destroy a stage, or with no target all that is left; ``held`` to the plan that was shown."""
    if target:
        path, plan = terraform.plan(stage, target=target, destroy=True)
    else:
        path, plan = destruction.whole(terraform)
    if held:
        agreement.hold(run, stage, plan)
    _apply_plan(run, terraform, stage, path, plan, meant=True)


def forget_instance(run: Run) -> None:
    """Remove what runs generated in the instance's folder; the recipe and the journal stay."""
    recipes.forget(run.instance)
    if run.shared:
        run.shared.release(remove=True)
    run.instance.moved_state.unlink(missing_ok=True)
    shutil.rmtree(run.instance.folder / ".terraform", ignore_errors=True)
