"""All byte strings that betray a value: itself in lesser alphabets, and each encoding of it."""

from __future__ import annotations

import base64
import json
import quopri
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from barehub.unescape import BREAK, DROPPED, OWN_BREAK, UNSEEN, Reduced

SHORTEST = 6
"""Values with fewer characters are left alone: hiding "true" or "8443" hides the message itself."""

FRAME = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM file (RFC 7468), which is no secret."""

PIECE, OVERLAP = 4096, 16
"""Characters: what is longer is searched for in pieces, which overlap so that no form has a gap."""

MUCH = 64 * 1024
"""Characters of a value whose forms are made; what follows is hidden only as it stands.

The forms of a megabyte would take seconds to make, and 50 MB.
"""

_SHELL_SPECIAL = re.compile(r"[ !\"$&'()*,;<>?\[\\\]^`{|}]")
"""What bash's ``printf %q`` puts a backslash before (5.2, measured)."""

LINE = 512
"""Bytes up to which a value is also sought as a list of numbers; longer ones are by each line."""

FARTHEST = 256
"""Bytes between two words of a value: the end of a line, colours, a bar, an indentation."""


@dataclass(frozen=True)
class Form:
    """Bytes that betray a value, as they stand and reduced."""

    text: bytes
    reduced: bytes
    loose: bool = False
    """Whether there may be blanks anywhere in it."""

    @property
    def edge(self) -> int:
        """How many bytes at its beginning and its end are dropped when it is reduced."""
        if self.loose:
            return 0
        reduced = Reduced(self.text)
        return len(self.text) - reduced.end(len(self.reduced)) + reduced.start(0)

    @property
    def own_breaks(self) -> set[int]:
        """Where there are blanks in it: behind how many of the reduced bytes."""
        return {at for at, _ in breaks(self.text, OWN_BREAK)}


def breaks(text: bytes, blanks: re.Pattern[bytes] = BREAK) -> list[tuple[int, bool]]:
    """The blanks in ``text``: behind how many reduced bytes, and whether a line ends there.

    What is too long to belong to one value counts as being nowhere in any.
    """
    found, offset, at = [], 0, 0
    for blank in blanks.finditer(text):
        offset += len(Reduced(text[at : blank.start()]).content)
        at = blank.end()
        if UNSEEN.fullmatch(blank[0]):
            continue
        far = len(blank[0]) > FARTHEST
        found.append((-1, False) if far else (offset, b"\n" in blank[0] or b"\r" in blank[0]))
    return found


def hidden_lines(value: str) -> list[str]:
    """The lines of ``value`` that are hidden each by itself, without the blanks around them."""
    return [line.strip() for line in value.splitlines() if _can_be_hidden(line)]


def _can_be_hidden(part: str) -> bool:
    return len(part.strip()) >= SHORTEST and not FRAME.fullmatch(part.strip())


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # names of files may hold anything


def decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def is_text(text: bytes) -> bool:
    try:
        return bool(decode(text))
    except UnicodeDecodeError:
        return False


def forms(value: str) -> Iterator[Form]:
    """All byte strings that betray ``value``."""
    parts = _parts(value)
    for part in parts:
        for text in _written(part):
            yield Form(text, Reduced(text).content)
        raw = encode(part)
        reduced = Reduced(raw).content
        if (
            len(reduced) < SHORTEST
            or reduced != raw.translate(None, DROPPED)
            or {raw[0], raw[-1]}.intersection(DROPPED)
        ):
            for normal in _normal_forms(part):
                yield from (Form(encode(quoted), b"") for quoted in _quoted(normal))
    if len(value) > MUCH:
        value = value[:MUCH]
        parts &= _parts(value)
    for part in parts:
        for raw in _as_bytes(part):
            yield from map(_form, {*_base64(raw), *_base32(raw)})
            yield from (Form(text, text, loose=True) for text in _numbers(raw))
    for whole in (value, value.strip(), value.strip() + "\n"):
        yield from map(_form, _wrapped_base64(encode(whole)))


def _form(encoded: bytes) -> Form:
    return Form(encoded, encoded.translate(None, b"+"))


def _parts(value: str) -> set[str]:
    """The whole and each of its lines, without the blanks around them, in pieces."""
    return {
        piece
        for part in (value.strip(), *hidden_lines(value))
        for start in range(0, max(1, len(part) - OVERLAP), PIECE - OVERLAP)
        if _can_be_hidden(piece := part[start : start + PIECE].strip())
    }


