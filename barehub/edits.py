"""The line of a recipe that `upgrade` and `scale` change, and what the journal knows of it.

The journal has a change before the recipe has it, and that it was put back after the recipe was. So
whatever kills a run, what the line said before is known, and the recipe itself tells whether it
carries the change. A change has come to its end when the hub was verified with it.
"""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from barehub import reading, system_errors
from barehub.console import console
from barehub.errors import RecipeError
from barehub.project import STAGES, Instance
from barehub.terraform import template
from barehub.terraform.template import Argument

OPTIONS = {"upgrade": "binder-version", "scale": "nodes"}
"""By command, the option that takes the new value."""


@dataclass(frozen=True)
class Edit:
    """What ``command`` made of the argument of a stage: ``was`` and ``now`` in HCL."""

    command: str
    stage: str
    argument: str
    was: str
    now: str

    @property
    def told(self) -> str:
        return f"{self.argument} = {self.now}, which was {self.was}"


def typed(command: str, name: str, value: str) -> str:
    """The command that changes the line to ``value``, as a person types it."""
    return f"invoke {command} --name {name} --{OPTIONS[command]} {shlex.quote(value)}"


def written(instance: Instance, stage: str, argument: str) -> str:
    """What the recipe says, in HCL, on a line of its own; empty if nothing."""
    return template.written(_text(instance), stage, argument)


def begin(instance: Instance, edit: Edit) -> None:
    """Write the change into the journal, and then into the recipe.

    :raises RecipeError: the recipe cannot be written; it is as it was.
    """
    facts = {"stage": edit.stage, "argument": edit.argument}
    instance.journal.add("revised", command=edit.command, **facts, was=edit.was, now=edit.now)
    _write(instance, edit, edit.now)


def put_back(instance: Instance, edit: Edit) -> None:
    """Let the recipe say what it did before.

    :raises RecipeError: somebody changed it meanwhile, or it cannot be written.
    """
    says = written(instance, edit.stage, edit.argument)
    if says == edit.now:
        _write(instance, edit, edit.was)
    elif says != edit.was:
        raise RecipeError("somebody changed it meanwhile")
    facts = {"stage": edit.stage, "argument": edit.argument}
    instance.journal.add("put-back", command=edit.command, **facts, was=edit.now, now=edit.was)


def unfinished(instance: Instance) -> Edit | None:
    """The change that the recipe carries although the run that made it was cut off."""
    event = instance.journal.last("revised", "put-back", "up", "stopped", "destroyed") or {}
    if event.get("event") != "revised" or event.get("command") not in OPTIONS:
        return None
    edit = Edit(*(str(event.get(k, "")) for k in ("command", "stage", "argument", "was", "now")))
    if edit.stage not in STAGES:
        return None
    try:
        carried = written(instance, edit.stage, edit.argument) == edit.now != ""
    except OSError:
        return None
    return edit if carried else None


def ways(instance: Instance, edit: Edit) -> list[str]:
    """How to bring it to its end, and how to take it back."""
    return [f"invoke spawn --name {instance.name}   goes on with it", _way_back(instance, edit)]


def _way_back(instance: Instance, edit: Edit) -> str:
    try:
        value = str(json.loads(edit.was))
    except (ValueError, RecursionError):  # hidden (the vault has the same word), or no value
        return f"set {edit.argument} in {instance.recipe} as it was, to take it back"
    return f"{typed(edit.command, instance.name, value)}   takes it back"


def tell(instance: Instance, file: str, *, going_on: bool) -> None:
    """Say what the recipe carries; ``going_on``: the run that says so brings it to its end."""
    if edit := unfinished(instance):
        console.warn(f"{file} says {edit.told}: the {edit.command} was cut off")
        for way in ways(instance, edit)[1 if going_on else 0 :]:
            console.hint(way)


def sweep(instance: Instance) -> None:
    """Remove what a kill left of a recipe being written; for who has the instance's lock."""
    _unborn(instance.recipe.resolve()).unlink(missing_ok=True)


def _text(instance: Instance) -> str:
    """The recipe with its own line ends, and whatever else somebody has put there."""
    content = reading.content(instance.recipe, RecipeError, most=reading.SETTINGS)
    return content.decode(errors="surrogateescape")


def _unborn(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")


def _write(instance: Instance, edit: Edit, value: str) -> None:
    """Write the whole recipe or nothing, and see it onto the disk (fsync) before going on."""
    path, text = instance.recipe.resolve(), _text(instance)
    line = Argument(edit.stage, edit.argument, None)
    changed = template.filled(text, {line: value}).encode(errors="surrogateescape")
    unborn = _unborn(path)
    try:
        with unborn.open("wb") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(changed)
            file.flush()
            os.fsync(file.fileno())
        unborn.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # some file systems cannot sync a folder, and need not
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            unborn.unlink()
        raise system_errors.cannot("written", path, error, RecipeError) from None
