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
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from barehub.errors import RecipeError
from barehub.project import STAGES, Instance

DECLARATIONS = "barehub.tf.json"
OVERRIDES = "barehub_override.tf.json"

OUTPUTS = {
    "provider": ("public_ip",),
    "dns": ("domain",),
    "binderhub": ("endpoint", "connect_to", "ca_file", "builds", "hub", "version", "service"),
}
"""What barehub wants to know of each module, where the module tells it."""

PLACEHOLDER = re.compile(r"\s*<[^<>]*>\s*")

Block = dict[str, Any]


@dataclass(frozen=True)
class Module:
    """A module that a recipe calls: the variables that it declares and the outputs that it has."""

    folder: Path
    variables: Mapping[str, Block]
    outputs: frozenset[str]

    def required(self) -> list[str]:
        return [name for name, block in self.variables.items() if "default" not in block]


@dataclass(frozen=True)
class Recipe:
    """A parsed ``main.tf``."""

    instance: Instance
    content: Block

    @cached_property
    def calls(self) -> dict[str, Block]:
        """The arguments of each module call, by the module's name."""
        return dict(_named(self.content, "module"))

    @cached_property
    def own_variables(self) -> set[str]:
        return {name for name, _ in _named(self.content, "variable")}

    @cached_property
    def modules(self) -> dict[str, Module]:
        """The three stages' modules, as ``terraform init`` fetched them."""
        manifest = self.instance.folder / ".terraform" / "modules" / "modules.json"
        places = {m["Key"]: m["Dir"] for m in json.loads(manifest.read_text())["Modules"]}
        return {stage: _module(self.instance.folder / places[stage]) for stage in STAGES}

    def open_arguments(self, stage: str) -> list[str]:
        """The module's variables that the recipe leaves out or shows as a placeholder."""
        given = self.calls[stage]
        return [n for n in self.modules[stage].variables if n not in given or _is_open(given[n])]

    def unwritten(self) -> dict[str, list[str]]:
        """By stage, the required arguments that the recipe does not write at all."""
        found = {
            s: [n for n in self.modules[s].required() if n not in self.calls[s]] for s in STAGES
        }
        return {stage: names for stage, names in found.items() if names}

    def missing(self, values: Collection[str]) -> dict[str, list[str]]:
        """By stage, the placeholders for which ``values`` holds nothing."""
        found = {
            stage: [n for n, value in call.items() if _is_open(value) and n not in values]
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
        declared = {name: {"sensitive": True} for name in sorted(wired - self.own_variables)}
        self._write(DECLARATIONS, {"variable": declared, "output": outputs})
        self._write(OVERRIDES, {"module": {s: a for s, a in overrides.items() if a}})
        return {name: values[name] for name in values if name in wired | self.own_variables}

    def _write(self, name: str, content: dict[str, Block]) -> None:
        path = self.instance.folder / name
        # Terraform refuses an empty block list in JSON
        if kept := {kind: blocks for kind, blocks in content.items() if blocks}:
            path.write_text(json.dumps(kept, indent=2) + "\n")
        else:
            path.unlink(missing_ok=True)


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
    if any("backend" in block for block in recipe.content.get("terraform", [])):
        raise RecipeError(
            f"{shown} has a backend of its own, which barehub does not run yet",
            f"take the backend block out of {shown}: barehub seals the state beside the recipe",
        )
    return recipe


def forget(instance: Instance) -> None:
    """Remove the generated files."""
    for name in (DECLARATIONS, OVERRIDES):
        (instance.folder / name).unlink(missing_ok=True)


_loading = threading.Lock()


def warm_up() -> None:
    """Load the parser, which takes longer than to parse; the first time ever, seconds."""
    with _loading:
        import hcl2

        hcl2.loads("")


def parse(path: Path) -> Block:
    """A Terraform file as python-hcl2 reads it, strings without their quotes.

    :raises RecipeError: it is not HCL; names the line.
    """
    warm_up()
    import hcl2
    from hcl2.utils import SerializationOptions
    from lark.exceptions import UnexpectedInput

    options = SerializationOptions(
        strip_string_quotes=True, with_comments=False, explicit_blocks=False
    )
    shown = "/".join(path.parts[-3:])
    try:
        with path.open(encoding="utf-8-sig") as file:
            content: Block = hcl2.load(file, serialization_options=options)
    except UnexpectedInput as error:
        raise RecipeError(
            f"{shown} line {error.line}, column {error.column}: this is not valid HCL",
            f"terraform fmt {path}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise RecipeError(
            f"{shown} cannot be read: {str(reason).lower()}", f"ls -l {path}"
        ) from None
    return content


def _named(content: Block, kind: str) -> Iterable[tuple[str, Block]]:
    for block in content.get(kind, []):
        yield from block.items()


def _module(folder: Path) -> Module:
    variables: dict[str, Block] = {}
    outputs: set[str] = set()
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text(errors="replace")
        if not re.search(r"^\s*(variable|output)\b", text, re.MULTILINE):
            continue  # a large main.tf takes a second to parse
        content = parse(path)
        variables.update(_named(content, "variable"))
        outputs.update(name for name, _ in _named(content, "output"))
    return Module(folder, variables, frozenset(outputs))


def _is_open(value: Any) -> bool:
    """Whether an argument only shows where a value belongs: ``"<redacted>"``, ``["<key>"]``."""
    if isinstance(value, list):
        return any(_is_open(item) for item in value)
    return isinstance(value, str) and bool(PLACEHOLDER.fullmatch(value))
