"""The local certificate authority, for names under ``localhost`` and nothing else.

Its certificate is name-constrained (RFC 5280, 4.2.1.10), critically: whoever trusts it in a browser
trusts it for ``localhost`` and ``*.localhost``, names that never leave the machine (RFC 6761, 6.3).
IP addresses are excluded one and all, since a constraint on DNS names says nothing of them.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING, Any

from barehub.errors import VaultError

if TYPE_CHECKING:
    from cryptography import x509

NAME = "barehub local authority"
PLACE = "localhost"

AUTHORITY_LIFE = datetime.timedelta(days=3652)
LEAF_LIFE = datetime.timedelta(days=397)
"""No longer than the CA/Browser Forum's Baseline Requirements allowed until 2026 (398 days)."""

SKEW = datetime.timedelta(minutes=5)
"""Certificates begin a little in the past, for clocks that are behind."""

_UNREADABLE = "ca.certificate and ca.key in secrets/shared.yaml are not a certificate and its key"


def create() -> tuple[str, str]:
    """A new authority: certificate and key, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(NAME)
    start = _now() - SKEW
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(PLACE)],
        excluded_subtrees=[
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ],
    )
    builder = _builder(name, name, key.public_key(), start, start + AUTHORITY_LIFE)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(_authority_key(key.public_key()), critical=False)
    )
    return _certificate_text(_sign(builder, key)), _key_text(key)


def issue(ca_certificate: str, ca_key: str, domain: str) -> tuple[str, str]:
    """A certificate for ``domain`` followed by the authority's, and its new key, PEM.

    :raises VaultError: ``domain`` is not under ``localhost``, or the authority is unusable.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    if not local(domain):
        raise VaultError(
            f"the local authority signs only names under {PLACE}, not {domain}",
            "put tls_certificate and tls_key into the instance's secrets: invoke vault.edit",
        )
    authority, signer = _authority(ca_certificate, ca_key)
    key = ec.generate_private_key(ec.SECP256R1())
    start = _now() - SKEW
    end = min(start + LEAF_LIFE, authority.not_valid_after_utc)
    builder = _builder(_name(domain), authority.subject, key.public_key(), start, end)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .add_extension(_authority_key(signer.public_key()), critical=False)
    )
    chain = _certificate_text(_sign(builder, signer)) + _certificate_text(authority)
    return chain, _key_text(key)


def good(chain: str, key: str, ca_certificate: str, domain: str) -> bool:
    """Whether ``chain`` is of this authority, for ``domain`` and ``key``, and will last.

    It lasts while more than a third of its life is left.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        leaf = x509.load_pem_x509_certificate(chain.encode())
        authority = x509.load_pem_x509_certificate(ca_certificate.encode())
        own = load_pem_private_key(key.encode(), None)
        leaf.verify_directly_issued_by(authority)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return (
        domain in names.get_values_for_type(x509.DNSName)
        and own.public_key() == leaf.public_key()
        and _remaining(leaf) > 1 / 3
    )


def lasting(ca_certificate: str, ca_key: str) -> bool:
    """Whether the authority is one, with its key, and outlives the next certificate it signs."""
    try:
        authority, _ = _authority(ca_certificate, ca_key)
    except VaultError:
        return False
    return authority.not_valid_after_utc > _now() + LEAF_LIFE


def ours(chain: str) -> bool:
    """Whether ``chain`` was issued by a local authority of barehub, this one or an earlier."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(chain.encode()).issuer == _name(NAME)
    except ValueError:
        return False


def local(domain: str) -> bool:
    """Whether ``domain`` is ``localhost`` or under it."""
    return domain == PLACE or domain.endswith(f".{PLACE}")


def _authority(certificate: str, key: str) -> tuple[x509.Certificate, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        authority = x509.load_pem_x509_certificate(certificate.encode())
        signer = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError):
        raise VaultError(_UNREADABLE, "invoke vault.edit") from None
    if signer.public_key() != authority.public_key():
        raise VaultError(_UNREADABLE, "invoke vault.edit")
    return authority, signer


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    start: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    from cryptography import x509

    server = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(server, critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: Any) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _usage(**yes: bool) -> x509.KeyUsage:
    from cryptography import x509

    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    names += ["key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: yes.get(name, False) for name in names})


def _authority_key(key: Any) -> x509.AuthorityKeyIdentifier:
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _name(text: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])


def _remaining(leaf: x509.Certificate) -> float:
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return (leaf.not_valid_after_utc - _now()) / life if life else 0.0


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _certificate_text(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_text(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
