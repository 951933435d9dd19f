"""Reduces a text to what is the same in every spelling: escapes read, quotes and blanks dropped.

``it's here``, ``it'\\''s here``, ``it\\u0027s%20here`` and ``it&#39;s`` over ``│ here`` all become
``itshere``.
A value is then found in a text by one comparison, whichever programs wrote it, one in the other.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate

_COLORS = rb"\[[0-?]*[ -/]*[@-~]"
"""The rest of a control sequence (ECMA-48, 5.4)."""

_NO_LETTERS = (
    rb"(?<=\xc2)[\x85\xa0]|(?<=\xe1)\x9a\x80|(?<=\xe2)(?:[\x94-\x96][\x80-\xbf]"
    rb"|\x80[\x80-\x8f\xa8-\xaf]|\x81[\x9f-\xaf])|(?<=\xe3)\x80\x80|(?<=\xef)\xbb\xbf"
)
"""The rest of UTF-8's boxes (U+2500 to U+25BF, which Terraform draws beside its diagnostics), of
blanks besides ASCII's, and of what has no width: joiners, marks of direction."""

_UNIT = re.compile(
    # a set of bytes at the beginning is what the module re searches for fastest
    rb"[\\%&$=\n|\x1b\xc2\xe1\xe2\xe3\xef](?:"
    # C, JSON, YAML, JavaScript, Perl, dash: however often the backslashes were escaped themselves
    rb"(?<=\\)\\{0,15}(?:u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})"
    rb"|[ux]\{(?P<braced>[0-9A-Fa-f]{1,8})\}|x(?P<x>[0-9A-Fa-f]{2})"
    rb"|(?P<octal>0[1-3][0-7]{2}|[0-7]{1,3})|[abefnrtvELNP_])"
    rb"|(?<=%)(?:25)*(?:(?P<percent>[0-9A-Fa-f]{2})|u(?P<percent_u>[0-9A-Fa-f]{4}))"
    rb"|(?<=&)(?:amp;)*(?:\#(?P<decimal>[0-9]{1,7})|\#[xX](?P<hex>[0-9A-Fa-f]{1,6})"
    rb"|(?P<name>[A-Za-z][A-Za-z0-9]{1,31}));"
    rb"|(?<=\$)(?P<dollar>\$)(?=\{)|(?<=%)(?P<directive>%)(?=\{)"  # HCL
    rb"|(?<==)\r?\n"  # quoted-printable
    rb"|(?<=\n)[ \t]*[|>#]+|(?<=\|)(?=[ \t]*\r?\n)"  # bars and quotes at the edge of lines
    rb"|(?<=\x1b)" + _COLORS + rb"|" + _NO_LETTERS + rb")"
)

_BASES = {"octal": 8, "decimal": 10}
_BYTES = ("x", "octal", "percent")
"""What stands for a byte and not for a character; the bytes of UTF-8 then form one."""

_CUT = re.compile(
    rb"(?:\\{1,16}(?:[uUx]\{?[0-9A-Fa-f]{0,8}|[0-7]{0,3})?|%(?:25)*(?:[0-9A-Fa-f]|u[0-9A-Fa-f]{0,3})?"
    rb"|&(?:amp;)*[#A-Za-z0-9]{0,32}|\$|=\r?|\|[ \t]{0,64}\r?|\x1b(?:\[[ -?]{0,32})?)\Z"
)
"""An escape at the end of a text that more text may complete."""

_AGAIN = re.compile(rb"[\\%&$=;#\xc2\xe1\xe2\xe3\xef]")
"""Of what an escape in another one is made, or something without a letter."""

PASSES = 4
"""Escapes of different kinds, one inside the other, are read up to this depth."""

DROPPED = bytes([*range(33), 127, *b"\"'\\+"])
"""Controls and blanks, and what quotes: it comes, goes and is doubled."""

BLOCK = 128

_BLANK = (
    rb"\n[ \t]*+[|>#]++|\|[ \t]*+(?=\r?\n)|[=\\]\r?\n|[\s+]|\x1b"
    + _COLORS
    + rb"|[\xc2\xe1\xe2\xe3\xef](?:"
    + _NO_LETTERS
    + rb")"
)
BREAK = re.compile(rb"(?:" + _BLANK + rb")++")
"""What may stand between two words, or lines, of one value; not always."""

