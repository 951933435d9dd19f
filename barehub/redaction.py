"""Takes secret values out of text, in every form in which a program may print them.

A value is searched for by the first bytes of each of its forms (Aho-Corasick), and what begins like
one is then compared: so the time for a text depends neither on how many forms there are nor on
their length, and thousands of them are ready within milliseconds.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain

SHORTEST = 6
"""Values with fewer characters are left alone: hiding "true" or "8443" hides the message itself."""

MASK = b"***"

FRAME = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM file (RFC 7468), which is no secret."""

PIECE, OVERLAP = 4096, 16
"""Characters: what is longer is searched for in pieces, which overlap so that no form has a gap."""

MUCH = 64 * 1024
"""Characters of a value whose forms are made; what follows is hidden only as it stands.

The forms of a megabyte would take up to four seconds to make, and 50 MB.
"""

URL_SAFE = ("", "/", "!'()*", "!'()*;,/?:@&=+$#", "$&+=:@", "$&+,/:;=@", "$&+,;=", "*")
"""What besides letters, digits and ``_.-~`` stays as it is: in RFC 3986, Python, JavaScript's
encodeURIComponent and encodeURI, Go's segments, paths and passwords of URLs, HTML forms."""

HTML_QUOTES = (
    ('"', "'"),
    ("&quot;", "'"),
    ("&quot;", "&#x27;"),
    ("&quot;", "&#39;"),
    ("&quot;", "&#039;"),
    ("&quot;", "&apos;"),
    ("&#34;", "&#39;"),
)

_SHELL_SPECIAL = re.compile(r"[ !\"$&'()*,;<>?\[\\\]^`{|}]")
"""What bash's ``printf %q`` puts a backslash before (5.2, measured)."""

_PLAIN = re.compile(r"[A-Za-z0-9+/=_.:@%-]+")
"""What only JSON and URLs write otherwise: the lines of keys, for instance."""

_FOR_HTML = re.compile("[<>&\u2028\u2029]")
_UNICODE = re.compile(r"\\u([0-9a-f]{4})")
_PERCENT = re.compile("%..")
_NON_ASCII = re.compile("[^\0-\x7f]+")

_ANSI_C = {code: f"\\{code:03o}" for code in (*range(32), 127)} | {
    ord(char): f"\\{letter}"
    for char, letter in zip("\a\b\x1b\f\n\r\t\v\\'", "abEfnrtv\\'", strict=True)
}
"""Bash manual, 3.1.2.4: what stands in ``$'…'``."""


class Redactor:
    """Replaces registered values by ``***``."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._new: list[str] = []
        self._forms: set[bytes] = set()
        self._patterns: _Patterns | None = None

    def add(self, value: str) -> bool:
        """Hide ``value`` from now on; false when it is too short to be hidden."""
        if not hidden_lines(value):
            return False
        if value not in self._values:
            self._values.add(value)
            self._new.append(value)
        return True

    def clean(self, text: str) -> str:
        """A whole ``text`` without any registered value."""
        stream = self.stream()
        return stream.feed(text) + stream.end()

    def stream(self) -> Stream:
        """The same for a text that comes in chunks, cut anywhere."""
        return Stream(self)

    @property
    def patterns(self) -> _Patterns | None:
        """All forms of all values, made when they are first needed."""
        if self._new:
            for value in self._new:
                self._forms.update(forms(value))
            self._new.clear()
            self._patterns = _Patterns(self._forms)
        return self._patterns


class Stream:
    """One text in chunks: each is given back at once, but for an end that may become a value."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._hidden = 0
        """Bytes at the beginning of what is held for which a mask was given back already."""

    def feed(self, chunk: str) -> str:
        """What may be shown now of all that was fed."""
        patterns = self._redactor.patterns
        if not patterns:
            return chunk
        text = self._held + _encode(chunk)
        places = patterns.places(text)
        stop = patterns.unfinished(text, places)
        if not places and not self._held and stop == len(text):
            return chunk
        return self._show(patterns, text, places, stop)

    def end(self) -> str:
        """The rest: nothing follows."""
        patterns = self._redactor.patterns
        if not patterns or not self._held:
            return ""
        return self._show(patterns, self._held, patterns.places(self._held), len(self._held))

    @property
    def waiting(self) -> str:
        """What is held back now: the beginning of a value, or of something like it."""
        return _decode(self._held[self._hidden :])

    def awaits(self, chunk: str) -> bool:
        """Whether the value that may have begun would go on with ``chunk``."""
        patterns, text = self._redactor.patterns, self._held + _encode(chunk)
        if not patterns or not self._held:
            return False
        return patterns.unfinished(text, patterns.places(text)) < len(self._held)

    def _show(self, patterns: _Patterns, text: bytes, places: list[int], stop: int) -> str:
        """``text`` up to ``stop`` without what the values cover; the rest is held.

        A value that begins before ``stop`` may end after it.
        """
        shown, at = [], self._hidden
        for start in places:
            if start >= stop:
                break
            end = patterns.end(text, start)
            if end > at:
                if start >= at:
                    shown += [text[at:start], MASK]
                at = end
        shown.append(text[at:stop])
        self._held, self._hidden = text[stop:], max(0, at - stop)
        return _decode(b"".join(shown))


