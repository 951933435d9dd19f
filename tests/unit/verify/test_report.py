"""Findings, the verdict that follows from them, and how they are shown."""

from __future__ import annotations

import pytest

from barehub.verify.finding import Findings, printable
from barehub.verify.report import Report
from barehub.verify.target import parse

TARGET = parse("https://hub.example.org", connect_to="198.51.100.7:8443")


def plain(text: str, *styles: str) -> str:
    return text


def report(*failures: bool) -> Report:
    """A report with a failure for each: whether waiting cannot heal it."""
    found = Findings("origin")
    found.passed("net.connect", "connected")
    found.informed("binder.legacy", "old")
    for permanent in failures:
        found.failed("tls.expired", "expired", "renew it", permanent=permanent)
    found.warned("tls.renewal-late", "late", "look")
    found.skipped(["binder.unhealthy"], "not checked")
    return Report(TARGET, list(found))


@pytest.mark.parametrize(
    ("failures", "verdict", "summary"),
    [
        ((), "pass", "https://hub.example.org/ is a working BinderHub, with 1 warning"),
        (
            (False,),
            "not-ready",
            "https://hub.example.org/ is not ready: 1 check failed, which waiting may heal",
        ),
        ((False, True), "fail", "https://hub.example.org/ is not right: 2 checks failed"),
    ],
)
def test_the_verdict(failures: tuple[bool, ...], verdict: str, summary: str) -> None:
    found = report(*failures)
    assert (found.verdict, found.lines(plain)[-1]) == (verdict, summary)


def test_one_line_a_finding_and_its_fix() -> None:
    assert report(True).lines(plain)[:-1] == [
        "✓ net.connect       origin  connected",
        "i binder.legacy     origin  old",
        "✗ tls.expired       origin  expired",
        "  fix: renew it",
        "! tls.renewal-late  origin  late",
        "  fix: look",
        "- binder.unhealthy  origin  not checked",
    ]


def test_the_document_has_every_finding_and_no_more_than_is_promised() -> None:
    document = report(True).document()
    assert document["target"] == "https://hub.example.org/"
    assert document["connect_to"] == "198.51.100.7:8443"
    assert document["certificate"] is None
    assert document["findings"][2] == {
        "id": "tls.expired",
        "severity": "error",
        "status": "fail",
        "vantage": "origin",
        "message": "expired",
        "fix": "renew it",
    }


def test_what_cannot_be_seen_is_replaced_and_what_is_long_is_cut() -> None:
    assert printable("a\x1b[31mb\r\nc\u202ed\x9be") == "a\ufffd[31mb\ufffdc\ufffdd\ufffde"
    assert printable("Institut für Hub ⎈") == "Institut für Hub ⎈"
    assert len(printable("x" * 5000)) == 400
