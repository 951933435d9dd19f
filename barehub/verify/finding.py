"""One thing verified, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST = 400

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)
"""Control characters (an escape sequence needs one) and those that reorder or hide text."""


def printable(text: str) -> str:
    """``text`` from a certificate or a page, safe to print on a terminal and in a log."""
    clean = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


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

    def _add(
        self, id: str, severity: str, status: str, message: str, fix: str | None, permanent: bool
    ) -> None:
        safe = printable(fix) if fix else None
        self.append(
            Finding(id, severity, status, self.vantage, printable(message), safe, permanent)
        )
