"""Reads which variables a shell file exports, without running it.

What only running would tell is not guessed: a value that comes from a command, from a question or
from somewhere else is named, and so is what a condition decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from barehub.migration.shell_words import (
    BACKSLASH,
    LITERAL,
    NAME,
    QUOTED,
    NotShell,
    Operator,
    Reference,
    Unknown,
    Word,
    Words,
)

__all__ = ["EMPTY", "UNSET", "Left", "NotShell", "Script", "exports", "read"]

_EXPORT = re.compile(rf"^[ \t]*export[ \t]+{NAME}=", re.M)

_DOTENV = re.compile(
    r"""[ \t]*+(?:export[ \t]++)?([A-Za-z_][\w.-]*+)[ \t]*+=[ \t]*+
        ((?:[^\s"'`$\\;\#][^\s"'`$\\;]*+(?:[ \t]++[^\s"'`$\\;\#][^\s"'`$\\;]*+)*+)?+)
        [ \t]*+(?:(?<=[ \t])\#[^\n]*+)?+(?=\n|\Z)""",
    re.X,
)
"""A line of a dotenv file on whose meaning all its readers agree, even with ``&`` or spaces."""

_OPENING, _BETWEEN = ("if", "while", "until", "for", "case", "select", "{"), ("then", "do", "else")
_CLOSING = ("fi", "done", "esac", "}")
_DECLARING = ("export", "declare", "typeset", "readonly", "local")
_IDLE = ("echo", "printf", ":", "true", "test", "[", "[[", "return", "exit", "set", "shift")
_WITH_ARGUMENT = "pntduaiN"
"""Options of ``read`` that take the next word."""

CONDITION, UNSET = "is set under a condition", "is unset"
EMPTY = "is empty, which SOPS does not protect"
ASKED = "is asked for"

LONGEST = 1024 * 1024
"""Characters of a value; of names that stand for others twice there may be any number."""


@dataclass(frozen=True)
class Left:
    """A variable whose value is not in the file, where it is set, and why."""

    name: str
    line: int
    reason: str


@dataclass(frozen=True)
class Script:
    """The exported variables; ``more`` when there is more in the file than these."""

    values: Mapping[str, str] = field(repr=False)
    lines: Mapping[str, int]
    left: Sequence[Left]
    more: bool


def exports(text: str) -> bool:
    """Whether ``text`` looks like a shell file that exports something."""
    return bool(_EXPORT.search(text))


def read(text: str, *, dotenv: bool = False) -> Script:
    """The variables that sourcing ``text`` would set.

    :param dotenv: all are exported, and values that dotenv's readers and shells take for different
        things are left.
    :raises NotShell: a quote or a bracket is not closed.
    """
    reading = _Reading(dotenv)
    reading.run(text.replace("\r\n", "\n"))
    return reading.result()


@dataclass
class _Value:
    text: str | None
    line: int
    reason: str = ""
    lost: bool = False
    """Whether something stands there that the text does not tell."""


@dataclass
class _Block:
    """An ``if``, a loop, a function, a subshell: ``tested`` is the name in ``[ -z "$name" ]``."""

    kind: str
    tested: str = ""


