"""Splits a recipe that is a secret as a whole: its secret literals, and the rest, which is none.

What a stage's module takes becomes a placeholder there, which the vault fills (see
:mod:`barehub.terraform.recipe`); a literal elsewhere becomes a variable of the recipe's own, which
the vault fills, too. All else stays as it is, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from barehub import suspicion
from barehub.errors import RecipeError
from barehub.migration.literals import Argument, Leaf, NotLiteral, meaning, parse
from barehub.project import STAGES
from barehub.suspicion import SHORTEST

BOM = "\ufeff"
"""What editors on Windows put before a text."""

IN_THE_VAULT = '"<vault>"'

_META = ("source", "version", "providers", "count", "for_each", "depends_on")
_NEEDED = ("source", "version", "domain")
"""Arguments that are needed before, or without, the vault."""

_OWN = """
variable "{name}" {{
  type      = string
  sensitive = true
}}
"""

_PROSE = ("description", "error_message")
_SCHEMES = re.compile(r"\b(Bearer|Basic|token)\b", re.I)
_NUMERIC = re.compile(r"(password|passphrase|passcode|secret|token|pin)$", re.I)


@dataclass(frozen=True)
class Split:
    """``values`` is for the vault's variables, by name; ``lines`` says where each stood.

    ``comments`` are the lines of comments that other secrets were taken out of. ``short`` names
    values that were too short to see that the rest does not hold them.
    """

    text: str
    values: Mapping[str, Any] = field(repr=False)
    lines: Mapping[str, int]
    comments: Sequence[int]
    short: Sequence[str]


def is_recipe(text: str) -> bool:
    """Whether ``text`` calls the modules of all stages.

    :raises RecipeError: it is not HCL.
    """
    if any(not re.search(rf'module\s+"?{stage}\b', text) for stage in STAGES):
        return False  # without the parser, which is slow
    blocks = parse(text.removeprefix(BOM), "it").blocks
    return all(("module", stage) in blocks for stage in STAGES)


def assignments(text: str, shown: str) -> dict[str, Any]:
    """The values in a ``.tfvars`` file.

    :raises RecipeError: it is not HCL, or one of them is no literal.
    """
    values = {}
    text = text.removeprefix(BOM)
    for argument in parse(text, shown).arguments:
        try:
            if argument.kind:
                raise NotLiteral
            values[argument.name] = meaning(argument.expression, text)
        except NotLiteral:
            raise RecipeError(
                f"{shown} line {argument.line}: {argument.name} is no literal"
            ) from None
    return values


def split(text: str, shown: str) -> Split:
    """Take the secrets out of the recipe ``text``.

    :param shown: its name in errors.
    :raises RecipeError: it cannot be done, by the line: the vault has no place for a secret that
        stands there, or the rest would still hold it.
    """
    return _Splitting(text, shown).result()


class _Splitting:
    """The work on one recipe: ``edits`` (start, stop, new text) are made at the end."""

    def __init__(self, text: str, shown: str) -> None:
        self.shown = shown
        self.mark = text[: text.startswith(BOM)]
        self.file = parse(text.removeprefix(BOM), shown)
        self.values: dict[str, Any] = {}
        self.lines: dict[str, int] = {}
        self.secrets: dict[str, list[str]] = {}
        """By name, the texts in a value that must not stand anywhere else."""
        self.edits: list[tuple[int, int, str]] = []
        self.own: list[str] = []
        self.taken: set[int] = set()

    @cached_property
    def parts(self) -> list[tuple[Argument, list[Leaf]]]:
        return [(argument, argument.leaves()) for argument in self.file.arguments]

    def result(self) -> Split:
        known = -1
        while known < len(self.taken):  # what repeats a secret is one as well
            known = len(self.taken)
            for argument, leaves in self.parts:
                self._take(argument, leaves)
        comments = self._clean_comments()
        text = self.file.text
        for start, stop, new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[stop:]
        newline = "\r\n" if "\r\n" in text else "\n"
        text += "".join(_OWN.format(name=name).replace("\n", newline) for name in self.own)
        self._refuse_rest(text)
        short = [name for name, texts in self.secrets.items() if not texts]
        return Split(self.mark + text, self.values, self.lines, comments, short)

    def _take(self, argument: Argument, leaves: list[Leaf]) -> None:
        """Take the secrets out of one argument."""
        left = [leaf for leaf in leaves if leaf.start not in self.taken]
        secret = [leaf for leaf in left if self._is_secret(_name(argument, leaf), leaf)]
        if not secret:  # credentials = { a = "…" }: none of it has a name that tells
            secret = [leaf for leaf in left if self._is_secret(_name(argument), leaf)]
        if not secret:
            return
        self._see_place(argument, secret)
        whole = self._whole(argument) if left == leaves else None
        if whole is not None and argument.kind == "variable":
            self._store(argument.label, whole, argument, secret)
            self.edits.append((argument.start, argument.whole[1], "/* default: in the vault */"))
        elif whole is not None and _of_stage(argument):
            self._store(argument.name, whole, argument, secret)
            self.edits.append((*argument.whole, IN_THE_VAULT))
        else:
            for leaf in secret:
                self._replace(argument, leaf)
            leaves = secret
        self.taken |= {leaf.start for leaf in leaves}

    def _see_place(self, argument: Argument, secret: list[Leaf]) -> None:
        """:raises RecipeError: the vault cannot fill the place."""
        default = argument.kind == "variable" and argument.name == "default" and not argument.inner
        fixed = argument.kind in ("terraform", "variable") and not default
        if fixed or (argument.kind == "module" and argument.name in _META):
            raise self._refused(argument, secret[0], "Terraform takes no variable there")
        if default and self._whole(argument) is None:
            raise self._refused(argument, secret[0], "the vault cannot hold it")
        if _of_stage(argument) and argument.name in _NEEDED:
            raise self._refused(argument, secret[0], "barehub needs it in the recipe")

    def _is_secret(self, name: str, leaf: Leaf) -> bool:
        text = leaf.written
        if self._repeated(leaf):
            return True
        if leaf.numeric:
            return leaf.valued and bool(_NUMERIC.search(name))
        if leaf.valued and name not in _PROSE and suspicion.holds(leaf.template("${}")):
            return True
        if leaf.text is None and suspicion.named(name):
            return leaf.valued and len(_SCHEMES.sub("", text).strip()) >= SHORTEST
        return suspicion.secret(name if leaf.valued else "", text)

    def _repeated(self, leaf: Leaf) -> str:
        """The name of a value that stands in ``leaf`` as well."""
        forms = (leaf.written, leaf.raw)
        for name, texts in self.secrets.items():
            if any(text in form for text in texts for form in forms):
                return name
        return ""

    def _whole(self, argument: Argument) -> Any:
        """The value of the argument; None if it is no literal, or the vault cannot hold it."""
        try:
            value = meaning(argument.expression, self.file.text)
        except NotLiteral:
            return None
        return None if any(part in (None, "") for part in _parts(value)) else value

    def _replace(self, argument: Argument, leaf: Leaf) -> None:
        """Make one literal a variable of the recipe's own."""
        if leaf.text is None:
            raise self._refused(argument, leaf, "it is mixed with references: give it a variable")
        if not leaf.valued and not suspicion.formed(leaf.text):
            raise self._refused(argument, leaf, "it is no value there")
        prefix = "" if argument.kind in ("locals", "") else argument.label
        base = leaf.name if leaf.name.startswith(prefix) else f"{prefix}_{leaf.name}"
        name = self._free(re.sub(r"\W", "_", base), leaf.text)
        self._store(name, leaf.text, argument, [leaf])
        if name not in self.own:
            self.own.append(name)
        self.edits.append((leaf.start, leaf.stop, f"var.{name}"))

    def _free(self, base: str, text: str) -> str:
        name, number = base, 1
        there = {label for kind, label in self.file.blocks if kind == "variable"}
        while (name in there) or self.values.get(name, text) != text:
            number += 1
            name = f"{base}_{number}"
        return name

    def _store(self, name: str, value: Any, argument: Argument, secret: list[Leaf]) -> None:
        if name in self.values and json.dumps(self.values[name]) != json.dumps(value):
            raise RecipeError(
                f"{self.shown}: {name} has one value in line {self.lines[name]} and another in "
                f"line {argument.line}: the vault has one for all modules",
                f"{self.shown}   # let one refer to the other: {name} = module.provider.{name}",
            )
        self.values[name] = value
        self.lines.setdefault(name, argument.line)
        self.secrets.setdefault(name, []).extend(form for leaf in secret for form in _forms(leaf))

    def _clean_comments(self) -> list[int]:
        """Take the secrets out of the comments; the lines where there were unknown ones."""
        found = []
        known = sorted((t for texts in self.secrets.values() for t in texts), key=len, reverse=True)
        within = [(start, stop) for start, stop, _ in self.edits]
        for start, stop in self.file.between():
            if any(one <= start and stop <= other for one, other in within):
                continue  # goes with the argument that it stands in
            comment = self.file.text[start:stop]
            without = comment
            for secret in known:
                without = without.replace(secret, suspicion.REMOVED)
            cleaned = suspicion.cleaned(without)
            if cleaned != comment:
                self.edits.append((start, stop, cleaned))
            first = self.file.text.count("\n", 0, start) + 1
            found += [first + n for n in suspicion.changed_lines(without, cleaned)]
        return found

    def _refuse_rest(self, text: str) -> None:
        """See that no secret is left in what is no secret any more, and that it is HCL."""
        for name, texts in self.secrets.items():
            for secret in texts:
                if (at := text.find(secret)) >= 0:
                    line = text.count("\n", 0, at) + 1
                    raise RecipeError(
                        f"{self.shown}: the value of {name} (line {self.lines[name]}) also stands "
                        f"near line {line}, where it cannot be taken out",
                        f"{self.shown}   # give {name} a new value that is no common word, commit",
                    )
        parse(text, f"{self.shown}, once split,")

    def _refused(self, argument: Argument, leaf: Leaf, reason: str) -> RecipeError:
        name = self._repeated(leaf)
        what = f"the value of {name}" if name else "a secret"
        return RecipeError(
            f"{self.shown} line {argument.line}: {argument.name} holds {what}, and {reason}",
            f"{self.shown}   # change that, commit, and import again",
        )


def _forms(leaf: Leaf) -> Iterator[str]:
    """As it is, as HCL writes it, and the telling lines of a longer one."""
    text = leaf.written.strip()
    if len(text) < SHORTEST:
        return
    yield text
    if (escaped := json.dumps(text, ensure_ascii=False)[1:-1]) != text:
        yield escaped
    yield from (line.strip() for line in text.splitlines()[1:] if suspicion.random(line.strip()))


def _name(argument: Argument, leaf: Leaf | None = None) -> str:
    """What tells whether it is a secret; of the default of a variable that is the variable's."""
    default = argument.kind == "variable" and argument.name == "default"
    name = leaf.name if leaf else argument.name
    return argument.label if default and name == "default" else name


def _of_stage(argument: Argument) -> bool:
    return argument.kind == "module" and argument.label in STAGES and not argument.inner


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item)
    else:
        yield value
