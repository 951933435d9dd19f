"""SSH private keys as identities of age: ed25519 and RSA, in OpenSSH's format or PEM.

The public half is read without the passphrase, so that one is only asked for when it is of use
(https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key).
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from barehub import age_keys, process, reading
from barehub.errors import ToolError, VaultError
from barehub.vault.identity import passphrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

USABLE = tuple(kind.stanza for kind in age_keys.TAKEN if kind.recipient.endswith(" "))
"""What age can encrypt to (https://github.com/FiloSottile/age#ssh-keys)."""

OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
MAGIC = b"openssh-key-v1\0"
LOCKED = (b"\nProc-Type: 4,ENCRYPTED", b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
AGENT_SECONDS = 5.0


@dataclass(frozen=True)
class SshKey:
    """The private key in the file ``what``, as it lies on the disk."""

    what: str
    recipient: str
    protected: bool
    content: bytes = field(repr=False)

    def text(self, *, ask: bool) -> str:
        """The key without a passphrase, as sops takes it.

        :raises passphrase.Protected: it needs a passphrase, and nobody can be asked.
        :raises VaultError: it is damaged, or not the one whose public half was read.
        """
        if not self.protected:
            return self.content.decode()
        return passphrase.unlocked(self.content, self.what, self._opened, ask=ask)

    def _opened(self, given: str) -> str:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization as form

        load = form.load_pem_private_key
        if self.content.startswith(OPENSSH):
            load = form.load_ssh_private_key
        try:
            key = load(self.content, given.encode())
        except (ValueError, TypeError):  # TypeError: an empty one
            raise passphrase.WrongPassphrase from None
        except UnsupportedAlgorithm:
            raise VaultError(
                f"{self.what} is encrypted in a way that barehub cannot open",
                f"ssh-keygen -p -Z aes256-ctr -f {self.what}",
            ) from None
        if _two_fields(key.public_key()) != self.recipient:
            raise VaultError(
                f"{self.what}.pub is not its public half",
                f"ssh-keygen -y -f {self.what} > {self.what}.pub",
            )
        plain = form.PrivateFormat.OpenSSH
        return key.private_bytes(form.Encoding.PEM, plain, form.NoEncryption()).decode()


def read(path: Path, what: str) -> SshKey:
    """The key in ``path``.

    :raises VaultError: it cannot be read or is no key of :data:`USABLE`. The problem is what can be
        said behind the file's name.
    """
    try:
        content = reading.content(path, VaultError, shown=what, most=reading.SETTINGS, pipes=True)
    except FileNotFoundError:
        raise VaultError("no such file or directory", f"ls -l {what}") from None
    except VaultError as error:
        raise VaultError(error.problem.removeprefix(f"{what}: "), *error.hints) from None
    content = content.replace(b"\r\n", b"\n").strip() + b"\n"
    _refuse_what_is_no_private_key(content)
    if content.startswith(OPENSSH):
        recipient, protected = _openssh(content)
    elif any(mark in content for mark in LOCKED):
        recipient, protected = _beside(path, what), True
    else:
        recipient, protected = _of_pem(content), False
    _refuse_type(recipient.split()[0])
    return SshKey(what, recipient, protected, content)


def in_agent(readers: Collection[str]) -> str:
    """The one of ``readers`` whose private key the running ssh-agent has, or nothing."""
    if not os.environ.get("SSH_AUTH_SOCK") or not any(r.startswith("ssh-") for r in readers):
        return ""
    try:
        said = process.run(["ssh-add", "-L"], timeout=AGENT_SECONDS).text
    except ToolError:
        return ""
    held = {" ".join(line.split()[:2]) for line in said.splitlines()}
    return next((reader for reader in readers if reader in held), "")


def _refuse_what_is_no_private_key(content: bytes) -> None:
    if content.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        raise VaultError(
            "a public key: its private key is needed, and an ssh-agent or a token that holds that "
            "cannot decrypt",
            "name the private key's file, without .pub",
        )
    if age_keys.like_secret(content.decode("latin-1")):
        raise VaultError("an age identity", "name its file in SOPS_AGE_KEY_FILE")
    if b"PRIVATE KEY-----" not in content.partition(b"\n")[0]:
        raise VaultError("not an SSH private key")


def _refuse_type(kind: str) -> None:
    if kind.startswith("sk-"):
        raise VaultError(
            f"a key of type {kind}: a FIDO token signs, and cannot decrypt",
            f"use {' or '.join(USABLE)}, or an age identity: invoke vault.login --new",
        )
    if kind not in USABLE:
        raise VaultError(
            f"a key of type {kind}: age reads with {' and '.join(USABLE)} keys only",
            "ssh-keygen -t ed25519, or an age identity: invoke vault.login --new",
        )


def _openssh(content: bytes) -> tuple[str, bool]:
    """The public half, and whether there is a passphrase."""
    try:
        lines = content.strip().split(b"\n")
        body = base64.b64decode(b"".join(lines[1:-1]), validate=True)
        if lines[-1] != OPENSSH.replace(b"BEGIN", b"END") or not body.startswith(MAGIC):
            raise ValueError
        cipher, rest = _field(body[len(MAGIC) :])
        _, rest = _field(rest)
        _, rest = _field(rest)
        public, rest = _field(rest[4:])  # behind the number of keys, which is one
        _field(rest)  # the private half
        kind = _field(public)[0].decode("ascii")
    except (ValueError, struct.error, binascii.Error):
        raise VaultError("not a whole OpenSSH private key") from None
    return f"{kind} {base64.b64encode(public).decode()}", cipher != b"none"


def _field(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    if len(data) < 4 + length:
        raise ValueError
    return data[4 : 4 + length], data[4 + length :]


def _beside(path: Path, what: str) -> str:
    """The public half of a PEM file with a passphrase, which does not hold it in clear."""
    try:
        fields = reading.text(path.with_name(f"{path.name}.pub"), VaultError).split()
    except (FileNotFoundError, VaultError):
        fields = []
    if len(fields) < 2:
        raise VaultError(
            f"it has a passphrase, and no public key lies beside it as {path.name}.pub",
            f"ssh-keygen -y -f {what} > {what}.pub",
        )
    return f"{fields[0]} {fields[1]}"


def _of_pem(content: bytes) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        recipient = _two_fields(load_pem_private_key(content, None).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        recipient = ""
    if not recipient:
        raise VaultError("not a whole private key, or of a type that age cannot use")
    return recipient


def _two_fields(key: PublicKeyTypes) -> str:
    """As in ``.sops.yaml``; empty for a type that SSH does not have."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (ValueError, UnsupportedAlgorithm):
        return ""
