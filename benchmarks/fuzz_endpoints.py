"""What endpoints answer, and the package's judges of it, for fuzz.py: certificates, HTTP, DNS."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from xml.etree import ElementTree

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa


def certificates() -> list[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

    name = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, "a.localhost"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Örg"),
    ])  # fmt: skip
    names: list[x509.GeneralName] = [
        x509.DNSName("a.localhost"), x509.DNSName("*.b"), x509.RFC822Name("a@b"),
        x509.UniformResourceIdentifier("https://a"), x509.DirectoryName(name),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01a"),
    ]  # fmt: skip
    more: list[x509.ExtensionType] = [
        x509.SubjectAlternativeName(names),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.BasicConstraints(False, None),
        x509.TLSFeature([x509.TLSFeatureType.status_request]),
        x509.AuthorityInformationAccess([
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o")
            )
        ]),
        # two signed certificate timestamps (RFC 6962, 3.3), of no log that there is
        x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"),
            b"\x04\x70\x00\x6e" + (b"\x00\x35" + bytes(43) + b"\x04\x03\x00\x06" + bytes(6)) * 2,
        ),
    ]  # fmt: skip
    made = []
    now = datetime(2026, 1, 1, tzinfo=UTC)
    keys = (
        ec.derive_private_key(7, ec.SECP256R1()),  # the same in every run
        _rsa_key(),
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
    )
    for key in keys:
        builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now,
                                          now + timedelta(days=3650))  # fmt: skip
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        drawn = True if isinstance(key, ec.EllipticCurvePrivateKey) else None
        signed = builder.sign(key, algorithm, ecdsa_deterministic=drawn)
        made.append(signed.public_bytes(serialization.Encoding.DER))
    return made


def _rsa_key() -> rsa.RSAPrivateKey:
    """Return the same key of 1024 bits each time."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    p, q = (
        next(n for n in range(3 << 510 | start, 1 << 512, 2) if pow(3, n - 1, n) == 1)
        for start in (1, 1 << 400 | 1)
    )
    d = rsa.rsa_recover_private_exponent(65537, p, q)
    public = rsa.RSAPublicNumbers(65537, p * q)
    of_p, of_q, of_both = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, of_p, of_q, of_both, public).private_key()


def read_certificate(content: bytes, folder: Path) -> None:
    from barehub.verify import certificate, trust
    from barehub.verify.finding import Findings
    from barehub.verify.report import Report
    from barehub.verify.target import parse

    ders = (content, _good_certificate(), content)
    found = Findings("edge")
    for public in (False, True):
        trust.accept(found, "a.localhost", ders, public=public)
    for code in (2, 9, 10, 18, 19, 20, 26, 62, 66, 68, 1):
        trust.explain(found, "a.localhost", ders[: 1 + code % 2], code, "as OpenSSL says")
    certificate.describe(ders)
    _written(Report(parse("https://a.localhost"), found, {"edge": ders}))


_kept: list[bytes] = []


def _good_certificate() -> bytes:
    if not _kept:
        _kept.extend(certificates()[:1])
    return _kept[0]


def _written(report: Any) -> None:
    """Every output of a report, read again where there is a parser."""
    from prometheus_client.parser import text_string_to_metric_families

    from barehub.verify.outputs import github, junit, page, prometheus, table

    reports = [report, report]
    ElementTree.fromstring(junit.text(reports, strict=True).encode())
    list(text_string_to_metric_families(prometheus.text(reports)))
    page.html(reports, datetime.now(UTC)).encode()
    github.summary(reports).encode()
    "\n".join(table.lines(reports, lambda text, *styles: text)).encode()
    json.loads(json.dumps(report.document(), allow_nan=False))
    "\n".join(report.lines(lambda text, *styles: text)).encode()


def _http(first: str, *fields: str, body: str = "") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {first}", *fields, "", body]).encode()


ANSWERS = (
    _http("200 OK", "Content-Type: application/json", "Content-Length: 24",
          body='{"binderhub": "0.2.0+2"}'),
    _http("200 OK", "Transfer-Encoding: chunked", "X-RateLimit-Remaining: 1",
          body='1a\r\n{"ok": true, "checks": []}\r\n0\r\nTrailer: x\r\n\r\n'),
    _http("503 X", "Age: 1", body='{"ok": false, "checks": [{"service": "a", "quota": 3}]}'),
    _http("302 Found", "Location: https://a.localhost/x?y#z", "Content-Length: 0",
          "Date: Tue, 01 Dec 2026 10:00:00 GMT", "Strict-Transport-Security: max-age=31536000"),
    _http("200 OK", "X-JupyterHub-Version: 5", "Content-Length: 16", body='{"version": "5"}'),
    _http("200 OK", "Content-Type: text/html", "Connection: close",
          body='<title> A </title><div id="build-token" data-token="abc">"buildToken": "x.y"'),
    _http("200 OK", "Content-Type: text/plain", body="# TYPE binderhub_build_time gauge\n"),
    _http("200 OK", "Content-Type: text/event-stream",
          body=':keepalive\n\ndata: {"phase": "built", "message": "token=abcdefgh"}\n\n'
          'data: {"phase": "ready", "url": "https://a.localhost/user/b/", "token": "t"}\n\n'),
    _http("526 X", "CF-RAY: 1", "Content-Length: 0"),
    _http("100 Continue", body="HTTP/1.1 204 No Content\r\n\r\n"),
)  # fmt: skip


