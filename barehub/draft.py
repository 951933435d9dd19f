"""A recipe on its way to become an instance's: what it leaves open, and what has been chosen."""

from __future__ import annotations

import difflib
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from barehub import reading
from barehub.errors import RecipeError, UsageError
from barehub.keys import AUTHORIZED
from barehub.project import Instance, Project
from barehub.terraform import hcl, module, template, trial
from barehub.terraform.hcl import Block
from barehub.terraform.module import Module
from barehub.terraform.recipe import Recipe
from barehub.terraform.source import LOCAL, Source
from barehub.terraform.template import Argument
from barehub.vault import generate
from barehub.vault.store import Secrets


@dataclass
class Draft:
    """A recipe on its way to become an instance's."""

    project: Project
    instance: Instance
    recipe: str
    fetched: dict[str, Module] = field(default_factory=dict)
    """The modules that had to be fetched, by stage."""

    @cached_property
    def text(self) -> str:
        """The recipe, with the instance's name in it, and a port that is free."""
        text = reading.text(self._path, RecipeError).replace("instance-name", self.instance.name)
        return re.sub(r"(?m)^([ \t]*port[ \t]*=[ \t]*)8443$", rf"\g<1>{_free_port()}", text)

    @property
    def _path(self) -> Path:
        return self.project.recipes / f"{self.recipe}.tf"

    @cached_property
    def parsed(self) -> Recipe:
        return Recipe(self.instance, hcl.parse(self._path))

    @property
    def calls(self) -> dict[str, Block]:
        return self.parsed.calls

    @cached_property
    def local(self) -> dict[str, Module]:
        """The modules that lie in this project."""
        here = [stage for stage in self.calls if self.parsed.source(stage).kind == LOCAL]
        # the folder of the instance may not be there yet, and a path through it leads nowhere
        return {stage: module.read(self.parsed.folder(stage).resolve()) for stage in here}

    @property
    def remote(self) -> dict[str, Source]:
        """Where the others come from."""
        return {stage: self.parsed.source(stage) for stage in self.calls if stage not in self.local}

    @property
    def modules(self) -> dict[str, Module]:
        return self.local | self.fetched

    def arguments(self) -> list[Argument]:
        own = template.variables(self.parsed.content)
        return [*template.arguments(self.text, self.calls, self.modules), *own]

    def open_arguments(self, secrets: Secrets, authorized: Sequence[str]) -> list[Argument]:
        """What somebody has to choose: what neither the vault nor the run's keys fill, and barehub
        does not make itself."""
        made = (*generate.RANDOM, *generate.TLS)
        filled = {*secrets.variables, *([AUTHORIZED] if authorized else [])}
        return [
            argument
            for argument in self.arguments()
            if argument.open
            and argument.name not in filled
            and not (argument.name in made and self._is_ours(argument.stage))
        ]

    def _is_ours(self, stage: str) -> bool:
        own = (self.project.root / "terraform").resolve()
        return stage in self.local and self.local[stage].folder.is_relative_to(own)

    def given(self, flags: Sequence[str]) -> dict[Argument, str]:
        """What ``flags`` choose, each ``argument=value`` or ``stage.argument=value``, in HCL.

        :raises UsageError: one of them names nothing that can be set, or is a secret.
        """
        known = self.arguments()
        values: dict[Argument, str] = {}
        for text in flags:
            path, equals, value = text.partition("=")
            *stage, name = path.strip().split(".")
            if not equals or not name:
                raise UsageError(f"--set {path.strip()}: not of the form name=value")
            meant = [a for a in known if a.name == name and (not stage or [a.stage] == stage)]
            if not meant:
                near = difflib.get_close_matches(name, [argument.name for argument in known])
                raise UsageError(
                    f"--set {path.strip()}: the recipe {self.recipe!r} knows no such argument",
                    *([f"did you mean {' or '.join(dict.fromkeys(near))}?"] if near else []),
                )
            if any(argument.secret or argument.sensitive for argument in meant):
                raise UsageError(
                    f"--set {name}: a secret is not given in a command, which others can see",
                    f"invoke vault.set variables.{name} --name {self.instance.name}",
                )
            for argument in _meant(meant, path.strip()):
                values[argument] = argument.expression(value)
        return values

    def check(self, values: Mapping[Argument, str], scratch: Path) -> None:
        """:raises UsageError: Terraform would not take one of ``values``."""
        reasons = []
        for stage, called in self.modules.items():
            mine = {a.name: value for a, value in values.items() if a.stage == stage}
            blocks = template.variable_blocks(called.folder)
            reasons.append(trial.refused(self.project.terraform, blocks, mine, scratch))
        if any(reasons):
            raise UsageError("; ".join(filter(None, reasons)))


def _meant(candidates: Sequence[Argument], path: str) -> list[Argument]:
    """All that are open, or the only one with a value of its own, or the only one."""
    if found := [argument for argument in candidates if argument.open]:
        return found
    literal = [argument for argument in candidates if argument.default]
    if len(literal) == 1 or len(candidates) == 1:
        return literal or list(candidates)
    stages = " or ".join(argument.path for argument in candidates)
    raise UsageError(f"--set {path}: several modules have it", f"write {stages}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
