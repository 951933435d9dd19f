"""Which arguments of the recipe are behind a change: from an attribute back through the modules.

Terraform tells what each expression refers to, but for those of ``locals``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from barehub.plan.address import parse

Block = dict[str, Any]

SHOWN = 4
"""So many names tell something; more are a list that nobody reads."""


class _Unknown(Exception):
    """An expression that Terraform does not tell about."""


def arguments_behind(
    address: str, attributes: Sequence[str], document: Block, changed: Collection[str]
) -> tuple[str, ...]:
    """The arguments of the stage's module that ``attributes`` of a resource come from.

    Of those that were ``changed`` since the last time where any is among them, else all, unless
    they are too many to tell anything. ``count`` stands for ``count`` and ``for_each``.
    """
    parsed = parse(address)
    if parsed is None or not parsed.modules or not attributes:
        return ()
    root = document.get("configuration", {}).get("root_module", {})
    walk = _Walk(root)
    try:
        for attribute in attributes:
            walk.attribute(parsed.modules, f"{parsed.type}.{parsed.name}", attribute)
    except _Unknown:
        return tuple(sorted(changed))
    reads = walk.found
    guilty = sorted(reads & set(changed))
    if guilty or changed:
        return tuple(guilty)
    return tuple(sorted(reads)) if len(reads) <= SHOWN else ()


class _Walk:
    """Follows references inside the modules until they come to the root's arguments."""

    def __init__(self, root: Block) -> None:
        self._root = root
        self.found: set[str] = set()
        self._seen: set[tuple[tuple[str, ...], str]] = set()

    def attribute(self, modules: tuple[str, ...], resource: str, attribute: str) -> None:
        """:raises _Unknown: it depends on something that cannot be followed."""
        block = self._resource(modules, resource)
        if attribute == "count":
            parts = [block.get("count_expression"), block.get("for_each_expression")]
        else:
            expressions = block.get("expressions", {})
            parts = [expressions.get(attribute, expressions)]
        self._follow(modules, [name for part in parts for name in _references(part)])

    def _follow(self, modules: tuple[str, ...], references: Sequence[str]) -> None:
        for reference in references:
            if (modules, reference) in self._seen:
                continue
            self._seen.add((modules, reference))
            kind, _, rest = reference.partition(".")
            if kind == "local":
                raise _Unknown
            if kind == "var":
                self._variable(modules, rest.partition(".")[0])
            elif kind == "module":
                self._output(modules, *rest.split(".")[:2])
            elif kind not in ("each", "count", "self", "path", "terraform"):
                name = ".".join(reference.split(".")[: 3 if kind == "data" else 2]).split("[")[0]
                expressions = self._resource(modules, name).get("expressions", {})
                self._follow(modules, list(_references(expressions)))

    def _variable(self, modules: tuple[str, ...], name: str) -> None:
        *outer, own = modules
        if not outer:
            self.found.add(name)
            return
        call = self._module(tuple(outer)).get("module_calls", {}).get(own, {})
        self._follow(tuple(outer), list(_references(call.get("expressions", {}).get(name))))

    def _output(self, modules: tuple[str, ...], child: str, output: str = "") -> None:
        child = child.split("[")[0]
        outputs = self._module((*modules, child)).get("outputs", {})
        expression = outputs.get(output.split("[")[0], {}).get("expression")
        self._follow((*modules, child), list(_references(expression)))

    def _module(self, modules: tuple[str, ...]) -> Block:
        block = self._root
        for name in modules:
            block = block.get("module_calls", {}).get(name, {}).get("module", {})
        return block

    def _resource(self, modules: tuple[str, ...], name: str) -> Block:
        resources: list[Block] = self._module(modules).get("resources", [])
        return next((r for r in resources if r.get("address") == name), {})


def _references(expression: Any) -> Iterator[str]:
    if isinstance(expression, dict):
        yield from expression.get("references", ())
        for key, part in expression.items():
            if key != "references":
                yield from _references(part)
    elif isinstance(expression, list):
        for part in expression:
            yield from _references(part)