class _Patterns:
    """Byte strings of at least :data:`SHORTEST` bytes: where they are in a text."""

    def __init__(self, patterns: Iterable[bytes]) -> None:
        from ahocorasick_rs import BytesAhoCorasick

        self._sorted = sorted(patterns)
        self._longest = max(map(len, self._sorted))
        self._heads = BytesAhoCorasick({pattern[:SHORTEST] for pattern in self._sorted})

    def places(self, text: bytes) -> list[int]:
        """Where one may begin, in order."""
        return [start for _, start, _ in self._heads.find_matches_as_indexes(text, True)]

    def end(self, text: bytes, start: int) -> int:
        """Where the longest that begins at ``start`` ends; 0 if there is none."""
        window = text[start : start + self._longest]
        while len(window) >= SHORTEST and (index := bisect_right(self._sorted, window)):
            neighbour = self._sorted[index - 1]
            if window.startswith(neighbour):
                return start + len(neighbour)
            # in this order, the neighbour begins with whatever else the window begins with
            bytes_of_both = enumerate(zip(window, neighbour, strict=False))
            window = window[: next(at for at, (mine, its) in bytes_of_both if mine != its)]
        return 0

    def unfinished(self, text: bytes, places: list[int]) -> int:
        """Where the longest end of ``text`` begins that more text could make one; else its length.

        :param places: those of ``text``
        """
        size = len(text)
        whole_heads = places[bisect_right(places, size - self._longest) :]
        for start in chain(whole_heads, range(max(0, size - SHORTEST + 1), size)):
            end = text[start:]
            index = bisect_right(self._sorted, end)
            if index < len(self._sorted) and self._sorted[index].startswith(end):
                return start
        return size


def hidden_lines(value: str) -> list[str]:
    """The lines of ``value`` that are hidden each by itself, without the blanks around them."""
    return [line.strip() for line in value.splitlines() if _can_be_hidden(line)]


def _can_be_hidden(part: str) -> bool:
    return len(part.strip()) >= SHORTEST and not FRAME.fullmatch(part.strip())


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # names of files may hold anything


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def forms(value: str) -> Iterator[bytes]:
    """All byte strings that betray ``value``."""
    parts = _parts(value)
    yield from map(_encode, parts)
    if len(value) > MUCH:
        value = value[:MUCH]
        parts &= _parts(value)
    for part in parts:
        raw = _encode(part)
        if not (part.isascii() and part.isalnum()):
            yield from map(_encode, set(_escaped(part, raw)))
        every = raw.hex("%").encode()
        yield from (b"%" + every, b"%" + every.upper())
        yield from (raw.hex().encode(), raw.hex().upper().encode())
        yield from _base64(raw)
    for whole in (value, value.strip(), value.strip() + "\n"):
        yield from _wrapped_base64(_encode(whole))


