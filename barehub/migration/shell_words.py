"""Cuts a shell file into words and operators (POSIX 2.3, Token Recognition), running nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

NAME = r"[A-Za-z_][A-Za-z0-9_]*"

_ASSIGNMENT = re.compile(rf"({NAME})\+?=")
_OPERATOR = re.compile(r"&&|\|\||;;|<<<|<<-?|>>|[;&|<>()\n]")
_REFERENCE = re.compile(rf"\$(?:({NAME})|\{{({NAME})\}})")
_SPECIAL = re.compile(r"\$[0-9@*#?$!-]")
_PLAIN = re.compile(r"[^ \t\n\"'`$\\;&|<>()~:]+|:(?!~)|~")
_ESCAPED_IN_QUOTES = '$`"\\\n'

_BLANKS = " \t"
"""What bash and dash take for blanks: no-break spaces, form feeds and carriage returns are not."""

LITERAL, QUOTED, BACKSLASH = "l", "q", "b"
"""How a piece of a word is written: as it is, in one pair of quotes, with a backslash that dialects
of dotenv take for different things."""


class NotShell(Exception):
    """What this is cannot be a shell file; names the line."""


@dataclass(frozen=True)
class Reference:
    """``$name`` or ``${name}``."""

    name: str


class Unknown:
    """What only running the file would tell: ``$(…)``, ``~``, ``${a:-b}``."""


Piece = str | Reference | Unknown


@dataclass
class Word:
    """A word; in ``name=value`` the pieces are those of the value."""

    line: int
    name: str = ""
    appends: bool = False
    pieces: list[Piece] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)

    @property
    def literal(self) -> str | None:
        """The text, if it is nothing but text."""
        texts = [piece for piece in self.pieces if isinstance(piece, str)]
        return "".join(texts) if len(texts) == len(self.pieces) else None

    def add(self, piece: Piece, form: str = LITERAL) -> None:
        self.pieces.append(piece)
        self.forms.append(form)


@dataclass(frozen=True)
class Operator:
    """``;``, a newline and their like; here-documents are left out with their operator."""

    text: str
    line: int


class Words:
    """The words of ``text``; ``at`` is where it is being read."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self._line, self._counted = 1, 0
        self._documents: list[tuple[str, bool]] = []

    def __iter__(self) -> Iterator[Word | Operator]:
        """:raises NotShell: a quote or a bracket is not closed."""
        while (start := self.at) < len(self.text):
            char = self.text[start]
            if char in _BLANKS:
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                self._pass(r"[^\n]*")
            elif found := _OPERATOR.match(self.text, self.at):
                line = self.line
                self.at = found.end()
                if found[0] in ("<<", "<<-"):
                    self._begin_document(found[0] == "<<-")
                    continue
                if found[0] == "\n":
                    self._pass_documents()
                yield Operator(found[0], line)
            else:
                word = self._word()
                assert self.at > start, "a word has characters"
                yield word

    @property
    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _word(self) -> Word:
        word = Word(self.line)
        if found := _ASSIGNMENT.match(self.text, self.at):
            word.name, word.appends = found[1], found[0].endswith("+=")
            self.at = found.end()
            if self.text.startswith("(", self.at):
                self._pass_brackets("(", ")")
                word.add(Unknown())
        start = self.at
        while (here := self.at) < len(self.text) and not self._ends():
            self._piece(word, first=here == start)
            assert self.at > here, "a piece has characters"
        return word

    def _ends(self) -> bool:
        return self.text[self.at] in _BLANKS or bool(_OPERATOR.match(self.text, self.at))

    def _piece(self, word: Word, *, first: bool) -> None:
        char = self.text[self.at]
        if char == "'":
            end = self._find("'", self.at + 1)
            word.add(self.text[self.at + 1 : end], QUOTED)
            self.at = end + 1
        elif char == '"':
            self.at += 1
            self._double_quoted(word)
        elif char == "\\":
            if self.text.startswith("\\\n", self.at):
                word.add(Unknown())  # the two lines may make something else than two words
            else:
                word.add(self.text[self.at + 1 : self.at + 2], BACKSLASH)
            self.at += 2
        elif char in "$`":
            self._expansion(word, LITERAL)
        elif self.text.startswith(":~", self.at) or (char == "~" and first):
            self._pass(r":?~[\w.+-]*")
            word.add(Unknown())
        else:
            found = _PLAIN.match(self.text, self.at)
            assert found
            word.add(found[0])
            self.at = found.end()

    def _double_quoted(self, word: Word) -> None:
        begun, form = self.line, QUOTED
        text = ""
        while self.at < len(self.text) and (char := self.text[self.at]) != '"':
            if char in "$`":
                word.add(text, form)
                text = ""
                self._expansion(word, form)
                continue
            if char == "\\" and self.text[self.at + 1 : self.at + 2]:
                self.at += 1
                following = self.text[self.at]
                if following not in '"\\':
                    form = BACKSLASH
                char = "\\" + following if following not in _ESCAPED_IN_QUOTES else following
                char = "" if following == "\n" else char
            text += char
            self.at += 1
        if self.at >= len(self.text):
            raise NotShell(f"line {begun}: a quote is not closed")
        word.add(text, form)
        self.at += 1

    def _expansion(self, word: Word, form: str) -> None:
        """What begins with ``$`` or a backquote."""
        if found := _REFERENCE.match(self.text, self.at):
            word.add(Reference(found[1] or found[2]), form)
            self.at = found.end()
            return
        piece: Piece = Unknown()
        if self.text[self.at] == "`":
            self.at = self._find("`", self.at + 1) + 1
        elif self.text.startswith("$(", self.at):
            self.at += 1
            self._pass_brackets("(", ")")
        elif self.text.startswith("${", self.at):
            self.at += 1
            self._pass_brackets("{", "}")
        elif self.text.startswith("$[", self.at):  # bash's old arithmetic
            self.at += 1
            self._pass_brackets("[", "]")
        elif form == LITERAL and self.text.startswith(("$'", '$"'), self.at):
            self._pass(r"""\$'(\\.|[^'\\])*'|\$"(\\.|[^"\\])*\"""")
        elif _SPECIAL.match(self.text, self.at):
            self.at += 2
        elif self.text.startswith("$\\\n", self.at):  # what it begins is on the next line
            self.at += 1
        else:
            piece = "$"
            self.at += 1
        word.add(piece, form)

    def _pass_brackets(self, opening: str, closing: str) -> None:
        """Go on behind the bracket that closes the one that stands here."""
        begun, depth = self.line, 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\":
                self.at += 1
            elif char == "'":
                self.at = self._find("'", self.at + 1)
            elif char == '"':
                self._pass(r'"(\\.|[^"\\])*')
            depth += (char == opening) - (char == closing)
            self.at += 1
            if depth == 0:
                return
        raise NotShell(f"line {begun}: {opening} is not closed")

    def _begin_document(self, indented: bool) -> None:
        self._pass(r"[ \t]*")
        end = self._word().literal if self.at < len(self.text) and not self._ends() else None
        if end is not None:
            self._documents.append((end, indented))

    def _pass_documents(self) -> None:
        for end, indented in self._documents:
            while self.at < len(self.text):
                stop = self.text.find("\n", self.at) % (len(self.text) + 1)
                line, self.at = self.text[self.at : stop], stop + 1
                if (line.lstrip("\t") if indented else line) == end:
                    break
        self._documents.clear()

    def _find(self, what: str, start: int) -> int:
        """Where the quote ``what`` comes next."""
        end = self.text.find(what, start)
        if end < 0:
            raise NotShell(f"line {self.line}: a quote is not closed")
        return end

    def _pass(self, pattern: str) -> None:
        found = re.compile(pattern, re.S).match(self.text, self.at)
        self.at = found.end() if found else len(self.text)
