"""The patterns of ``path_regex`` that mean the same in sops, which Go's RE2 reads, and in Python.

RE2 cannot be made to hang (https://github.com/google/re2/wiki/Syntax), Python's ``re`` can: so only
what is read here is let through, and only as many choices as a short path can go through.
"""

from __future__ import annotations

import re

LONGEST = 255
"""Characters of a path that a pattern is tried on."""

MOST = 256**3
"""Ways through a pattern: ``.*`` has about as many as a path has characters."""

DEEPEST = 10

_ESCAPED = r"\\[!-/:-@\[-`{-~]"
_IN_CLASS = rf"(?:{_ESCAPED}|[^\\\[\]&~|^-])"
_ATOM = re.compile(
    rf"{_ESCAPED}|\\[dw]|[^\\.+*?()|\[\]{{}}^$]|\."
    rf"|\[\^?-?(?:{_IN_CLASS}-{_IN_CLASS}|{_IN_CLASS}|\\[dw])+-?\]"
)
_TIMES = re.compile(r"[*+]|\{\d{1,3}(?:,\d{0,3})?\}")


def compiled(text: object) -> re.Pattern[str]:
    """:raises ValueError: it is malformed, or not of the simple kind."""
    if not isinstance(text, str):
        raise ValueError
    try:
        return re.compile(_Reader(text).translated(), re.ASCII)
    except re.error:
        raise ValueError from None


class _Reader:
    """Reads a pattern from left to right, and writes it as Python has it."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._made: list[str] = []

    def translated(self) -> str:
        if self._choice() > MOST or self._at < len(self._text):
            raise ValueError
        return "".join(self._made)

    def _choice(self) -> int:
        """Reads branches; the number of ways through them, as all of these methods say."""
        ways = self._branch()
        while self._took("|"):
            ways += self._branch()
        return ways

    def _branch(self) -> int:
        anchored = self._depth or self._text.startswith("^", self._at)
        ways = 1 if anchored else LONGEST  # places to begin at
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            ways *= self._piece()
        return ways

    def _piece(self) -> int:
        if self._took("^"):
            return 1
        if self._took("$", r"\Z"):  # Python's own also matches before a last line break
            return 1
        if self._took("(?:") or self._took("("):
            return self._group()
        self._take(_ATOM)
        if times := _TIMES.match(self._text, self._at):
            self._took(times[0])
            return LONGEST
        return 1 + self._took("?")

    def _group(self) -> int:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError
        ways = self._choice()
        if not self._took(")"):
            raise ValueError
        self._depth -= 1
        return ways + self._took("?")

    def _take(self, kind: re.Pattern[str]) -> None:
        found = kind.match(self._text, self._at)
        if not found:
            raise ValueError
        self._took(found[0])

    def _took(self, token: str, written: str | None = None) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        self._made.append(token if written is None else written)
        return True
