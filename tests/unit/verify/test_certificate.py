"""Which name a certificate is good for, and when its renewal is late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from barehub.verify.certificate import Chain, Validity, covers, describe, now, too_shallow

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [
        ("hub.example.org", "hub.example.org", True),
        ("HUB.example.org", "hub.example.org", True),
        ("*.example.org", "hub.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.hub.example.org", False),
        ("*.example.org", "badexample.org", False),
        ("hub.example.org", "example.org", False),
        ("*", "localhost", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("2001:db8:0::7", "2001:db8::7", True),
        ("*.0.2.7", "192.0.2.7", False),
    ],
)
def test_the_names_that_a_certificate_covers(name: str, host: str, covered: bool) -> None:
    assert covers(name, host) is covered


def test_a_wildcard_is_too_shallow_only_for_names_below_it() -> None:
    assert too_shallow("*.example.org", "a.hub.example.org")
    assert not too_shallow("*.example.org", "hub.example.org")
    assert not too_shallow("*.example.org", "a.b.example.com")
    assert not too_shallow("hub.example.org", "a.hub.example.org")


@pytest.mark.parametrize(
    ("life", "left", "late", "soon"),
    [
        (90 * DAY, 31 * DAY, False, False),
        (90 * DAY, 28 * DAY, False, False),
        (90 * DAY, 26 * DAY, True, False),
        (90 * DAY, 8 * DAY, True, True),
        (45 * DAY, 15 * DAY, False, False),
        (45 * DAY, 13 * DAY, True, False),
        (6 * DAY, 2 * DAY, False, False),
        (6 * DAY, 23 * HOUR, True, True),
        (DAY, 8 * HOUR, False, False),
        (DAY, 3 * HOUR, False, True),
    ],
)
def test_alarms_are_relative_to_the_life(
    life: timedelta, left: timedelta, late: bool, soon: bool
) -> None:
    ends = now() + left
    valid = Validity(ends - life, ends)
    assert (valid.renewal_late, valid.expires_soon) == (late, soon)


def test_what_is_no_certificate_is_not_described() -> None:
    assert Chain.read((b"0\x82nothing",)) is None
    assert describe((b"",)) is None
