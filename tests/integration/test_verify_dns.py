"""The dns rung against a real DNS server, and one of our own for what that cannot play."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dns_servers import PUBLISHED, Dns, nxdomain, running
from endpoints import MIDDLE, Servers, closed_port, failed, issue, modern, routes, said

from barehub import verify
from barehub.verify import dial, names
from barehub.verify.finding import Finding, Findings
from barehub.verify.target import Target


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dns]:
    with running(tmp_path_factory.mktemp("dns") / "log") as started:
        yield started


def looked_up(target: Target) -> tuple[list[str], dict[str, Finding]]:
    found = Findings("edge")
    addresses = asyncio.run(names.look_up(found, target))
    assert len({finding.id for finding in found}) == len(found)
    return addresses, {finding.id: finding for finding in found}


def target_of(server: Dns, host: str) -> Target:
    return Target(host, 443, resolver=server.resolver)


def test_addresses_come_with_ipv4_first(server: Dns) -> None:
    server.leads("both.test", "2001:db8::7", "192.0.2.7")
    addresses, found = looked_up(target_of(server, "both.test"))
    assert addresses == ["192.0.2.7", "2001:db8::7"]
    assert {id: f.status for id, f in found.items()} == {"dns.missing": "pass", "dns.caa": "pass"}
    assert "no CAA record" in found["dns.caa"].message


def test_an_alias_is_followed(server: Dns) -> None:
    server.leads("machine.test", "192.0.2.8")
    server.tell("set-cname", host="alias.test", target="machine.test")
    assert looked_up(target_of(server, "alias.test"))[0] == ["192.0.2.8"]


def test_a_name_without_an_address(server: Dns) -> None:
    addresses, found = looked_up(target_of(server, "empty.test"))
    assert addresses == []
    assert set(found) == {"dns.missing"}
    assert found["dns.missing"].broken and not found["dns.missing"].permanent
    assert "neither an A nor an AAAA" in found["dns.missing"].message


def test_a_resolver_that_fails(server: Dns) -> None:
    server.tell("set-servfail", host="bad.test")
    addresses, found = looked_up(target_of(server, "bad.test"))
    assert addresses == []
    assert found["dns.missing"].broken and not found["dns.missing"].permanent
    assert "SERVFAIL" in found["dns.missing"].message


def test_a_resolver_that_is_silent_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "SECONDS", 0.4)
    monkeypatch.setattr(names, "LOOK_SECONDS", 0.2)
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        target = Target("hub.test", 443, resolver=silent.getsockname())
        started = time.monotonic()
        addresses, found = looked_up(target)
    assert addresses == [] and time.monotonic() - started < 5
    assert "no answer within 0.4 s" in found["dns.missing"].message
    assert not found["dns.missing"].permanent


@pytest.mark.parametrize(
    ("where", "policies", "allowed"),
    [
        ("hub.a1.test", {"issue": "letsencrypt.org"}, True),
        ("a2.test", {"issue": "letsencrypt.org"}, True),
        ("a3.test", {"issue": "letsencrypt.org; validationmethods=dns-01"}, True),
        ("a4.test", {"issuewild": "digicert.com"}, True),
        ("a5.test", {"iodef": "mailto:ops@a5.test"}, True),
        ("a6.test", {"issue": "digicert.com"}, False),
        ("hub.a7.test", {"issue": "digicert.com"}, False),
        ("a8.test", {"issue": ";"}, False),
        ("a9.test", {"issue": "notletsencrypt.org"}, False),
        ("b1.test", {"issue": "digicert.com", "issuewild": "letsencrypt.org"}, False),
    ],
)
def test_who_may_issue(server: Dns, where: str, policies: dict[str, str], allowed: bool) -> None:
    """The hub's certificate is for its name: issuewild is for wildcards alone (RFC 8659, 4.3)."""
    host = where if where.startswith("hub.") else f"hub.{where}"
    server.leads(host, "192.0.2.9")
    server.caa(where, **policies)
    finding = looked_up(target_of(server, host))[1]["dns.caa"]
    assert finding.broken is not allowed
    assert where in finding.message
    if not allowed:
        assert not finding.permanent
        assert f'add to {where}: CAA 0 issue "letsencrypt.org"' in str(finding.fix)


def test_the_nearest_caa_records_count_however_deep_the_name_is(server: Dns) -> None:
    deep = "a.b.c.d.e.f.g.h.i.j.k.l.deep.test"
    server.leads(deep, "192.0.2.9")
    server.caa(deep, issue="digicert.com")
    server.caa("deep.test", issue="letsencrypt.org")
    finding = looked_up(target_of(server, deep))[1]["dns.caa"]
    assert finding.broken and f"CAA records of {deep}" in finding.message


