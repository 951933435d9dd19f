"""A recipe to start from: what it leaves open, and its text with that filled in.

Arguments stand on a line of their own. ``"<vault>"`` is a secret, and stays; any other ``"<…>"`` is
a value to choose; all else has been chosen already, and may be chosen otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.errors import RecipeError, UsageError
from barehub.suspicion import PLACEHOLDER
from barehub.terraform.hcl import Block, named
from barehub.terraform.module import Module
from barehub.terraform.recipe import META

SECRET = "<vault>"  # noqa: S105 - the word for one

LISTS = re.compile(r"(?:list|set)\(string\)")


@dataclass(frozen=True)
class Argument:
    """An argument of a module call, or a variable of the recipe's own, which has no ``stage``.

    ``written`` is what the recipe has for it, in HCL, if anything. ``type`` is Terraform's, such as
    ``list(string)``; empty where the module is not at hand.
    """

    stage: str
    name: str
    written: str | None
    type: str = ""
    description: str = ""
    sensitive: bool = False

    @property
    def path(self) -> str:
        return f"{self.stage}.{self.name}" if self.stage else self.name

    @property
    def open(self) -> bool:
        """Whether somebody has to choose it."""
        return bool(self.written and _placeholder(self.written))

    @property
    def secret(self) -> bool:
        return self.open and (self.sensitive or self.written == json.dumps(SECRET))

    @property
    def hint(self) -> str:
        """What the recipe wants a person to think of: what its placeholder says."""
        said = (_placeholder(self.written or "") or "").strip("<> ")
        return "" if said in ("", "vault", "redacted", self.name) else said

    @property
    def default(self) -> str:
        """What is taken when nobody chooses: a literal of the recipe, as a person would type it."""
        try:
            value = json.loads(self.written or "null")
        except ValueError:  # a reference
            return ""
        if self.open or value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def expression(self, text: str) -> str:
        """``text``, as a person types it, in HCL.

        :raises UsageError: it cannot be of the argument's type.
        """
        kind = self.type
        if kind == "string" or (not kind and not (self.written or "").startswith("[")):
            return _quoted(text)
        if LISTS.fullmatch(kind) or not kind:
            return self._list(text)
        if kind == "bool" and text in ("yes", "no"):
            text = "true" if text == "yes" else "false"
        try:
            value = json.loads(text)
        except ValueError:
            if kind in ("number", "bool") or kind.startswith(("list", "set", "map", "object")):
                raise UsageError(f"{self.name}: {text!r} is no {kind}") from None
            return _quoted(text)
        if kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise UsageError(f"{self.name}: {text!r} is no number")
        if kind == "bool" and not isinstance(value, bool):
            raise UsageError(f"{self.name}: {text!r} is neither true nor false")
        return _native(value)

    def _list(self, text: str) -> str:
        if text.lstrip().startswith("["):
            try:
                items = json.loads(text)
            except ValueError:
                raise UsageError(f"{self.name}: that is no list", '["one", "two"]') from None
        else:
            items = [item.strip() for item in text.split(",") if item.strip()]
        return _native([str(item) for item in items])


def arguments(
    text: str, calls: Mapping[str, Block], modules: Mapping[str, Module]
) -> list[Argument]:
    """All that can be set in a recipe, in its order, and then what it leaves out.

    :param calls: the module calls in ``text``, as :attr:`Recipe.calls` has them
    :param modules: those of them that are at hand
    """
    found = []
    for stage, call in calls.items():
        variables = modules[stage].variables if stage in modules else {}
        names = [name for name in call if name not in META]
        for name in dict.fromkeys([*names, *variables]):
            about = variables.get(name, {})
            line = _line(_block(text, stage), name)
            found.append(
                Argument(
                    stage,
                    name,
                    line["value"].strip() if line else None,
                    re.sub(r"^\$\{(.*)\}$", r"\1", str(about.get("type", ""))).replace(" ", ""),
                    str(about.get("description", "")),
                    str(about.get("sensitive", False)).lower() == "true",
                )
            )
    return found


def variables(content: Block) -> list[Argument]:
    """The variables that a recipe declares itself and gives no default: the vault has to."""
    return [
        Argument("", name, json.dumps(SECRET), description=str(about.get("description", "")))
        for name, about in named(content, "variable")
        if "default" not in about
    ]


def filled(text: str, values: Mapping[Argument, str]) -> str:
    """``text`` with ``values``, in HCL, for its arguments."""
    for argument, value in values.items():
        block = _block(text, argument.stage)
        line = _line(block, argument.name)
        if line:
            start, end = line.span("value")
            new = f"{block[:start]}{value}{block[end:]}"
        else:
            new = f"{block.rstrip()[:-1]}  {argument.name} = {value}\n}}\n"
        text = text.replace(block, new)
    return text


def written(text: str, stage: str, name: str) -> str:
    """What a recipe writes for an argument, in HCL, on a line of its own; empty if nothing."""
    if not re.search(_call(stage), text, re.M | re.S):
        return ""
    line = _line(_block(text, stage), name)
    return line["value"].strip() if line else ""


def literal(written: str) -> str | None:
    """What a recipe writes, in HCL, where that is a text or a number of its own."""
    try:
        value = json.loads(written)
    except ValueError:  # a reference
        return None
    plain = isinstance(value, (str, int)) and not isinstance(value, bool)
    taken = re.search(r"[$%]\{", written) or _placeholder(written)
    return written if plain and not taken else None


def variable_blocks(folder: Path) -> dict[str, str]:
    """The text of each variable that a module declares."""
    text = "\n".join(reading.lenient(path, RecipeError) for path in reading.below(folder, "*.tf"))
    return {block[1]: block[0] for block in _VARIABLE.finditer(text)}


_BODY = r"[^\n]*+(?:\n(?!\})[^\n]*+)*+(?:\n\}|\Z)"
"""The rest of a block, up to a bracket that begins a line."""

_VARIABLE = re.compile(
    rf'^variable[ \t]+"([^"\n]+)"[ \t]*\{{(?:[^\n]*\}}[ \t]*$|{_BODY})', re.MULTILINE
)


def _call(stage: str) -> str:
    return rf'^module "{stage}" \{{{_BODY}\n?'


def _block(text: str, stage: str) -> str:
    found = re.search(_call(stage), text, re.M | re.S)
    if not found:
        raise RecipeError(
            f'no line of the recipe begins with: module "{stage}" {{',
            "terraform fmt   # formats it",
        )
    return found[0]


_WORDS = r"[^#\n \t\r]*+(?:[ \t\r]++[^#\n \t\r]++)*+"


def _line(block: str, name: str) -> re.Match[str] | None:
    pattern = (
        rf"^[ \t]*{re.escape(name)}[ \t]*=[ \t]*+(?P<value>\"(?:[^\"\\]|\\.)*\"|{_WORDS})"
        r"[ \t\r]*+(?:#.*)?$"
    )
    return re.search(pattern, block, re.M)


def _placeholder(written: str) -> str | None:
    """The text of a placeholder, such as ``<vault>``."""
    try:
        value: Any = json.loads(written)
    except ValueError:
        return None
    items = value if isinstance(value, list) else [value]
    return next((i for i in items if isinstance(i, str) and PLACEHOLDER.fullmatch(i)), None)


def _quoted(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return escaped.replace("${", "$${").replace("%{", "%%{")


def _native(value: Any) -> str:
    """JSON is HCL but for what HCL takes for a template."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_native, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)} = {_native(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)
