"""Decrypts a file that age has encrypted with a passphrase (`age -p`).

The format: https://github.com/C2SP/C2SP/blob/main/age.md. rage measures the machine and refuses a
work factor that takes long there, which a busy machine does for the one that age always writes; age
itself accepts any up to a fixed limit, and so does this.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from dataclasses import dataclass

from barehub.vault.identity.passphrase import WrongPassphrase

INTRO = b"age-encryption.org/"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
ARMOR_END = b"-----END AGE ENCRYPTED FILE-----"

HIGHEST = 22
"""The highest work factor that age decrypts by default (ScryptIdentity of age); the file says which
it needs, and 2**22 takes 4 GiB and about 15 seconds."""

BLOCK = 128 * 8
"""Bytes of memory that scrypt needs for each of its 2**factor blocks, with r = 8 (RFC 7914)."""

CHUNK = 64 * 1024 + 16
"""Bytes of a whole chunk of the payload with its tag."""

_HEADER = re.compile(
    rb"(age-encryption\.org/v1\n"
    rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n"
    rb"---) ([A-Za-z0-9+/]{43})\n(.{16})",
    re.S,
)
"""A passphrase is the only recipient of its file: exactly one stanza."""


class Undecryptable(Exception):
    """Why no passphrase decrypts it, in words."""


@dataclass(frozen=True)
class Locked:
    """A file in parts; ``factor`` is the binary logarithm of the blocks that scrypt needs."""

    header: bytes
    salt: bytes
    factor: int
    wrapped: bytes
    mac: bytes
    nonce: bytes
    payload: bytes

    @classmethod
    def parse(cls, content: bytes) -> Locked:
        """Read a file, in binary or armored.

        :raises Undecryptable: it is damaged, or not encrypted with a passphrase alone.
        """
        content = _without_armor(content)
        found = _HEADER.match(content)
        if not found:
            raise Undecryptable("damaged, or encrypted for others as well")
        header, salt, factor, wrapped, mac, nonce = found.groups()
        return cls(
            header, _raw(salt), int(factor), _raw(wrapped), _raw(mac), nonce, content[found.end() :]
        )

    def decrypt(self, passphrase: str) -> bytes:
        """Return the plaintext.

        :raises WrongPassphrase: it is not the passphrase of this file.
        :raises Undecryptable: it is damaged, or this machine has not the memory for it.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            key = ChaCha20Poly1305(self._derived(passphrase)).decrypt(bytes(12), self.wrapped, None)
        except InvalidTag:
            raise WrongPassphrase from None
        mac = hmac.digest(_expanded(key, b"", b"header"), self.header, "sha256")
        if not hmac.compare_digest(mac, self.mac):
            raise Undecryptable("damaged: its header was changed")
        cipher = ChaCha20Poly1305(_expanded(key, self.nonce, b"payload"))
        starts = range(0, max(len(self.payload), 1), CHUNK)
        try:
            return b"".join(
                cipher.decrypt(
                    number.to_bytes(11, "big") + bytes([start == starts[-1]]),
                    self.payload[start : start + CHUNK],
                    None,
                )
                for number, start in enumerate(starts)
            )
        except InvalidTag:
            raise Undecryptable("damaged, or cut off") from None

    def _derived(self, passphrase: str) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        if self.factor > HIGHEST:
            raise Undecryptable(f"scrypt work factor {self.factor}, and age accepts {HIGHEST}")
        needed = BLOCK << self.factor
        lack = Undecryptable(f"its passphrase needs {needed >> 20} MiB of memory")
        if needed > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            raise lack
        salt = b"age-encryption.org/v1/scrypt" + self.salt
        try:
            return Scrypt(salt, 32, 1 << self.factor, 8, 1).derive(passphrase.encode())
        except MemoryError:
            raise lack from None


def has_passphrase(content: bytes) -> bool:
    """Whether a file, as far as it is whole, is encrypted with a passphrase."""
    try:
        return b"\n-> scrypt " in _without_armor(content)[:200]
    except Undecryptable:
        return False


def _expanded(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, purpose).derive(key)


def _raw(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _without_armor(content: bytes) -> bytes:
    if not content.lstrip().startswith(ARMOR):
        return content.lstrip()
    lines = [line.strip() for line in content.strip().split(b"\n")]
    try:
        if lines[-1] != ARMOR_END:
            raise binascii.Error
        return base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise Undecryptable("its armor is damaged or cut off") from None
