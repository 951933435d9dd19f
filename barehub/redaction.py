"""Takes secret values out of text, in every form in which a program may print them."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import urllib.parse

SHORTEST = 6
"""Values with fewer characters are left alone: hiding "true" or "8443" hides the message itself."""


class Redactor:
    """Replaces registered values by ``***``."""

    def __init__(self) -> None:
        self._patterns: set[str] = set()
        self._regex: re.Pattern[str] | None = None

    def add(self, value: str) -> bool:
        """Hide ``value`` from now on; false when it is too short to be hidden."""
        if len(value.strip()) < SHORTEST:
            return False
        self._patterns |= forms(value)
        self._regex = None
        return True

    def clean(self, text: str) -> str:
        """``text`` without any registered value."""
        if not self._patterns:
            return text
        if self._regex is None:
            longest_first = sorted(self._patterns, key=len, reverse=True)
            self._regex = re.compile("|".join(map(re.escape, longest_first)))
        return self._regex.sub("***", text)


def forms(value: str) -> set[str]:
    """``value`` as it is, each of its lines, and both in the encodings that programs print."""
    found: set[str] = set()
    for part in (value, *value.splitlines()):
        if len(part.strip()) < SHORTEST or part.startswith("-----"):
            continue
        raw = part.encode()
        found |= {
            part,
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
            urllib.parse.quote(part),
            urllib.parse.quote(part, safe=""),
            urllib.parse.quote_plus(part),
            html.escape(part),
            shlex.quote(part),
            part.replace("${", "$${").replace("%{", "%%{"),
            raw.hex(),
            *_base64_forms(raw),
        }
    return found


def _base64_forms(raw: bytes) -> set[str]:
    """Base64 text that betrays ``raw`` at each of the three alignments inside a longer message.

    The characters at either edge also depend on the neighbouring bytes, so they are left out.
    """
    found = set()
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        start = (0, 2, 3)[offset]
        stop = len(padded) - (1 if (offset + len(raw)) % 3 else 0)
        if len(inner := padded[start:stop]) >= SHORTEST:
            found |= {inner, inner.translate(str.maketrans("+/", "-_"))}
    return found