class _Writer:
    """Takes what is written to a server whose answer is there already."""

    def __init__(self) -> None:
        self.transport = mock.Mock()

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


def read_answer(content: bytes, folder: Path) -> None:
    asyncio.run(_judged(content))


async def _judged(content: bytes) -> None:
    """Every judge of answers, each of which gets ``content`` on a connection of its own."""
    from barehub.verify import binder, dial, hub, web
    from barehub.verify.finding import Findings
    from barehub.verify.http import Client, Unanswered
    from barehub.verify.launching import build, launch, notebook
    from barehub.verify.target import parse

    async def connect(*_: object) -> dial.Stream:
        reader = asyncio.StreamReader(limit=dial.HEADER_BYTES)
        reader.feed_data(content)
        reader.feed_eof()
        return dial.Stream(reader, _Writer())  # type: ignore[arg-type]

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 700):
            yield content[at : at + 700]

    target, found = parse("https://a.localhost"), Findings("edge")
    client = Client("a.localhost", connect)
    answer = await binder.answers(found, client, "/")
    with suppress(Unanswered):
        answer = answer or await client.get("/")
    if answer:
        await binder.fingerprint(found, client, "/", answer, expected="0.2.0-h1234567")
        await web.follow(found, client, target, answer, web.proxied(answer))
        web.hsts(found, target, answer)
        web.clock_skew(found, answer, datetime.now(UTC))
        launch._notebook(found, target, answer.object or {})
        notebook._result(answer.text, "x")
        _ = [pattern.search(answer.text) for pattern in build._PAGE]
    with mock.patch.object(dial, "plain", connect):
        await web.redirect(found, target, ["127.0.0.1"], False)
    await hub.check(found, client, target)
    course = build.Course()
    with suppress(build.Failed):
        await build._end(build._events(pieces()), course, lambda text: None)
    "\n".join([*course.lines, *(finding.message for finding in found)]).encode()


# -- DNS


def dns_answers() -> list[bytes]:
    import dns.message
    import dns.rrset

    made = []
    texts = (
        ("A", "192.0.2.1"), ("AAAA", "2001:db8::1"), ("CAA", '0 issue "letsencrypt.org"'),
        ("CNAME", "a.example.org."), ("NS", "ns.example.org."), ("TXT", '"x"'),
        ("SOA", "ns.example.org. a.example.org. 1 2 3 4 5"),
    )  # fmt: skip
    for kind, text in texts:
        query = dns.message.make_query("a.example.org", "A", id=0)
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_text("a.example.org.", 60, "IN", kind, text))
        answer.authority.append(dns.rrset.from_text("example.org.", 60, "IN", *texts[6]))
        made.append(answer.to_wire())
    return made


def read_dns(content: bytes, folder: Path) -> None:
    asyncio.run(_looked_up(content))


async def _looked_up(content: bytes) -> None:
    """Look a name up where every answer is ``content``; the transport alone is played."""
    import dns.asyncquery
    import dns.exception
    import dns.message

    from barehub.verify import names
    from barehub.verify.finding import Findings
    from barehub.verify.target import parse

    asked: list[object] = []

    async def reply(query: Any, *_: Any, **__: Any) -> Any:
        asked.append(query)
        if len(asked) > 60:
            raise OSError("enough")
        said = dns.message.from_wire(query.id.to_bytes(2, "big") + content[2:])
        if said.opcode() != query.opcode():  # as the transport does (Message.is_response)
            raise dns.exception.FormError
        if len(content) % 3:
            said.question = query.question  # it would not be looked at otherwise
        return said

    target = dataclasses.replace(parse("https://a.example.org"), resolver=("127.0.0.1", 53))
    found = Findings("edge")
    with ExitStack() as stack:
        for name in ("udp", "tcp"):
            stack.enter_context(mock.patch.object(dns.asyncquery, name, reply))
        stack.enter_context(mock.patch.object(names, "SECONDS", 0.05))
        stack.enter_context(mock.patch.object(names, "LOOK_SECONDS", 0.02))
        addresses = await names.look_up(found, target)
        if addresses:
            names.mismatch(found, target.host, addresses, ["192.0.2.1"], False)
        await names._published(names._resolver(target.resolver), target.host)
    "\n".join(finding.message for finding in found).encode()
