"""Certificates that no authority would issue, made by changing the structure of good ones (X.690).

Each is signed again by the authority of the tests, so that OpenSSL comes as far as it can with it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from endpoints import MIDDLE, Issued, Key, issue

from benchmarks.fuzz_inputs import Node, encoded, parsed

VERSION, SERIAL, ISSUER, VALIDITY, SUBJECT, PUBLIC_KEY, EXTENSIONS = 0, 1, 3, 4, 5, 6, 7
"""Where things stand in a TBSCertificate (RFC 5280, 4.1)."""

INTEGER, BIT_STRING, OID, UTF8, UTC, GENERALIZED = 0x02, 0x03, 0x06, 0x0C, 0x17, 0x18
SEQUENCE = 0x30
SAN, SCTS = "2.5.29.17", "1.3.6.1.4.1.11129.2.4.2"


@dataclass
class Odd(Issued):
    """A certificate that cryptography may not be able to read: ``certificate`` is the good one."""

    der: bytes = b""

    @property
    def pem(self) -> bytes:
        return ssl.DER_cert_to_PEM_cert(self.der).encode()


def changed(change: Callable[[list[Node]], None], name: str = "odd", key: Key | None = None) -> Odd:
    """Issue a good certificate, ``change`` the fields of its TBSCertificate, and sign it again."""
    scts = x509.UnrecognizedExtension(x509.ObjectIdentifier(SCTS), b"\x04\x04\x00\x02\x00\x00")
    good = issue(MIDDLE, name, key=key, more=(scts,))
    (whole,) = parsed(good.certificate.tbs_certificate_bytes)
    change(whole[1])
    tbs = encoded(whole)
    assert isinstance(MIDDLE.key, ec.EllipticCurvePrivateKey)
    signature = MIDDLE.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    algorithm = parsed(good.certificate.public_bytes(serialization.Encoding.DER))[0][1][1]
    der = encoded([SEQUENCE, [*parsed(tbs), algorithm, [BIT_STRING, b"\0" + signature]]])
    return Odd(good.certificate, good.key, der)


def extension(fields: list[Node], oid: str) -> Node:
    """The extension with the number ``oid``: a list of its parts."""
    number = encoded([OID, _oid(oid)])
    extensions = fields[EXTENSIONS][1][0][1]
    return next(one for one in extensions if encoded(one[1][0]) == number)


def _oid(text: str) -> bytes:
    der = x509.UnrecognizedExtension(x509.ObjectIdentifier(text), b"").oid
    name = x509.Name([x509.NameAttribute(der, "x")]).public_bytes()
    value = parsed(name)[0][1][0][1][0][1][0][1]
    assert isinstance(value, bytes)
    return value


def _set(at: int, node: Node) -> Callable[[list[Node]], None]:
    def change(fields: list[Node]) -> None:
        fields[at] = node

    return change


def _name(value: bytes, tag: int = UTF8) -> Callable[[list[Node]], None]:
    def change(fields: list[Node]) -> None:
        fields[SUBJECT][1][0][1][0][1][1] = [tag, value]

    return change


def _dates(begin: tuple[int, bytes], end: tuple[int, bytes]) -> Callable[[list[Node]], None]:
    return _set(VALIDITY, [SEQUENCE, [[*begin], [*end]]])


def _names(*more: Node) -> Callable[[list[Node]], None]:
    def change(fields: list[Node]) -> None:
        extension(fields, SAN)[1][-1][1][0][1].extend(more)

    return change


def _content(oid: str, content: bytes) -> Callable[[list[Node]], None]:
    def change(fields: list[Node]) -> None:
        extension(fields, oid)[1][-1] = [0x04, content]

    return change


def _twice(fields: list[Node]) -> None:
    fields[EXTENSIONS][1][0][1].append(extension(fields, SAN))


def _without_extensions(fields: list[Node]) -> None:
    del fields[EXTENSIONS]


def _public_key(der: bytes) -> Callable[[list[Node]], None]:
    return _set(PUBLIC_KEY, parsed(der)[0])


def _rsa_of(bits: int, exponent: int) -> bytes:
    """A SubjectPublicKeyInfo with a modulus that nobody has the primes of."""
    some = rsa.RSAPublicNumbers(65537, (1 << 2047) | 1).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (whole,) = parsed(some.public_bytes(serialization.Encoding.DER, form))
    modulus = b"\0" + ((1 << (bits - 1)) | 1).to_bytes(bits // 8, "big")
    small = exponent.to_bytes(exponent.bit_length() // 8 + 1, "big")
    numbers = encoded([SEQUENCE, [[INTEGER, modulus], [INTEGER, small]]])
    whole[1][1] = [BIT_STRING, b"\0" + numbers]
    return encoded(whole)


def _unknown_curve() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (whole,) = parsed(key.public_bytes(serialization.Encoding.DER, form))
    whole[1][0][1][1] = [OID, _oid("1.3.132.0.99")]
    return encoded(whole)


def _unknown_algorithm() -> bytes:
    return encoded([SEQUENCE, [[SEQUENCE, [[OID, _oid("1.2.3.4.5")]]], [BIT_STRING, b"\0abc"]]])


SERVED: dict[str, Odd] = {
    "version 6": changed(_set(VERSION, [0xA0, [[INTEGER, b"\5"]]])),
    "version 2^64": changed(_set(VERSION, [0xA0, [[INTEGER, b"\1" + bytes(8)]]])),
    "negative serial": changed(_set(SERIAL, [INTEGER, b"\x80"])),
    "serial 0": changed(_set(SERIAL, [INTEGER, b"\0"])),
    "long serial": changed(_set(SERIAL, [INTEGER, b"\x01" * 400])),
    "x400Address": changed(_names([0xA3, []])),
    "x400Address and more": changed(_names([0xA3, [[SEQUENCE, [[UTF8, b"x"]]]]], [0xA5, []])),
    "bad UTF-8": changed(_name(b"\xff\xfe")),
    "surrogate": changed(_name(b"\xed\xa0\x80")),
    "U+FFFF": changed(_name(b"a\xef\xbf\xbf\xef\xbf\xbe]]>")),
    "BMPString": changed(_name(b"\xd8\x00\x00a", 0x1E)),
    "universal string": changed(_name(b"\0\x11\0\0", 0x1C)),
    "control characters": changed(_name(b"\x1b[2J\0\r\n::error::]]>&<\"'|`\\{}")),
    "year 1": changed(_dates((GENERALIZED, b"00010101000000Z"), (GENERALIZED, b"99991231235959Z"))),
    "year 0": changed(_dates((GENERALIZED, b"00000101000000Z"), (UTC, b"490101000000Z"))),
    "30 February": changed(_dates((UTC, b"260101000000Z"), (UTC, b"300230000000Z"))),
    "ends before it begins": changed(_dates((UTC, b"490101000000Z"), (UTC, b"260101000000Z"))),
    "not a date": changed(_dates((UTC, b"x"), (UTC, b""))),
    "an extension twice": changed(_twice),
    "no extensions": changed(_without_extensions),
    "names that are none": changed(_content(SAN, b"\x30\x03\x82\x01")),
    "timestamps that are none": changed(_content(SCTS, b"\x04\x03\x00\xff\xff")),
    "empty timestamps": changed(_content(SCTS, b"")),
    "a host name that is none": changed(_names([0x82, b"\xff\x00\n<b>"], [0x87, b"\1\2\3"])),
}  # fmt: skip
"""By what is odd; the key is good, so that a server can use them."""

ABOVE: dict[str, Odd] = {
    "RSA 16384": changed(_public_key(_rsa_of(16_384, 65537))),
    "RSA 40000": changed(_public_key(_rsa_of(40_000, 65537))),
    "RSA exponent 1": changed(_public_key(_rsa_of(2048, 1))),
    "RSA exponent 0": changed(_public_key(_rsa_of(2048, 0))),
    "RSA even exponent": changed(_public_key(_rsa_of(2048, 4))),
    "unknown curve": changed(_public_key(_unknown_curve())),
    "unknown algorithm": changed(_public_key(_unknown_algorithm())),
}
"""With keys that no server can use: sent above a good one."""
