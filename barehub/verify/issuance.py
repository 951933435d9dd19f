"""Findings about how a certificate was made: its key, signatures, life and extensions.

What the CA/Browser Forum's Baseline Requirements ask of public certificates is asked only of those
that the system's own roots trust.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from barehub.verify.certificate import DAY, Chain, called, extension, validity
from barehub.verify.finding import Findings

if TYPE_CHECKING:
    from cryptography import x509

RSA_BITS, EC_BITS = 2048, 256
BROKEN_HASHES = ("md5", "sha1")

LONGEST = (
    (datetime(2026, 3, 15, tzinfo=UTC), 200 * DAY),
    (datetime.min.replace(tzinfo=UTC), 398 * DAY),
)
"""From when on how long a public certificate may live (CA/Browser Forum, ballot SC-081v3)."""

TIMESTAMPS = 2
"""How many logs' promises browsers want to see in a public certificate."""

_SERVE_IN_ORDER = "serve the certificate first, then the one that signed it, and so on"


def judge(found: Findings, chain: Chain, *, public: bool) -> None:
    """All that can be seen on the certificates themselves, whether OpenSSL takes them or not.

    ``public``: they are trusted, and by the system's own roots.
    """
    _key(found, chain)
    _signature(found, chain)
    _order(found, chain)
    if chain.flaw:
        message = f"the certificate's extensions cannot be read ({chain.flaw}), nor judged"
        found.warned("tls.malformed", message, "issue it again: some clients refuse it")
    else:
        _purpose(found, chain.own)
        _staple(found, chain)
    if public:
        _life(found, chain.own)
    if public and not chain.flaw:
        _timestamps(found, chain.own)


def weak(chain: Chain) -> bool:
    """Whether a key or a signature is one that :func:`judge` fails."""
    seen = Findings("edge")
    _key(seen, chain)
    _signature(seen, chain)
    return seen.broken is not None


def _key(found: Findings, chain: Chain) -> None:
    kinds = [_kind(certificate) for certificate in chain.certificates]
    weak = next((kind for kind, strong in kinds if not strong), None)
    if weak:
        fix = "issue it with a key of RSA 2048, ECDSA P-256 or more"
        found.failed("tls.weak-key", f"too short a key: {weak}", fix, permanent=True)
    else:
        found.passed("tls.weak-key", f"the key is {kinds[0][0]}")


def _kind(certificate: x509.Certificate) -> tuple[str, bool]:
    """What key a certificate has, and whether it is strong enough."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "of an unknown kind", True  # OpenSSL has judged it
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}", key.key_size >= RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}", key.key_size >= EC_BITS
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}", False
    return type(key).__name__.removesuffix("PublicKey"), True


def _signature(found: Findings, chain: Chain) -> None:
    """A root's own signature counts for nothing: it is trusted because it is there."""
    signed = [c for c in chain.certificates if c.issuer != c.subject] or [chain.own]
    hashes = [_hash(certificate) for certificate in signed]
    if broken := next((name for name in hashes if name in BROKEN_HASHES), None):
        fix = "issue it with SHA-256 or better"
        found.failed("tls.weak-signature", f"signed with {broken.upper()}", fix, permanent=True)
    else:
        found.passed("tls.weak-signature", f"signed with {hashes[0].upper()}")


def _hash(certificate: x509.Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        algorithm = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return "a hash of an unknown kind"
    return algorithm.name if algorithm else "its own hash"


def _order(found: Findings, chain: Chain) -> None:
    sent = chain.certificates
    wrong = [i for i, (low, high) in enumerate(itertools.pairwise(sent), 1)
             if low.issuer != high.subject]  # fmt: skip
    if wrong:
        lost = called(sent[wrong[0]].subject)
        message = f"the chain is out of order: {lost} did not issue the one before it"
        found.warned("tls.chain-order", message, _SERVE_IN_ORDER)
    else:
        found.passed("tls.chain-order", f"{len(sent)} sent, each signed by the next")


def _purpose(found: Findings, own: x509.Certificate) -> None:
    """Nobody needs clientAuth here: Let's Encrypt left it out from 2026-02-11 on."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usage = extension(own, x509.ExtendedKeyUsage)
    if usage is None:
        return
    good = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if any(purpose in good for purpose in usage):
        found.passed("tls.eku", "it is one for servers")
    elif not found.has("tls.eku"):
        fix = "issue it with the extended key usage serverAuth"
        found.warned("tls.eku", "the certificate is not one for a server", fix)


def _staple(found: Findings, chain: Chain) -> None:
    """A certificate without OCSP is normal: Let's Encrypt ended it in August 2025."""
    from cryptography import x509

    features = extension(chain.own, x509.TLSFeature)
    if features is None:
        found.passed("tls.must-staple", "it does not ask for OCSP")
        return
    if x509.TLSFeatureType.status_request not in features:
        return
    message = "it says must-staple: where its authority has no OCSP (any more), browsers refuse it"
    fix = "issue it without must-staple"
    if chain.letsencrypt:
        found.failed("tls.must-staple", message, fix, permanent=True)
    else:
        found.warned("tls.must-staple", message, fix)


def _life(found: Findings, own: x509.Certificate) -> None:
    valid = validity(own)
    longest = next(most for since, most in LONGEST if valid.begins >= since)
    if valid.life > longest + timedelta(seconds=1):
        message = f"it lives {valid.life.days} days: browsers take {longest.days} from a public CA"
        found.warned("tls.lifetime", message, "issue a shorter one; ACME clients do")
    else:
        found.passed("tls.lifetime", f"it lives {max(valid.life.days, 1)} days")


def _timestamps(found: Findings, own: x509.Certificate) -> None:
    from cryptography import x509

    promises = extension(own, x509.PrecertificateSignedCertificateTimestamps)
    number = 0 if promises is None else len(promises)
    if number >= TIMESTAMPS:
        found.passed("tls.sct", f"{number} logs have promised to show it")
    else:
        message = f"{number} certificate transparency logs know of it: Chrome and Safari want two"
        fix = "issue it again; for an authority of your own, --ca-file FILE"
        found.warned("tls.sct", message, fix)
