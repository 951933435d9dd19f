"""Containers that earlier runs left, ours and those of the old procedure: found and removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from barehub import engine as engines
from barehub.console import console
from barehub.engine import Container, Engine
from barehub.errors import LeftoverError, ToolError
from barehub.lock import Lock
from barehub.project import Project

OLD_IMAGE = re.compile(r"(.*/)?neurolibre-instance([:@].*)?")
"""The image of the procedure that barehub replaces: its containers hold a copy of an SSH key."""

ARTIFACTS = "/terraform-artifacts"
"""Where the old image keeps Terraform's state."""


@dataclass(frozen=True)
class Stray:
    """A container that nobody needs any more, and the engine that has it."""

    engine: Engine
    container: Container

    @property
    def hint(self) -> str:
        return f"{self.engine.path} rm --force {self.container.name}"

    def remove(self) -> bool:
        """Whether it is gone."""
        ours = "run" in self.container.labels
        return self.engine.take_away(self.container.id, volumes=ours)


def clean(*, agreed: bool) -> None:
    """Remove the containers that killed runs left, and, after asking, those of the old image.

    :param agreed: the person has said yes to all.
    :raises LeftoverError: one is still there; with the command that removes it.
    """
    left: list[str] = []
    for engine in engines.all_here():
        if isinstance(engine, ToolError):
            console.say(f"no containers are looked for in it: {engine.problem}")
            continue
        for stray in _ours(engine):
            if stray.remove():
                console.step("clean", f"removed the container {stray.container.name}")
            else:
                left.append(stray.hint)
        left += [hint for stray in _old(engine) for hint in _clean_old(stray, agreed)]
    if left:
        raise LeftoverError("there are containers that were not removed", *left)


def _ours(engine: Engine) -> Iterator[Stray]:
    """Those of runs of this person that are over."""
    ids = engine.lines(engine.containers(user=str(os.getuid())))
    for one in engine.described(ids):
        if "run" not in one.labels:
            continue
        if Lock(Path(one.labels.get("session", "/nowhere"), "lock")).held():
            console.say(f"not touched: the container {one.name}, whose run is at work")
        elif one.running and _instance_is_held(one):
            what = "is finishing what Terraform began before its run was killed"
            console.say(f"not touched: the container {one.name}, which {what}")
        else:
            yield Stray(engine, one)


def _instance_is_held(one: Container) -> bool:
    root, name = one.labels.get("root"), one.labels.get("instance")
    return bool(root and name and Lock(Project(Path(root)).instance(name).lock).held())


def _old(engine: Engine) -> Iterator[Stray]:
    for one in engine.described(engine.lines(engine.containers())):
        if OLD_IMAGE.fullmatch(one.image):
            yield Stray(engine, one)


def _clean_old(stray: Stray, agreed: bool) -> Iterator[str]:
    """Remove it if the person says yes; what to run if it is still there."""
    one = stray.container
    state = "running" if one.running else "ended"
    console.say(
        f"the container {one.name} ({one.image}, {state}) is of the old procedure: "
        "it holds a copy of the SSH key that was mounted into it"
    )
    if ARTIFACTS not in one.mounted:
        console.warn(f"nothing was mounted at {ARTIFACTS}: it may hold the only state of a hub")
        yield f"{stray.engine.path} cp {one.name}:{ARTIFACTS} .   # then: {stray.hint}"
        return
    if not agreed:
        if not console.interactive:
            yield f"{stray.hint}   # or: invoke clean --yes"
            return
        if console.ask(f"remove {one.name}, yes or no?", ("yes", "no")) == "no":
            yield stray.hint
            return
    if stray.remove():
        console.step("clean", f"removed the container {one.name}")
    else:
        yield stray.hint
