"""What can be told of a recipe before anything is made: all of it at once.

A finding names names and lines, never a value. What a person may want in spite of us (an argument
that is ignored, a source that may change, a secret in clear) is a warning: a recipe of the old
procedure runs as it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from barehub import suspicion
from barehub.errors import RecipeError
from barehub.finding import ERROR, Finding
from barehub.project import STAGES
from barehub.terraform import doubts
from barehub.terraform.hcl import INSERTED, Block, named, texts
from barehub.terraform.module import Module
from barehub.terraform.recipe import META, Recipe, is_open

_KEY = r"(?:\[[^\[\]]*+\])"
_REFERENCE = re.compile(rf"\bmodule\.([\w-]++){_KEY}?\.([\w-]+)")

AUTHORIZED_KEYS = "ssh_authorized_keys"
"""The argument that the public half of a run's SSH key fills."""

_OLD_SYNTAX = re.compile(
    r"""^[ \t]*type[ \t]*=[ \t]*"(?:list|map)"|^[ \t]*(?:vars|triggers)[ \t]*\{""", re.MULTILINE
)
"""What Terraform 0.12 and newer refuse: quoted type constraints, a map written as a block
(https://developer.hashicorp.com/terraform/language/v1.1.x/upgrade-guides/0-12)."""

SUCCESSORS = {
    "terraform-binderhub.git//terraform-modules/providers/openstack": (
        "git::https://github.com/neurolibre/terraform-binderhub.git"
        "//terraform-modules/providers/openstack-k8s?ref=eb4571085c49c54490bdf488807ddbb342d9e280"
    )
}
"""Modules that were replaced by another, by the end of their source's address."""


@dataclass(frozen=True)
class Known:
    """What preflight is told of the vault.

    ``values`` are its variables by name; None when it could not be opened: then nothing is said of
    what it lacks. ``makes`` are the arguments, by stage, whose values barehub makes itself.
    """

    values: Mapping[str, Any] | None
    makes: Mapping[str, Collection[str]]


def findings(recipe: Recipe, known: Known, unfetched: Mapping[str, Finding]) -> list[Finding]:
    """All that is wrong, or doubtful, in the recipe and the modules that it calls.

    :param unfetched: the modules that could not be fetched: nothing more is said of them.
    """
    return list(_Look(recipe, known, unfetched).all())


