"""`invoke upgrade` and `invoke scale`: one line of the recipe changed, and taken back on failure.

It is a spawn with the line changed before it, under the same lock, with the same plan, guard and
questions. If it fails, the line is put back; if anything was changed by then, the hub is brought
back to it, and verified again. After a crash the new line stays (:mod:`barehub.edits`): the next
spawn says so and goes on with it, and the same command with the old value takes it back.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from barehub import edits, pipeline
from barehub.console import console
from barehub.edits import Edit
from barehub.endpoint import endpoint_of
from barehub.errors import BarehubError, Interrupted, RecipeError, UsageError
from barehub.preparation import complete_recipe, read_recipe
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.run import Run, Terms
from barehub.stages import apply_stages
from barehub.terraform import template
from barehub.terraform.template import Argument

VERSION = re.compile(r"[\w.+~:/@-]+", re.ASCII)
"""What may be one of a chart, a package, an image or a git repository: no blank, no template."""

NUMBER = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True)
class Wish:
    """What the argument of a stage is to be; ``type`` is Terraform's."""

    command: str
    stage: str
    argument: str
    type: str
    value: str

    def expression(self, written: str) -> str:
        """The value in HCL."""
        return Argument(self.stage, self.argument, written, self.type).expression(self.value)


def revise(
    project: Project,
    name: str,
    wish: Wish,
    *,
    interruptions: Interruptions,
    terms: Terms,
    seconds: float,
) -> str:
    """Change the recipe's line, make the hub so, and verify it; its endpoint.

    :raises BarehubError: what failed; its hints tell what became of the line and of the hub
    """
    project.terraform  # noqa: B018 - a missing tool is said before anything is changed
    instance = project.existing(name)
    terms = dataclasses.replace(terms, again=edits.typed(wish.command, name, wish.value))
    if _written(project, instance, wish) == wish.expression(""):
        console.say(f"  the recipe has this {wish.argument} already: there is no line to change")
        return pipeline.spawn(
            project, name, recipe=None, interruptions=interruptions, terms=terms, seconds=seconds
        )
    steps = (lambda run: _revise(run, wish, seconds),)
    pipeline.run_steps(project, instance, wish.command, steps, interruptions, terms)
    file = project.relative(instance.recipe)
    console.say(f"{file} says {wish.argument} = {wish.value}: commit it")
    return endpoint_of(instance)["url"]  # type: ignore[no-any-return]


def _revise(run: Run, wish: Wish, seconds: float) -> None:
    """Change the line, or take back a change that was cut off."""
    name, file = run.instance.name, run.project.relative(run.instance.recipe)
    old = _written(run.project, run.instance, wish)
    new = wish.expression(old)
    edit = edits.unfinished(run.instance)
    if edit and (edit.stage, edit.argument, edit.was) == (wish.stage, wish.argument, new):
        edits.put_back(run.instance, edit)
        console.say(f"  {file} says {edit.argument} = {edit.was} again: bringing {name} back to it")
        _go(run, *pipeline.PREPARATION, *pipeline.making(seconds))
        return
    if edit:
        raise UsageError(
            f"{file} says {edit.told}: the {edit.command} was cut off, and there is nothing to "
            f"fall back to if the {wish.command} fails",
            *edits.ways(run.instance, edit),
        )
    if not run.instance.living or run.instance.journal.standing() != "up":
        raise UsageError(
            f"{name} is not up: there is nothing to fall back to if the {wish.command} fails",
            f"invoke spawn --name {name}",
        )
    _attempt(run, wish, Edit(wish.command, wish.stage, wish.argument, old, new), seconds)


def _attempt(run: Run, wish: Wish, edit: Edit, seconds: float) -> None:
    try:
        edits.begin(run.instance, edit)
        for step in (*pipeline.PREPARATION, *pipeline.making(seconds)):
            _go(run, step)
            if step is apply_stages:
                _see_effect(run, wish)
    except BaseException as error:
        with run.interruptions.held():
            trouble = _restore(run, edit)
        if isinstance(error, BarehubError):
            _go_back(run, edit, trouble, error, seconds)
        raise


def _go(run: Run, *steps: pipeline.Step) -> None:
    for step in steps:
        run.interruptions.check()
        step(run)


def _see_effect(run: Run, wish: Wish) -> None:
    """:raises RecipeError: the module makes nothing of the argument, once the hub is there."""
    if run.changed and run.shown is None:  # it could not be planned as a whole
        return
    if not any(address.startswith(f"module.{wish.stage}.") for address in run.shown or {}):
        raise RecipeError(
            f'module "{wish.stage}" of {run.instance.name} makes nothing of another '
            f"{wish.argument}: terraform changes nothing there",
            f"invoke terraform --name {run.instance.name} -- state list   shows what to taint",
        )


def _go_back(run: Run, edit: Edit, trouble: str, error: BarehubError, seconds: float) -> None:
    """Bring the hub back to the old line, if anything was changed; ``error`` tells what came of it.

    What this loses was agreed to with the way there; the guard stays in force.
    """
    file, name = run.project.relative(run.instance.recipe), run.instance.name
    says = f"{file} says {edit.argument} = {edit.was} again"
    if trouble:
        error.add(f"see what {edit.argument} is in {file}, which was not put back: {trouble}")
        return
    if not run.changed:
        error.add(f"{says}, and nothing else was changed")
        return
    if isinstance(error, Interrupted):
        error.add(f"{says}; the hub is somewhere in between: invoke spawn --name {name}")
        return
    console.warn(f"the {edit.command} failed: {error.problem}")
    console.say(f"  {says}: bringing {name} back to it")
    run.terms = dataclasses.replace(run.terms, agreed=True, recover=True)
    run.shown, run.losses, run.changed = None, {}, False
    try:
        _go(run, read_recipe, complete_recipe, *pipeline.making(seconds))
    except BarehubError as second:
        error.add(
            f"{says}, but the way back failed, too: {second.problem}",
            *second.hints,
            f"invoke spawn --name {name}",
        )
    else:
        error.add(f"{says}, and the hub is back at it, and verified")


def _written(project: Project, instance: Instance, wish: Wish) -> str:
    """What the recipe has for the argument.

    :raises RecipeError: nothing that one line of it says.
    """
    file, of = project.relative(instance.recipe), f'{wish.argument} of module "{wish.stage}"'
    written = edits.written(instance, wish.stage, wish.argument)
    then = f"then: invoke spawn --name {instance.name}"
    if not written:
        raise RecipeError(
            f"{file} leaves out {of}: there is no line to change",
            f"if the module takes it: {wish.argument} = {wish.expression('')}, {then}",
        )
    if (plain := template.literal(written)) is None:
        raise RecipeError(
            f"{file} says {of} is {written}: that is no plain value, and not for barehub to change",
            f"change what stands behind it, {then}",
        )
    return plain


def _restore(run: Run, edit: Edit) -> str:
    """Why the old line could not be put back; empty when it was."""
    try:
        edits.put_back(run.instance, edit)
    except BarehubError as error:
        return error.problem
    return ""
