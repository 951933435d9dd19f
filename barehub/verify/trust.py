"""Findings about a certificate: who issued it, for which name, until when."""

from __future__ import annotations

from datetime import timedelta

from barehub.verify import issuance
from barehub.verify.certificate import (
    DAY,
    Chain,
    Validity,
    called,
    covers,
    names,
    now,
    too_shallow,
    validity,
)
from barehub.verify.finding import Findings

SELF_SIGNED, ROOT_UNKNOWN = 18, 19
ISSUER_MISSING = (2, 20, 21)
NOT_YET_VALID, EXPIRED = 9, 10
NAME_MISMATCH = (62, 64)
KEY_WEAK, SIGNATURE_WEAK = (66, 67), 68
PURPOSE = 26
"""What OpenSSL says of a chain: X509_V_ERR_* in openssl/x509_vfy.h."""

PATIENCE = timedelta(minutes=15)
"""A certificate that becomes valid within this time is waited for."""

_ASK = "with cert-manager, kubectl describe certificate,order,challenge -A says why"
_RENEW = f"renew it; {_ASK}"
_SERVE_FULL = "serve fullchain.pem (the certificate, then its intermediates)"
_OWN_CA = "if that is your own authority, --ca-file FILE"


def accept(found: Findings, host: str, ders: tuple[bytes, ...], *, public: bool) -> None:
    """What there is to say of a certificate that OpenSSL accepts.

    ``public``: by the system's own roots.
    """
    chain = Chain.read(ders)
    if chain is None:
        malformed(found)
        return
    found.passed("tls.untrusted", f"issued by {called(chain.own.issuer)}, which is trusted")
    found.passed("tls.hostname", f"the certificate is for {host}")
    _lifetime(found, validity(chain.own))
    if above := chain.expired_above:
        message = f"the server still sends {called(above.subject)}, which has expired"
        found.warned("tls.intermediate-expired", message, _SERVE_FULL)
    issuance.judge(found, chain, public=public)


def malformed(found: Findings) -> None:
    """What there is to say of one that OpenSSL accepts, and others cannot read."""
    message = "OpenSSL takes the certificate, which is malformed: browsers refuse it"
    found.failed("tls.malformed", message, "replace the certificate", permanent=True)


def explain(found: Findings, host: str, ders: tuple[bytes, ...], code: int, verdict: str) -> None:
    """Why OpenSSL refused a certificate: its ``code``, and ``verdict`` in its own words.

    OpenSSL stops at the first fault; the name and the dates are looked at whatever it was, so that
    all that is wrong can be mended at once.
    """
    chain = Chain.read(ders)
    if chain is None:
        fix = "replace the certificate"
        found.failed("tls.untrusted", f"OpenSSL refuses it: {verdict}", fix, permanent=True)
    elif default := chain.default:
        found.failed(
            "tls.default-cert",
            f"the ingress has no certificate for {host} yet, only its own: {default}",
            _ASK,
            permanent=False,
        )
    else:
        _issuer(found, chain, code, verdict)
        _name(found, chain, host, code)
        _dates(found, chain, code)
        issuance.judge(found, chain, public=False)


def _issuer(found: Findings, chain: Chain, code: int, verdict: str) -> None:
    issuer, staging = called(chain.own.issuer), chain.staging
    unknown = code in (SELF_SIGNED, ROOT_UNKNOWN, *ISSUER_MISSING)

    def fail(id: str, message: str, fix: str) -> None:
        found.failed(id, message, fix, permanent=True)

    if unknown and staging:
        fix = "use the production issuer, then delete the secret that holds this certificate"
        fail("tls.staging-issuer", f"a test certificate, which no browser trusts: {staging}", fix)
    elif unknown and chain.cloudflare_origin:
        _origin_certificate(found)
    elif code == SELF_SIGNED:
        whose = called(chain.own.subject)
        fail("tls.self-signed", f"the certificate is signed by itself: {whose}", _OWN_CA)
    elif code in ISSUER_MISSING and len(chain.certificates) == 1 and not chain.self_issued:
        said = f"{issuer} issued the certificate; the server does not send its certificate"
        hidden = "browsers may hide this, BinderHub's launches will not (HTTP 599)"
        fail("tls.chain-incomplete", f"{said}: {hidden}", f"{_SERVE_FULL}; {_OWN_CA}")
    elif unknown:
        top = called(chain.top.issuer)
        fail("tls.untrusted", f"issued by {top}, which is not trusted here", _OWN_CA)
    elif code in (*KEY_WEAK, SIGNATURE_WEAK) and issuance.weak(chain):
        pass  # is said below, with what it is
    elif code == PURPOSE:
        fix = "issue it with the extended key usage serverAuth"
        fail("tls.eku", "the certificate is not one for a server", fix)
    elif code in (NOT_YET_VALID, EXPIRED, *NAME_MISMATCH):
        found.passed("tls.untrusted", f"issued by {issuer}, which is trusted")
    else:
        fail("tls.untrusted", f"OpenSSL refuses it: {verdict}", "replace the certificate")


