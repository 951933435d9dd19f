"""Takes secret values out of text, in every form in which a program may print them."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import urllib.parse
from collections.abc import Iterable, Iterator

SHORTEST = 6
"""Values with fewer characters are left alone: hiding "true" or "8443" hides the message itself."""

FRAME = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM file (RFC 7468), which is no secret."""

MANY_LINES = 200
"""The lines of a longer value are hidden only as they stand: each form costs time."""


class Redactor:
    """Replaces registered values by ``***``."""

    def __init__(self) -> None:
        self._patterns: set[str] = set()
        self._regex: re.Pattern[str] | None = None

    def add(self, value: str) -> bool:
        """Hide ``value`` from now on; false when it is too short to be hidden."""
        lines = [line.strip() for line in value.splitlines()]
        parts = {part for part in (value, value.strip(), *lines) if _can_be_hidden(part)}
        if not any(part in parts for part in lines):
            return False
        self._patterns |= set(_forms(value, parts))
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


def _can_be_hidden(part: str) -> bool:
    return len(part.strip()) >= SHORTEST and not FRAME.fullmatch(part.strip())


def _forms(value: str, parts: Iterable[str]) -> Iterator[str]:
    parts = set(parts)
    yield from parts
    if len(parts) > MANY_LINES:
        parts = {value}
    for part in parts:
        yield from _escaped(part)
        yield part.encode().hex()
        yield part.encode().hex().upper()
        yield from _base64(part.encode())
    for whole in (value, value.strip(), value.strip() + "\n"):
        yield from _wrapped_base64(whole.encode())


def _escaped(part: str) -> Iterator[str]:
    """As JSON, URLs, HTML, shells, HCL, YAML and Python write it, in the usual spellings."""
    for ascii_only in (True, False):
        written = json.dumps(part, ensure_ascii=ascii_only)[1:-1]
        yield written
        # Go's encoder, and so Terraform's jsonencode, escapes these three as well
        yield re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", written)
    for safe in ("/", ""):
        quoted = urllib.parse.quote(part, safe=safe)
        yield quoted
        yield re.sub("%..", lambda found: found[0].lower(), quoted)
    yield urllib.parse.quote_plus(part)
    yield html.escape(part)
    yield html.escape(part, quote=False).replace("'", "&#39;").replace('"', "&#34;")
    yield shlex.quote(part)
    yield part.replace("'", "'\\''")
    yield part.replace("'", "''")
    yield part.replace("${", "$${").replace("%{", "%%{")
    yield repr(part)[1:-1]


def _base64(raw: bytes) -> Iterator[str]:
    """Base64 text that betrays ``raw`` at each of the three alignments inside a longer message.

    The characters at either edge also depend on the neighbouring bytes, so they are left out.
    """
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        start = (0, 2, 3)[offset]
        stop = len(padded) - (1 if (offset + len(raw)) % 3 else 0)
        if len(inner := padded[start:stop]) >= SHORTEST:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))


def _wrapped_base64(raw: bytes) -> Iterator[str]:
    """The lines of base64 as PEM (64 characters) and MIME and coreutils (76) wrap it."""
    encoded = base64.b64encode(raw).decode()
    for width in (64, 76):
        for start in range(0, len(encoded), width):
            if len(line := encoded[start : start + width].rstrip("=")) >= SHORTEST:
                yield line
