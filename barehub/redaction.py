"""Takes secret values out of text, in every form in which a program may print them.

A text is searched twice: as it stands, and reduced to what is the same in every spelling
(:mod:`barehub.unescape`), so that escapes of all kinds need no list. Only encodings have forms of
their own: hexadecimal, base32, base64. A value is searched for by the first bytes of each form
(Aho-Corasick), and what begins like one is then compared: so the time for a text depends neither on
how many forms there are nor on their length, and thousands are ready within milliseconds.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from barehub.spelling import (
    MUCH,
    PIECE,
    SHORTEST,
    Form,
    breaks,
    decode,
    encode,
    forms,
    hidden_lines,
    is_text,
)
from barehub.unescape import Reduced

__all__ = ["MUCH", "PIECE", "SHORTEST", "Form", "Redactor", "Stream", "forms", "hidden_lines"]

MASK = b"***"

_AT_EDGE = (
    rb"(?:\\{1,4}(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|[ -/8-~])"
    rb"|%(?:25){0,2}[0-9A-Fa-f]{2}|&(?:amp;)?[#0-9A-Za-z]{1,6};)"
)
_ESCAPE, _ESCAPE_BEFORE = re.compile(_AT_EDGE), re.compile(_AT_EDGE + rb"\Z")

SKELETON = 3
"""Bytes that must be left of a reduced form: ``pa'ss`` has four."""

WRAPPED = 10
"""Bytes of a reduced form that is also found when a line ends within a word of it, or its blanks
are left out."""

CHUNK = 32 * 1024
"""Characters of a whole text that are looked at at once: what a processor has at hand."""


class Redactor:
    """Replaces registered values by ``***``."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._new: list[str] = []
        self._forms: set[Form] = set()
        self._known: _Known | None = None

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
        chunks = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)] or [""]
        return "".join([*map(stream.feed, chunks[:-1]), stream.end(chunks[-1])])

    def stream(self) -> Stream:
        """The same for a text that comes in chunks, cut anywhere."""
        return Stream(self)

    @property
    def known(self) -> _Known | None:
        """All forms of all values, made when they are first needed."""
        if self._new:
            for value in self._new:
                self._forms.update(forms(value))
            self._new.clear()
            self._known = _Known(self._forms)
        return self._known


class Stream:
    """One text in chunks: each is given back at once, but for an end that may become a value."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._given = 0
        """Bytes at the beginning of what is held that were given back already."""
        self._masked = False
        """Whether the last of these were given back as a mask."""

    def feed(self, chunk: str) -> str:
        """What may be shown now of all that was fed."""
        known = self._redactor.known
        if not known:
            return chunk
        text = self._held + encode(chunk)
        seen = known.look(text, whole=False)
        if not seen.spans and not self._held and seen.keep == len(text):
            return chunk
        return self._show(text, seen)

    def end(self, chunk: str = "") -> str:
        """``chunk`` and the rest: nothing follows."""
        known, text = self._redactor.known, self._held + encode(chunk)
        if not known or not text:
            return chunk
        return self._show(text, known.look(text, whole=True))

    @property
    def waiting(self) -> str:
        """What is held back now: the beginning of a value, or of something like it."""
        return decode(self._held[self._given :])

    def _show(self, text: bytes, seen: _Seen) -> str:
        """``text`` up to ``seen.show`` without what the values cover.

        A value that begins before ``show`` may end after it.
        """
        shown, at, masked = [], self._given, self._masked
        for start, end in seen.spans:
            if start >= seen.show:
                break
            if end > at:
                if start >= at or not masked:
                    shown += [text[at:start], MASK]
                at, masked = end, True
        if at < seen.show:
            shown.append(text[at : seen.show])
            at, masked = seen.show, False
        self._held = text[seen.keep :]
        self._given, self._masked = max(0, at - seen.keep), masked
        return decode(b"".join(shown))


@dataclass
class _Seen:
    """Where values are in a text; what of it may be shown, and what is needed further on."""

    spans: list[tuple[int, int]]
    show: int
    """Where a value may begin that goes on in what follows."""
    keep: int
    """The same, or earlier: of what was shown already the next line may show more."""


@dataclass
class _Found:
    """A part of a text that may be a value."""

    whole: bytes
    start: int
    end: int

    @property
    def text(self) -> bytes:
        return self.whole[self.start : self.end]

    def widen(self, most: int) -> None:
        """Take in the escapes at either edge, ``most`` at most: what they stand for was dropped."""
        for _ in range(most):
            before = _ESCAPE_BEFORE.search(self.whole, max(0, self.start - 12), self.start)
            behind = _ESCAPE.match(self.whole, self.end)
            self.start, self.end = (
                before.start() if before else self.start,
                behind.end() if behind else self.end,
            )


