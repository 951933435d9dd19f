"""Edge and origin: the name leads to one real server, the machine is another; real DNS answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dns_servers import Dns
from endpoints import MIDDLE, Servers, closed_port, issue, modern, routes, said
from nginx import free_ports, nginx, pem
from test_verify_dns import server as server  # the fixture

from barehub import verify

NAME = "hub.vantages.test"
CHAIN = (issue(MIDDLE, sans=(NAME,)), MIDDLE)
OTHER = (issue(MIDDLE, sans=("other.test",)), MIDDLE)


def failed(report: verify.Report) -> list[str]:
    """Warnings apart: these servers send no HSTS."""
    return [finding.id for finding in report.failures]


def seen(server: Dns, servers: Servers, port: int, machine: str) -> verify.Report:
    target = verify.parse(f"https://{NAME}:{port}", connect_to=machine, ca_file=str(servers.ca))
    return verify.verify(dataclasses.replace(target, resolver=server.resolver))


def test_a_name_that_leads_to_the_machine_is_looked_at_once(server: Dns, servers: Servers) -> None:
    server.leads(NAME, "127.0.0.1")
    port = servers.start(routes(modern()), CHAIN)
    report = seen(server, servers, port, f"127.0.0.1:{port}")
    assert report.verdict == "pass"
    assert "leads to the machine" in said(report, "dns.mismatch")
    assert [f.status for f in report.findings if f.vantage == "origin"] == ["skip"]


def test_a_name_that_leads_elsewhere_is_waited_for(server: Dns, servers: Servers) -> None:
    """Whatever is wrong there heals when the record is right: nothing of it is permanent."""
    server.leads(NAME, "127.0.0.1")
    elsewhere = servers.start(routes(modern()), OTHER)
    machine = servers.start(routes(modern()), CHAIN, address="127.0.0.2")
    report = seen(server, servers, elsewhere, f"127.0.0.2:{machine}")
    assert failed(report) == ["dns.mismatch", "tls.hostname"]
    assert {f.vantage for f in report.failures} == {"edge"}
    assert report.verdict == "not-ready"
    assert NAME in said(report, "dns.mismatch") and "127.0.0.2" in said(report, "dns.mismatch")


def test_a_dead_origin_behind_a_page_that_is_up_is_found(server: Dns, servers: Servers) -> None:
    server.leads(NAME, "127.0.0.1")
    edge = servers.start(routes(modern()), CHAIN)
    with closed_port() as port:
        report = seen(server, servers, edge, f"127.0.0.1:{port}")
    assert [(f.id, f.vantage) for f in report.failures] == [("net.connect", "origin")]
    assert report.verdict == "not-ready"


def test_caa_records_for_another_authority_are_right_where_it_is_at_work(
    server: Dns, servers: Servers
) -> None:
    name = "caa.vantages.test"
    server.leads(name, "127.0.0.1")
    server.caa(name, issue="digicert.com")
    own = (issue(MIDDLE, sans=(name,)), MIDDLE)
    target = verify.parse(
        f"https://{name}:{servers.start(routes(modern()), own)}", ca_file=str(servers.ca)
    )
    report = verify.verify(dataclasses.replace(target, resolver=server.resolver))
    assert (report.verdict, failed(report)) == ("pass", [])
    assert "digicert.com" in said(report, "dns.caa")
    with closed_port() as port:
        target = dataclasses.replace(target, port=port, resolver=server.resolver)
        report = verify.verify(target)
    assert failed(report) == ["dns.caa", "net.connect"]


def test_a_server_of_the_old_versions_alone(tmp_path: Path, servers: Servers) -> None:
    (port,) = free_ports(1)
    block = (
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1 TLSv1.1;"
        f"ssl_ciphers DEFAULT:@SECLEVEL=0; {pem(tmp_path, CHAIN)} }}"
    )
    with nginx(tmp_path, block, port):
        report = verify.verify(verify.parse(f"https://localhost:{port}", ca_file=str(servers.ca)))
    assert failed(report) == ["tls.tls10", "tls.tls11"]
    assert report.verdict == "fail"
