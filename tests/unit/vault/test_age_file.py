"""Files that age encrypted with a passphrase, in every size, damage and work factor."""

from __future__ import annotations

import base64
import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from barehub.vault.identity import age_file
from barehub.vault.identity.age_file import Locked, Undecryptable
from barehub.vault.identity.passphrase import WrongPassphrase

PASSPHRASE = "correct horse canary-ü"


def encrypted(plain: bytes, factor: int) -> bytes:
    """What age writes for PASSPHRASE with any work factor; `age -p` itself has 18 only."""

    def text(raw: bytes) -> bytes:
        return base64.b64encode(raw).rstrip(b"=")

    def derived(salt: bytes, purpose: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt, purpose).derive(key)

    key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    label = b"age-encryption.org/v1/scrypt" + salt
    wrapping = Scrypt(label, 32, 2**factor, 8, 1).derive(PASSPHRASE.encode())
    wrapped = text(ChaCha20Poly1305(wrapping).encrypt(bytes(12), key, None))
    stanza = b"-> scrypt " + text(salt) + b" %d\n" % factor + wrapped
    header = b"age-encryption.org/v1\n" + stanza + b"\n---"
    mac = text(hmac.digest(derived(b"", b"header"), header, "sha256"))
    cipher = ChaCha20Poly1305(derived(nonce, b"payload"))
    chunks = [plain[at : at + 65536] for at in range(0, len(plain), 65536)] or [b""]
    numbered = (
        cipher.encrypt(number.to_bytes(11, "big") + bytes([chunk is chunks[-1]]), chunk, None)
        for number, chunk in enumerate(chunks)
    )
    return header + b" " + mac + b"\n" + nonce + b"".join(numbered)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 200_000])
def test_content_of_any_size(size: int) -> None:
    plain = os.urandom(size)
    assert Locked.parse(encrypted(plain, 4)).decrypt(PASSPHRASE) == plain


def test_armor_with_any_line_ends() -> None:
    content = encrypted(b"text", 3)
    lines = base64.encodebytes(content).replace(b"\n", b"\r\n")
    for armored in (
        b"%b\r\n%b%b\r\n" % (age_file.ARMOR, lines, age_file.ARMOR_END),
        b"\n\n%b\n%b%b" % (age_file.ARMOR, base64.encodebytes(content), age_file.ARMOR_END),
    ):
        assert age_file.has_passphrase(armored)
        assert Locked.parse(armored).decrypt(PASSPHRASE) == b"text"
    with pytest.raises(Undecryptable, match="armor"):
        Locked.parse(armored[:-30])


@pytest.mark.parametrize("factor", [1, 10, 19])
def test_work_factors_that_age_accepts(factor: int) -> None:
    """19 takes 512 MiB and twice as long as what `age -p` writes: rage refuses that where a
    machine, or its load, makes it slow."""
    if age_file.BLOCK << factor > _memory() / 3:
        pytest.skip(f"work factor {factor} needs a machine with more memory")
    locked = Locked.parse(encrypted(b"text", factor))
    assert locked.decrypt(PASSPHRASE) == b"text"


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def with_factor(factor: int) -> Locked:
    return Locked.parse(encrypted(b"text", 1).replace(b" 1\n", b" %d\n" % factor))


def test_work_factors_that_age_refuses_are_not_tried() -> None:
    for factor in (23, 40, 99):
        with pytest.raises(Undecryptable, match=f"work factor {factor}, and age accepts 22"):
            with_factor(factor).decrypt(PASSPHRASE)


def test_memory_that_the_machine_has_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 250_000}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    with pytest.raises(Undecryptable, match="needs 4096 MiB of memory"):
        with_factor(22).decrypt(PASSPHRASE)


def test_wrong_passphrase_is_told_from_damage() -> None:
    content = encrypted(b"x" * 70_000, 2)
    for wrong in ("", "other", PASSPHRASE + " "):
        with pytest.raises(WrongPassphrase):
            Locked.parse(content).decrypt(wrong)
    start = content.index(b"\n---")
    for damaged in (
        content[:-1],
        content[:-1] + bytes([content[-1] ^ 1]),
        content[: start + 5 + 43 + 1 + 16],  # without any payload
        content[: start + 5 + 43 + 1 + 16 + 65552],  # a whole chunk that is not the last
        content.replace(b"\n--- ", b"\n--- A", 1),
        content + b"x",
        content[:40],
        content.replace(b" 2\n", b" 02\n"),
        content.replace(b"-> scrypt", b"-> X25519 a\n-> scrypt"),
        content[:start] + b"\n-> scrypt " + content[start:],
    ):
        with pytest.raises(Undecryptable):
            Locked.parse(damaged).decrypt(PASSPHRASE)
    mac = content[start + 5 : start + 48]
    other = base64.b64encode(os.urandom(32)).rstrip(b"=")
    with pytest.raises(Undecryptable, match="header"):
        Locked.parse(content.replace(mac, other)).decrypt(PASSPHRASE)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"age-encryption.org/v1\n-> X25519 x", age_file.ARMOR + b"\n===="]
)
def test_other_files_have_no_passphrase(content: bytes) -> None:
    assert not age_file.has_passphrase(content)