class _Look:
    """One look at one recipe."""

    def __init__(self, recipe: Recipe, known: Known, unfetched: Mapping[str, Finding]) -> None:
        self.recipe, self.known, self.unfetched = recipe, known, unfetched
        self.modules: dict[str, Module] = {}
        self.name = recipe.instance.name

    def all(self) -> Iterator[Finding]:
        for call in self.recipe.calls:
            yield from self._module(call)
        for call, module in self.modules.items():
            yield from self._arguments(call, module)
        yield from self._outputs()
        yield from self._variables()
        yield from doubts.findings(self.recipe, self.modules)

    def _module(self, call: str) -> Iterator[Finding]:
        if call in self.unfetched:
            yield self.unfetched[call]
            return
        try:
            module = self.recipe.module(call)
        except RecipeError as error:
            where = self.recipe.where(call, "source")
            yield Finding(
                "module.unreadable", ERROR, f"{call}: {error.problem}", where, error.hints
            )
            return
        self.modules[call] = module
        for file, text in module.files.items():
            if found := _OLD_SYNTAX.search(text):
                line = text.count("\n", 0, found.start()) + 1
                yield Finding(
                    "module.terraform-0.11",
                    ERROR,
                    f"{call}: its module is written for Terraform 0.11, and newer ones do not "
                    f"read it ({file} line {line})",
                    self.recipe.where(call, "source"),
                    instead(self.recipe.source(call).text)
                    or ("source = …   # a version of it for Terraform 0.12 or newer",),
                )
                return

    def _arguments(self, call: str, module: Module) -> Iterator[Finding]:
        given = self.recipe.calls[call]
        unknown = [name for name in given if name not in module.variables and name not in META]
        missing = [name for name in module.required() if name not in given]
        for name in unknown:
            yield self._unknown(call, name, [*missing, *module.variables])
        for name in missing:
            yield Finding(
                "argument.missing",
                ERROR,
                f"{call}: {name} is required and not written",
                self.recipe.where(call),
                tuple(self._origins(call, name, module)),
            )
        for name, value in given.items():
            if name in module.variables and is_open(value) and not self._filled(call, name):
                where = self.recipe.where(call, name)
                yield self._placeholder(f"{call}: {name}", name, where, _plain(module, name, value))

    def _unknown(self, call: str, name: str, choices: Collection[str]) -> Finding:
        near = list(dict.fromkeys(difflib.get_close_matches(name, list(choices), cutoff=0.6)))
        taking = [other for other, module in self.modules.items() if name in module.variables]
        fixes = [f"did you mean {' or '.join(near)}?"] if near else []
        if taking:
            fixes.append(f"{' and '.join(taking)} would take it")
        return Finding(
            "argument.unknown",
            ERROR,
            f"{call}: its module takes no argument {name}",
            self.recipe.where(call, name),
            tuple(
                fixes or [f"take {name} out; the module takes: {', '.join(sorted(set(choices)))}"]
            ),
        )

    def _origins(self, call: str, name: str, module: Module) -> Iterator[str]:
        """Where the value of an argument that is not written can come from."""
        values = self.known.values or {}
        for other in _before(call, self.recipe.calls):
            if other in self.modules and name in self.modules[other].outputs:
                yield f"{name} = module.{other}.{name}"
                return
            if not is_open(self.recipe.calls[other].get(name, "<>")):
                yield f"{name} = …   # as in {self.recipe.where(other, name)}"
                return
        if name in values:
            yield f'{name} = "<vault>"   # the vault has variables.{name}'
            return
        near = difflib.get_close_matches(name, list(values), n=1, cutoff=0.75)
        if near:
            yield f"the vault has variables.{near[0]}: is it that?"
        variable = module.variables[name]
        if _is_secret(name, variable):
            yield f'{name} = "<vault>"   # and: {self.recipe.setting(name)}'
        else:
            told = " ".join(str(variable.get("description") or "").split())
            yield f"{name} = …" + (f"   # {told}" if told else "")

    def _filled(self, call: str, name: str) -> bool:
        """Whether the vault fills a placeholder, as far as that can be told."""
        if self.known.values is None or name in self.known.makes.get(call, ()):
            return True
        return call in STAGES and name in self.known.values

    def _placeholder(self, what: str, name: str, where: str, plain: bool = False) -> Finding:
        """:param plain: the value need not be a secret, and may stand in the recipe."""
        values = self.known.values or {}
        near = difflib.get_close_matches(name, list(values), n=1, cutoff=0.75)
        fixes = [
            f"write it there, or: {self.recipe.setting(name)}"
            if plain
            else self.recipe.setting(name)
        ]
        if name == AUTHORIZED_KEYS:
            fixes.insert(0, "invoke vault.set ssh.private_key   # its public half is let in")
        if near:
            fixes.append(f"the vault has variables.{near[0]}: is it that?")
        message = f"{what} is a placeholder for which the vault has nothing"
        return Finding("placeholder.unfilled", ERROR, message, where, tuple(fixes))

    def _outputs(self) -> Iterator[Finding]:
        """References to what no module gives."""
        told = set()
        for text in texts(_without_addresses(self.recipe.content)):
            inserted = " ".join(INSERTED.findall(text))
            for call, output in _REFERENCE.findall(inserted):
                if (call, output) in told:
                    continue
                told.add((call, output))
                where = self.recipe.find(rf"\bmodule\.{re.escape(call)}{_KEY}?\.{output}\b")
                if call not in self.recipe.calls:
                    near = difflib.get_close_matches(call, self.recipe.calls)
                    fixes = (f"did you mean module.{near[0]}?",) if near else ()
                    yield Finding(
                        "output.no-module", ERROR, f"there is no module {call}", where, fixes
                    )
                elif call in self.modules and output not in self.modules[call].outputs:
                    yield self._no_output(call, output, where)

    def _no_output(self, call: str, output: str, where: str) -> Finding:
        there = sorted(self.modules[call].outputs)
        near = difflib.get_close_matches(output, there)
        fixes = [f"did you mean module.{call}.{near[0]}?"] if near else []
        fixes.append(f"{call} has the outputs: {', '.join(there) or 'none'}")
        return Finding(
            "output.unknown",
            ERROR,
            f"{call}: its module has no output {output}",
            where,
            tuple(fixes),
        )

    def _variables(self) -> Iterator[Finding]:
        """The recipe's own variables without a value."""
        for name, block in named(self.recipe.content, "variable"):
            if self.known.values is None or name in self.known.values:
                continue
            where = self.recipe.find(rf'^[ \t]*variable[ \t]+"?{re.escape(name)}\b')
            if "default" not in block:
                message = f"variable {name} has no default, and the vault has nothing for it"
                yield Finding("variable.unset", ERROR, message, where, (self.recipe.setting(name),))
            elif is_open(block["default"]):
                yield self._placeholder(f"variable {name}", name, where)


def instead(source: str) -> tuple[str, ...]:
    """What to use in place of a module that today's Terraform does not read, or that is gone;
    nothing where that is not known."""
    address = source.partition("?")[0].rstrip("/")
    for end, successor in SUCCESSORS.items():
        if address.endswith(end):
            return (
                f'source = "{successor}"',
                "terraform/recipes/neurolibre.tf shows the arguments of that one",
            )
    return ()


def _before(call: str, calls: Collection[str]) -> list[str]:
    """The modules that ``call`` may refer to: of the stages, those that run before it."""
    if call in STAGES:
        return [stage for stage in STAGES[: STAGES.index(call)] if stage in calls]
    return [other for other in calls if other != call]


def _is_secret(name: str, variable: Block) -> bool:
    return suspicion.named(name) or variable.get("sensitive") in (True, "true")


def _plain(module: Module, name: str, value: Any) -> bool:
    """Whether a placeholder may as well be replaced in the recipe: it does not say "<vault>"."""
    return "vault" not in str(value) and not _is_secret(name, module.variables[name])


def _without_addresses(content: dict[str, Any]) -> dict[str, Any]:
    """The recipe's blocks without what is an address in them, not a value.

    Source: https://developer.hashicorp.com/terraform/language/block/moved, and import, removed
    """
    kept = {kind: blocks for kind, blocks in content.items() if kind not in ("moved", "removed")}
    imports = [{k: v for k, v in one.items() if k != "to"} for one in kept.pop("import", [])]
    return {**kept, "import": imports}
