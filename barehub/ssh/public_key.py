"""Public halves of SSH keys, as agents list them and ``authorized_keys`` holds them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from barehub import process
from barehub.errors import ToolError

AGENT_SECONDS = 5.0
"""How long an agent may take to list its keys: one that asks a person for each may take long."""


@dataclass(frozen=True)
class PublicKey:
    """``blob`` is the key itself, in base64 (RFC 4253, 6.6)."""

    kind: str
    blob: str
    comment: str = ""

    @classmethod
    def parse(cls, line: str) -> PublicKey | None:
        """The key of a line of ``authorized_keys``, without options; nothing when it is none."""
        kind, _, rest = line.strip().partition(" ")
        blob, _, comment = rest.strip().partition(" ")
        try:
            named = base64.b64decode(blob, validate=True)[4:].startswith(kind.encode())
        except binascii.Error:
            return None
        return cls(kind, blob, comment.strip()) if kind and named else None

    @property
    def line(self) -> str:
        return " ".join(part for part in (self.kind, self.blob, self.comment) if part)

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def is_certificate(self) -> bool:
        return "-cert-v" in self.kind

    def __str__(self) -> str:
        shown = f"{self.kind.removeprefix('ssh-')} {self.fingerprint}"
        named = self.comment not in ("", "(stdin)")  # what ssh-add calls a key that it read there
        return f"{shown} ({self.comment})" if named else shown


OWN_SECONDS = 60.0
"""The same for an agent that we started: it asks no one, but the machine may be busy."""


def held(env: Mapping[str, str], *, seconds: float = 0) -> list[PublicKey]:
    """List the keys of the agent that ``env`` names; none when it does not answer.

    :param seconds: how long to wait for it; without it AGENT_SECONDS.
    """
    if not env.get("SSH_AUTH_SOCK"):
        return []
    try:
        said = process.run(["ssh-add", "-L"], env=env, timeout=seconds or AGENT_SECONDS).text
    except ToolError:
        return []
    return [key for line in said.splitlines() if (key := PublicKey.parse(line))]
