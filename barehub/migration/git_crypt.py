"""Reads what git-crypt encrypted, without git-crypt and without a work tree.

The formats are those of git-crypt 0.7 (https://github.com/AGWA/git-crypt: key.cpp, commands.cpp). A
file is AES-256 in counter mode; its nonce is the beginning of an HMAC-SHA1 of the plaintext, so
that a wrong key, and every change, is found.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import shlex
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from barehub import reading
from barehub.errors import UsageError, VaultError
from barehub.migration import gpg
from barehub.vault.ciphertext import GIT_CRYPT as MAGIC

__all__ = ["MAGIC", "SMALLEST", "USERS", "Key", "encrypted", "gpg_keys", "key_of"]
__all__ += ["opened", "quoted", "read_key", "stays_clear"]

DEFAULT = "default"

USERS = re.compile(r"\.git-crypt/keys/([^/]+)/\d+/([0-9A-F]+)\.gpg")
"""Where a repository keeps its keys, each encrypted for one GPG user."""

_NONCE = 12
SMALLEST = len(MAGIC) + _NONCE
"""Bytes of an encrypted file that is empty; a longer one has as many as its plaintext more."""

_KEY_MAGIC = b"\0GITCRYPTKEY"
_FORMAT = 2
_OLD_FORMAT = 96
"""Bytes of a key file before git-crypt 0.4, which was the two keys and nothing else."""
_LARGEST_KEY = 64 * 1024

_END, _NAME, _VERSION, _AES, _HMAC = 0, 1, 1, 3, 5
"""Fields of a key file; those that are odd and unknown may not be passed over."""


@dataclass(frozen=True)
class Key:
    """A key of git-crypt: its ``name`` (``default``, or as in ``filter=git-crypt-NAME``), where it
    came from, and the pairs of AES and HMAC keys in it, one a version."""

    name: str
    origin: str
    pairs: tuple[tuple[bytes, bytes], ...] = field(repr=False)

    def open(self, blob: bytes) -> bytes | None:
        """The plaintext of ``blob``, if this key encrypted it and nobody changed it since."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        if not blob.startswith(MAGIC) or len(blob) < SMALLEST:
            return None
        nonce, content = blob[len(MAGIC) : SMALLEST], blob[SMALLEST:]
        for aes, mac in self.pairs:
            cipher = Cipher(algorithms.AES(aes), modes.CTR(nonce + bytes(4))).decryptor()
            plain = cipher.update(content) + cipher.finalize()
            if hmac.compare_digest(hmac.digest(mac, plain, hashlib.sha1)[:_NONCE], nonce):
                return plain
        return None


def encrypted(blob: bytes) -> bool:
    """Whether git-crypt made ``blob``, even if it was cut off in its first bytes."""
    return MAGIC.startswith(blob[: len(MAGIC)]) and len(blob) > len(MAGIC) // 2


def stays_clear(path: str) -> bool:
    """Whether git-crypt itself needs ``path`` in clear, also where ``*`` is to be encrypted."""
    return path.startswith(".git-crypt/") or path.rsplit("/", 1)[-1] == ".gitattributes"


def opened(blob: bytes, keys: Sequence[Key]) -> tuple[bytes, Key] | None:
    """The plaintext of ``blob``, and the first of ``keys`` that opens it."""
    for key in keys:
        if (content := key.open(blob)) is not None:
            return content, key
    return None


def read_key(path: Path) -> Key:
    """The key file ``path``, or what a shell's ``<(…)`` is.

    :raises UsageError: it cannot be read.
    :raises VaultError: it is no key file of git-crypt; says what it is instead.
    """
    if path.is_dir():
        if (path / ".git").exists() or (path / "HEAD").exists():
            raise VaultError(f"{path} is a repository, not a key file of git-crypt", _export(path))
        raise VaultError(
            f"{path} is a folder, not a key file of git-crypt", f"ls -a {quoted(path)}"
        )
    try:
        content = reading.content(path, UsageError, most=reading.SETTINGS, pipes=True)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such key file", _export(Path("OLD"))) from None
    return key_of(content, str(path))