def test_caa_that_cannot_be_asked_for_is_not_called_fine(
    server: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.leads("hub.unasked.test", "192.0.2.9")
    ask = names._records

    async def records(resolver: Any, name: str, kind: str) -> list[str]:
        if kind == "CAA":
            raise names._Silent("no answer")
        return await ask(resolver, name, kind)

    monkeypatch.setattr(names, "_records", records)
    addresses, found = looked_up(target_of(server, "hub.unasked.test"))
    assert addresses == ["192.0.2.9"]
    assert found["dns.caa"].status == "skip"


@pytest.mark.parametrize("host", ["192.0.2.1", "::1", "demo.localhost"])
def test_nobody_is_asked_about_addresses_and_this_machine(host: str) -> None:
    with closed_port() as port:
        addresses, found = looked_up(Target(host, 443, resolver=("127.0.0.1", port)))
    assert addresses and not any(finding.broken for finding in found.values())


def _as_the_system_s(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Ask ``port`` in place of what resolv.conf names."""
    make = names._resolver
    monkeypatch.setattr(names, "_resolver", lambda server: make(server or ("127.0.0.1", port)))


def test_a_record_that_the_resolver_has_not_seen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with nxdomain(PUBLISHED) as port:
        _as_the_system_s(monkeypatch, port)
        addresses, found = looked_up(Target("hub.zone.invalid", 443))
    assert addresses == []
    assert found["dns.missing"].broken and not found["dns.missing"].permanent
    assert "192.0.2.55" in found["dns.missing"].message
    assert "has not seen it yet" in found["dns.missing"].message


def test_a_name_that_its_own_servers_do_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    with nxdomain({}) as port:
        _as_the_system_s(monkeypatch, port)
        addresses, found = looked_up(Target("hub.zone.invalid", 443))
    assert addresses == []
    assert "NXDOMAIN" in found["dns.missing"].message


def test_only_the_given_resolver_is_asked() -> None:
    with nxdomain(PUBLISHED) as port:
        target = Target("hub.zone.invalid", 443, resolver=("127.0.0.1", port))
        addresses, found = looked_up(target)
    assert addresses == []
    assert "NXDOMAIN" in found["dns.missing"].message


def test_a_name_that_the_hosts_file_alone_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "_look_up", lambda host: ["192.0.2.99"])
    with nxdomain({}) as port:
        _as_the_system_s(monkeypatch, port)
        addresses, found = looked_up(Target("hub.zone.invalid", 443))
    assert addresses == ["192.0.2.99"]
    assert not any(finding.broken for finding in found.values())
    assert any("hosts file" in finding.message for finding in found.values())


def _ipv6(host: str, port: int, addresses: list[str]) -> Findings:
    found = Findings("edge")
    asyncio.run(names.ipv6(found, Target(host, port), addresses))
    return found


def _loopback_has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _loopback_has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
def test_an_ipv6_address_that_answers() -> None:
    with socket.socket(socket.AF_INET6) as listening:
        listening.bind(("::1", 0))
        listening.listen()
        (finding,) = _ipv6("hub.test", listening.getsockname()[1], ["127.0.0.1", "::1"])
    assert (finding.id, finding.status) == ("dns.ipv6", "pass")


@needs_ipv6
def test_an_ipv6_address_that_leads_nowhere() -> None:
    with socket.socket(socket.AF_INET6) as held:
        held.bind(("::1", 0))
        (finding,) = _ipv6("hub.test", held.getsockname()[1], ["127.0.0.1", "::1"])
    assert (finding.id, finding.severity, finding.status) == ("dns.ipv6", "warning", "fail")
    assert "connection refused" in finding.message


def test_ipv6_is_not_judged_from_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_has_route", lambda address: False)
    (finding,) = _ipv6("hub.test", 443, ["127.0.0.1", "2001:db8::1"])
    assert (finding.id, finding.status) == ("dns.ipv6", "skip")


def test_without_an_ipv6_address_nothing_is_said() -> None:
    assert _ipv6("hub.test", 443, ["127.0.0.1"]) == []


def test_a_hub_by_its_name_in_dns(server: Dns, tmp_path: Path) -> None:
    """The whole climb, from the resolver to BinderHub."""
    server.leads("hub.whole.test", "127.0.0.1")
    server.caa("whole.test", issue="letsencrypt.org")
    with Servers(tmp_path) as servers:
        port = servers.start(routes(modern()), (issue(MIDDLE, sans=("hub.whole.test",)), MIDDLE))
        target = Target("hub.whole.test", port, ca_file=servers.ca, resolver=server.resolver)
        report = verify.verify(target)
    assert [id for id in failed(report) if id.startswith(("dns.", "net.", "tls."))] == []
    assert said(report, "dns.missing") == "hub.whole.test is 127.0.0.1"
    assert "let letsencrypt.org issue" in said(report, "dns.caa")