def _origin_certificate(found: Findings) -> None:
    """Right behind Cloudflare's proxy, where visitors see another; wrong in front of everybody."""
    message = "a Cloudflare origin certificate: nobody but Cloudflare trusts it"
    if found.vantage == "origin":
        found.informed("tls.origin-cert", message)
    else:
        fix = "turn Cloudflare's proxy on for the name, or use a certificate of Let's Encrypt"
        found.failed("tls.origin-cert", message, fix, permanent=True)


def _name(found: Findings, chain: Chain, host: str, code: int) -> None:
    good_for = names(chain.own)
    listed = ", ".join(good_for[:8]) + (", …" if len(good_for) > 8 else "")
    if code not in NAME_MISMATCH and any(covers(name, host) for name in good_for):
        found.passed("tls.hostname", f"the certificate is for {host}")
    elif chain.flaw:
        if code in NAME_MISMATCH:
            message = f"the certificate is not for {host}; its names cannot be read"
            found.failed("tls.hostname", message, f"issue it for {host}", permanent=True)
    elif not good_for:
        found.failed(
            "tls.no-san",
            "the certificate names no host: its common name alone does not count",
            f"issue it with the subject alternative name {host}",
            permanent=True,
        )
    elif wildcard := next((name for name in good_for if too_shallow(name, host)), None):
        found.failed(
            "tls.wildcard-depth",
            f"{wildcard} is good for one label, {host} has more (as with Cloudflare Universal SSL)",
            f"issue it for {host}, or choose a name one label below {wildcard[2:]}",
            permanent=True,
        )
    else:
        found.failed(
            "tls.hostname",
            f"the certificate is for {listed}, not for {host}",
            f"issue it for {host}, or verify it by a name that it has",
            permanent=True,
        )


def _dates(found: Findings, chain: Chain, code: int) -> None:
    valid, at = validity(chain.own), now()
    if valid.ends < at:
        message = f"expired on {valid.ends:%Y-%m-%d %H:%M} UTC, {ago(at - valid.ends)} ago"
        found.failed("tls.expired", message, _RENEW, permanent=True)
    elif valid.begins > at:
        found.failed(
            "tls.not-yet-valid",
            f"valid from {valid.begins:%Y-%m-%d %H:%M} UTC, {ago(valid.begins - at)} from now",
            "set the clock right, here or on the machine that issued it",
            permanent=valid.begins - at > PATIENCE,
        )
    elif code in (NOT_YET_VALID, EXPIRED):
        above = chain.expired_above
        what = f"the authority {called(above.subject)}" if above else "an authority above it"
        message = f"{what} is not valid at this time"
        found.failed("tls.intermediate-expired", message, _SERVE_FULL, permanent=True)
    else:
        _lifetime(found, valid)


def _lifetime(found: Findings, valid: Validity) -> None:
    until = f"valid until {valid.ends:%Y-%m-%d %H:%M} UTC"
    left = ago(valid.left)
    if valid.expires_soon:
        found.failed("tls.expires-soon", f"{until}: only {left} left", _RENEW, permanent=True)
        return
    found.passed("tls.expired", f"{until}, {left} left")
    if valid.renewal_late:
        late = ago(valid.renewal_due - valid.left)
        found.warned("tls.renewal-late", f"its renewal was due {late} ago", _RENEW)


def ago(span: timedelta) -> str:
    """A length of time in the unit that says most."""
    for unit, length in (("day", DAY), ("hour", timedelta(hours=1))):
        if span >= length:
            number = int(span / length)
            return f"{number} {unit}" + "s" * (number != 1)
    return f"{int(span / timedelta(minutes=1))} min"
