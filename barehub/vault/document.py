"""A secrets file as a person writes it: what is refused before it is encrypted.

sops reads YAML's plain scalars as Go does: ``0123456`` becomes 42798, ``1.10`` becomes 1.1, without
a word (https://github.com/getsops/sops/issues/2161). What comes back from sops is therefore
compared with what was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from barehub.errors import VaultError

UNPROTECTED = "_unencrypted"
"""Keys that end so stay in clear: the default of sops when no rule says else."""

_STRING = "tag:yaml.org,2002:str"


class Document:
    """Checked YAML text."""

    def __init__(self, text: str, file: str) -> None:
        """:raises VaultError: with the line of what is wrong, and never a value."""
        self.file = file
        self.empty = False
        """Whether there is nothing in it, or comments only."""
        self.plain: dict[tuple[str, ...], tuple[str, int]] = {}
        """Path to text and line of every scalar that stands without quotes."""
        self._check(text)

    def _check(self, text: str) -> None:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            for event in yaml.parse(text, Loader=loader):
                self._check_event(event)
            root = yaml.compose(text, Loader=loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = re.sub(
                r"['\"].*['\"]", "…", str(getattr(error, "problem", None) or "not YAML")
            )
            raise self._wrong(mark.line + 1 if mark else 1, reason) from None
        if root is None:
            self.empty = True
            return
        if not isinstance(root, yaml.MappingNode):
            raise self._wrong(1, "the file is not a mapping of sections")
        for path, node in self._scalars(root, ()):
            if not node.style:
                self.plain[path] = (node.value, node.start_mark.line + 1)

    def _check_event(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if getattr(event, "anchor", None) is not None:
            raise self._wrong(line, "anchors and aliases are not kept by sops; write it out")
        if getattr(event, "tag", None) is not None:
            raise self._wrong(line, "a tag (!…) is not kept by sops; quote the text")

    def _scalars(self, node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if node.id == "mapping":
            seen: set[str] = set()
            for key, value in node.value:
                name = self._key(key, seen, path)
                yield from self._scalars(value, (*path, name))
        elif node.id == "sequence":
            for index, value in enumerate(node.value):
                yield from self._scalars(value, (*path, str(index)))
        else:
            yield path, node

    def _key(self, node: Any, seen: set[str], path: tuple[str, ...]) -> str:
        line = node.start_mark.line + 1
        if node.id != "scalar" or (not node.style and node.tag != _STRING):
            raise self._wrong(line, "a key is not a text; quote it")
        name = str(node.value)
        shown = ".".join((*path, name))
        if name in seen:
            raise self._wrong(line, f"{shown} is there twice")
        if name.endswith(UNPROTECTED):
            raise self._wrong(line, f"{shown} would not be encrypted: keys may not end so")
        if name == "sops" and not path:
            raise self._wrong(line, "the key sops is taken by sops itself")
        seen.add(name)
        return name

    def refuse_losses(self, stored: bytes) -> None:
        """Compare with ``stored``, the same document as JSON that has been through sops.

        :raises VaultError: a scalar without quotes came back as something else.
        """
        tree = json.loads(stored, parse_int=str, parse_float=str)  # as JSON spells them
        for path, (text, line) in self.plain.items():
            value = _at(tree, path)
            if _as_written(value) != text and not (value is None and text in ("", "null", "~")):
                where = ".".join(path)
                raise VaultError(
                    f"{self.file} line {line}: {where} without quotes would be stored as "
                    "something else",
                    f'write it as {path[-1]}: "…", with the quotes',
                )

    def _wrong(self, line: int, reason: str) -> VaultError:
        return VaultError(f"{self.file} line {line}: {reason}", "invoke vault.edit")


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def _as_written(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None
