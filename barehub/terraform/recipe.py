"""Reads a recipe and its modules, and completes it from the vault.

The recipe stays as it is. Beside it stand two generated files without a secret in them:
``barehub.tf.json`` declares variables and outputs, ``barehub_override.tf.json`` gives those
arguments of the three modules that the recipe shows as a placeholder, such as ``"<vault>"``, and
optional ones that it leaves out. A required one must stand in the recipe, at least as a
placeholder: Terraform demands it of ``main.tf`` before it looks at an override
(https://developer.hashicorp.com/terraform/language/files/override).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from barehub import reading, system_errors
from barehub.errors import RecipeError
from barehub.project import STAGES, Instance
from barehub.suspicion import PLACEHOLDER
from barehub.terraform import backend
from barehub.terraform import module as modules
from barehub.terraform.hcl import Block, named, parse
from barehub.terraform.module import Module
from barehub.terraform.source import LOCAL, Source

DECLARATIONS = "barehub.tf.json"
OVERRIDES = "barehub_override.tf.json"

OUTPUTS = {
    "provider": ("public_ip", "admin_user", "ssh_port", "nodes"),
    "dns": ("domain",),
    "binderhub": ("endpoint", "connect_to", "ca_file", "builds", "hub", "version", "service"),
}
"""What barehub wants to know of each module, where the module tells it."""

META = ("source", "version", "providers", "count", "for_each", "depends_on", "lifecycle")
"""Arguments of a module call that are Terraform's own."""

_CALL = re.compile(r'^[ \t]*module[ \t]+"?(?P<name>[\w-]+)"?', re.MULTILINE)
_BLOCK = re.compile(r"^[a-z]\w*\b[^=\n]*\{", re.MULTILINE)


