"""Reports as GitHub's job summaries show them."""

from __future__ import annotations

import html
from collections.abc import Sequence

from barehub.verify.outputs.table import by_expiry
from barehub.verify.report import Report


def summary(reports: Sequence[Report]) -> str:
    """Markdown: a row an endpoint, and what is wrong with its fix below."""
    lines = ["", "| endpoint | verdict | expires |", "|---|---|---|"]
    for report in by_expiry(reports):
        expires = (report.certificate or {}).get("not_after", "unknown")[:10]
        lines.append(f"| {_cell(report.target.url)} | {report.verdict} | {expires} |")
    wrong = [(report, finding) for report in reports for finding in report.findings
             if finding.status == "fail"]  # fmt: skip
    if wrong:
        lines += ["", "| endpoint | check | what | fix |", "|---|---|---|---|"]
    for report, finding in wrong:
        cells = (report.target.url, finding.id, finding.message, finding.fix or "")
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n\n"


def _cell(text: str) -> str:
    """Text that Markdown leaves as it is: findings quote what strangers wrote."""
    safe = html.escape(text, quote=False)  # its &#x27; has a "#", which is replaced below
    return "".join(f"&#{ord(char)};" if char in "|`*_[]~\\!#" else char for char in safe)
