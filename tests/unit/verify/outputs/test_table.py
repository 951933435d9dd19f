"""The table at the end of many."""

from __future__ import annotations

from datetime import timedelta

from barehub.verify.outputs import table
from barehub.verify.report import Report
from tests.unit.verify.reported import DAY, HOSTILE, certificate, report

HOUR = timedelta(hours=1)


def plain(text: str, *styles: str) -> str:
    return text


def test_soonest_expiry_first_and_unknown_last() -> None:
    def one(host: str, ends: timedelta, failed: str = "") -> Report:
        own = certificate("hub", "R11", begins=-90 * DAY, ends=ends)
        return report(f"https://{host}.example.org", own, failed=failed)

    lines = table.lines(
        [
            report("https://dead.example.org", failed=HOSTILE),
            one("a-good-one-with-a-long-name", 60 * DAY + HOUR),
            one("old", -3 * DAY - HOUR, failed=HOSTILE),
            one("soon", 5 * DAY + HOUR),
        ],
        plain,
    )
    assert [line.split()[0] for line in lines[1:-1]] == [
        "https://old.example.org/",
        "https://soon.example.org/",
        "https://a-good-one-with-a-long-name.example.org/",
        "https://dead.example.org/",
    ]
    said = [line[lines[0].index("expires") :] for line in lines[1:-1]]
    assert [line.partition(", ")[2].split("  ")[0] for line in said[:3]] == [
        "3 d ago", "5 d", "60 d",
    ]  # fmt: skip
    assert said[0].endswith("  tls.hostname") and said[3].startswith("unknown")
    verdicts = [line[lines[0].index("verdict") :].split()[0] for line in lines[1:-1]]
    assert verdicts == ["fail", "pass", "pass", "fail"]
    assert lines[-1] == "2 of 4 are working BinderHubs"


def test_color_does_not_move_the_columns() -> None:
    reports = [report(), report("https://other.example.org", failed="wrong")]
    painted = table.lines(reports, lambda text, *styles: f"<{text}>")
    assert painted[1] == "https://hub.example.org/    <pass>     unknown"
    bare = [line.replace("<", "").replace(">", "") for line in painted]
    assert bare == [line.rstrip() for line in table.lines(reports, plain)]
