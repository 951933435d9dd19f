"""Where a name leads, compared with where it must."""

from __future__ import annotations

import pytest

from barehub.verify import names
from barehub.verify.finding import Finding, Findings

HOST, MACHINE = "hub.example.org", ["198.51.100.4"]
CLOUDFLARE = ["104.16.0.1", "2606:4700::1"]


def mismatch(addresses: list[str], *, proxied: bool = False) -> Finding:
    found = Findings("edge")
    names.mismatch(found, HOST, addresses, MACHINE, proxied)
    (finding,) = found
    assert finding.id == "dns.mismatch"
    return finding


def test_a_name_that_leads_to_the_machine() -> None:
    assert mismatch(MACHINE).status == "pass"
    assert mismatch(["2001:db8::1", *MACHINE]).status == "pass"


def test_a_name_that_leads_elsewhere() -> None:
    finding = mismatch(["203.0.113.9"])
    assert finding.broken and not finding.permanent
    assert "203.0.113.9" in finding.message and "198.51.100.4" in finding.message


@pytest.mark.parametrize(
    ("addresses", "proxied"), [(CLOUDFLARE, False), (CLOUDFLARE, True), (["203.0.113.9"], True)]
)
def test_a_proxied_name_leads_elsewhere_on_purpose(addresses: list[str], proxied: bool) -> None:
    finding = mismatch(addresses, proxied=proxied)
    assert (finding.status, finding.severity) == ("pass", "info")


def test_one_address_of_the_proxy_among_others_is_no_proxy() -> None:
    assert mismatch([CLOUDFLARE[0], "203.0.113.9"]).broken


@pytest.mark.parametrize(
    ("address", "theirs"),
    [
        ("104.16.0.0", True),
        ("104.23.255.255", True),
        ("104.28.0.0", False),
        ("172.71.255.255", True),
        ("172.72.0.0", False),
        ("131.0.75.255", True),
        ("131.0.76.0", False),
        ("2606:4700:ffff::1", True),
        ("2606:4701::1", False),
        ("2a06:98c7:ffff::1", True),
        ("2a06:98c8::1", False),
    ],
)
def test_the_edges_of_cloudflare_s_ranges(address: str, theirs: bool) -> None:
    assert names._cloudflare(address) is theirs
