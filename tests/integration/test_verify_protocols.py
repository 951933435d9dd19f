"""What the TLS of a real nginx is told from: old versions, weak ciphers, no name (SNI)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from endpoints import GOOD, HOST, MIDDLE, ROOT, Issued, closed_port, issue
from nginx import free_ports, nginx, pem

from barehub.verify import dial, protocols
from barehub.verify.finding import Finding, Findings

Check = Callable[[Findings, protocols.Connect], Awaitable[object]]

SERVER = """
server {{
  listen 127.0.0.1:{port} ssl {default};
  server_name {name};
  ssl_protocols {versions};
  ssl_ciphers {ciphers};
  ssl_session_cache off;
  {certificate}
  location / {{ return 200 'hello'; }}
}}
"""

OLD_CIPHERS = "DEFAULT:@SECLEVEL=0"


def block(
    folder: Path,
    port: int,
    *,
    versions: str = "TLSv1.2 TLSv1.3",
    ciphers: str = "DEFAULT",
    name: str = HOST,
    default: str = "",
    chain: tuple[Issued, ...] = GOOD,
) -> str:
    return SERVER.format(
        port=port,
        versions=versions,
        ciphers=ciphers,
        name=name,
        default=default,
        certificate=pem(folder, chain),
    )


def connecting(port: int) -> protocols.Connect:
    async def connect() -> socket.socket:
        sock, _ = await dial.connect(["127.0.0.1"], port)
        return sock

    return connect


def outcome(port: int, check: Check) -> dict[str, Finding]:
    found = Findings("edge")

    async def run() -> None:
        await check(found, connecting(port))

    asyncio.run(run())
    assert len({finding.id for finding in found}) == len(found)
    return {finding.id: finding for finding in found}


async def old(found: Findings, connect: protocols.Connect) -> None:
    await protocols.old_versions(found, connect, HOST)


async def old_by_address(found: Findings, connect: protocols.Connect) -> None:
    await protocols.old_versions(found, connect, "127.0.0.1")


async def sni(found: Findings, connect: protocols.Connect) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    own = tuple(issued.certificate.public_bytes(Encoding.DER) for issued in GOOD)
    await protocols.without_sni(connect, found, own)


async def weak(found: Findings, connect: protocols.Connect) -> None:
    said = await protocols.weak_cipher(connect, HOST, found)
    assert said == found.has("tls.weak-cipher")


@pytest.mark.parametrize("key", ["ec", "rsa"])
@pytest.mark.parametrize(
    ("versions", "spoken"),
    [
        ("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", {"tls.tls10", "tls.tls11"}),
        ("TLSv1 TLSv1.2", {"tls.tls10"}),
        ("TLSv1.1 TLSv1.2 TLSv1.3", {"tls.tls11"}),
        ("TLSv1", {"tls.tls10"}),
        ("TLSv1.2 TLSv1.3", set()),
        ("TLSv1.3", set()),
    ],
)
def test_old_versions(tmp_path: Path, versions: str, spoken: set[str], key: str) -> None:
    (port,) = free_ports(1)
    chain = GOOD if key == "ec" else (rsa_certificate(), MIDDLE)
    ciphers = OLD_CIPHERS if spoken else "DEFAULT"
    server = block(tmp_path, port, versions=versions, ciphers=ciphers, chain=chain)
    with nginx(tmp_path, server, port):
        found = outcome(port, old)
    assert {id for id, finding in found.items() if finding.status == "fail"} == spoken
    assert {id for id, finding in found.items() if finding.status == "pass"} == (
        {"tls.tls10", "tls.tls11"} - spoken
    )
    for id in spoken:
        assert found[id].permanent and found[id].severity == "error"
        assert 'ssl-protocols "TLSv1.2 TLSv1.3"' in str(found[id].fix)


def rsa_certificate() -> Issued:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return issue(MIDDLE, key=rsa.generate_private_key(65537, 2048))


def test_old_versions_of_a_server_known_by_its_address_alone(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = block(tmp_path, port, versions="TLSv1 TLSv1.2", ciphers=OLD_CIPHERS)
    with nginx(tmp_path, server, port):
        found = outcome(port, old_by_address)
    assert found["tls.tls10"].status == "fail"
    assert found["tls.tls11"].status == "pass"


def test_what_cannot_be_connected_to_is_not_called_safe() -> None:
    with closed_port() as port:
        found = outcome(port, old)
    assert {finding.status for finding in found.values()} == {"skip"}


def test_a_server_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SECONDS", 0.3)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        found = outcome(listening.getsockname()[1], old)
    assert {finding.status for finding in found.values()} <= {"pass", "skip"}


WEAK = "AES128-SHA:AES256-SHA:@SECLEVEL=0"


def test_the_cipher_is_named_when_only_weak_ones_are_offered(tmp_path: Path) -> None:
    """Python's default ciphers hold none without forward secrecy."""
    (port,) = free_ports(1)
    chain = (rsa_certificate(), MIDDLE)
    server = block(tmp_path, port, versions="TLSv1.2", ciphers=WEAK, chain=chain)
    with nginx(tmp_path, server, port):
        assert refused(port)
        found = outcome(port, weak)["tls.weak-cipher"]
    assert found.status == "fail" and found.permanent
    assert "AES128-SHA" in found.message or "AES256-SHA" in found.message


