"""The ladder up to TLS: connection, trust, name, validity."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from endpoints import (
    DAY,
    GOOD,
    HOST,
    MIDDLE,
    NO_ANSWER,
    PLAIN,
    ROOT,
    STAGING,
    Handler,
    Issued,
    Servers,
    closed_port,
    failed,
    issue,
    modern,
    routes,
    said,
    says,
)

from barehub import verify
from barehub.console import console
from barehub.verify import dial


def test_a_hub_that_is_well_passes_every_check(servers: Servers) -> None:
    asked: list[str] = []
    report = verify.verify(servers.target(routes(modern(), asked)))
    assert report.verdict == "pass"
    assert {f.id: f.status for f in report.findings if f.status != "pass"} == {
        "http.redirect": "skip",  # it is not on port 443
        "hub.api": "skip",  # nothing at the usual places says that it is a JupyterHub
    }
    assert said(report, "binder.not-binderhub") == "BinderHub 0.2.0+2227.gb9fad995"
    assert said(report, "binder.unhealthy") == "healthy: JupyterHub API"
    assert asked == ["/versions", "/health", "/hub/api", "/jupyter/hub/api"]


def test_the_document_describes_the_certificate(servers: Servers) -> None:
    document = verify.verify(servers.target(routes(modern()))).document()
    certificate = document["certificate"]
    assert json.loads(json.dumps(document)) == document
    assert document["schema_version"] == 1 and document["verdict"] == "pass"
    assert certificate["sans"] == [HOST] and certificate["issuer"] == "CN=Test Intermediate"
    assert 88 < certificate["days_left"] <= 89
    assert (
        certificate["fingerprint_sha256"] == GOOD[0].certificate.fingerprint(hashes.SHA256()).hex()
    )
    assert [c["subject"] for c in certificate["chain"]] == ["CN=Test Intermediate"]


def test_a_hub_that_is_well_is_verified_without_what_only_others_need(servers: Servers) -> None:
    target = servers.target(routes(modern()))
    program = (
        "import sys; from barehub import verify\n"
        f"report = verify.verify(verify.parse({target.url!r}, ca_file={str(target.ca_file)!r}))\n"
        "others = ('dns', 'idna', 'rich', 'websockets')\n"
        "print(report.verdict, [name for name in others if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("pass []\n", "")


SELF_SIGNED = issue(None, "me")
FAKE = issue(None, "Kubernetes Ingress Controller Fake Certificate", sans=("ingress.local",))
TEMPORARY = issue(issue(None, "cert-manager.local", ca=True))
OLD_MIDDLE = issue(ROOT, "Old Intermediate", ca=True, begins=-90 * DAY, ends=-DAY)

BROKEN_TLS: list[tuple[str, tuple[Issued, ...], bool]] = [
    # the finding, the chain, whether waiting may heal it
    ("tls.self-signed", (SELF_SIGNED,), False),
    ("tls.untrusted", (issue(STRANGER := issue(None, "Stranger", ca=True)), STRANGER), False),
    ("tls.chain-incomplete", (issue(MIDDLE),), False),
    ("tls.hostname", (issue(MIDDLE, sans=("other.localhost",)), MIDDLE), False),
    ("tls.hostname", (issue(MIDDLE, sans=("127.0.0.1",)), MIDDLE), False),
    ("tls.no-san", (issue(MIDDLE, HOST, sans=None), MIDDLE), False),
    ("tls.wildcard-depth", (issue(MIDDLE, sans=("*.example.org",)), MIDDLE), False),
    ("tls.expired", (issue(MIDDLE, begins=-90 * DAY, ends=-DAY), MIDDLE), False),
    ("tls.intermediate-expired", (issue(OLD_MIDDLE), OLD_MIDDLE), False),
    ("tls.not-yet-valid", (issue(MIDDLE, begins=2 * DAY), MIDDLE), False),
    ("tls.default-cert", (FAKE,), True),
    ("tls.default-cert", (TEMPORARY,), True),
    ("tls.staging-issuer", (issue(STAGING), STAGING), False),
    ("tls.weak-key", (issue(MIDDLE, key=rsa.generate_private_key(65537, 1024)), MIDDLE), False),
    ("tls.eku", (issue(MIDDLE, usage=ExtendedKeyUsageOID.CODE_SIGNING), MIDDLE), False),
    ("tls.expires-soon", (issue(MIDDLE, begins=-84 * DAY, ends=6 * DAY), MIDDLE), False),
    ("tls.renewal-late", (issue(MIDDLE, begins=-68 * DAY, ends=22 * DAY), MIDDLE), False),
]


def test_a_certificate_that_is_valid_within_minutes_heals(servers: Servers) -> None:
    chain = (issue(MIDDLE, begins=DAY / 144), MIDDLE)
    report = verify.verify(servers.target(routes(modern()), chain))
    assert failed(report) == ["tls.not-yet-valid"]
    assert report.verdict == "not-ready"


@pytest.mark.parametrize(("id", "chain", "heals"), BROKEN_TLS)
def test_a_broken_certificate_has_its_own_finding(
    servers: Servers, id: str, chain: tuple[Issued, ...], heals: bool
) -> None:
    target = servers.target(routes(modern()), chain)
    if id == "tls.wildcard-depth":
        url = f"https://a.b.example.org:{target.port}"
        to = f"127.0.0.1:{target.port}"
        target = verify.parse(url, connect_to=to, ca_file=str(servers.ca)).at("origin")
    report = verify.verify(target)
    finding = next(f for f in report.findings if f.status == "fail")
    assert failed(report) == [id]
    assert finding.fix
    assert report.certificate is not None
    if finding.severity == "warning":
        assert report.verdict == "pass"
    else:
        assert report.verdict == ("not-ready" if heals else "fail")
        assert said(report, "binder.unhealthy") == f"not checked: {id} failed"


def test_all_that_is_wrong_with_a_certificate_is_said_at_once(servers: Servers) -> None:
    bad = issue(STRANGER, sans=("other.localhost",), begins=-9 * DAY, ends=-DAY)
    report = verify.verify(servers.target(routes(modern()), (bad, STRANGER)))
    assert failed(report) == ["tls.untrusted", "tls.hostname", "tls.expired"]


def test_a_wrong_name_does_not_hide_an_expired_certificate(servers: Servers) -> None:
    bad = issue(MIDDLE, sans=("other.localhost",), begins=-9 * DAY, ends=-DAY)
    report = verify.verify(servers.target(routes(modern()), (bad, MIDDLE)))
    assert failed(report) == ["tls.hostname", "tls.expired"]


def test_a_wrong_name_does_not_hide_an_expired_intermediate(servers: Servers) -> None:
    bad = issue(OLD_MIDDLE, sans=("other.localhost",))
    report = verify.verify(servers.target(routes(modern()), (bad, OLD_MIDDLE)))
    assert failed(report) == ["tls.hostname", "tls.intermediate-expired"]


def test_short_lived_certificates_that_are_fresh_raise_no_alarm(servers: Servers) -> None:
    for life in (DAY / 24, DAY, 6 * DAY, 45 * DAY):
        chain = (issue(MIDDLE, begins=-life / 2, ends=life / 2), MIDDLE)
        assert failed(verify.verify(servers.target(routes(modern()), chain))) == []


def test_what_a_certificate_says_cannot_steer_the_terminal(servers: Servers) -> None:
    report = verify.verify(servers.target(routes(modern()), (issue(None, "\x1b[2Jowned"),)))
    printed = "\n".join(report.lines(console.paint))
    assert "owned" in printed and "\x1b" not in printed


async def bad_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What web servers answer to a TLS greeting on a port for plain HTTP."""
    await reader.read(5)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("handler", [bad_request, routes(modern())], ids=["refusing", "puzzled"])