@dataclass
class _Known:
    """All forms, and where they are in a text."""

    forms: Iterable[Form]
    _by_reduced: dict[bytes, list[Form]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for form in self.forms:
            if len(form.reduced) >= SKELETON:
                self._by_reduced.setdefault(form.reduced, []).append(form)
        self._exact = _Patterns(
            {f.text for f in self.forms if len(f.text) >= SHORTEST and is_text(f.text)}
        )
        self._reduced = _Patterns(self._by_reduced)

    def look(self, text: bytes, *, whole: bool) -> _Seen:
        """:param whole: nothing follows"""
        places = self._exact.places(text)
        spans = [(at, end) for at in places for end in [*self._exact.ends(text, at)][:1]]
        size = len(text)
        stop = next(self._exact.unfinished(text, places), size)
        reduced = Reduced(text, whole=whole)
        stop = size if whole else min(stop, reduced.stop)
        seen = _Seen(spans, stop, stop)
        places = self._reduced.places(reduced.content)
        for at in places:
            start = reduced.start(at)
            for end in self._reduced.ends(reduced.content, at):
                found = _Found(text, start, reduced.end(end))
                if self._fits(reduced.content[at:end], found):
                    spans.append((found.start, found.end))
                    break
        spans.sort()
        if not whole:
            self._await(text, reduced, places, seen)
        return seen

    def _await(self, text: bytes, reduced: Reduced, places: list[int], seen: _Seen) -> None:
        """Note in ``seen`` from where on ``text`` may become a value."""
        for at in self._reduced.unfinished(reduced.content, places):
            start = reduced.start(at)
            if start >= seen.show:
                break
            begun, blanks = reduced.content[at:], breaks(text[start:])
            likely = self._reduced.beginning_with(begun)
            if blanks and not any(self._allowed(pattern, blanks) for pattern in likely):
                continue
            seen.keep = min(seen.keep, start)
            # nearly every line ends like some value begins, and is shown before the next one comes
            if not any(of_line and offset < SHORTEST for offset, of_line in blanks):
                seen.show = start
                break

    def _fits(self, pattern: bytes, found: _Found) -> bool:
        """Whether what was ``found`` is a value, and not only the same letters."""
        blanks = breaks(found.text)
        forms = self._by_reduced[pattern]
        if edge := max(form.edge for form in forms):
            found.widen(edge)
        if len(pattern) < WRAPPED and all(len(found.text) < len(form.text) for form in forms):
            return False
        return not blanks or self._allowed(pattern, blanks)

    def _allowed(self, pattern: bytes, blanks: list[tuple[int, bool]]) -> bool:
        """Whether a value may be interrupted there: at blanks of its own, or by a line's end."""
        within = [at for at, of_line in blanks if not (of_line and len(pattern) >= WRAPPED)]
        forms = self._by_reduced[pattern]
        return any(form.loose or form.own_breaks.issuperset(within) for form in forms)


class _Patterns:
    """Byte strings: where they are in a text."""

    def __init__(self, patterns: Iterable[bytes]) -> None:
        from ahocorasick_rs import BytesAhoCorasick

        self._sorted = sorted(patterns)
        self._longest = max(map(len, self._sorted), default=0)
        self._heads = BytesAhoCorasick({pattern[:SHORTEST] for pattern in self._sorted})

    def places(self, text: bytes) -> list[int]:
        """Where one may begin, in order."""
        return [start for _, start, _ in self._heads.find_matches_as_indexes(text, True)]

    def ends(self, text: bytes, start: int) -> Iterator[int]:
        """Where those that begin at ``start`` end, the longest first."""
        window = text[start : start + self._longest]
        while window and (index := bisect_right(self._sorted, window)):
            neighbour = self._sorted[index - 1]
            if window.startswith(neighbour):
                yield start + len(neighbour)
                window = neighbour[:-1]
                continue
            # in this order, the neighbour begins with whatever else the window begins with
            bytes_of_both = enumerate(zip(window, neighbour, strict=False))
            window = window[: next(at for at, (mine, its) in bytes_of_both if mine != its)]

    def unfinished(self, text: bytes, places: list[int]) -> Iterator[int]:
        """Where ends of ``text`` begin that more text could make one of these, in order.

        :param places: those of ``text``
        """
        size = len(text)
        whole_heads = places[bisect_right(places, size - self._longest) :]
        for start in chain(whole_heads, range(max(0, size - SHORTEST + 1), size)):
            if next(self.beginning_with(text[start:]), b""):
                yield start

    def beginning_with(self, text: bytes) -> Iterator[bytes]:
        """All that are longer than ``text`` and begin with it."""
        index = bisect_right(self._sorted, text)
        while index < len(self._sorted) and self._sorted[index].startswith(text):
            yield self._sorted[index]
            index += 1
