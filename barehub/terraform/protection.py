"""What ``prevent_destroy`` protects: named with file and line, all at once where that can be read.

Terraform stops at the first such resource of each chain of dependencies; the rest is read from the
configuration. https://developer.hashicorp.com/terraform/language/meta-arguments/prevent_destroy
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from barehub import reading
from barehub.errors import RecipeError, TerraformError
from barehub.terraform.events import Diagnostic

_REFUSED = re.compile(
    r"Resource (?:instance )?(\S(?:(?!Resource ).)*?) has (?:lifecycle\.)?prevent_destroy set, "
    r"but the plan calls"
)
"""In the words of Terraform, and of OpenTofu."""

_COMMENT = re.compile(r"^[ \t]*+(?:#|//).*$|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)", re.MULTILINE)
_PART = re.compile(
    r'^[ \t]*resource[ \t]+"?(?P<type>[\w-]+)"?[ \t]+"?(?P<name>[\w-]+)"?'
    r'|^[ \t]*(?P<other>(?:data|ephemeral|module|variable|output|provider|check)[ \t]+"'
    r"|(?:locals|terraform|moved|removed|import)[ \t]*\{)"
    r"|(?:^|\{)[ \t]*prevent_destroy[ \t]*=[ \t]*(?P<value>[^\s}]+)",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"(?P<modules>(?:module\.[\w-]+\.)*)(?P<resource>[\w-]+\.[\w-]+)")
_CALLED = re.compile(r"module\.([\w-]+)")
_KEY = re.compile(r"\[(?:\d+|\"(?:[^\"\\]|\\.)*\")\]")


def told(errors: Sequence[Diagnostic]) -> dict[str, str]:
    """The addresses for which Terraform refused a plan, with the places that it named."""
    found = ((_REFUSED.search(error.detail), error.place) for error in errors)
    return {refused[1]: place for refused, place in found if refused}


def refusal(folder: Path, kept: Mapping[str, str], there: Collection[str]) -> TerraformError:
    """The error for a plan that would destroy what is protected.

    :param folder: the instance's
    :param kept: what Terraform refused: address to ``FILE:LINE`` of the resource
    :param there: the addresses of all that the plan would destroy, where that is the whole state
    """
    written = _Written(folder)
    places = {a: written.place(a) or place for a, place in kept.items()}
    places |= {a: place for a in there if a not in kept and (place := written.place(a, "true"))}
    shown = {a: os.path.normpath(f"instances/{folder.name}/{p}") for a, p in places.items()}
    name, destroys = folder.name, bool(there)
    hints = [_without(place) for place in dict.fromkeys(shown.values())]
    if destroys:
        rest = " ".join(shlex.quote(address) for address in shown)
        hints.append(
            f"invoke terraform --name {name} -- state rm {rest}"
            "   keeps it, outside of barehub: a teardown then destroys the rest"
        )
    else:
        hints.append("or take back what changed in the recipe, or in the vault")
    named = ", ".join(f"{address} ({place})" for address, place in sorted(shown.items()))
    return TerraformError(f"prevent_destroy protects what would be destroyed: {named}", *hints)


def _without(place: str) -> str:
    file, _, line = place.rpartition(":")
    fetched = " (a fetched module: change its source, too)" if "/.terraform/" in file else ""
    return f"take prevent_destroy out of {file}:{line}{fetched}, if it may be destroyed"


class _Written:
    """Where the modules of an instance say ``prevent_destroy``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders = _folders(folder)
        self._read: dict[str, dict[str, tuple[str, str]]] = {}

    def place(self, address: str, value: str = "") -> str:
        """``FILE:LINE`` of it for a resource, where the file says ``value``; empty if nowhere."""
        found = _ADDRESS.match(_KEY.sub("", address))
        if found is None:
            return ""
        folder = self._folders.get(".".join(_CALLED.findall(found["modules"])))
        if folder is None:
            return ""
        if folder not in self._read:
            self._read[folder] = dict(_protected(self._folder, folder))
        said, place = self._read[folder].get(found["resource"], ("", ""))
        return place if said and (not value or said == value) else ""


def _folders(folder: Path) -> dict[str, str]:
    """By its path of calls (``provider.network``), where Terraform has each module."""
    try:
        text = (folder / ".terraform" / "modules" / "modules.json").read_text()
        return {
            "": ".",
            **{str(one["Key"]): str(one["Dir"]) for one in json.loads(text)["Modules"]},
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {"": "."}


def _protected(root: Path, folder: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """By ``TYPE.NAME``, what the files of a module say of it, and where."""
    for path in reading.below(root / folder, "*.tf"):
        resource = ""
        text = reading.lenient(path, RecipeError)
        text = _COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment[0]), text)
        for part in _PART.finditer(text):
            if part["type"]:
                resource = f"{part['type']}.{part['name']}"
            elif part["other"]:
                resource = ""
            elif resource:
                line = text.count("\n", 0, part.start("value")) + 1
                yield resource, (part["value"], f"{folder}/{path.name}:{line}")
