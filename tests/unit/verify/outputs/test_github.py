"""The summary that GitHub shows of a job."""

from __future__ import annotations

import html
import re

from barehub.verify.outputs import github
from tests.unit.verify.reported import DAY, HOSTILE, certificate, report


def rows(summary: str) -> list[list[str]]:
    lines = [line for line in summary.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_row_an_endpoint_soonest_expiry_first_then_what_is_wrong() -> None:
    soon, late = (certificate("hub", "R11", ends=days * DAY) for days in (5, 60))
    summary = github.summary(
        [
            report("https://dead.example.org", failed="nothing listens"),
            report("https://late.example.org", late),
            report("https://soon.example.org", soon, warned="it's late"),
        ]
    )
    first = [row[0] for row in rows(summary)[1:4]]
    hosts = ("soon", "late", "dead")
    assert first == [f"https://{host}.example.org/" for host in hosts]
    assert rows(summary)[3][2] == "unknown"
    assert [row[1] for row in rows(summary)[5:]] == ["tls.hostname", "http.hsts"]
    assert "it's late" in summary


def test_nothing_wrong_is_one_table() -> None:
    assert github.summary([report()]).count("\n|---|") == 1


def test_hostile_text_makes_neither_a_column_nor_markup() -> None:
    row = rows(github.summary([report(failed=HOSTILE)]))[-1]
    assert len(row) == 4
    assert not re.search(r"[<>`|*_\[\]\\\x1b]", row[2])
    shown = report(failed=HOSTILE).failures[0].message
    assert html.unescape(row[2]) == shown, "it reads as it was written"
