"""Reports as metrics in the text format of Prometheus, for node_exporter's textfile collector.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from barehub.verify.report import Report

Series = tuple[dict[str, str], float]


def text(reports: Sequence[Report]) -> str:
    """All metrics; an expired certificate's dates stay: an alarm on them must not vanish."""
    return "".join(
        (
            _metric("barehub_endpoint_up", "Whether it is a working BinderHub.", _up(reports)),
            *(
                _metric(f"barehub_certificate_{key}_timestamp_seconds", help, _dates(reports, key))
                for key, help in (
                    ("not_before", "From when on the certificate that visitors see is valid."),
                    ("not_after", "Until when the certificate that visitors see is valid."),
                    ("renewal_due", "When two thirds of its life are over."),
                )
            ),
            _metric("barehub_check", "Whether a check passed; skipped ones are left out.",
                    _checks(reports)),
            _metric("barehub_verify_timestamp_seconds", "When it was looked at.",
                    ((_labels(r), r.started.timestamp()) for r in reports)),
            _metric("barehub_verify_duration_seconds", "How long that took.",
                    ((_labels(r), r.duration_ms / 1000) for r in reports)),
        )
    )  # fmt: skip


def _labels(report: Report, **more: str) -> dict[str, str]:
    return {"endpoint": report.target.url, **more}


def _up(reports: Iterable[Report]) -> Iterable[Series]:
    return ((_labels(report), float(report.verdict == "pass")) for report in reports)


def _dates(reports: Iterable[Report], key: str) -> Iterable[Series]:
    for report in reports:
        if report.certificate:
            at = datetime.fromisoformat(report.certificate[key])
            yield _labels(report), at.timestamp()


def _checks(reports: Iterable[Report]) -> Iterable[Series]:
    for report in reports:
        worst: dict[tuple[str, str, str], bool] = {}
        for finding in report.findings:
            if finding.status != "skip":
                key = (finding.vantage, finding.id, finding.severity)
                worst[key] = worst.get(key, True) and finding.status == "pass"
        for (vantage, id, severity), passed in worst.items():
            yield _labels(report, vantage=vantage, check=id, severity=severity), float(passed)


def _metric(name: str, help: str, series: Iterable[Series]) -> str:
    lines = [f"# HELP {name} {help}", f"# TYPE {name} gauge"]
    for labels, value in series:
        told = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        lines.append(f"{name}{{{told}}} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