UNSEEN = re.compile(
    rb"(?:\x1b" + _COLORS + rb"|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf)+"
)
"""What separates nothing: colours, and what has no width."""

OWN_BREAK = re.compile(rb"(?:" + _BLANK + rb"|\\{1,16}(?:[abefnrtvELNP_]|0?(?:1[0-5]|40)))++")
"""The same in a value, where what reads escapes makes blanks of them, as dash's `echo` does."""


def _cut(text: bytes) -> int:
    """Where an unfinished escape at the end of ``text`` begins; else its length."""
    found = _CUT.search(text, max(0, len(text) - 128))
    return found.start() if found else len(text)


class Reduced:
    """What is left of a text, and where that stands in it.

    :param whole: nothing follows; otherwise what an unfinished escape at the end is left out
    """

    def __init__(self, text: bytes, *, whole: bool = True) -> None:
        self._text = text
        self._layers: list[_Layer] = []
        self.stop = len(text)
        """Where in the text the unfinished escape begins."""
        for _ in range(PASSES):
            if not whole and (size := _cut(text)) < len(text):
                self.stop = self._start(size)
                text = text[:size]
            layer = _Layer(text)
            text = layer.content
            if layer.units:
                self._layers.append(layer)
            if not layer.again:
                break
        self._read = text
        self.content = text.translate(None, DROPPED)

    def start(self, at: int) -> int:
        """Where in the text the character begins of which byte ``at`` is left."""
        at = self._start(self._before(at))
        while self._text[at : at + 1] and 0x80 <= self._text[at] < 0xC0:
            at -= 1
        return at

    def end(self, at: int) -> int:
        """Where in the text the character ends of which the byte before ``at`` is left."""
        last = self._before(at - 1)
        for layer in reversed(self._layers):
            last = layer.last(last)
        last += 1
        while self._text[last : last + 1] and 0x80 <= self._text[last] < 0xC0:
            last += 1
        return last

    def _start(self, at: int) -> int:
        for layer in reversed(self._layers):
            at = layer.start(at)
        return at

    @cached_property
    def _kept(self) -> list[int]:
        """How many bytes are left of all up to the end of each block."""
        blocks = range(0, len(self._read), BLOCK)
        return [
            *accumulate(len(self._read[at : at + BLOCK].translate(None, DROPPED)) for at in blocks)
        ]

    def _before(self, at: int) -> int:
        """Where byte ``at`` was before any were dropped."""
        block = bisect_right(self._kept, at)
        left = at - (self._kept[block - 1] if block else 0)
        for place in range(block * BLOCK, len(self._read)):
            if self._read[place] not in DROPPED:
                if not left:
                    return place
                left -= 1
        return len(self._read)


class _Layer:
    """A text whose escapes are read, once."""

    def __init__(self, text: bytes) -> None:
        pieces, at, size = [], 0, 0
        self._starts: list[int] = []
        """Where in ``content`` each escape is."""
        self.units: list[tuple[int, int, int]] = []
        """Of each: how long it is there; where it begins and ends in the text."""
        self.again = False
        for found in _UNIT.finditer(text):
            start, end = found.span()
            read = _read(found)
            size += start - at
            self._starts.append(size)
            self.units.append((len(read), start, end))
            pieces += [text[at:start], read]
            size += len(read)
            at = end
            self.again = self.again or bool(_AGAIN.search(read))
        self.content = b"".join([*pieces, text[at:]]) if pieces else text

    def start(self, at: int) -> int:
        return self._place(at)[0]

    def last(self, at: int) -> int:
        return self._place(at)[1] - 1

    def _place(self, at: int) -> tuple[int, int]:
        """Where what became byte ``at`` begins and ends in the text."""
        unit = bisect_right(self._starts, at) - 1
        if unit < 0:
            return at, at + 1
        length, start, end = self.units[unit]
        behind = at - self._starts[unit] - length
        return (start, end) if behind < 0 else (end + behind, end + behind + 1)


def _read(found: re.Match[bytes]) -> bytes:
    kind = found.lastgroup
    if kind is None:
        return b""
    text: bytes = found[kind]
    if kind in ("dollar", "directive"):
        return text
    if kind == "name":
        import html

        return html.unescape(f"&{text.decode()};").encode()
    number = int(text, _BASES.get(kind, 16))
    if kind in _BYTES:
        return bytes([number & 0xFF])
    return chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else b""
