"""The literals of a Terraform file: where each stands, and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from barehub.errors import RecipeError
from barehub.migration.numerals import number

if TYPE_CHECKING:
    from lark import Token, Tree

    Node = Tree[Token]

_ESCAPE = re.compile(r'\\(?:([nrt"\\])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|\$\$\{|%%\{')
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_HEREDOCS = ("heredoc_template", "heredoc_template_trim")
_STRINGS = ("string", *_HEREDOCS)
_NUMBERS = ("int_lit", "float_lit")
_CONSTANTS = {"true": True, "false": False, "null": None}

_REFERENCES = re.compile(r"(?:(?<!\$)\$|(?<!%)%)\{[^}]*+(?:\}|\Z)")

_PASSING = re.compile(
    "(non)?sensitive|base64encode|(json|yaml)encode|trimspace|chomp|merge|concat|coalesce|try"
    "|to(string|list|set|map)"
)
"""Functions whose arguments are what becomes of them; others take names of files, of keys, …"""


LARGEST = 256 * 1024
"""Characters of a file that is parsed, which takes a second for every 25,000."""

DEEPEST = 250
"""Nodes above one another: three or four for each bracket, and as many calls of a function."""


class NotLiteral(Exception):
    """An expression takes something from elsewhere."""


@dataclass(frozen=True)
class Leaf:
    """A string or a number in an expression.

    ``name`` is the argument or the key that it is for. ``valued`` is false where it is no value of
    that, but an index, a file's name or a part of a comparison.
    """

    name: str
    node: Node = field(repr=False)
    source: str = field(repr=False)
    valued: bool

    @property
    def start(self) -> int:
        return self.node.meta.start_pos

    @property
    def stop(self) -> int:
        """Without the newline that ends a heredoc."""
        return self.node.meta.end_pos - (self.node.data in _HEREDOCS)

    @property
    def raw(self) -> str:
        return self.source[self.start : self.stop]

    @property
    def numeric(self) -> bool:
        return self.node.data in _NUMBERS

    @cached_property
    def text(self) -> str | None:
        """What it means; None if references are mixed in."""
        try:
            return str(meaning(self.node, self.source))
        except NotLiteral:
            return None

    @property
    def written(self) -> str:
        """The characters of a template that are not references."""
        return self.template(" ")

    def template(self, reference: str) -> str:
        """What it means, with ``reference`` in place of each reference."""
        if self.text is not None:
            return self.text
        body = _heredoc(self.raw) if self.node.data in _HEREDOCS else self.raw[1:-1]
        end = body.rfind("}") + 1  # behind it nothing is closed, and looking for that takes long
        return _REFERENCES.sub(lambda found: reference, body[:end]) + body[end:]


@dataclass(frozen=True)
class Argument:
    """``name = …`` in the block ``kind`` ``label``; ``inner`` when in a block within that."""

    kind: str
    label: str
    inner: bool
    name: str
    node: Node = field(repr=False)
    source: str = field(repr=False)

    @property
    def expression(self) -> Node:
        return _trees(self.node)[-1]

    @property
    def start(self) -> int:
        return self.node.meta.start_pos

    @property
    def line(self) -> int:
        return self.source.count("\n", 0, self.start) + 1

    @property
    def whole(self) -> tuple[int, int]:
        """Where the expression stands, without the newline that ends a heredoc."""
        meta = self.expression.meta
        ends = self.source[meta.start_pos : meta.end_pos].endswith("\n")
        return meta.start_pos, meta.end_pos - ends

    def leaves(self) -> list[Leaf]:
        return list(_leaves(self.expression, self.source, self.name, True))


@dataclass(frozen=True)
class File:
    """A parsed Terraform file."""

    text: str = field(repr=False)
    tree: Node = field(repr=False)

    @cached_property
    def arguments(self) -> list[Argument]:
        return list(self._arguments(_trees(self.tree)[0], "", "", False))

    @cached_property
    def blocks(self) -> set[tuple[str, str]]:
        """Kind and last label of the outermost blocks."""
        found = (_head(node, self.text) for node in _trees(_trees(self.tree)[0]))
        return {head for head in found if head}

    def between(self) -> Iterator[tuple[int, int]]:
        """Where blanks and comments stand."""
        from lark import Token

        at = 0
        for token in self.tree.scan_values(lambda value: isinstance(value, Token)):
            if token.type != "NL_OR_COMMENT":
                yield at, token.start_pos or 0
                at = max(at, token.end_pos or 0)
        yield at, len(self.text)

    def _arguments(self, body: Node, kind: str, label: str, inner: bool) -> Iterator[Argument]:
        for node in _trees(body):
            if node.data == "attribute":
                name = _slice(_trees(node)[0], self.text)
                yield Argument(kind, label, inner, name, node, self.text)
            elif head := _head(node, self.text):
                below = head if not kind else (kind, label)
                yield from self._arguments(_trees(node)[-1], *below, bool(kind))


def parse(text: str, shown: str) -> File:
    """:raises RecipeError: ``text`` is not HCL; names ``shown`` and the line."""
    import hcl2
    from lark.exceptions import UnexpectedInput

    if len(text) > LARGEST:
        raise RecipeError(f"{shown} is too large: more than {LARGEST // 1024} KiB")
    try:
        tree = hcl2.parses_to_tree(text)
        if line := _too_deep(tree):
            raise RecipeError(f"{shown} line {line}: nested too deeply")
        return File(text, tree)
    except UnexpectedInput as error:
        raise RecipeError(
            f"{shown} line {error.line}, column {error.column}: this is not valid HCL"
        ) from None


def _too_deep(tree: Node) -> int:
    """The line of what is nested deeper than is read; 0 if nothing is."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            return int(node.meta.line)
        waiting += [(child, depth + 1) for child in _trees(node)]
    return 0


