"""`invoke plan`: what a spawn would change, or a teardown destroy, and nothing done."""

from __future__ import annotations

from barehub import agreement, destruction, edits, moves, reconcile, recovery
from barehub import run as runs
from barehub.console import console
from barehub.errors import RecipeError
from barehub.pipeline import PREPARATION
from barehub.plan import showing
from barehub.plan.showing import Shown
from barehub.preparation import make_vault, terraform_of
from barehub.process import Interruptions
from barehub.project import Project
from barehub.run import Run, Terms


def foresee(
    project: Project,
    name: str,
    interruptions: Interruptions,
    terms: Terms,
    *,
    form: str,
    destroy: bool,
) -> None:
    """Print what the next spawn would change, or what a teardown would ``destroy``.

    :param form: ``json``, ``markdown``, or empty for a person
    :raises RecipeError: the recipe can only be planned as it is made.
    """
    project.terraform  # noqa: B018 - a missing tool is said first
    instance = project.existing(name)
    with runs.opened(project, instance, "plan", interruptions, terms) as run:
        shown = _losses(run) if destroy else _changes(run)
    _print(shown, form)


def _losses(run: Run) -> Shown:
    found, shown = destruction.foresee(run)
    if found:
        destruction.tell(found)
    return shown


def _changes(run: Run) -> Shown:
    name = run.instance.name
    edits.tell(run.instance, run.project.relative(run.instance.recipe), going_on=False)
    for step in PREPARATION:
        if step is not make_vault:
            run.interruptions.check()
            step(run)
    recovery.tell(recovery.account(run))
    reconcile.warn_of_doubles(name, run.state.objects())
    reconcile.tell(name, reconcile.released(run.instance.journal, run.state.objects()))
    terraform = terraform_of(run)
    forecast = terraform.forecast()
    if forecast is None:
        raise RecipeError(
            f"{name} cannot be planned as a whole: how much there will be is only known as "
            "stages are made",
            f"invoke spawn --name {name}   shows each stage before it is applied",
        )
    moves.see_imports(forecast[1].imports, run.state.objects())
    return agreement.describe(run, terraform, *forecast)


def _print(shown: Shown, form: str) -> None:
    if form == "json":
        console.out(showing.document(shown))
    elif form == "markdown":
        console.out(showing.markdown(shown))
    else:
        drawn = console.live
        console.out(f"{shown.instance}: {shown.summary}")
        for line in showing.table(shown, console.paint) if drawn else showing.lines(shown):
            console.out(line)