def gpg_keys(files: Mapping[str, bytes]) -> list[Key]:
    """The keys in ``files`` (path to content), those of a repository at :data:`USERS`.

    Of each key one copy is enough: the first that our gpg opens.

    :raises VaultError: gpg opens none.
    :raises ToolError: there is no gpg.
    """
    found: dict[str, Key] = {}
    refusals: dict[str, gpg.Refused] = {}
    for path, message in files.items():
        name = _user(path)[1]
        if name in found:
            continue
        try:
            found[name] = key_of(gpg.decrypted(message, _LARGEST_KEY), path)
        except gpg.Refused as refused:
            refusals[path] = refused
    if not found:
        raise _unopened(refusals)
    return list(found.values())


def _unopened(refusals: Mapping[str, gpg.Refused]) -> VaultError:
    # that a passphrase is missing says more than that the other keys are for others
    path = next((p for p, why in refusals.items() if not why.stranger), min(refusals))
    users = ", ".join(dict.fromkeys(_user(p)[2] for p in refusals))
    return VaultError(
        f"gpg opens no key of the repository (they are for {users}): {refusals[path]}",
        f"git show HEAD:{quoted(path)} | gpg --decrypt > /dev/null   # there, on a terminal"
        if refusals[path].alone
        else _export(Path("OLD")),
    )


def _user(path: str) -> re.Match[str]:
    found = USERS.fullmatch(path)
    assert found, path
    return found


def _export(repository: Path) -> str:
    return f"git -C {quoted(repository)} crypt export-key FILE   # in a clone that is unlocked"


def quoted(path: Path | str) -> str:
    """``path`` as a shell takes it."""
    return shlex.quote(str(path))


def key_of(content: bytes, origin: str) -> Key:
    """:raises VaultError: ``content`` is no key file of git-crypt; says what it is instead."""
    if not content.startswith(_KEY_MAGIC):
        raise _no_key(content, origin)
    try:
        return Key(*_parsed(content, origin))
    except struct.error:
        raise VaultError(
            f"{origin} is truncated", f"ls -l {quoted(origin)}   # copy it again"
        ) from None


def _parsed(content: bytes, origin: str) -> tuple[str, str, tuple[tuple[bytes, bytes], ...]]:
    at = len(_KEY_MAGIC)
    (version,) = struct.unpack_from(">I", content, at)
    if version != _FORMAT:
        raise VaultError(f"{origin} is a git-crypt key of format {version}, barehub knows format 2")
    header, at = _fields(content, at + 4, origin, known=(_NAME,))
    name = header.get(_NAME, b"").decode(errors="replace") or DEFAULT
    pairs = []
    while at < len(content):
        entry, at = _fields(content, at, origin, known=(_VERSION, _AES, _HMAC))
        if len(entry.get(_AES, b"")) != 32 or len(entry.get(_HMAC, b"")) != 64:
            raise VaultError(f"{origin} is damaged: a key in it has the wrong length")
        pairs.append((entry[_AES], entry[_HMAC]))
    if not pairs:
        raise VaultError(f"{origin} is truncated: there is no key in it")
    return name, origin, tuple(pairs)


def _fields(
    content: bytes, at: int, origin: str, known: tuple[int, ...]
) -> tuple[dict[int, bytes], int]:
    found: dict[int, bytes] = {}
    while True:
        (number,) = struct.unpack_from(">I", content, at)
        if number == _END:
            return found, at + 4
        (length,) = struct.unpack_from(">I", content, at + 4)
        (found[number],) = struct.unpack_from(f"{length}s", content, at + 8)
        at += 8 + length
        if number % 2 and number not in known:
            raise VaultError(f"{origin} needs a newer git-crypt: it has a field {number}")


def _no_key(content: bytes, origin: str) -> VaultError:
    """What ``content`` is, in place of a key file."""
    if not content:
        return VaultError(f"{origin} is empty, not a key file of git-crypt")
    if content.lstrip().startswith(b"-----BEGIN PGP MESSAGE") or re.match(
        rb"[\x84\x85\xc1]", content
    ):
        return VaultError(
            f"{origin} is encrypted for GPG, not a key file of git-crypt itself",
            f"gpg --decrypt {quoted(origin)} | "
            "invoke vault.import-git-crypt --repo OLD --key /dev/stdin",
        )
    if content.startswith(MAGIC):
        return VaultError(f"{origin} is a file that git-crypt encrypted, not a key file")
    if len(content) == _OLD_FORMAT:
        return VaultError(
            f"{origin} is a git-crypt key of the format before 0.4 (96 bytes)",
            f"git-crypt migrate-key {quoted(origin)} NEW   # then --key NEW",
        )
    return VaultError(f"{origin} is not a key file of git-crypt", _export(Path("OLD")))
