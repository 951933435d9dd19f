"""Metrics of reports, as a parser of Prometheus reads them."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from barehub.verify.outputs import prometheus
from barehub.verify.report import Report
from tests.unit.verify.reported import DAY, HOSTILE, STARTED, certificate, report


def families(*reports: Report) -> dict[str, Metric]:
    return {f.name: f for f in text_string_to_metric_families(prometheus.text(reports))}


def value(metric: Metric) -> float:
    (sample,) = metric.samples
    return float(sample.value)


def test_an_expired_certificate_keeps_its_dates() -> None:
    own = certificate("hub", "R11", begins=-90 * DAY, ends=-3 * DAY)
    told = families(report("https://hub.example.org", own, failed="expired"))
    valid = report("https://hub.example.org", own).validity
    assert valid is not None
    prefix, suffix = "barehub_certificate_", "_timestamp_seconds"
    assert value(told[f"{prefix}not_before{suffix}"]) == valid.begins.timestamp()
    assert value(told[f"{prefix}not_after{suffix}"]) == valid.ends.timestamp()
    due = (valid.ends - valid.life / 3).timestamp()
    assert abs(value(told[f"{prefix}renewal_due{suffix}"]) - due) < 1
    assert value(told["barehub_endpoint_up"]) == 0
    assert value(told["barehub_verify_timestamp_seconds"]) == STARTED.timestamp()
    assert value(told["barehub_verify_duration_seconds"]) == 1.234
    assert all(metric.type == "gauge" and metric.documentation for metric in told.values())


def test_a_series_a_check_and_none_for_what_was_skipped() -> None:
    told = families(report(failed="wrong", warned="late", machine="198.51.100.7"))
    checks = {
        (s.labels["vantage"], s.labels["check"], s.labels["severity"]): s.value
        for s in told["barehub_check"].samples
    }
    assert checks == {
        ("edge", "net.connect", "error"): 1,
        ("edge", "http.hsts", "warning"): 0,
        ("edge", "tls.hostname", "error"): 0,
        ("edge", "binder.legacy", "info"): 1,
        ("origin", "net.connect", "error"): 1,
        ("origin", "binder.legacy", "info"): 1,
    }


def test_one_url_by_way_of_two_machines_is_one_series_with_the_worst_value() -> None:
    """node_exporter drops the whole file for a series that comes twice."""
    own = [certificate("hub", "R11", ends=days * DAY) for days in (60, 5)]
    good = report("https://hub.example.org", own[0], machine="198.51.100.7")
    bad = report("https://hub.example.org", own[1], machine="198.51.100.8", failed="wrong")
    for reports in ((good, bad), (bad, good)):
        told = families(*reports)
        for metric in told.values():
            labels = [tuple(sample.labels.items()) for sample in metric.samples]
            assert len(labels) == len(set(labels)), metric.name
        assert value(told["barehub_endpoint_up"]) == 0
        assert bad.validity is not None
        ends = value(told["barehub_certificate_not_after_timestamp_seconds"])
        assert ends == bad.validity.ends.timestamp()


def test_without_a_certificate_there_are_no_dates() -> None:
    told = families(report(failed="nothing listens"))
    assert not told["barehub_certificate_not_after_timestamp_seconds"].samples


def test_a_label_is_escaped() -> None:
    url = 'https://hub.example.org/a\\b"c'
    told = prometheus._metric("m", "help", [({"endpoint": url + "\n" + HOSTILE}, 1.0)])
    (metric,) = text_string_to_metric_families(told)
    assert metric.samples[0].labels == {"endpoint": url + "\n" + HOSTILE}