def refused(port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname=HOST),
        ):
            return False
    except ssl.SSLError:
        return True


def test_a_handshake_that_no_cipher_helps_is_not_put_down_to_ciphers(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    servers = REJECTING.format(port=port) + block(tmp_path, port, name="other.test")
    with nginx(tmp_path, servers, port):
        assert outcome(port, weak) == {}


REJECTING = """
server {{ listen 127.0.0.1:{port} ssl default_server; ssl_reject_handshake on; }}
"""


OTHER = (issue(MIDDLE, "Kubernetes Ingress Controller Fake Certificate"), MIDDLE)


def test_the_certificate_that_is_sent_without_a_name(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    servers = block(tmp_path, port, name="other.test", default="default_server", chain=OTHER)
    with nginx(tmp_path, servers + block(tmp_path, port), port):
        found = outcome(port, sni)["tls.sni-default"]
    assert (found.status, found.severity) == ("pass", "info")
    assert "Fake Certificate" in found.message


def test_the_same_certificate_without_a_name(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with nginx(tmp_path, block(tmp_path, port), port):
        found = outcome(port, sni)["tls.sni-default"]
    assert (found.status, found.severity) == ("pass", "info")
    assert "the same" in found.message


def test_a_server_that_wants_a_name(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    servers = REJECTING.format(port=port) + block(tmp_path, port)
    with nginx(tmp_path, servers, port):
        found = outcome(port, sni)["tls.sni-default"]
    assert (found.status, found.severity) == ("pass", "info")
    assert "no handshake" in found.message


@pytest.mark.parametrize(("version", "severity"), [("TLSv1.3", "error"), ("TLSv1.2", "info")])
def test_what_was_agreed_on(version: str, severity: str) -> None:
    found = Findings("edge")
    protocols.negotiated(found, version)
    assert [(f.id, f.status, f.severity) for f in found] == [("tls.no-tls13", "pass", severity)]


def test_a_good_server_raises_no_alarm(tmp_path: Path) -> None:
    from barehub import verify

    (port,) = free_ports(1)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(ROOT.pem)
    with nginx(tmp_path, block(tmp_path, port), port):
        report = verify.verify(verify.parse(f"https://{HOST}:{port}", ca_file=str(ca)))
    bad = {finding.id for finding in report.findings if finding.status == "fail"}
    assert {id for id in bad if id.startswith(("tls.", "net.", "dns."))} == set()
    assert {"tls.tls10", "tls.tls11", "tls.no-tls13"} <= {f.id for f in report.findings}
