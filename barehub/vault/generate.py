"""Makes the secrets that barehub's own modules need and that nobody has to choose."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Collection
from typing import Any

from barehub.vault import authority, files
from barehub.vault.store import Secrets, Vault

RANDOM = ("hub_token", "cookie_secret")
"""32 random bytes each, in hexadecimal: what JupyterHub asks of its cookie secret."""

TLS = ("tls_certificate", "tls_key", "ca_certificate")

MADE = (*RANDOM, *TLS)
"""All that is made of what a module takes."""


def complete(
    vault: Vault, name: str, secrets: Secrets, wanted: Collection[str], domain: str
) -> list[str]:
    """Make what is missing of ``wanted`` (names of module arguments), and renew our certificates.

    What a person put into the vault is never replaced. Returns the key paths that were written.

    :param domain: the name that the certificate is for.
    :raises VaultError: the vault cannot be written, or ``domain`` is not under ``localhost``.
    """
    made: dict[str, Any] = {item: randomness.token_hex(32) for item in RANDOM if item in wanted}
    written: list[str] = []
    with files.alone(vault.file(None).parent):
        if _wants_certificate(secrets, wanted, domain):
            certificate, key, new = _authority(vault)
            if new:
                written += ["ca.certificate", "ca.key"]
            made |= _certificate(secrets, certificate, key, domain)
        if made:
            vault.update(vault.file(name), {f"variables.{k}": v for k, v in made.items()})
    return [*written, *(f"variables.{item}" for item in made)]


def _wants_certificate(secrets: Secrets, wanted: Collection[str], domain: str) -> bool:
    """Whether to look after the certificate: there is none, or it is one that we issued."""
    have = secrets.variables
    if "tls_certificate" in have:
        return authority.local(domain) and authority.ours(str(have["tls_certificate"]))
    return "tls_certificate" in wanted and "tls_key" not in have


def _authority(vault: Vault) -> tuple[str, str, bool]:
    """Certificate and key of the authority, and whether it had to be made."""
    have = vault.read(None).ca
    certificate, key = have.get("certificate", ""), have.get("key", "")
    if authority.lasting(certificate, key):
        return certificate, key, False
    certificate, key = authority.create()
    vault.update(vault.file(None), {"ca.certificate": certificate, "ca.key": key})
    return certificate, key, True


def _certificate(secrets: Secrets, certificate: str, key: str, domain: str) -> dict[str, str]:
    """What must be written of :data:`TLS`: nothing when the present one is good."""
    have = {item: str(secrets.variables.get(item, "")) for item in TLS}
    if authority.good(have["tls_certificate"], have["tls_key"], certificate, domain):
        made = {"ca_certificate": certificate}
    else:
        chain, own = authority.issue(certificate, key, domain)
        made = {"tls_certificate": chain, "tls_key": own, "ca_certificate": certificate}
    return {item: value for item, value in made.items() if value != have[item]}
