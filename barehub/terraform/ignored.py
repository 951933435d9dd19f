"""Finds the variables of a module that it declares and makes nothing of.

By searching its text, which is sound where a full parse would be slow: Terraform knows no way to a
variable but ``var.name``. A variable may also be handed to a template that does not mention it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from barehub import reading
from barehub.errors import RecipeError
from barehub.terraform.module import Module

_REFERENCE = re.compile(r"\bvar\s*\.\s*([\w-]+)")
_HANDED = re.compile(
    r"""^[ \t]*"?(?P<key>[\w-]+)"?[ \t]*[=:]
        [ \t]*"?(?:\$\{)?var\.(?P<name>[\w-]+)\}?"?[ \t]*+(?:,[ \t]*+)?$""",
    re.VERBOSE | re.MULTILINE,
)
_TEMPLATE = re.compile(
    r"""\btemplatefile\(\s*"(?P<call>[^"]+)"\s*,\s*\{
      | ^[ \t]*data\s+"?template_file"?\s+"?[\w-]+"?\s*\{""",
    re.VERBOSE | re.MULTILINE,
)
_VARS = re.compile(r"^[ \t]*vars[ \t]*+=?[ \t]*\{", re.MULTILINE)
_FILE = re.compile(
    r'^[ \t]*template[ \t]*=[ \t]*"?(?:\$\{)?file\("(?P<file>[^"\n]+)"\)', re.MULTILINE
)
_IN_MODULE = re.compile(r"\$\{path\.module\}/?")


def ignored(module: Module, arguments: Collection[str]) -> dict[str, str]:
    """Which of ``arguments`` the module ignores, and the template that does, if it is one."""
    texts = {name: text for name, text in module.files.items() if name.endswith(".tf")}
    if len(texts) < len(module.files) or any(module.folder.glob("*.tofu*")):
        return {}  # these are not searched
    used = set()
    handed: dict[str, str] = {}
    for text in texts.values():
        templates = list(_templates(text, module.folder))
        counted = dict.fromkeys(arguments, 0)
        for template in templates:
            for key, name in template.keys:
                counted[name] = counted.get(name, 0) + 1
                if template.mentions(key):
                    used.add(name)
                else:
                    handed[name] = template.name
        for name in _REFERENCE.findall(text):
            counted[name] = counted.get(name, 0) - 1
        used |= {name for name, number in counted.items() if number < 0}
    return {name: handed.get(name, "") for name in arguments if name not in used}


@dataclass(frozen=True)
class _Template:
    """A template and what its text is rendered with; ``keys`` are pairs of a key and the variable
    that is nothing but handed to it."""

    path: Path
    keys: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def _text(self) -> str | None:
        try:
            return reading.lenient(self.path, RecipeError)
        except (FileNotFoundError, RecipeError):
            return None

    def mentions(self, key: str) -> bool:
        """Whether the template uses ``key``; in doubt it does."""
        if self._text is None:
            return True
        inserted = " ".join(re.findall(r"[$%]\{[^}]*+(?:\}|\Z)", self._text))
        return bool(re.search(rf"(?<![\w.-]){re.escape(key)}(?![\w-])", inserted))


def _templates(text: str, folder: Path) -> Iterator[_Template]:
    for found in _TEMPLATE.finditer(text):
        body = text[found.end() : _closing(text, found.end())]
        named = found["call"]
        if not named:
            file, handed = _FILE.search(body), _VARS.search(body)
            if not (file and handed):
                continue
            named, body = file["file"], body[handed.end() : _closing(body, handed.end())]
        path = _IN_MODULE.sub("", named)
        if "${" in path:
            continue
        keys = tuple((one["key"], one["name"]) for one in _HANDED.finditer(body))
        yield _Template(folder / path, keys)


def _closing(text: str, at: int) -> int:
    """Where the bracket is closed that was opened just before ``at``."""
    depth = 1
    for found in re.finditer(r"[{}]", text[at:]):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return at + found.start()
    return len(text)
