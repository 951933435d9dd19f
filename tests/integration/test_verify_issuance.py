"""What can be seen on certificates themselves: made by cryptography, sent by real TLS servers."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ObjectIdentifier
from endpoints import (
    DAY,
    GOOD,
    HOST,
    MIDDLE,
    ROOT,
    Issued,
    Servers,
    failed,
    issue,
    modern,
    private,
    routes,
    said,
)

from barehub import verify
from barehub.verify import issuance
from barehub.verify.certificate import Chain
from barehub.verify.finding import Findings


def timestamps(number: int) -> x509.UnrecognizedExtension:
    """So many promises of logs, as a public authority puts them in (RFC 6962, 3.3)."""
    one = bytes([0, *range(32), *bytes(8), 0, 0, 4, 3, 0, 4]) + b"sign"
    promises = (len(one).to_bytes(2) + one) * number
    whole = len(promises).to_bytes(2) + promises
    octets = b"\x04" + len(whole).to_bytes(1) + whole
    return x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), octets)


def judged(*chain: Issued, public: bool = False) -> Findings:
    found = Findings("edge")
    certificates = tuple(issued.certificate for issued in chain)
    issuance.judge(found, Chain(certificates), public=public)
    return found


def bad(found: Findings) -> dict[str, str]:
    return {finding.id: finding.severity for finding in found if finding.status == "fail"}


def test_a_certificate_like_lets_encrypts_raises_no_alarm() -> None:
    """No common name, no OCSP, no clientAuth; 45 days, as from 2028 on."""
    own = issue(MIDDLE, begins=-10 * DAY, ends=35 * DAY, more=(timestamps(2),))
    found = judged(own, MIDDLE, public=True)
    assert bad(found) == {}
    assert {finding.id for finding in found} == {
        "tls.weak-key", "tls.weak-signature", "tls.chain-order", "tls.eku", "tls.must-staple",
        "tls.lifetime", "tls.sct",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("days", "age", "ok"), [(200, 0, True), (202, 0, False), (398, 300, True), (400, 300, False)]
)
def test_a_public_certificate_must_not_live_too_long(days: int, age: int, ok: bool) -> None:
    """300 days before this test was written was before 2026-03-15, the day that 200 days began."""
    begun = issuance.LONGEST[0][0] - DAY if age else issuance.LONGEST[0][0] + DAY
    own = issue(MIDDLE, more=(timestamps(2),)).certificate
    builder = (
        x509.CertificateBuilder(own.issuer, own.subject, own.public_key(), own.serial_number)
        .not_valid_before(begun)
        .not_valid_after(begun + timedelta(days=days))
    )
    certificate = builder.sign(MIDDLE.key, hashes.SHA256())
    found = judged(Issued(certificate, MIDDLE.key), MIDDLE, public=True)
    assert ("tls.lifetime" not in bad(found)) == ok


def test_a_private_certificate_may_live_long_and_needs_no_log() -> None:
    assert bad(judged(issue(MIDDLE, ends=3000 * DAY), MIDDLE)) == {}


def test_a_public_certificate_that_one_log_knows_of_is_warned_about() -> None:
    assert bad(judged(issue(MIDDLE, more=(timestamps(1),)), MIDDLE, public=True)) == {
        "tls.sct": "warning"
    }


def test_a_key_of_1024_bits_fails_anywhere_in_the_chain() -> None:
    short = rsa.generate_private_key(65537, 1024)
    weak = issue(MIDDLE, key=short)
    between = issue(ROOT, "Short", ca=True, key=short)
    for chain in ((weak, MIDDLE), (issue(between), between)):
        assert bad(judged(*chain)) == {"tls.weak-key": "error"}


def test_an_ed25519_key_is_good() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert bad(judged(issue(MIDDLE, key=key), MIDDLE)) == {}  # type: ignore[arg-type]


def test_a_sha1_signature_fails_but_a_roots_own_does_not_count(tmp_path: Path) -> None:
    """cryptography signs nothing with SHA-1 any more: openssl does."""
    (tmp_path / "key.pem").write_bytes(private(ROOT))
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)

    def openssl(command: str) -> Issued:
        argv = ["openssl", *command.split()]
        subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
        made = (tmp_path / "own").read_bytes()
        return Issued(x509.load_pem_x509_certificate(made), ROOT.key)

    subprocess.run(
        f"openssl req -new -key key.pem -subj /CN={HOST} -out csr".split(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    weak = openssl("x509 -req -sha1 -in csr -CA ca.pem -CAkey key.pem -out own")
    assert bad(judged(weak)) == {"tls.weak-signature": "error"}
    old_root = openssl("req -x509 -sha1 -key key.pem -subj /CN=old -out own")
    assert "tls.weak-signature" not in bad(judged(*GOOD, old_root))


def test_a_chain_out_of_order_is_warned_about(servers: Servers) -> None:
    other = issue(ROOT, "Another Intermediate", ca=True)
    target = servers.target(routes(modern()), (GOOD[0], other, MIDDLE))
    report = verify.verify(target)
    assert failed(report) == ["tls.chain-order"]
    assert "Another Intermediate did not issue" in said(report, "tls.chain-order")
    assert report.verdict == "pass"


def test_must_staple_is_fatal_where_there_is_no_ocsp_any_more() -> None:
    staple = (x509.TLSFeature([x509.TLSFeatureType.status_request]),)
    le = issue(None, "Let's Encrypt", ca=True)
    assert bad(judged(issue(le, more=staple), le)) == {"tls.must-staple": "error"}
    assert bad(judged(issue(MIDDLE, more=staple), MIDDLE)) == {"tls.must-staple": "warning"}


def test_an_expired_certificate_beside_a_good_chain_is_warned_about(servers: Servers) -> None:
    old = issue(ROOT, "Old Cross", ca=True, begins=-9 * DAY, ends=-DAY)
    report = verify.verify(servers.target(routes(modern()), (*GOOD, old)))
    assert "tls.intermediate-expired" in failed(report)
    assert report.verdict == "pass"


def test_a_cloudflare_origin_certificate_is_right_at_the_origin_alone(servers: Servers) -> None:
    authority = issue(None, "CloudFlare Origin SSL Certificate Authority", ca=True)
    port = servers.start(routes(modern()), (issue(authority),))
    edge = verify.parse(f"https://{HOST}:{port}")
    report = verify.verify(edge)
    assert failed(report) == ["tls.origin-cert"]
    assert report.verdict == "fail"
    origin = verify.parse(f"https://{HOST}", connect_to=f"127.0.0.1:{port}")
    report = verify.verify(origin)
    assert failed(report) == []
    assert report.verdict == "pass"
