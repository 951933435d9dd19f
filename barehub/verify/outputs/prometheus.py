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
        for finding in report.findings:
            if finding.status != "skip":
                labels = _labels(
                    report, vantage=finding.vantage, check=finding.id, severity=finding.severity
                )
                yield labels, float(finding.status == "pass")


def _metric(name: str, help: str, series: Iterable[Series]) -> str:
    """Each series once, with the lowest (worst) value: node_exporter refuses a whole file for one
    that comes twice, as it does when one URL is verified by way of two machines."""
    worst: dict[str, float] = {}
    for labels, value in series:
        told = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        worst[told] = min(value, worst.get(told, value))
    lines = [f"# HELP {name} {help}", f"# TYPE {name} gauge"]
    lines += [f"{name}{{{told}}} {value:.15g}" for told, value in worst.items()]
    return "\n".join(lines) + "\n"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
