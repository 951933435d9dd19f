"""age identities as text (age-keygen(1)), in clear or protected by a passphrase (age(1), -p)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

from barehub.errors import VaultError
from barehub.vault.identity import passphrase
from barehub.vault.services import kind_of

BINARY = b"age-encryption.org/"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
SCRYPT = b"\n-> scrypt "

WANTED = "an identity is the line that begins with AGE-SECRET-KEY-1"


@dataclass(frozen=True)
class Identity:
    """A private key that reads; ``source`` says in words where it was found or is kept.

    ``recipient`` is its public half, as it stands in ``.sops.yaml``; ``key`` is empty for an SSH
    key that is locked and that nobody needed yet, and for a key service that we have credentials
    for.
    """

    recipient: str
    source: str
    key: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The recipient in a sentence: an SSH key is long, and only its end tells it apart."""
        kind, _, rest = self.recipient.partition(" ")
        return f"{kind} …{rest[-12:]}" if rest else kind

    @property
    def service(self) -> bool:
        """Whether it is the right to ask a key service."""
        return kind_of(self.recipient) is not None

    @property
    def usable(self) -> bool:
        return bool(self.key) or self.service

    @property
    def ssh(self) -> bool:
        """Whether it is an SSH key: sops takes those by another way."""
        return self.recipient.startswith("ssh-")


@dataclass(frozen=True)
class Text:
    """What stood in a text: identities, and for each that only a plugin can use why not."""

    identities: Sequence[Identity]
    plugins: Sequence[NeedsPlugin]


class NeedsPlugin(VaultError):
    """An identity that only another program can use; ``reader`` begins its public key."""

    def __init__(self, where: str, name: str) -> None:
        self.reader = f"age1{name}1"
        super().__init__(
            f"{where} is an identity of age-plugin-{name}, and barehub runs no plugins",
            "invoke vault.login --new   # makes one that needs none; a reader then adds it",
            "or use an SSH key (ed25519, RSA): SOPS_AGE_SSH_PRIVATE_KEY_FILE=FILE",
        )


def parse(content: bytes, source: str, *, ask: bool = True) -> Text:
    """The identities in ``content``, one a line; ``#`` begins a comment.

    :param ask: whether a person may be asked for a passphrase.
    :raises passphrase.Protected: it needs a passphrase, and nobody can be asked.
    :raises VaultError: a line is something else; says which and what.
    """
    start = content.lstrip()
    if start.startswith((BINARY, ARMOR)):
        return _parse_lines(_decrypted(content, source, ask), source)
    if start.startswith(b"-----BEGIN"):
        raise VaultError(
            f"{source} holds an SSH or PEM key, not an age identity",
            "name the file of an SSH key in SOPS_AGE_SSH_PRIVATE_KEY_FILE",
        )
    try:
        return _parse_lines(content.decode(), source)
    except UnicodeDecodeError:
        raise VaultError(f"{source} is not text, and not an age identity") from None


def _parse_lines(text: str, source: str) -> Text:
    identities, plugins = [], []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        where = f"{source} line {number}"
        if not line or line.startswith("#"):
            continue
        if line.upper().startswith("AGE-PLUGIN-"):
            name = line.upper().removeprefix("AGE-PLUGIN-").rpartition("-1")[0]
            plugins.append(NeedsPlugin(where, name.lower()))
        else:
            identities.append(_identity(line, source, where))
    return Text(identities, plugins)


def _identity(line: str, source: str, where: str) -> Identity:
    import pyrage

    if line.startswith(("age1", "ssh-")):
        raise VaultError(f"{where} is a public key, not an identity", WANTED)
    try:
        return Identity(str(pyrage.x25519.Identity.from_str(line).to_public()), source, line)
    except pyrage.IdentityError:
        raise VaultError(f"{where} is not an age identity", WANTED) from None


def _decrypted(content: bytes, source: str, ask: bool) -> str:
    import pyrage

    if SCRYPT not in _header(content):
        raise VaultError(f"{source} is encrypted, but not by a passphrase, or is damaged", WANTED)

    def opened(given: str) -> str:
        try:
            return str(pyrage.passphrase.decrypt(content, given).decode())
        except pyrage.DecryptError as error:
            if str(error) == "Decryption failed":  # the one that a wrong passphrase gives
                raise passphrase.WrongPassphrase from None
            reason = str(error).splitlines()[0].rstrip(".").lower()
            raise VaultError(f"{source} cannot be decrypted: {reason}") from None
        except UnicodeDecodeError:
            raise VaultError(f"{source} holds no text, and no age identity") from None

    return passphrase.unlocked(content, source, opened, ask=ask)


def _header(content: bytes) -> bytes:
    """The beginning of an age file, out of its armor."""
    if content.lstrip().startswith(BINARY):
        return content.lstrip()[:200]
    lines = content.split(b"\n")[1:3]
    try:
        return base64.b64decode(b"".join(line.strip() for line in lines))
    except binascii.Error:
        return b""
