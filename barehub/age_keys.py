"""The kinds of keys that age and SSH have: one table, which all parts of barehub read.

As of 2026-11: age v1.3.1 and the C2SP specification (https://github.com/C2SP/C2SP/blob/main/age.md,
https://github.com/C2SP/C2SP/blob/main/age-plugin.md), which the pinned sops has inside. sops does
all encryption and decryption of the vault; here recipients and identities are only told apart,
validated, and an identity's recipient is computed. Text of both is Bech32 (BIP 173) of any length.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of key: how its ``recipient`` and its ``identity`` begin, and its ``stanza``.

    ``recipient`` and ``identity`` are prefixes up to the separator, in the case that age writes
    them in; an empty one does not exist as text. ``stanza`` is the type in an age file's header,
    ``arguments`` the lengths in characters of the base64 behind it. ``public`` computes the public
    key from the 32 bytes of an identity; it is ``characters`` long behind the prefix. ``also`` is
    another spelling of the identity's prefix.
    ``refusal`` says why barehub does not encrypt for it; empty for the kinds that it takes.
    """

    recipient: str
    identity: str
    stanza: str
    arguments: tuple[int, ...] = ()
    public: Callable[[bytes], bytes] | None = None
    characters: int = 0
    also: str = ""
    refusal: str = ""

    @property
    def form(self) -> str:
        """A regular expression of what a whole recipient looks like; its checksum is unknown."""
        if self.public is None:
            return rf"{re.escape(self.recipient)}[A-Za-z0-9+/]+={{0,2}}"
        return rf"{self.recipient}[{_DATA}]{{{self.characters}}}"


