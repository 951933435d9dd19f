"""What stands in the way of fetching a module, from what `terraform get` says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from barehub.finding import ERROR, Finding
from barehub.ssh.refusal import explain
from barehub.terraform.preflight import instead
from barehub.terraform.recipe import Recipe
from barehub.terraform.source import GIT, LOCAL, without_password

_BOX = "│╷╵ "
"""What Terraform draws around its errors."""

_DIAGNOSTIC = re.compile(r"^Error: ", re.MULTILINE)
_TELLING = re.compile(
    r"fatal: |Permission denied|Connection refused|Could not resolve|timed out"
    r"|Host key verification failed|No route to host"
)
_PLACE = re.compile(r"\s*(on \S+ line \d+|\d+:)")
LONGEST = 200
"""Characters of what Terraform says that are told."""

_MISPLACED = re.compile(r"unreadable module (sub)?directory|subdirectory .* not found", re.I)


def remote(recipe: Recipe) -> list[str]:
    """The modules that do not stand on this disk to begin with."""
    return [name for name in recipe.calls if recipe.source(name).kind != LOCAL]


def unfetched(recipe: Recipe, said: str) -> Mapping[str, Finding]:
    """The modules that are not there, each with why and what to do.

    :param said: by `terraform get`; empty when it did well, or did not have to run.
    """
    said = without_password(said)
    told = [_unboxed(part) for part in _DIAGNOSTIC.split(said)[1:]]
    found = {}
    for name in recipe.calls:
        about = next((text for text in told if f'"{name}"' in text or f"{name} " in text), "")
        folder = recipe.folder(name)
        source = recipe.source(name)
        where = recipe.where(name, "source")
        if source.kind == LOCAL and not os.path.isdir(folder):
            message = f"{name}: there is no folder {source.text}"
            fix = f"mend its source; that is {folder.resolve()}"
            found[name] = Finding("module.missing", ERROR, message, where, (fix,))
        elif source.kind != LOCAL and not any(folder.glob("*.tf*")):
            found[name] = _not_there(recipe, name, about or said, where)
    return found


def _not_there(recipe: Recipe, name: str, said: str, where: str) -> Finding:
    source = recipe.source(name)
    fixes: tuple[str, ...]
    if (os.path.isdir(recipe.folder(name).parent) and source.subfolder) or _MISPLACED.search(said):
        message = f"{name}: {source.shown} has no folder {source.subfolder}"
        fixes = instead(source.text) or (f"mend what stands behind // in {where}",)
        return Finding("module.missing", ERROR, message, where, fixes)
    if source.by_ssh and (refusal := explain(said)):
        message = f"{name}: its module cannot be fetched: {refusal.problem}"
        told = (fix.replace("/NAME/", f"/{recipe.instance.name}/") for fix in refusal.fixes)
        fixes = (*told, f"{_over_https(source.repository)}   # if it is public")
        return Finding("module.unfetched", ERROR, message, where, fixes)
    reason = f": {why}" if (why := _reason(said)) else ""
    message = f"{name}: its module cannot be fetched from {source.host}{reason}"
    if source.by_ssh:
        user_and_host = f"git@{source.host}"
        fixes = (
            f"ssh -T {user_and_host}   # does your key let you in? to give the vault one: "
            "invoke vault.set ssh.private_key < KEY",
            f"{_over_https(source.repository)}   # if it is public",
        )
    elif source.kind == GIT:
        fixes = (f"git ls-remote {source.repository}",)
    else:
        fixes = (f"cd {recipe.instance.folder} && terraform get",)
    return Finding("module.unfetched", ERROR, message, where, fixes)


def _unboxed(said: str) -> str:
    return "\n".join(line.lstrip(_BOX).rstrip() for line in said.split("\n")).rstrip()


def _reason(said: str) -> str:
    """What git said, or else what Terraform says below the place in the recipe."""
    telling = [line.strip() for line in said.splitlines() if _TELLING.search(line)]
    if telling:
        return telling[0]
    below = [line.strip() for line in said.splitlines()[1:] if not _PLACE.match(line)]
    return " ".join(below).rstrip(".")[:LONGEST]


def _over_https(repository: str) -> str:
    path = re.sub(r"^ssh://", "", repository).partition("@")[2].replace(":", "/", 1)
    return f'source = "git::https://{path}//…"'