class _Reading:
    """What is known of the variables while the commands are gone through."""

    def __init__(self, dotenv: bool) -> None:
        self.dotenv = dotenv
        self.values: dict[str, _Value] = {}
        self.exported: dict[str, bool] = {}
        """Each name, and whether it is sure that it is."""
        self.used: set[str] = set()
        self.more = False
        self._all_exported: bool | None = dotenv  # None: that cannot be told
        self._at_begin: bool | None = dotenv
        self._blocks: list[_Block] = []
        self._before = "\n"
        self._was_sure = True
        self._touched: set[str] = set()

    def run(self, text: str) -> None:
        source = Words(text)
        command: list[Word] = []
        redirected = False
        if self.dotenv:
            self._plain_lines(source)
        for token in source:
            if isinstance(token, Word):
                if redirected:
                    redirected = False
                else:
                    command.append(token)
                continue
            redirected = token.text in ("<", ">", ">>", "<<<")
            if redirected:
                self.more |= token.text.startswith(">")
                continue
            self._end(command, token)
            command = []
            if self.dotenv and token.text == "\n":
                self._plain_lines(source)
        self._end(command, Operator("\n", source.line))

    def result(self) -> Script:
        values, left = {}, []
        for name, value in self.values.items():
            reason = value.reason or self._unexported(name)
            unused = bool(value.text) and name not in self.used
            self.more |= value.lost or (unused and bool(reason))
            if not reason and value.text:
                values[name] = value.text
            elif name in self.exported or value.reason == UNSET or name not in self.used:
                left.append(
                    Left(name, value.line, reason or "is empty, which SOPS does not protect")
                )
        lines = {name: self.values[name].line for name in values}
        return Script(values, lines, left, self.more)

    def _unexported(self, name: str) -> str:
        if name not in self.exported:
            return "is not exported"
        return "" if self.exported[name] else CONDITION

    def _plain_lines(self, source: Words) -> None:
        while found := _DOTENV.match(source.text, source.at):
            self._store(found[1], _Value(found[2], source.line))
            source.at = min(found.end() + 1, len(source.text))

    def _end(self, command: list[Word], operator: Operator) -> None:
        """``command`` is complete: ``operator`` follows it."""
        command = self._without_reserved(command)
        if operator.text == ")" and self._blocks and self._blocks[-1].kind == "case":
            return  # the words were a pattern
        if self.dotenv and command and command[0].name and (command[1:] or operator.text != "\n"):
            reason = "has more behind its value"
            self._store(command[0].name, _Value(None, command[0].line, reason, lost=True))
        elif command:
            sure = not self._blocks and operator.text not in ("|", "&")
            if self._before in ("&&", "||", "|"):
                sure &= self._before == "&&" and self._was_sure
            self._was_sure = self._command(command, sure) and sure
        self._before = operator.text
        if operator.text == "&":
            self._forget()
        if operator.text in ("&", ";", "\n") and not self._blocks:
            self._touched.clear()
            self._at_begin = self._all_exported
        if operator.text == "(":
            self._blocks.append(_Block("("))
        elif operator.text == ")" and self._blocks:
            self._blocks.pop()

    def _forget(self) -> None:
        """All of this list ran in the background, where it set nothing."""
        self._all_exported = self._at_begin
        for name in self._touched:
            self.exported[name] = False
            self.values[name] = _Value(None, self.values[name].line, CONDITION, lost=True)

    def _without_reserved(self, command: list[Word]) -> list[Word]:
        while command and not command[0].name:
            word = command[0].literal if QUOTED not in command[0].forms else None
            if word in _OPENING:
                self._blocks.append(_Block(str(word), _tested(command[1:])))
                if word in ("for", "case", "select"):
                    return []
            elif word in _CLOSING:
                if self._blocks:
                    self._blocks.pop()
            elif word == "elif":
                if self._blocks:
                    self._blocks[-1].tested = _tested(command[1:])
            elif word not in (*_BETWEEN, "!"):
                break
            command = command[1:]
        return command

    def _command(self, command: list[Word], sure: bool) -> bool:
        """Take note of what ``command`` does; whether it only set variables."""
        if all(word.name for word in command):
            for word in command:
                self._store(word.name, self._value(word, sure))
            return True
        program, words = command[0].literal or "", command[1:]
        if program in _DECLARING:
            self._declare(program, words, sure)
        elif program == "unset":
            self._unset(words, sure)
        elif program == "read":
            self._ask(words)
        elif program not in _IDLE:
            self.more = True
        if program == "set" and words:
            self._set([word.literal for word in words], sure)
        return program in (*_DECLARING, "unset", "set")

    def _declare(self, program: str, words: list[Word], sure: bool) -> None:
        options = "".join(w.literal or "" for w in words if (w.literal or "").startswith("-"))
        assigned = [_assignment(word) for word in words]
        # all words are expanded before the first of them is assigned
        values = [self._value(word, sure) if word.name else None for word in assigned]
        for word, value in zip(assigned, values, strict=True):
            name = word.name or word.literal or ""
            if value:
                self._store(name, value)
            if re.fullmatch(NAME, name) and (program == "export" or "x" in options):
                self.exported[name] = sure or self.exported.get(name, False)
                self.values.setdefault(name, _Value(None, word.line, "is not set there"))
                self._touched.add(name)

    def _value(self, word: Word, sure: bool) -> _Value:
        text, reason = self._text(word), ""
        if self.dotenv and _ambiguous(word):
            reason = "is read differently by different programs: quote it"
        elif not sure:
            reason = CONDITION
        elif word.appends or text is None:
            reason = self._reason(word)
        lost = any(piece and not isinstance(piece, Reference) for piece in word.pieces)
        return _Value(None, word.line, reason, lost) if reason else _Value(text, word.line)

    def _reason(self, word: Word) -> str:
        """Why it is not known what ``word`` is."""
        for piece in word.pieces:
            known = self.values.get(piece.name) if isinstance(piece, Reference) else None
            if known and known.reason.startswith(ASKED):
                return known.reason if known.reason != ASKED else f"{ASKED} (line {known.line})"
        return "is not a literal"

    def _store(self, name: str, value: _Value) -> None:
        self.values[name] = value
        self._touched.add(name)
        if self._all_exported:
            self.exported[name] = True
        elif self._all_exported is None:
            self.exported.setdefault(name, False)

    def _text(self, word: Word) -> str | None:
        """The value, if all that it is made of is known."""
        texts = []
        for piece in word.pieces:
            if isinstance(piece, Reference):
                self.used.add(piece.name)
                known = self.values.get(piece.name)
                if known is None or known.text is None:
                    return None
                texts.append(known.text)
                if sum(map(len, texts)) > LONGEST:
                    return None
            elif isinstance(piece, Unknown):
                return None
            else:
                texts.append(piece)
        return "".join(texts)

    def _unset(self, words: list[Word], sure: bool) -> None:
        for word in words:
            name = word.literal or ""
            known = self.values.get(name)
            if not re.fullmatch(NAME, name):
                continue
            if known and known.text and self._blocks and self._blocks[-1].tested == name:
                continue  # only when it is empty, which it is not
            if sure:
                self.values[name] = _Value(None, word.line, UNSET)
                self.exported.pop(name, None)
            elif known:
                reason = EMPTY if known.text == "" else "is unset under a condition"
                self.values[name] = _Value(None, word.line, reason, lost=bool(known.text))
                self.exported[name] = False

    def _ask(self, words: list[Word]) -> None:
        skip = False
        for word in words:
            text = word.literal or ""
            if not skip and re.fullmatch(NAME, text):
                self.values[text] = _Value(None, word.line, ASKED)
            skip = not skip and text.startswith("-") and text[-1] in _WITH_ARGUMENT

    def _set(self, words: list[str | None], sure: bool) -> None:
        switched = {"-a": True, "+a": False, "-o": True, "+o": False}.get(words[0] or "")
        about_export = words[0] in ("-a", "+a") or words[1:2] == ["allexport"]
        if about_export and not self.dotenv:
            self._all_exported = switched if sure else None


def _assignment(word: Word) -> Word:
    """``"name=value"``, quoted as a whole, is an assignment as well where one is expected."""
    found = re.match(rf"({NAME})=", word.literal or "")
    if word.name or not found:
        return word
    return Word(word.line, found[1], False, [str(word.literal)[found.end() :]], [QUOTED])


def _tested(condition: list[Word]) -> str:
    """The name in ``[ -z "$name" ]``: what is then unset was empty."""
    if [word.literal for word in condition[:2]] in (["[", "-z"], ["test", "-z"], ["[[", "-z"]):
        pieces = [piece for piece in condition[2].pieces if piece] if condition[2:] else []
        if len(pieces) == 1 and isinstance(pieces[0], Reference):
            return pieces[0].name
    return ""


def _ambiguous(word: Word) -> bool:
    """Whether the readers of dotenv files and shells differ on it."""
    quoted = QUOTED in word.forms and len({*word.forms}) > 1
    bare = (text for text, form in zip(word.pieces, word.forms, strict=True) if form == LITERAL)
    blank = any(isinstance(text, str) and any(map(str.isspace, text)) for text in bare)
    return quoted or blank or BACKSLASH in word.forms