def _parts(value: str) -> set[str]:
    """The whole and each of its lines, without the blanks around them, in pieces."""
    return {
        piece
        for part in (value.strip(), *hidden_lines(value))
        for start in range(0, max(1, len(part) - OVERLAP), PIECE - OVERLAP)
        if _can_be_hidden(piece := part[start : start + PIECE].strip())
    }


def _escaped(part: str, raw: bytes) -> Iterator[str]:
    yield from _json(part)
    yield from _url(part)
    if _PLAIN.fullmatch(part):
        return
    yield from _html(part)
    yield from _shell(part)
    yield part.replace("'", "''")  # YAML
    yield repr(part)[1:-1]
    yield repr(raw)[2:-1]


def _json(part: str) -> Iterator[str]:
    """As encoders of JSON write it, JSON in JSON too, and HCL, as it stands and quoted."""
    written = {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
    # Go's encoder, and so Terraform's jsonencode, escapes these as well; PHP's the slash
    written |= {_FOR_HTML.sub(lambda found: f"\\u{ord(found[0]):04x}", text) for text in written}
    written |= {text.replace("/", "\\/") for text in written}
    for text in written:
        yield text
        yield _UNICODE.sub(lambda found: f"\\u{found[1].upper()}", text)
        yield json.dumps(text)[1:-1]
    for text in (part, *written):
        yield text.replace("${", "$${").replace("%{", "%%{")


def _url(part: str) -> Iterator[str]:
    strict = urllib.parse.quote(_encode(part), safe="")
    present, codes = set(part), set(_PERCENT.findall(strict))
    spellings = set()
    for kept in {frozenset(present.intersection(safe)) for safe in URL_SAFE}:
        quoted = strict
        for char in kept:
            quoted = quoted.replace(f"%{ord(char):02X}", char)
        in_form = quoted.replace("%20", "+")
        spellings |= {quoted, in_form, in_form.replace("~", "%7E")}
    for spelling in spellings:
        yield spelling
        for code in codes:
            spelling = spelling.replace(code, code.lower())
        yield spelling


def _html(part: str) -> Iterator[str]:
    escaped = html.escape(part, quote=False)
    for double, single in HTML_QUOTES:
        yield escaped.replace('"', double).replace("'", single)


def _shell(part: str) -> Iterator[str]:
    """As it stands between quotes of each kind, and without any."""
    yield part.replace("'", "'\\''")
    yield part.replace("'", "'\"'\"'")
    yield re.sub(r'([$`"\\])', r"\\\1", part)
    yield _SHELL_SPECIAL.sub(r"\\\g<0>", part)
    in_ansi_c = part.translate(_ANSI_C)
    yield in_ansi_c
    yield _NON_ASCII.sub(
        lambda found: "".join(f"\\{byte:03o}" for byte in _encode(found[0])), in_ansi_c
    )


def _base64(raw: bytes) -> Iterator[bytes]:
    """Base64 text that betrays ``raw`` at each of the three alignments inside a longer message.

    The characters at either edge also depend on the neighbouring bytes, so they are left out.
    """
    whole = base64.b64encode(raw).rstrip(b"=")
    yield from (whole, whole.translate(_URL_SAFE_BASE64))
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        start = (0, 2, 3)[offset]
        stop = len(padded) - (1 if (offset + len(raw)) % 3 else 0)
        inner = padded[start:stop]
        yield from (inner, inner.translate(_URL_SAFE_BASE64))


_URL_SAFE_BASE64 = bytes.maketrans(b"+/", b"-_")


def _wrapped_base64(raw: bytes) -> Iterator[bytes]:
    """The lines of base64 as PEM (64 characters) and MIME and coreutils (76) wrap it."""
    encoded = base64.b64encode(raw)
    for width in (64, 76):
        for start in range(0, len(encoded), width):
            if len(line := encoded[start : start + width].rstrip(b"=")) >= SHORTEST:
                yield line