@dataclass(frozen=True)
class Recipe:
    """A parsed ``main.tf``."""

    instance: Instance
    content: Block
    known: dict[str, Module] = field(default_factory=dict, repr=False)
    """The modules that were parsed."""

    @cached_property
    def calls(self) -> dict[str, Block]:
        """The arguments of each module call, by the module's name."""
        return dict(named(self.content, "module"))

    @cached_property
    def text(self) -> str:
        return reading.lenient(self.instance.recipe, RecipeError, shown=self.shown)

    @property
    def shown(self) -> str:
        return f"instances/{self.instance.name}/{self.instance.recipe.name}"

    def where(self, module: str, argument: str = "") -> str:
        """``instances/x/main.tf:12``: the call of a module, or the line of an argument in it."""
        return f"{self.shown}:{self._line(module, argument)}"

    def find(self, *patterns: str) -> str:
        """The same for the first line that one of ``patterns`` is found in."""
        for pattern in patterns:
            if found := re.search(pattern, self.text, re.MULTILINE):
                line = self.text.count("\n", 0, found.end()) + 1
                return f"{self.shown}:{line}"
        return self.shown

    def setting(self, name: str) -> str:
        """The command that puts a value of the recipe into the vault."""
        return f"invoke vault.set variables.{name} --name {self.instance.name}"

    @cached_property
    def own_variables(self) -> set[str]:
        return {name for name, _ in named(self.content, "variable")}

    @cached_property
    def locals(self) -> Block:
        """The root's own named values, as they are written."""
        return {k: v for block in self.content.get("locals", []) for k, v in block.items()}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What the root's own variables are when nobody gives them a value."""
        return {name: b.get("default") for name, b in named(self.content, "variable")}

    def source(self, name: str) -> Source:
        """Where the module that the recipe calls ``name`` comes from."""
        call = self.calls[name]
        return Source(str(call.get("source", "")), str(call.get("version", "")))

    def module(self, name: str) -> Module:
        """What the recipe calls ``name``; parsed once.

        :raises RecipeError: it has not been fetched, or is not HCL.
        """
        if name not in self.known:
            self.known[name] = modules.read(self.folder(name))
        return self.known[name]

    @property
    def modules(self) -> dict[str, Module]:
        """The three stages' modules."""
        return {stage: self.module(stage) for stage in STAGES}

    def open_arguments(self, stage: str) -> list[str]:
        """The module's variables that the recipe leaves out or shows as a placeholder."""
        given = self.calls[stage]
        variables = self.module(stage).variables
        return [n for n in variables if n not in given or is_open(given[n])]

    def unwritten(self) -> dict[str, list[str]]:
        """By stage, the required arguments that the recipe does not write at all."""
        found = {
            s: [n for n in self.modules[s].required() if n not in self.calls[s]] for s in STAGES
        }
        return {stage: names for stage, names in found.items() if names}

    def missing(self, values: Collection[str]) -> dict[str, list[str]]:
        """By stage, the placeholders for which ``values`` holds nothing."""
        found = {
            stage: [n for n, value in call.items() if is_open(value) and n not in values]
            for stage, call in self.calls.items()
        }
        return {stage: names for stage, names in found.items() if names}

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Write the two generated files; the values that Terraform then needs, by variable."""
        overrides = {
            stage: {
                name: f"${{var.{name}}}" for name in self.open_arguments(stage) if name in values
            }
            for stage in STAGES
        }
        wired = {name for arguments in overrides.values() for name in arguments}
        outputs = {
            f"barehub_{stage}_{name}": {"value": f"${{module.{stage}.{name}}}", "sensitive": True}
            for stage, names in OUTPUTS.items()
            for name in names
            if name in self.modules[stage].outputs
        }
        declared = {
            name: {"sensitive": True, **({"ephemeral": True} if self._only_ephemeral(name) else {})}
            for name in sorted(wired - self.own_variables)
        }
        self._write(DECLARATIONS, {"variable": declared, "output": outputs})
        self._write(OVERRIDES, {"module": {s: a for s, a in overrides.items() if a}})
        return {name: values[name] for name in values if name in wired | self.own_variables}

    def ephemeral(self) -> set[str]:
        """The root's ephemeral variables, of all its files; :meth:`complete` comes first."""
        found: dict[str, bool] = {}
        for name, block in modules.variables(self.instance.folder, mentioning="ephemeral"):
            if "ephemeral" in block:
                found[name] = modules.is_true(block["ephemeral"])
        return {name for name, is_ephemeral in found.items() if is_ephemeral}

    def _only_ephemeral(self, name: str) -> bool:
        """Whether each stage that leaves ``name`` open takes an ephemeral value for it."""
        taking = [s for s in STAGES if name in self.open_arguments(s)]
        blocks = [self.module(stage).variables[name] for stage in taking]
        return all(modules.is_true(block.get("ephemeral")) for block in blocks)

    def folder(self, name: str) -> Path:
        """Where Terraform has, or would have, the module's files."""
        source, base = self.source(name), self.instance.folder
        if source.kind == LOCAL:
            return base / source.text
        fetched = base / ".terraform" / "modules"
        try:
            path = fetched / "modules.json"
            manifest = reading.parsed(reading.content(path, RecipeError), RecipeError, str(path))
            entry: dict[str, str] = {one["Key"]: one for one in manifest["Modules"]}[name]
            if source.same(entry["Source"]):
                return base / entry["Dir"]
        except (OSError, KeyError, TypeError, AttributeError, RecipeError):
            pass  # Terraform makes it anew
        # Terraform writes no manifest when a module displeases it, and leaves an older one
        return fetched / name / source.subfolder

    def _line(self, module: str, argument: str) -> int:
        call = next((found for found in _CALL.finditer(self.text) if found["name"] == module), None)
        if call is None:
            return 1
        after = _BLOCK.search(self.text, call.end())
        stop = after.start() if after else len(self.text)
        wanted = re.compile(rf"^[ \t]*{re.escape(argument)}[ \t]*=", re.MULTILINE)
        given = wanted.search(self.text, call.end(), stop) if argument else None
        at = given.end() if given else call.end()
        return self.text.count("\n", 0, at) + 1

    def _write(self, name: str, content: dict[str, Block]) -> None:
        path = self.instance.folder / name
        path.unlink(missing_ok=True)  # a link in a repository could lead anywhere, a pipe block us
        # Terraform refuses an empty block list in JSON
        if kept := {kind: blocks for kind, blocks in content.items() if blocks}:
            with system_errors.attempt("written", path, RecipeError):
                path.write_text(json.dumps(kept, indent=2) + "\n")


def read(instance: Instance) -> Recipe:
    """Parse the recipe and see that the three modules are there.

    :raises RecipeError: it cannot be parsed, or lacks a module.
    """
    forget(instance)
    recipe = Recipe(instance, parse(instance.recipe))
    shown = f"instances/{instance.name}/main.tf"
    if lacking := [stage for stage in STAGES if stage not in recipe.calls]:
        near = difflib.get_close_matches(lacking[0], recipe.calls)
        raise RecipeError(
            f'{shown} has no module "{lacking[0]}" (it has: {", ".join(recipe.calls) or "none"})',
            f'rename module "{near[0]}" to "{lacking[0]}"'
            if near
            else f'add module "{lacking[0]}"; terraform/recipes/local.tf shows all three',
        )
    backend.check(instance)
    return recipe


def forget(instance: Instance) -> None:
    """Remove the generated files."""
    for name in (DECLARATIONS, OVERRIDES):
        (instance.folder / name).unlink(missing_ok=True)


def is_open(value: Any) -> bool:
    """Whether an argument only shows where a value belongs: ``"<redacted>"``, ``["<key>"]``."""
    if isinstance(value, dict):
        return any(is_open(item) for item in value.values())
    if isinstance(value, list):
        return any(is_open(item) for item in value)
    return isinstance(value, str) and bool(PLACEHOLDER.fullmatch(value))