def _written(part: str) -> set[bytes]:
    """``part`` as programs write it besides escapes: other forms of Unicode, lesser alphabets."""
    # as `read` takes it; and where it ends a line, like one of quoted-printable that goes on
    texts = {part, part.replace("\n", " "), part.replace("\\", ""), part.rstrip("=")}
    written = {encode(text) for text in texts if len(text) >= SHORTEST}
    if "=" in part or " " in part or not part.isascii():
        written |= {quopri.encodestring(encode(part), tabs) for tabs in (False, True)}
    if part.isascii():
        return written
    for text in _normal_forms(part):
        written.add(encode(text))
        written.add(text.encode("ascii", "replace"))
        written.add(encode(re.sub(r"[^\0-\x7f]", "\ufffd", text)))
        # \xe9, which may be a character or a byte; \ud83d\ude00, two halves
        for whole in (True, False):
            byte = (ord(c) < 256 and (whole or not c.isprintable()) for c in text)
            written.add(
                b"".join(
                    bytes([ord(c)]) if b else encode(c) for c, b in zip(text, byte, strict=True)
                )
            )
        halves = text.encode("utf-16-le", "surrogatepass")
        codes = (int.from_bytes(halves[i : i + 2], "little") for i in range(0, len(halves), 2))
        written.add(b"".join(encode(chr(code)) for code in codes))
    return written


def _quoted(part: str) -> Iterator[str]:
    """``part`` with what stands between quotes, for one that would lose its edges, or nearly all of
    itself, when it is reduced."""
    import html
    from urllib import parse

    for safe in ("/", "", "!'()*", "!'()*;,/?:@&=+$#", "$&+=:@", "$&+,;="):
        encoded = parse.quote(part, safe=safe)
        for text in (encoded, re.sub("%..", lambda found: found[0].lower(), encoded)):
            yield from (text, text.replace("%20", "+"), text.replace("%", "%25"))
    for once in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]):
        yield from (once, json.dumps(once)[1:-1])
    for escaped in (html.escape(part), html.escape(part, quote=False)):
        yield escaped
        for single, double in (("&#39;", "&#34;"), ("&apos;", "&quot;")):  # of Go, of XML
            yield escaped.replace("&#x27;", single).replace("&quot;", double)
    for quote, doubled in (("'", "''"), ("'", "'\\''"), ("'", "'\"'\"'"), ('"', '""')):
        yield part.replace(quote, doubled)
    yield re.sub(r'([$`"\\])', r"\\\1", part)
    yield _SHELL_SPECIAL.sub(r"\\\g<0>", part)


def _normal_forms(part: str) -> set[str]:
    if part.isascii():
        return {part}
    import unicodedata

    return {part, *(unicodedata.normalize(f, part) for f in ("NFC", "NFD", "NFKC", "NFKD"))}


def _as_bytes(part: str) -> set[bytes]:
    return {encode(text) for text in _normal_forms(part)} | {part.encode("latin-1", "ignore")}


def _numbers(raw: bytes) -> Iterator[bytes]:
    """Each byte as a number: hexadecimal as dumps and fingerprints have it, lists of them."""
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    if len(raw) > LINE:
        return
    for between in (":", "-"):
        yield from ((text := raw.hex(between).encode()), text.upper())
    yield b"0x" + raw.hex("#").encode().replace(b"#", b",0x")
    decimals = [b"%d" % byte for byte in raw]
    yield from (b",".join(decimals), b"".join(decimals))


def _inside(raw: bytes, encode: Callable[[bytes], bytes], size: int, bits: int) -> Iterator[bytes]:
    """What betrays ``raw`` at each place inside a longer message, encoded in groups of ``size``.

    The characters at either edge also depend on the neighbouring bytes, so they are left out.
    """
    yield encode(raw).rstrip(b"=")
    for before in range(size):
        encoded = encode(b"\0" * before + raw)
        yield encoded[-(-8 * before // bits) : 8 * (before + len(raw)) // bits]


def _base64(raw: bytes) -> Iterator[bytes]:
    for text in _inside(raw, base64.b64encode, 3, 6):
        yield from (text, text.translate(_URL_SAFE_BASE64))


def _base32(raw: bytes) -> Iterator[bytes]:
    for text in _inside(raw, base64.b32encode, 5, 5):
        yield from (text, text.lower())


_URL_SAFE_BASE64 = bytes.maketrans(b"+/", b"-_")


def _wrapped_base64(raw: bytes) -> Iterator[bytes]:
    """The lines of base64 as PEM (64 characters) and MIME and coreutils (76) wrap it."""
    encoded = base64.b64encode(raw)
    for width in (64, 76):
        for start in range(0, len(encoded), width):
            if len(line := encoded[start : start + width].rstrip(b"=")) >= SHORTEST:
                yield line