def test_plain_http_is_told_from_tls(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, handler: Handler
) -> None:
    monkeypatch.setattr(dial, "HANDSHAKE_SECONDS", 0.5)
    report = verify.verify(servers.target(handler, PLAIN))
    assert (failed(report), report.verdict) == (["tls.not-tls"], "fail")


@pytest.mark.parametrize("handler", [NO_ANSWER, says(b"")], ids=["silent", "closing"])
def test_a_server_that_does_not_shake_hands_is_waited_for(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, handler: Handler
) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    monkeypatch.setattr(dial, "HANDSHAKE_SECONDS", 0.5)
    monkeypatch.setattr(dial, "PLAIN_SECONDS", 0.5)
    report = verify.verify(servers.target(handler if handler is NO_ANSWER else closing, PLAIN))
    assert (failed(report), report.verdict) == (["tls.handshake"], "not-ready")


def test_a_closed_port_is_refused() -> None:
    with closed_port() as port:
        report = verify.verify(verify.parse(f"https://{HOST}:{port}"))
    assert (failed(report), report.verdict) == (["net.connect"], "not-ready")
    assert said(report, "net.connect") == f"connection refused (127.0.0.1:{port})"


def test_a_name_that_does_not_exist_is_missing() -> None:
    report = verify.verify(verify.parse("https://no-such-hub.invalid"))
    assert (failed(report), report.verdict) == (["dns.missing"], "not-ready")
    assert {f.status for f in report.findings[1:]} == {"skip"}


def test_connecting_elsewhere_still_asks_for_the_name(servers: Servers) -> None:
    port = servers.start(routes(modern()), (issue(MIDDLE, sans=("hub.example.org",)), MIDDLE))
    target = verify.parse(
        "https://hub.example.org", connect_to=f"localhost:{port}", ca_file=str(servers.ca)
    )
    report = verify.verify(target.at("origin"))
    assert report.verdict == "pass"
    assert {f.vantage for f in report.findings} == {"origin"}
    assert report.findings[0].status == "skip"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_verified_as_one(servers: Servers, address: str) -> None:
    chain = (issue(MIDDLE, sans=("127.0.0.1", "::1")), MIDDLE)
    try:
        port = servers.start(routes(modern()), chain, address=address)
    except OSError:
        pytest.skip(f"this machine has no {address}")
    host = f"[{address}]" if ":" in address else address
    report = verify.verify(verify.parse(f"https://{host}:{port}", ca_file=str(servers.ca)))
    assert (report.verdict, failed(report)) == ("pass", [])


def test_without_the_authority_a_certificate_is_not_trusted(servers: Servers) -> None:
    target = servers.target(routes(modern()))
    report = verify.verify(verify.parse(target.url))
    assert (failed(report), report.verdict) == (["tls.untrusted"], "fail")
