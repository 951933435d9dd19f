"""One thing verified, and what came of it."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 400

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\ufdd0-\ufdef\ufffe\uffff]+"
)
"""Control characters (an escape sequence needs one), those that reorder or hide text, and what is
no character (XML 1.0, 2.2, has none of U+FFFE and U+FFFF)."""


def printable(text: str) -> str:
    """``text`` from a certificate or a page, safe to print on a terminal and in a log."""
    clean = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text[: 10 * _LONGEST])
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


UNJUDGED = "verify.error"
"""The finding of an endpoint that barehub failed at."""

_REPORT = "this is a fault of barehub: please report it, with this line and the endpoint"
_MOST_FRAMES = 6


def _way(error: BaseException) -> str:
    """Return the lines of code that ``error`` came through, the innermost first."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    lines = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    return ", ".join(lines[:_MOST_FRAMES])


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    ``severity`` (error, warning, info) is how bad it is when ``status`` is fail. ``permanent``
    means that waiting cannot heal it.
    """

    id: str
    severity: str
    status: str
    vantage: str
    message: str
    fix: str | None = None
    permanent: bool = False

    @property
    def rung(self) -> str:
        """The rung of the ladder on which the check stands."""
        area = self.id.partition(".")[0]
        return "tcp" if area == "net" else area

    @property
    def broken(self) -> bool:
        """Whether the endpoint is not what it must be."""
        return self.status == "fail" and self.severity == "error"

    def document(self) -> dict[str, str | None]:
        """The finding as JSON has it."""
        return {
            "id": self.id,
            "severity": self.severity,
            "status": self.status,
            "vantage": self.vantage,
            "message": self.message,
            "fix": self.fix,
        }


class Findings(list[Finding]):
    """The findings of one vantage, in the order of the ladder."""

    def __init__(self, vantage: str) -> None:
        super().__init__()
        self.vantage = vantage

    @property
    def broken(self) -> Finding | None:
        """The first that ends the climb."""
        return next((finding for finding in self if finding.broken), None)

    def has(self, id: str) -> bool:
        return any(finding.id == id for finding in self)

    def passed(self, id: str, message: str) -> None:
        self._add(id, "error", "pass", message, None, False)

    def failed(self, id: str, message: str, fix: str, *, permanent: bool) -> None:
        self._add(id, "error", "fail", message, fix, permanent)

    def warned(self, id: str, message: str, fix: str) -> None:
        self._add(id, "warning", "fail", message, fix, False)

    def informed(self, id: str, message: str, fix: str | None = None) -> None:
        """Worth knowing, nothing wrong."""
        self._add(id, "info", "pass", message, fix, False)

    def skipped(self, ids: Iterable[str], why: str) -> None:
        for id in ids:
            self._add(id, "error", "skip", why, None, False)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Turn an exception that nobody expected into a finding: one endpoint must not end others.

        Its text is left out, since it may quote what must not be shown.
        """
        try:
            yield
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            self.unjudged(f"{type(error).__name__} in {_way(error)}")

    def unjudged(self, why: str) -> None:
        """Add that the endpoint could not be judged, which is a fault of barehub's."""
        self.failed(UNJUDGED, f"not judged: {why}", _REPORT, permanent=True)

    def _add(
        self, id: str, severity: str, status: str, message: str, fix: str | None, permanent: bool
    ) -> None:
        safe = printable(fix) if fix else None
        self.append(
            Finding(id, severity, status, self.vantage, printable(message), safe, permanent)
        )
