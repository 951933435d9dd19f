"""Describes certificates, and says in words why OpenSSL refuses one.

OpenSSL alone decides whether a certificate is good; ``cryptography`` explains. It is imported only
when there is a certificate to look at.
"""

from __future__ import annotations

import ipaddress
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from barehub.verify.finding import printable

if TYPE_CHECKING:
    from cryptography import x509

DAY = timedelta(days=1)

LONGEST_CHAIN = 20
"""Certificates of one answer that are looked at; real chains have two to four."""

MOST_NAMES = 1000
"""Host names of a certificate that a report lists."""

ExtensionT = TypeVar("ExtensionT", bound="x509.ExtensionType")

_DEFAULTS = ("Kubernetes Ingress Controller Fake Certificate", "TRAEFIK DEFAULT CERT")
_TEMPORARY = "cert-manager.local"
"""The issuer of the certificate that cert-manager puts in place while it waits for the real one."""

_STAGING = ("(STAGING)", "Fake LE ")
"""In the names of Let's Encrypt's test authorities (https://letsencrypt.org/docs/staging-environment/)."""


@dataclass(frozen=True)
class Validity:
    """From when until when a certificate is good."""

    begins: datetime
    ends: datetime

    @property
    def left(self) -> timedelta:
        return self.ends - now()

    @property
    def life(self) -> timedelta:
        return self.ends - self.begins

    @property
    def expires_soon(self) -> bool:
        """Less than a tenth of its life or a day is left; a sixth of a life under six days.

        Relative, because certificates live from six days to a year: a fixed number of days raises
        a false alarm on every renewal of the short ones.
        """
        return self.left < max(self.life / 10, min(DAY, self.life / 6))

    @property
    def renewal_late(self) -> bool:
        """It should have been replaced: ACME clients renew when a third of the life is left."""
        return self.left < self.renewal_due - max(DAY, self.life / 30)

    @property
    def renewal_due(self) -> timedelta:
        """How much of its life is left when a client renews it (cert-manager: after 2/3)."""
        return self.life / 3


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Chain:
    """The certificates that a server sent, its own first."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def read(cls, ders: tuple[bytes, ...]) -> Chain | None:
        """None when the first cannot be read; what follows an unreadable one is left out."""
        return _read(ders)

    @property
    def own(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def flaw(self) -> str:
        """Return why the extensions of the server's own cannot be read; empty if they can."""
        try:
            _ = self.own.extensions
        except Exception as error:  # as in _read
            return type(error).__name__
        return ""

    @property
    def self_issued(self) -> bool:
        return self.own.issuer == self.own.subject

    @property
    def default(self) -> str | None:
        """Whose it is, if an ingress sends it as long as it has no certificate for the name."""
        found = [name for name in _values(self.own.subject) if name in _DEFAULTS]
        found += [name for name in _values(self.own.issuer) if name == _TEMPORARY]
        return next(iter(found), None)

    @property
    def cloudflare_origin(self) -> bool:
        """Whether Cloudflare made it for the way between itself and the machine."""
        return any("cloudflare origin" in value.lower() for value in _values(self.own.issuer))

    @property
    def letsencrypt(self) -> bool:
        """Whether Let's Encrypt made it."""
        return "Let's Encrypt" in _values(self.own.issuer)

    @property
    def staging(self) -> str | None:
        """The test authority that issued any of the certificates."""
        for certificate in self.certificates:
            for value in _values(certificate.issuer):
                if any(mark in value for mark in _STAGING):
                    return value
        return None

    @property
    def top(self) -> x509.Certificate:
        """The last of those that lead from the server's own upwards."""
        at, rest = self.own, list(self.certificates[1:])
        while at.issuer != at.subject:
            above = next((c for c in rest if c.subject == at.issuer), None)
            if above is None:
                break
            rest.remove(above)
            at = above
        return at

    @property
    def expired_above(self) -> x509.Certificate | None:
        """The first that expired of those above the server's own."""
        above = self.certificates[1:]
        return next((c for c in above if c.not_valid_after_utc < now()), None)


@lru_cache(maxsize=1024)
def _read(ders: tuple[bytes, ...]) -> Chain | None:
    from cryptography import x509
    from cryptography.utils import CryptographyDeprecationWarning

    # of serial numbers that are not positive: it would be printed between our lines
    warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
    found = []
    for der in ders[:LONGEST_CHAIN]:
        try:
            certificate = x509.load_der_x509_certificate(der)
            for name in (certificate.subject, certificate.issuer):
                name.rfc4514_string()
            _ = certificate.serial_number, validity(certificate), certificate.version
        except Exception:  # cryptography says ValueError, and raises KeyError, TypeError and others
            break
        found.append(certificate)
    return Chain(tuple(found)) if found else None


def extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    """Return the extension of ``kind``; None if there is none, or none can be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except Exception:  # as above
        return None


def validity(certificate: x509.Certificate) -> Validity:
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def names(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that it is good for: the common name is not one of them
    (RFC 9525, 2; browsers and Go ignore it)."""
    from cryptography import x509

    listed = extension(certificate, x509.SubjectAlternativeName)
    if listed is None:
        return []
    hosts = listed.get_values_for_type(x509.DNSName)
    return [*hosts, *map(str, listed.get_values_for_type(x509.IPAddress))]


def covers(name: str, host: str) -> bool:
    """Whether ``name`` of a certificate is good for ``host`` (RFC 9525, 6.3)."""
    if _address(host) is not None:
        return _address(name) == _address(host)
    name = name.lower().removesuffix(".")
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host


def too_shallow(name: str, host: str) -> bool:
    """Whether ``host`` is more than the one label below the wildcard ``name``."""
    return name.startswith("*.") and host.endswith(name[1:].lower()) and not covers(name, host)


def called(name: x509.Name, *others: str) -> str:
    """The shortest text that says whose name it is.

    A subject may be empty (RFC 5280, 4.1.2.6): then it is the first of ``others``.
    """
    from cryptography.x509 import NameOID

    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)
    return name.rfc4514_string() or next(iter(others), "nobody by name")


def describe(ders: tuple[bytes, ...]) -> dict[str, Any] | None:
    """The server's certificate as JSON has it: times in UTC, numbers in hexadecimal.

    None when it cannot be read.
    """
    chain = Chain.read(ders)
    if chain is None:
        return None
    own = chain.own
    return {
        **_describe(own),
        "name": printable(called(own.subject, *names(own))),
        "sans": [printable(name) for name in names(own)[:MOST_NAMES]],
        "days_left": round(validity(own).left / DAY, 1),
        "renewal_due": (validity(own).ends - validity(own).renewal_due).isoformat(),
        "chain": [_describe(certificate) for certificate in chain.certificates[1:]],
    }


def _describe(certificate: x509.Certificate) -> dict[str, Any]:
    from cryptography.hazmat.primitives.hashes import SHA256

    return {
        "name": printable(called(certificate.subject)),
        "issuer_name": printable(called(certificate.issuer)),
        "subject": printable(certificate.subject.rfc4514_string()),
        "issuer": printable(certificate.issuer.rfc4514_string()),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "serial": f"{certificate.serial_number:x}",
        "fingerprint_sha256": certificate.fingerprint(SHA256()).hex(),
    }


def _values(name: x509.Name) -> list[str]:
    return [str(attribute.value) for attribute in name]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