def _x25519(secret: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def _hybrid(seed: bytes) -> bytes:
    """Compute the public key of MLKEM768-X25519 (draft-ietf-hpke-pq, its DeriveKeyPair)."""
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    expanded = hashlib.shake_256(seed).digest(96)
    lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key()
    return lattice.public_bytes_raw() + _x25519(expanded[64:])


def _plugin(name: str, stanza: str, program: str = "") -> Kind:
    return Kind(
        f"age1{name}1",
        f"AGE-PLUGIN-{name.upper()}-1",
        stanza,
        refusal=f"{program or f'age-plugin-{name}'} would have to run on every machine that "
        "encrypts, and barehub runs no plugins",
    )


_NO_DECRYPTION = "it can sign but not decrypt: age takes ssh-ed25519 and ssh-rsa"

X25519 = Kind("age1", "AGE-SECRET-KEY-1", "X25519", (43,), _x25519, 58)
HYBRID = Kind(
    "age1pq1",
    "AGE-SECRET-KEY-PQ-1",
    "mlkem768x25519",
    (1494,),
    _hybrid,
    1952,
    also="AGE-PLUGIN-PQ-1",  # what age-plugin-pq -identity makes of one, for age before 1.3
)

KINDS = (
    X25519,
    HYBRID,
    Kind("ssh-ed25519 ", "", "ssh-ed25519", (6, 43)),
    Kind("ssh-rsa ", "", "ssh-rsa", (6,)),
    # The stanzas: the README of each plugin, and the tag package of age for the two tagged ones.
    _plugin("yubikey", "piv-p256"),
    _plugin("tag", "p256tag"),
    _plugin("tagpq", "mlkem768p256tag"),
    _plugin("se", "piv-p256"),
    _plugin("fido2-hmac", "fido2-hmac"),
    _plugin("tpm", "tpm-ecc"),
    Kind("ecdsa-sha2-", "", "", refusal=_NO_DECRYPTION),
    Kind("sk-", "", "", refusal=_NO_DECRYPTION),
    Kind("", "", "scrypt", refusal="a passphrase cannot be a reader"),
)

TAKEN = tuple(kind for kind in KINDS if not kind.refusal)
"""The kinds that barehub encrypts for and that a person can read with."""

LONGEST = 4096
"""Characters of a key in Bech32; the longest that age has is a post-quantum recipient of 1959."""

SMALLEST_RSA = 2048
"""Bits; agessh of age refuses a smaller key."""

_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DATA = "02-9ac-hj-np-z"

SECRET = rf"age-(?:secret-key|plugin)-(?:[a-z0-9+._-]{{0,64}}-)?1[{_DATA}]{{6,}}"
"""An identity anywhere in lower case text, of this table or to come; its checksum is unknown."""

PUBLIC = rf"(?:ssh-|ecdsa-|sk-)\S+ AAAA|age1(?:[a-z0-9+._-]{{1,64}}1)?[{_DATA}]{{38}}"
"""How a public key begins; no secret, though random."""

_MARKS = ("AGE-SECRET-KEY-", "AGE-PLUGIN-")
_PLUGIN_RECIPIENT = re.compile(r"age1([a-z0-9+._-]+)1[^1]*")
_PLUGIN_IDENTITY = re.compile(r"AGE-PLUGIN-([A-Z0-9+._-]+)-1[^1]*")


def kind_of(recipient: str) -> Kind | None:
    """Return the kind of a recipient by how it begins; None if it begins like none."""
    if plugin := _PLUGIN_RECIPIENT.fullmatch(recipient):
        named = next((kind for kind in KINDS if kind.recipient == f"age1{plugin[1]}1"), None)
        return named or _plugin(plugin[1], "", "its plugin")  # a name that may be anything
    found = (kind for kind in KINDS if kind.recipient and recipient.startswith(kind.recipient))
    return next(found, None)


@functools.lru_cache(maxsize=1024)
def refusal(recipient: str) -> str:
    """Say why barehub cannot encrypt for ``recipient``; empty if it can.

    :param recipient: a whole public key, an SSH key without its comment.
    """
    kind = kind_of(recipient)
    if kind is None:
        return "age knows no such kind"
    if kind.refusal:
        return kind.refusal
    whole = _whole_ssh(recipient) if kind.public is None else _whole(kind, recipient)
    return "" if whole else "it is damaged, cut off, or too short"


def opened(line: str) -> tuple[str, str] | None:
    """Return the recipient of an identity and the identity as sops takes it.

    :returns: None for what is no whole identity of a kind in :data:`TAKEN`.
    """
    prefix, data = decode(line)
    for kind in TAKEN:
        if kind.public and f"{prefix.upper()}1" in (kind.identity, kind.also) and len(data) == 32:
            recipient = encode(kind.recipient[:-1], kind.public(data))
            return recipient, encode(kind.identity[:-1].lower(), data).upper()
    return None


def shown(recipient: str) -> str:
    """Shorten a recipient for a sentence: an SSH key is told apart by its end alone."""
    kind, _, rest = recipient.partition(" ")
    if rest:
        return f"{kind} …{rest[-12:]}"
    return f"{kind[:32]}…" if len(kind) > 80 else kind


def create() -> tuple[str, str]:
    """Make a new X25519 identity; return its recipient and itself."""
    import secrets

    made = opened(encode("age-secret-key-", secrets.token_bytes(32)))
    assert made
    return made


def plugin_of(line: str) -> str:
    """Return the name of the plugin that an identity is for; empty if it is for none."""
    found = _PLUGIN_IDENTITY.fullmatch(line.upper())
    return found[1].lower() if found else ""


def like_secret(text: str) -> bool:
    """Whether ``text`` speaks of an identity, whole or damaged: it must never be repeated."""
    return any(mark in text.upper() for mark in _MARKS)


def is_secret(text: str) -> bool:
    """Whether ``text``, a match of :data:`SECRET`, has a right checksum.

    What documentation shows is mostly made up, and has none.
    """
    return bool(decode(text.lower())[1])


def _whole(kind: Kind, recipient: str) -> bool:
    prefix, data = decode(recipient)
    if f"{prefix}1" != kind.recipient or recipient != recipient.lower():
        return False
    if kind is X25519:
        return len(data) == 32
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

    try:
        MLKEM768PublicKey.from_public_bytes(data[:-32])
    except ValueError:
        return False
    return True


def _whole_ssh(recipient: str) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        key = load_ssh_public_key(recipient.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return not isinstance(key, RSAPublicKey) or key.key_size >= SMALLEST_RSA


def encode(prefix: str, data: bytes) -> str:
    """Write ``data`` as Bech32; ``prefix`` is in lower case and without the separator."""
    values = _regrouped(data, 8, 5)
    checksum = _checksum([*_expanded(prefix), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [checksum >> 5 * place & 31 for place in range(5, -1, -1)]
    return f"{prefix}1" + "".join(_CHARACTERS[value] for value in values)


def decode(text: str) -> tuple[str, bytes]:
    """Read Bech32: the prefix, without the separator, and the bytes; both empty if it is none."""
    prefix, separator, rest = text.lower().rpartition("1")
    if text not in (text.lower(), text.upper()) or not prefix or not 6 <= len(rest) <= LONGEST:
        return "", b""
    if not separator or not prefix.isascii() or not set(rest) <= set(_CHARACTERS):
        return "", b""
    values = [_CHARACTERS.index(character) for character in rest]
    padding = _regrouped(values[:-6], 5, 8)
    if _checksum([*_expanded(prefix), *values]) != 1:
        return "", b""
    data = bytes(padding[: len(values[:-6]) * 5 // 8])
    return (prefix, data) if _regrouped(data, 8, 5) == values[:-6] else ("", b"")


def _regrouped(values: bytes | list[int], size: int, other: int) -> list[int]:
    """Split ``values`` of ``size`` bits anew into values of ``other`` bits; zeros fill the last."""
    count = len(values) * size
    number = functools.reduce(lambda sum, value: sum << size | value, values, 0)
    missing = -count % other
    number <<= missing
    places = range((count + missing) // other - 1, -1, -1)
    return [number >> place * other & (1 << other) - 1 for place in places]


def _expanded(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _checksum(values: list[int]) -> int:
    sum = 1
    for value in values:
        top = sum >> 25
        sum = (sum & 0x1FFFFFF) << 5 ^ value
        for bit, part in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            sum ^= part if top >> bit & 1 else 0
    return sum
