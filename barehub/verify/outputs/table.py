"""Many reports as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from barehub.console import DIM, GREEN, RED
from barehub.verify.certificate import DAY, Validity
from barehub.verify.report import Report

HEADINGS = ("endpoint", "verdict", "expires", "first failure")
FAR = datetime.max.replace(tzinfo=UTC)
ZERO = timedelta()


def by_expiry(reports: Sequence[Report]) -> list[Report]:
    """The reports, those whose certificate expires first at the top, unknown ones at the end."""
    return sorted(reports, key=lambda report: report.validity.ends if report.validity else FAR)


def lines(reports: Sequence[Report], paint: Callable[..., str]) -> list[str]:
    """A row an endpoint, soonest expiry first, under a row of headings."""
    rows = [_row(report) for report in by_expiry(reports)]
    widths = [max(len(row[i]) for row in (HEADINGS, *rows)) for i in range(3)]

    def line(row: Sequence[str]) -> str:
        return "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]])

    found = [paint(line(HEADINGS), DIM)]
    for row in rows:
        color = GREEN if row[1] == "pass" else RED
        found.append(line(row).replace(f"  {row[1]}", f"  {paint(row[1], color)}", 1).rstrip())
    passed = sum(report.verdict == "pass" for report in reports)
    return [*found, f"{passed} of {len(reports)} are working BinderHubs"]


def _row(report: Report) -> tuple[str, str, str, str]:
    valid = report.validity
    expires = f"{valid.ends:%Y-%m-%d}, {_left(valid)}" if valid else "unknown"
    first = report.failures[0].id if report.failures else ""
    return (report.target.url, report.verdict, expires, first)


def _left(valid: Validity) -> str:
    """Whole days: rounding down would make one more of those since it expired."""
    return f"{valid.left // DAY} d" if valid.left > ZERO else f"{-valid.left // DAY} d ago"
