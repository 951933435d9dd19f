"""The local authority: what it signs is believed for `*.localhost`, and for nothing else."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from barehub.errors import VaultError
from barehub.vault import authority

DOMAIN = "demo.localhost"


@pytest.fixture(scope="module")
def ca() -> tuple[str, str]:
    return authority.create()


def handshake(chain: str, key: str, trusted: str, name: str, folder: Path) -> None:
    """A TLS handshake in memory, as strict as Python 3.13 is by default.

    :raises ssl.SSLCertVerificationError: the client does not believe the server.
    """
    (folder / "chain.pem").write_text(chain)
    (folder / "key.pem").write_text(key)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    client_context = ssl.create_default_context(cadata=trusted)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = server_context.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    client.write(b"hello")
    assert server.read() == b"hello"


def forged(ca: tuple[str, str], name: x509.GeneralName) -> tuple[str, str]:
    """What a thief of the key could sign."""
    parent = x509.load_pem_x509_certificate(ca[0].encode())
    signer: Any = load_pem_private_key(ca[1].encode(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return authority._certificate_text(leaf), authority._key_text(key)


def test_a_client_that_trusts_it_believes_its_certificate(
    ca: tuple[str, str], tmp_path: Path
) -> None:
    chain, key = authority.issue(*ca, DOMAIN)
    handshake(chain, key, ca[0], DOMAIN, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(chain, key, ca[0], "other.localhost", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(chain, key, authority.create()[0], DOMAIN, tmp_path)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (x509.DNSName("example.org"), "example.org"),
        (x509.DNSName("localhost.example.org"), "localhost.example.org"),
        (x509.IPAddress(ipaddress.ip_address("192.0.2.1")), "192.0.2.1"),
    ],
)
def test_its_key_is_worth_nothing_for_other_names(
    ca: tuple[str, str], tmp_path: Path, name: x509.GeneralName, host: str
) -> None:
    chain, key = forged(ca, name)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(permitted|excluded) subtree"):
        handshake(chain, key, ca[0], host, tmp_path)


def test_the_certificate_says_what_it_is_for(ca: tuple[str, str]) -> None:
    chain, _ = authority.issue(*ca, DOMAIN)
    leaf, parent = x509.load_pem_x509_certificates(chain.encode())
    find = leaf.extensions.get_extension_for_class
    names = find(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == [DOMAIN]
    assert list(find(x509.ExtendedKeyUsage).value) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= datetime.timedelta(days=397)
    assert not find(x509.BasicConstraints).value.ca
    basic = parent.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.value.ca, basic.value.path_length, basic.critical) == (True, 0, True)


def test_good(ca: tuple[str, str]) -> None:
    chain, key = authority.issue(*ca, DOMAIN)
    other_chain, other_key = authority.issue(*ca, DOMAIN)
    assert authority.good(chain, key, ca[0], DOMAIN)
    assert not authority.good(chain, key, ca[0], "x.localhost")
    assert not authority.good(chain, other_key, ca[0], DOMAIN)
    assert not authority.good(chain, key, authority.create()[0], DOMAIN)
    assert not authority.good("", "", "", DOMAIN)
    assert not authority.good(chain, "junk", ca[0], DOMAIN)
    assert other_chain != chain


def test_a_certificate_is_good_until_a_third_of_its_life_is_left(
    ca: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, key = authority.issue(*ca, DOMAIN)
    now = authority._now()
    for days, good in ((0, True), (260, True), (270, False), (400, False)):
        then = now + datetime.timedelta(days=days)
        monkeypatch.setattr(authority, "_now", lambda then=then: then)
        assert authority.good(chain, key, ca[0], DOMAIN) is good


def test_no_certificate_outlives_the_authority(
    ca: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authority.lasting(*ca)
    late = authority._now() + authority.AUTHORITY_LIFE - datetime.timedelta(days=30)
    monkeypatch.setattr(authority, "_now", lambda: late)
    assert not authority.lasting(*ca)
    chain, _ = authority.issue(*ca, DOMAIN)
    leaf, parent = x509.load_pem_x509_certificates(chain.encode())
    assert leaf.not_valid_after_utc == parent.not_valid_after_utc


def test_what_it_does_not_sign(ca: tuple[str, str]) -> None:
    with pytest.raises(VaultError, match=r"only names under localhost, not hub\.example\.org"):
        authority.issue(*ca, "hub.example.org")
    with pytest.raises(VaultError, match=r"ca\.certificate and ca\.key"):
        authority.issue("junk", ca[1], DOMAIN)
    with pytest.raises(VaultError, match=r"ca\.certificate and ca\.key"):
        authority.issue(ca[0], authority.create()[1], DOMAIN)


def test_ours(ca: tuple[str, str]) -> None:
    assert authority.ours(authority.issue(*ca, DOMAIN)[0])
    assert not authority.ours("junk")
