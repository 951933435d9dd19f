"""Finds every regular expression of the package, and texts that would make it slow.

Work that grows with the square of a text's length is what lets a page of 50 KB stop a program for
good. The texts come from the expression itself: what stands before each repeat, then what it
repeats, many times, then something that does not fit.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from re import _constants as sre
from re import _parser
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = (
    "compile", "search", "match", "fullmatch", "sub", "subn", "findall", "finditer", "split",
)  # fmt: skip

LONG, DERIVED = 1 << 20, 1 << 17
"""Characters of a text of one character, and of one that is derived from the expression."""

SINGLE = " a\n"
"""Characters to try each expression with, beside those that it repeats itself."""

STOPS = ("\0", "\n")
MOST_SAMPLES = 4
MOST_TEXTS = 60


@dataclass(frozen=True)
class Expression:
    """An expression, where it is written, and the methods it is used with."""

    place: str
    pattern: re.Pattern[Any]
    methods: tuple[str, ...]


def expressions() -> Iterator[Expression]:
    """Every expression that the package's code compiles or uses."""
    paths = [*ROOT.glob("barehub/**/*.py"), *ROOT.glob("terraform/**/*.py")]
    trees = {path: ast.parse(path.read_text()) for path in sorted(paths)}
    used = _methods(trees.values())
    for path, tree in trees.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _function(node)]
        for call in calls:
            space = vars(_module(path))
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            if (path.name, _function(call)) == ("tokens.py", "compile"):  # what its table has
                yield from (Expression(where, f.regex, ("finditer",)) for f in space["FORMS"])
                continue
            if "% (unknown" in ast.unparse(call):  # made for each beginning, and all in one table
                yield from (Expression(where, one[1], ("finditer",)) for one in space["_KEYS"])
                continue
            if _function(call) == "find":
                for text in call.args:
                    pattern = re.compile(_evaluated(text, space), re.MULTILINE)
                    yield Expression(where, pattern, ("search",))
                continue
            pattern = _evaluated(call.args[0], space)
            if isinstance(pattern, re.Pattern):
                continue  # found where it is compiled
            flags = [*call.args[1:], *(k.value for k in call.keywords if k.arg == "flags")]
            given = [value for one in flags if isinstance(value := _flag(one, space), re.RegexFlag)]
            compiled = re.compile(pattern, given[0] if given else 0)
            function = _function(call)
            name = _name(tree, call)
            own = _methods([tree]) if name.startswith("_") else used
            methods = tuple(sorted(own.get(name, {"search", "fullmatch"})))
            yield Expression(where, compiled, methods if function == "compile" else (function,))


def _function(call: ast.Call) -> str:
    """The function of ``re`` that is called, or nothing."""
    called = call.func
    if (isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)
            and called.value.id == "re" and called.attr in FUNCTIONS):  # fmt: skip
        return called.attr
    if isinstance(called, ast.Attribute) and called.attr == "find":
        on = called.value  # terraform.recipe.Recipe.find takes expressions
        name = on.attr if isinstance(on, ast.Attribute) else getattr(on, "id", "")
        return "find" if name == "recipe" else ""
    return ""


def _methods(trees: Any) -> dict[str, set[str]]:
    """By the last part of a name, the methods of patterns that are called on it."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) and not _function(node) else None
            if isinstance(called, ast.Attribute) and called.attr in FUNCTIONS:
                on = called.value
                name = on.attr if isinstance(on, ast.Attribute) else getattr(on, "id", "")
                found.setdefault(name, set()).add(called.attr)
    return found


def _name(tree: ast.Module, call: ast.Call) -> str:
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.value is call:
            return getattr(node.targets[0], "id", "")
    return ""


def _module(path: Path) -> ModuleType:
    if path.is_relative_to(ROOT / "barehub"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        return importlib.import_module(name)
    name = "_".join(path.relative_to(ROOT).with_suffix("").parts)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class _Locals(dict[str, Any]):
    """Names of a function: a short text stands for each."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, name: str) -> Any:
        if name in self._known or hasattr(builtins, name):
            raise KeyError(name)
        return "x"


def _evaluated(node: ast.expr, space: dict[str, Any]) -> Any:
    code = compile(ast.Expression(node), "expression", "eval")
    return eval(code, space, _Locals(space))


