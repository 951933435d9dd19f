"""The parts of an encrypted file, told apart without a key: leaves, comments, metadata.

Every character of a file belongs to one of them, to a key's name or to YAML's own punctuation. So
whoever has looked at all parts has seen all that stands in clear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from barehub.vault.ciphertext import DEEPEST, Flaw

DAMAGED = "git log -p -- FILE"

COMMENT = "a comment is plaintext"
REMOVE_COMMENT = "FILE   # remove the comment, and reissue what it names"

LONGEST_NAME = 200

TWO_BLOCKS = "it has two blocks of SOPS metadata"

MERGE = "<<"
"""A key of YAML that brings in what stands elsewhere (https://yaml.org/type/merge.html)."""

_BLOCK_HEADER = re.compile(r"[|>][0-9+-]{0,2}[ \t]*(?=\r?\n)")
"""How a block scalar begins (https://yaml.org/spec/1.2.2/#81-block-scalar-styles): no comment."""

_FOREIGN = {
    "AliasToken": "an alias",
    "AnchorToken": "an anchor",
    "TagToken": "a tag",
    "DirectiveToken": "a directive",
}
"""Parts of YAML that sops never writes and that can hold text."""


@dataclass(frozen=True)
class Leaf:
    """A value at the end of a key path; ``value`` is None where the file says null."""

    path: tuple[str, ...]
    value: str | None
    line: int

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Anatomy:
    """``comments`` are lines and texts of what is between YAML's tokens, spaces apart."""

    leaves: tuple[Leaf, ...]
    metadata: Any
    comments: tuple[tuple[int, str], ...] = ()
    flaws: tuple[Flaw, ...] = ()


class Malformed(Exception):
    """The parts of a file cannot be told apart."""

    def __init__(self, text: str, line: int = 0) -> None:
        self.flaw = Flaw(text, line, DAMAGED)


def read(content: bytes) -> Anatomy:
    """The parts of ``content``, JSON or YAML.

    :raises Malformed: it is neither, or a part of it is there twice.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Malformed("not text") from None
    if "\ufeff" in text:
        raise Malformed("a byte order mark is in it")
    try:
        return _of_json(text) if text.lstrip().startswith("{") else _of_yaml(text)
    except RecursionError:
        raise Malformed("nested too deeply") from None


def comments(text: str) -> list[tuple[int, str]]:
    """The comments of YAML ``text``, with their lines.

    :raises Malformed: it is no YAML.
    """
    return [found for found in _tokens(text) if not isinstance(found, Flaw)]


def _of_json(text: str) -> Anatomy:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, _ in items:
            _check_name(key, 0)
        if len(dict(items)) < len(items):
            raise Malformed("a key is there twice")
        return dict(items)

    try:
        tree = json.loads(text, object_pairs_hook=pairs, parse_int=str)
    except json.JSONDecodeError as error:
        raise Malformed("not JSON", error.lineno) from None
    metadata = tree.pop("sops", None)
    _see_no_second_block(tree)
    return Anatomy(tuple(_json_leaves(tree, ())), metadata)


def _json_leaves(tree: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _json_leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _json_leaves(value, (*path, str(index)))
    else:
        yield Leaf(path, None if tree is None else str(tree), 0)


def _of_yaml(text: str) -> Anatomy:
    import yaml

    found = list(_tokens(text))
    flaws = tuple(one for one in found if isinstance(one, Flaw))
    said = tuple(one for one in found if not isinstance(one, Flaw))
    if flaws:  # an alias could stand for more than memory holds
        return Anatomy((), {}, said, flaws)
    try:
        root = yaml.compose(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise _not_yaml(error) from None
    if not isinstance(root, yaml.MappingNode):
        raise Malformed("not a mapping")
    metadata = [value for key, value in root.value if key.value == "sops"]
    if len(metadata) > 1:
        raise Malformed(TWO_BLOCKS)
    root.value = [(key, value) for key, value in root.value if key.value != "sops"]
    _see_no_second_block(key.value for key, _ in root.value if key.id == "scalar")
    fields = plain(metadata[0]) if metadata else None
    return Anatomy(tuple(_yaml_leaves(root, ())), fields, said)


def _tokens(text: str) -> Iterator[tuple[int, str] | Flaw]:
    """Line and text of each comment, and what has no place in a file of sops."""
    import yaml

    at = depth = 0
    try:
        for token in yaml.scan(text, Loader=_loader()):
            start, end = token.start_mark.index, token.end_mark.index
            yield from _between(text, at, start)
            at = max(at, end)
            line = token.start_mark.line + 1
            kind = type(token).__name__
            if kind.startswith(("Block", "Flow")):
                depth += ("Start" in kind) - ("End" in kind)
            if depth > DEEPEST:
                raise Malformed("nested too deeply", line)
            if what := _FOREIGN.get(kind):
                yield Flaw(f"{what} of YAML, which can hold text", line, DAMAGED)
            block = isinstance(token, yaml.ScalarToken) and token.style in ("|", ">")
            if block and not _BLOCK_HEADER.match(text, start):
                yield Flaw(COMMENT, line, REMOVE_COMMENT)
    except yaml.YAMLError as error:
        raise _not_yaml(error) from None
    yield from _between(text, at, len(text))


def _between(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    gap = text[start:end]
    if gap.isspace() or not gap:
        return
    first = text.count("\n", 0, start) + 1
    for number, line in enumerate(gap.split("\n"), first):
        if said := line.strip():
            yield number, said


def _yaml_leaves(node: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
    if node.id == "mapping":
        seen = set()
        for key, value in node.value:
            name = _name(key)
            if name in seen:
                where = ".".join((*path, name))
                raise Malformed(f"{where} is there twice", key.start_mark.line + 1)
            seen.add(name)
            yield from _yaml_leaves(value, (*path, name))
    elif node.id == "sequence":
        for index, value in enumerate(node.value):
            yield from _yaml_leaves(value, (*path, str(index)))
    else:
        null = node.tag == "tag:yaml.org,2002:null"
        yield Leaf(path, None if null else node.value, node.start_mark.line + 1)


def _name(key: Any) -> str:
    line = key.start_mark.line + 1
    if key.id != "scalar":
        raise Malformed("a key is not a plain name", line)
    _check_name(key.value, line)
    return str(key.value)


def _see_no_second_block(names: Iterable[str]) -> None:
    """sops finds its metadata in JSON by any case of their name, and by a long s in it."""
    if any(name.casefold() == "sops" for name in names):
        raise Malformed(TWO_BLOCKS)


def _check_name(name: str, line: int) -> None:
    if len(name) > LONGEST_NAME or not name.isprintable() or name == MERGE:
        raise Malformed("a key is not a plain name", line)


def plain(node: Any) -> Any:
    """The metadata as text, lists and mappings; a key given twice shows as an unexpected one."""
    if node.id == "mapping":
        made: dict[str, Any] = {}
        for key, value in node.value:
            name = _name(key)
            made[f"{name} (twice)" if name in made else name] = plain(value)
        return made
    if node.id == "sequence":
        return [plain(item) for item in node.value]
    return "" if node.tag == "tag:yaml.org,2002:null" else node.value


def _not_yaml(error: Exception) -> Malformed:
    mark = getattr(error, "problem_mark", None)
    return Malformed("not YAML", mark.line + 1 if mark else 0)


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