def meaning(node: Node, source: str) -> Any:
    """The value of an expression that takes nothing from elsewhere.

    :raises NotLiteral: it does.
    """
    trees = _trees(node)
    if node.data in _STRINGS:
        return _string(node, source)
    if node.data in _NUMBERS:
        return number(_slice(node, source))
    if node.data == "literal_value":
        return _CONSTANTS[_slice(node, source)]
    if node.data == "tuple":
        return [meaning(item, source) for item in trees if item.data != "new_line_or_comment"]
    if node.data == "object":
        members = (_trees(item) for item in trees if item.data == "object_elem")
        return {_key(key, source): meaning(value, source) for key, value in members}
    if node.data == "expr_term" and [t.data for t in trees if t.data != "new_line_or_comment"]:
        return meaning(next(t for t in trees if t.data != "new_line_or_comment"), source)
    if node.data == "unary_op" and _slice(node, source).startswith("-"):
        return number(_slice(node, source))
    raise NotLiteral


def _key(node: Node, source: str) -> str:
    text = _slice(node, source)
    if text.startswith('"'):
        return str(meaning(_trees(node)[0], source))
    if not re.fullmatch(r"[\w-]+", text):
        raise NotLiteral
    return text


def _string(node: Node, source: str) -> str:
    raw = _slice(node, source)
    if node.data in _HEREDOCS:
        body = _heredoc(raw)
        if re.search(r"(?<!\$)\$\{|(?<!%)%\{", body):
            raise NotLiteral
        return body.replace("$${", "${").replace("%%{", "%{")
    if any(_trees(part) for part in _trees(node)):
        raise NotLiteral
    return _ESCAPE.sub(_unescaped, raw[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return _LETTERS[found[1]]
    if code := found[2] or found[3]:
        # what is no character (https://www.unicode.org/glossary/#unicode_scalar_value) is U+FFFD
        point = int(code, 16)
        return chr(point) if point < 0xD800 or 0xDFFF < point < 0x110000 else "\ufffd"
    return found[0][1:]


def _heredoc(raw: str) -> str:
    """Its lines; of ``<<-`` without the indentation that all but blank ones have in common."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", raw)[1:-1]
    if raw.startswith("<<-"):
        indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
        most = min(indents, default=0)
        lines = [line[most:] if line.strip() else line for line in lines]
    return "".join(lines)


def _leaves(node: Node, source: str, name: str, valued: bool) -> Iterator[Leaf]:
    if node.data in _STRINGS or node.data in _NUMBERS:
        yield Leaf(name, node, source, valued)
        valued = False
    elif node.data == "object_elem":
        key, value = _trees(node)
        yield from _leaves(key, source, name, False)
        yield from _leaves(value, source, _slice(key, source).strip('"()'), valued)
        return
    elif node.data == "function_call":
        valued &= bool(_PASSING.fullmatch(_slice(_trees(node)[0], source)))
    elif node.data == "conditional":
        condition, *branches = _trees(node)
        yield from _leaves(condition, source, name, False)
        for branch in branches:
            yield from _leaves(branch, source, name, valued)
        return
    elif node.data not in ("expr_term", "tuple", "object", "arguments", "unary_op"):
        valued = False
    for child in _trees(node):
        yield from _leaves(child, source, name, valued)


def _head(node: Node, source: str) -> tuple[str, str] | None:
    """Kind and last label of a block."""
    if node.data != "block":
        return None
    words = [_slice(t, source).strip('"') for t in _trees(node)[:-1] if t.data in _HEAD_PARTS]
    return words[0], words[-1]


_HEAD_PARTS = ("identifier", "keyword", "literal_value", "string")


def _slice(node: Node, source: str) -> str:
    return source[node.meta.start_pos : node.meta.end_pos]


def _trees(node: Node) -> list[Node]:
    from lark import Tree

    return [child for child in node.children if isinstance(child, Tree)]
