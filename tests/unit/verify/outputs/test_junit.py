"""JUnit XML of reports."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from barehub.verify.outputs import junit
from tests.unit.verify.reported import HOSTILE, report


def suites(*, strict: bool = False, said: str = "late") -> list[ElementTree.Element]:
    reports = [
        report(machine="198.51.100.7", failed=said, warned=said),
        report("https://other.example.org"),
    ]
    return list(ElementTree.fromstring(junit.text(reports, strict=strict).encode()))


def test_a_suite_for_each_endpoint_and_vantage() -> None:
    assert [suite.get("name") for suite in suites()] == [
        "https://hub.example.org/ (edge)",
        "https://hub.example.org/ (origin)",
        "https://other.example.org/ (edge)",
    ]


@pytest.mark.parametrize(
    ("strict", "failed"), [(False, ["tls.hostname"]), (True, ["http.hsts", "tls.hostname"])]
)
def test_a_warning_fails_only_when_strict(strict: bool, failed: list[str]) -> None:
    edge = suites(strict=strict)[0]
    cases = {case.get("name"): case for case in edge}
    assert [name for name, case in cases.items() if case.find("failure") is not None] == failed
    assert cases["binder.unhealthy"].find("skipped") is not None
    assert cases["net.connect"].find("skipped") is None
    counted = {key: edge.get(key) for key in ("tests", "failures", "skipped", "time")}
    assert counted == {
        "tests": "5", "failures": str(len(failed)), "skipped": "1", "time": "1.234",
    }  # fmt: skip


def test_no_two_cases_share_class_and_name() -> None:
    cases = [(case.get("classname"), case.get("name")) for suite in suites() for case in suite]
    assert len(cases) == len(set(cases))
    assert cases[0] == ("https://hub.example.org/ edge/tcp", "net.connect")


def test_hostile_text_stays_text() -> None:
    failure = suites(said=HOSTILE)[0].find(".//failure")
    assert failure is not None and len(failure) == 0
    assert "</script><script>alert(1)" in failure.get("message", "")
    assert "]]>" in (failure.text or "") and "\x1b" not in (failure.text or "")
