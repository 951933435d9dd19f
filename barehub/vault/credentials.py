"""What the environment has for the key services that a policy names: for sops, and nobody else.

A workload in CI has such credentials for its identity (OIDC). Whoever has them can have a data key
decrypted, so that they are no child's but that of the one sops that needs them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from barehub.console import console
from barehub.errors import VaultError
from barehub.vault.services import KINDS, Kind, kind_of

TICKETS = "ACTIONS_ID_TOKEN_REQUEST_"
"""With these, any process of a job in GitHub can have itself given such credentials."""

NETWORK = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")

_SECRET = re.compile(r"(SECRET_ACCESS_KEY|TOKEN)$")

_REASON = re.compile(
    rb"api error ([A-Za-z]{3,60})\b|\b([A-Z][A-Za-z]{2,60}Exception)\b|\b(Code: \d{3})\b"
    rb"|(no such host|connection refused|timeout|certificate)"
)
"""How AWS and HashiCorp Vault say in a word why not; no more of their words is repeated."""

_taken: dict[str, str] = {}


class Unavailable(VaultError):
    """A key service cannot be asked, or refuses."""


def take_from_environment(services: Collection[str]) -> None:
    """Move what is for ``services`` from our environment, which children inherit, into memory."""
    for kind in _kinds(services):
        for name in [name for name in os.environ if name.startswith((kind.variables, TICKETS))]:
            value = os.environ.pop(name)
            if not name.startswith(TICKETS):
                _taken[name] = value
            if _SECRET.search(name):
                console.redactor.add(value)


def taken() -> dict[str, str]:
    """All that was taken: for ourselves in a container."""
    return dict(_taken)


def source(kind: Kind) -> str:
    """The variable that has the credentials for ``kind``; empty if there are none."""
    return next((name for name in kind.credentials if _taken.get(name)), "")


def environment(services: Collection[str]) -> dict[str, str]:
    """The variables by which sops can ask all of ``services``.

    :raises Unavailable: there are no credentials for one of them.
    """
    take_from_environment(services)
    found: dict[str, str] = {}
    for kind in _kinds(services):
        if not source(kind):
            ids = ", ".join(id for id in services if kind_of(id) == kind)
            raise Unavailable(
                f"a new data key is also for {ids}, and its credentials are not in the environment",
                f"set {' or '.join(kind.credentials[:2])}",
            )
        found |= {name: v for name, v in _taken.items() if name.startswith(kind.variables)}
    network = {name: os.environ[name] for name in NETWORK if name in os.environ} if found else {}
    return network | found


def blamed(said: bytes) -> bool:
    """Whether it is for a service that sops failed, by what it printed."""
    words = b" ".join(said.split())  # it breaks lines
    return b"failed to encrypt" in words or b"failed to decrypt" in words


def refused(file: str, services: Collection[str], said: bytes) -> Unavailable:
    """That they do not do what ``file`` needs; ``said`` is what sops printed."""
    reason = _REASON.search(b" ".join(said.split()))
    word = next(filter(None, reason.groups())).decode() if reason else ""
    why = "refused" if word[:1].isupper() else "could not be asked"
    hints = (f"{kind.see}   # may that use it?" for kind in _kinds(services))
    return Unavailable(
        f"{file}: {', '.join(services)} {why}" + (f" ({word})" if word else ""), *hints
    )


def _kinds(services: Collection[str]) -> list[Kind]:
    wanted = {kind_of(id) for id in services}
    return [kind for kind in KINDS if kind in wanted]