def _flag(node: ast.expr, space: dict[str, Any]) -> Any:
    if re.search(r"\bre\.[A-Z]", ast.unparse(node)):
        return _evaluated(node, space)
    return None


def texts(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Texts to try ``pattern`` with, the longest of which have :data:`LONG` characters."""
    source = pattern.pattern
    if isinstance(source, bytes):
        source = source.decode("latin-1")
    tree = _parser.parse(source, pattern.flags)
    found: dict[tuple[str, str], None] = {}
    for before, item in _repeats(tree, ""):
        found |= dict.fromkeys((before, sample) for sample in _samples(item) if sample)
    whole = _least(tree)
    own = [sample for _, sample in found if len(sample) == 1]
    for char in dict.fromkeys((*SINGLE, *own[:4])):
        yield char * LONG
    count = 0
    for before, sample in found:
        for text in (
            *(before + sample * (DERIVED // len(sample)) + stop for stop in STOPS),
            (before + sample) * (DERIVED // len(before + sample)) + "\0",
            (before + sample * 2 + "\n") * (DERIVED // len(before + sample * 2 + "\n")),
        ):
            count += 1
            if count <= MOST_TEXTS:
                yield text
    if whole:
        yield whole * (DERIVED // len(whole))
        yield whole[:-1] * (DERIVED // len(whole))


def _repeats(tree: Sequence[Any], before: str) -> Iterator[tuple[str, Any]]:
    """Each repeat below ``tree``, with a text that leads there."""
    for kind, value in tree:
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            _, most, item = value
            if most > 50:
                yield before, item
            yield from _repeats(item, before)
        elif kind is sre.SUBPATTERN:
            yield from _repeats(value[3], before)
        elif kind is sre.BRANCH:
            for branch in value[1]:
                yield from _repeats(branch, before)
        elif kind is sre.ATOMIC_GROUP:
            yield from _repeats(value, before)
        elif kind in (sre.ASSERT, sre.ASSERT_NOT) and value[0] > 0:
            yield from _repeats(value[1], before)
        before += _least([(kind, value)])


def _least(tree: Sequence[Any]) -> str:
    """A short text that ``tree`` matches."""
    return next(iter(_samples(tree)), "")


def _samples(tree: Sequence[Any]) -> list[str]:
    """A few short texts that ``tree`` matches, as far as that can be told without trying."""
    made = [""]
    for kind, value in tree:
        options = _options(kind, value)
        made = [text + option for text in made for option in options][:MOST_SAMPLES]
    return made


def _options(kind: Any, value: Any) -> list[str]:
    if kind is sre.LITERAL:
        return [chr(value)]
    if kind is sre.NOT_LITERAL:
        return [char for char in "a 0\n" if ord(char) != value][:2]
    if kind is sre.ANY:
        return ["a", " "]
    if kind is sre.IN:
        return _of_class(value)
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, most, item = value
        return [text * max(least, min(1, most)) for text in _samples(item)]
    if kind is sre.SUBPATTERN:
        return _samples(value[3])
    if kind is sre.ATOMIC_GROUP:
        return _samples(value)
    if kind is sre.BRANCH:
        return [_least(branch) for branch in value[1]][:MOST_SAMPLES]
    return [""]


def _of_class(items: Sequence[Any]) -> list[str]:
    """Characters of a class: blanks, letters and digits first, which others match as well."""
    found: list[str] = []
    for char in (*" a0\n/-.", *map(chr, range(33, 127)), "\t", "\0", "\u00e9"):
        if _in_class(char, items):
            found.append(char)
    return found[:MOST_SAMPLES] or [""]


def _in_class(char: str, items: Sequence[Any]) -> bool:
    inside, negated = False, False
    for kind, value in items:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.LITERAL:
            inside |= ord(char) == value
        elif kind is sre.RANGE:
            inside |= value[0] <= ord(char) <= value[1]
        elif kind is sre.CATEGORY:
            inside |= _in_category(char, str(value))
    return inside != negated


def _in_category(char: str, category: str) -> bool:
    negated = "NOT" in category
    if "DIGIT" in category:
        return char.isdigit() != negated
    if "SPACE" in category:
        return char.isspace() != negated
    return (char.isalnum() or char == "_") != negated
