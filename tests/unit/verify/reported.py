"""Reports to be written out, with certificates made here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from barehub.verify.finding import Finding, Findings
from barehub.verify.report import Report
from barehub.verify.target import parse

DAY = timedelta(days=1)
STARTED = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HOSTILE = (
    '</script><script>alert(1)</script>\x1b[2J"it\'s" `a|b` ]]> %0A {x}\\\r\n::error::&amp; \u202e'
)


def certificate(
    name: str, issuer: str, *, begins: timedelta = -30 * DAY, ends: timedelta = 60 * DAY
) -> bytes:
    """A certificate in DER; what has been signed by whom is not looked at here."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)

    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    names = x509.SubjectAlternativeName([x509.DNSName("hub.example.org")])
    made = (
        x509.CertificateBuilder(called(issuer), called(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def report(
    url: str = "https://hub.example.org",
    *chain: bytes,
    machine: str | None = None,
    failed: str = "",
    warned: str = "",
    strict: bool = False,
) -> Report:
    """A report from the edge, and from the origin if there is a ``machine``.

    What ``failed`` and what was ``warned`` of are the messages of one finding each.
    """
    target = parse(url, connect_to=machine)
    found: list[Finding] = []
    for vantage in target.vantages:
        findings = Findings(vantage)
        findings.passed("net.connect", "connected to 198.51.100.7:443")
        if chain:
            findings.passed("tls.untrusted", "issued by R11, which is trusted")
        if warned and vantage == "edge":
            findings.warned("http.hsts", warned, warned)
        if failed and vantage == "edge":
            findings.failed("tls.hostname", failed, failed, permanent=True)
        findings.informed("binder.legacy", "a BinderHub of before 2019")
        findings.skipped(["binder.unhealthy"], "not checked")
        found += findings
    return Report(target, found, {"edge": chain}, STARTED, 1234, strict)
