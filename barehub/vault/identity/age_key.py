"""age identities as text (age-keygen(1)), in clear or protected by a passphrase (age(1), -p)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from barehub import age_keys
from barehub.errors import VaultError
from barehub.vault.identity import age_file, passphrase
from barehub.vault.services import kind_of

_BEGINNINGS = " or ".join(kind.identity for kind in age_keys.TAKEN if kind.identity)
WANTED = f"an identity is the line that begins with {_BEGINNINGS}"


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
        return age_keys.shown(self.recipient)

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
    """What stood in a text: identities, why each that a plugin is for cannot be used, and the
    lines that are neither."""

    identities: Sequence[Identity]
    plugins: Sequence[NeedsPlugin]
    unknown: UnknownLines | None = None

    @property
    def obstacles(self) -> list[VaultError]:
        return [*self.plugins, *([self.unknown] if self.unknown else [])]


class UnknownLines(VaultError):
    """Lines of ``source`` that are no identity; ``lines`` has number and reason, never the text."""

    def __init__(self, source: str, lines: Sequence[tuple[int, str]]) -> None:
        number, reason = lines[0]
        said = f"line {number} is {reason}"
        if len(lines) > 1:
            numbers = ", ".join(str(number) for number, _ in lines[:8])
            said = f"lines {numbers}{', …' * (len(lines) > 8)} are not age identities"
        super().__init__(f"{source} {said}", WANTED)


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
    :raises VaultError: it is no text of lines, or cannot be decrypted.
    """
    start = content.lstrip()
    if start.startswith((age_file.INTRO, age_file.ARMOR)):
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
    identities, plugins, unknown = [], [], []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        if opened := age_keys.opened(line):
            recipient, key = opened
            identities.append(Identity(recipient, source, key))
        elif name := age_keys.plugin_of(line):
            plugins.append(NeedsPlugin(f"{source} line {number}", name))
        elif age_keys.kind_of(line):
            unknown.append((number, "a public key, not an identity"))
        else:
            unknown.append((number, "not an age identity that barehub knows"))
    return Text(identities, plugins, UnknownLines(source, unknown) if unknown else None)


def _decrypted(content: bytes, source: str, ask: bool) -> str:
    def opened(given: str) -> str:
        try:
            return age_file.Locked.parse(content).decrypt(given).decode()
        except age_file.Undecryptable as error:
            raise VaultError(f"{source} cannot be decrypted: {error}") from None
        except UnicodeDecodeError:
            raise VaultError(f"{source} holds no text, and no age identity") from None

    if not age_file.has_passphrase(content):
        raise VaultError(f"{source} is encrypted, but not by a passphrase, or is damaged", WANTED)
    return passphrase.unlocked(content, source, opened, ask=ask)
