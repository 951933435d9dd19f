"""What a person may want in spite of us: sources that may change, secrets in clear, arguments that
a module ignores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from barehub import suspicion
from barehub.finding import WARNING, Finding
from barehub.project import STAGES
from barehub.terraform.hcl import INSERTED, leaves, named
from barehub.terraform.ignored import ignored
from barehub.terraform.module import Module
from barehub.terraform.recipe import META, Recipe
from barehub.terraform.source import GIT, REGISTRY


def findings(recipe: Recipe, modules: Mapping[str, Module]) -> Iterator[Finding]:
    """Warnings: each names names and lines, never a value.

    :param modules: those of the recipe that could be read.
    """
    for call in recipe.calls:
        yield from _pin(recipe, call)
    yield from _literals(recipe)
    for call, module in modules.items():
        yield from _ignored(recipe, call, module)


def _pin(recipe: Recipe, call: str) -> Iterator[Finding]:
    source = recipe.source(call)
    if source.pinned:
        return
    if source.kind == GIT:
        what = f"follows {source.ref}" if source.ref else "follows the default branch"
        what += ", which may be moved to other code at any time"
        fix = (
            f"source = …?ref=COMMIT, all 40 digits: git ls-remote {source.repository} "
            f"{source.ref or 'HEAD'}"
        )
    elif source.kind == REGISTRY:
        what = f"takes any version{f' {source.version}' if source.version else ''}"
        fix = 'version = "1.2.3", exactly one'
    else:
        what, fix = "takes whatever is there", "source = …?checksum=sha256:…"
    where = recipe.where(call, "source")
    yield Finding("source.unpinned", WARNING, f"{call}: its source {what}", where, (fix,))


def _literals(recipe: Recipe) -> Iterator[Finding]:
    """Secrets that stand in the recipe."""
    for call, arguments in recipe.calls.items():
        for name, value in arguments.items():
            if not any(_secret(key, text) for key, text in leaves(name, value)):
                continue
            where, what = recipe.where(call, name), f"{call}: {name}"
            if name in META:
                fix = "take it out: git gets its password from a helper, or from the ssh key"
            elif call in STAGES:
                fix = f'{name} = "<vault>"   # and: {recipe.setting(name)}'
            else:
                fix = f"{name} = var.{name}   # declare that, and: {recipe.setting(name)}"
            yield _literal(what, where, fix)
    for kind, name, text in _elsewhere(recipe):
        if _secret(name, text):
            where = recipe.find(rf"^[ \t]*{re.escape(name)}[ \t]*=", rf'"{re.escape(text)}"')
            fix = f"{name} = var.{name}   # declare that, and: {recipe.setting(name)}"
            yield _literal(f"{kind}: {name}", where, fix)


def _elsewhere(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """The texts outside of module calls: in which kind of block, for what, and the text."""
    for name, block in named(recipe.content, "variable"):
        for key, text in leaves(name, block.get("default")):
            yield "variable", key, text
    for kind, blocks in recipe.content.items():
        if kind == "terraform":  # barehub.terraform.backend judges a backend
            blocks = [{k: v for k, v in one.items() if k != "backend"} for one in blocks]
        if kind not in ("module", "variable"):
            for key, text in leaves("", blocks):
                yield kind, key, text


def _literal(what: str, where: str, fix: str) -> Finding:
    reissue = "reissue it if the file was ever committed or shared"
    return Finding("secret.literal", WARNING, f"{what} is a secret in clear", where, (fix, reissue))


def _ignored(recipe: Recipe, call: str, module: Module) -> Iterator[Finding]:
    given = [name for name in recipe.calls[call] if name in module.variables]
    for name, template in ignored(module, given).items():
        through = f" (it is handed to {template}, which does not use it)" if template else ""
        yield Finding(
            "argument.ignored",
            WARNING,
            f"{call}: its module makes nothing of {name}{through}",
            recipe.where(call, name),
            (f"do not count on {name}: what the module does is the same without it",),
        )


def _secret(name: str, text: str) -> bool:
    # the expression in ${…} is no literal; what stands around it is
    return suspicion.secret(name, INSERTED.sub("", text))
