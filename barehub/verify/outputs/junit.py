"""Reports as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from barehub.verify.finding import Finding
from barehub.verify.report import Report

_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (2.2) does not allow, not even escaped; tostring() writes it all the same."""


def text(reports: Sequence[Report], *, strict: bool) -> str:
    """A suite an endpoint and vantage, a test case a finding."""
    root = Element("testsuites", name="barehub verify")
    for report in reports:
        for vantage in report.target.vantages:
            found = [finding for finding in report.findings if finding.vantage == vantage]
            _suite(root, report, vantage, found, strict)
    indent(root)
    body = _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", tostring(root, encoding="unicode"))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _suite(
    root: Element, report: Report, vantage: str, found: Sequence[Finding], strict: bool
) -> None:
    failed = [finding for finding in found if _fails(finding, strict)]
    suite = SubElement(
        root,
        "testsuite",
        name=f"{report.target.url} ({vantage})",
        tests=str(len(found)),
        failures=str(len(failed)),
        skipped=str(sum(finding.status == "skip" for finding in found)),
        errors="0",
        time=f"{report.duration_ms / 1000:.3f}",
        timestamp=report.started.strftime("%Y-%m-%dT%H:%M:%S"),
    )
    for finding in found:
        # GitLab shows only the first of those that share class and name
        place = f"{report.target.url} {vantage}/{finding.rung}"
        case = SubElement(suite, "testcase", classname=place, name=finding.id)
        said = finding.message + (f"\nfix: {finding.fix}" if finding.fix else "")
        if finding.status == "skip":
            SubElement(case, "skipped", message=finding.message)
        elif _fails(finding, strict):
            failure = SubElement(case, "failure", message=finding.message, type=finding.severity)
            failure.text = said
        else:
            SubElement(case, "system-out").text = said


def _fails(finding: Finding, strict: bool) -> bool:
    return finding.broken or (strict and finding.status == "fail")
