"""What came of verifying one endpoint, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from barehub.console import DIM, GREEN, RED, YELLOW
from barehub.verify import certificate
from barehub.verify.certificate import Validity
from barehub.verify.finding import Finding
from barehub.verify.target import Target, join

__all__ = ["Finding", "Report"]

SCHEMA_VERSION = 1
"""Of :meth:`Report.document`: raised when a key changes its meaning or goes away."""


@dataclass(frozen=True)
class Report:
    """The findings of one climb of the ladder.

    ``chains`` are, by vantage, the certificates that the server sent, in DER, its own first;
    ``started`` is in UTC. With ``strict`` a warning is a failure.
    """

    target: Target
    findings: list[Finding]
    chains: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    duration_ms: int = 0
    strict: bool = False

    @property
    def failures(self) -> list[Finding]:
        """The findings that make the verdict other than ``pass``."""
        return [finding for finding in self.findings if finding.broken or self._too_much(finding)]

    def _too_much(self, finding: Finding) -> bool:
        return self.strict and finding.status == "fail"

    @property
    def verdict(self) -> str:
        """``pass``; ``not-ready``: nothing failed but what waiting may heal; else ``fail``."""
        if not self.failures:
            return "pass"
        lasting = any(f.permanent or not f.broken for f in self.failures)
        return "fail" if lasting else "not-ready"

    @cached_property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate that visitors see, described; none when none came that can be read."""
        chains = (self.chains.get(vantage) for vantage in self.target.vantages)
        return next(
            (described for c in chains if c and (described := certificate.describe(c))), None
        )

    @cached_property
    def validity(self) -> Validity | None:
        """From when until when the certificate that visitors see is good."""
        for vantage in self.target.vantages:
            if chain := certificate.Chain.read(self.chains.get(vantage, ())):
                return certificate.validity(chain.own)
        return None

    def document(self) -> dict[str, Any]:
        """The report as JSON has it."""
        connect_to = self.target.connect_to
        return {
            "schema_version": SCHEMA_VERSION,
            "target": self.target.url,
            "connect_to": join(*connect_to) if connect_to else None,
            "verdict": self.verdict,
            "findings": [finding.document() for finding in self.findings],
            "certificate": self.certificate,
            "started": self.started.isoformat(timespec="milliseconds"),
            "duration_ms": self.duration_ms,
        }

    def lines(self, paint: Callable[..., str]) -> list[str]:
        """One line a finding, the fix of what is wrong under it, and the verdict at the end.

        ``paint`` styles a text, like :meth:`barehub.console.Console.paint`.
        """
        width = max((len(finding.id) for finding in self.findings), default=0)
        found = []
        for finding in self.findings:
            mark, color = _mark(finding)
            said = f"{finding.id:<{width}}  {finding.vantage:<6}  {finding.message}"
            skipped = finding.status == "skip"
            found.append(f"{paint(mark, color)} {paint(said, DIM) if skipped else said}")
            if finding.fix:
                found.append(f"  {paint('fix:', DIM)} {finding.fix}")
        return [*found, self.summary]

    def line(self, paint: Callable[..., str]) -> str:
        """The verdict in one line, with the first failure."""
        if not self.failures:
            return f"{paint('✓', GREEN)} {self.summary}"
        first = self.failures[0]
        return f"{paint('✗', RED)} {self.target.url}  {first.id}: {first.message}"

    @property
    def summary(self) -> str:
        """The verdict in words."""
        where = self.target.url
        if self.verdict == "pass":
            warnings = len([f for f in self.findings if f.status == "fail"])
            return f"{where} is a working BinderHub" + _count(warnings, ", with {} warning")
        failed = _count(len(self.failures), "{} check") + " failed"
        if self.verdict == "not-ready":
            return f"{where} is not ready: {failed}, which waiting may heal"
        return f"{where} is not right: {failed}"


def _count(number: int, text: str) -> str:
    return (text.format(number) + "s" * (number > 1)) if number else ""


def _mark(finding: Finding) -> tuple[str, str]:
    if finding.status == "skip":
        return "-", DIM
    if finding.status == "pass":
        return ("i", DIM) if finding.severity == "info" else ("✓", GREEN)
    return ("!", YELLOW) if finding.severity == "warning" else ("✗", RED)
