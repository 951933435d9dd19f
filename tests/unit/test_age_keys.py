"""The table of kinds of keys: every part of barehub says the same of each."""

from __future__ import annotations

import hashlib
import os
import re

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from barehub import age_keys, suspicion
from barehub.errors import UsageError, VaultError
from barehub.vault import policy, recipients, scanning, strictness
from barehub.vault.identity import age_key

OWN = [
    ("age-secret-key-", "6d152fa9c01105bb8b0a5815589074d5adf32d9ffc76a19ee88fe07c00b416c4"),
    ("age-secret-key-pq-", "e1704ce7caadaa4e436845c280d1527742f46a8af62d934c41b60c624e7cb185"),
    ("age-plugin-pq-", "e1704ce7caadaa4e436845c280d1527742f46a8af62d934c41b60c624e7cb185"),
]
"""Prefixes of identities, and the SHA-256 of what `age-keygen -y` 1.3.1 prints for SEED."""

SEED = bytes(range(32))


def identity(prefix: str, secret: bytes = b"") -> str:
    """Make an identity at run time: the source of this file holds none."""
    return age_keys.encode(prefix, secret or os.urandom(32)).upper()


@pytest.mark.parametrize(("prefix", "digest"), OWN)
def test_recipient_of_an_identity_is_what_age_keygen_prints(prefix: str, digest: str) -> None:
    for line in (identity(prefix, SEED), identity(prefix, SEED).lower()):
        opened = age_keys.opened(line)
        assert opened
        assert hashlib.sha256(opened[0].encode()).hexdigest() == digest
        assert opened[1].startswith("AGE-SECRET-KEY-"), "the form that sops takes"
        assert age_keys.refusal(opened[0]) == ""


def test_every_kind_of_own_identity_is_opened_hidden_and_kept_out_of_git() -> None:
    for prefix, _ in OWN:
        line = identity(prefix)
        (one,) = age_key.parse(f"# x\n{line}\n".encode(), "keys.txt").identities
        assert one.recipient.startswith("age1")
        assert suspicion.formed(f"x {line}") and suspicion.secret("image", line)
        assert not suspicion.secret("key", one.recipient) and suspicion.known("x", one.recipient)
        for text in (line, line.lower(), f'a: "{line}"\n', f"\n\n{line}"):
            (flaw,) = scanning.flaws("notes.txt", text.encode())
            assert "identity" in flaw.text and line not in str(flaw)
            (flaw,) = scanning.flaws("notes.txt", b"\xff\xfe" + text.encode("utf-16-le"))
            assert "identity" in flaw.text
        assert not list(scanning.flaws("notes.txt", line[:-1].encode()))
        with pytest.raises(UsageError, match="PRIVATE key"):
            recipients.key_of(line)
        with pytest.raises(VaultError, match="PRIVATE key"):
            policy.Policy.parse(policy.new({}) + f"    age: {line.lower()}\n")


@pytest.mark.parametrize("name", ["yubikey", "se", "fido2-hmac", "tpm", "foo.bar"])
def test_an_identity_of_a_plugin_is_named_kept_out_of_git_and_not_opened(name: str) -> None:
    line = identity(f"age-plugin-{name}-")
    text = age_key.parse(line.encode(), "keys.txt")
    assert not text.identities and not text.unknown
    (obstacle,) = text.plugins
    assert f"keys.txt line 1 is an identity of age-plugin-{name}" in obstacle.problem
    (flaw,) = scanning.flaws("x", line.encode())
    assert "identity" in flaw.text
    assert suspicion.formed(line)


def refused_keys() -> list[str]:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    compressed = point.public_bytes(form.Encoding.X962, form.PublicFormat.CompressedPoint)
    small = rsa.generate_private_key(65537, 1024).public_key()
    openssh = form.Encoding.OpenSSH, form.PublicFormat.OpenSSH
    own = age_keys.create()[0]
    return [
        *(
            age_keys.encode(f"age1{name}", compressed)
            for name in ("yubikey", "tag", "se", "tpm", "x")
        ),
        age_keys.encode("age1tagpq", os.urandom(1249)),
        age_keys.encode("age1fido2-hmac", os.urandom(40)),
        age_keys.encode("age1pq", b"\xff" * 1216),  # not reduced: FIPS 203, 7.2
        age_keys.encode("age1pq", os.urandom(32)),
        age_keys.encode("age", os.urandom(31)),
        own[:-1],
        own.upper(),
        own[:-1] + ("q" if own[-1] != "q" else "p"),
        small.public_bytes(*openssh).decode(),
        point.public_bytes(*openssh).decode(),
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t",
        "ssh-ed25519 AAAA",
        "age1" + "q" * 100_000,
    ]


def test_add_recipient_and_check_refuse_the_same_keys() -> None:
    for key in refused_keys():
        with pytest.raises(UsageError) as caught:
            recipients.key_of(key)
        reason = age_keys.refusal(key)
        assert reason and reason in caught.value.problem, key[:30]
        with pytest.raises(VaultError) as refused:
            policy.Policy.parse(policy.new({key: "bob"})).check_keys()
        assert reason in refused.value.problem or "no kind of recipient" in refused.value.problem


def test_table_is_consistent() -> None:
    prefixes = [kind.recipient for kind in age_keys.KINDS if kind.recipient]
    assert len(prefixes) == len(set(prefixes))
    for kind in age_keys.TAKEN:
        if kind.public:
            key = age_keys.encode(kind.recipient[:-1], kind.public(SEED))
            assert re.fullmatch(kind.form, key) and age_keys.kind_of(key) == kind
            assert strictness.RECIPIENT.fullmatch(key)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", max_size=20), st.binary())
def test_bech32_there_and_back(prefix: str, data: bytes) -> None:
    if prefix and len(data) < 2000:
        assert age_keys.decode(age_keys.encode(prefix, data)) == (prefix, data)


@pytest.mark.parametrize("text", ["", "1", "a1", "age1", "1qqqqqq", "ä1qqqqqq", "aGe1qqqqqq", "x"])
def test_what_is_no_bech32(text: str) -> None:
    assert age_keys.decode(text) == ("", b"")


def test_lines_that_are_no_identity_are_counted_and_never_shown() -> None:
    own = identity("age-secret-key-")
    text = age_key.parse(f"hunter2\n{own}\nhunter3\nage1x\n".encode(), "keys.txt")
    assert len(text.identities) == 1 and text.unknown
    assert text.unknown.problem == "keys.txt lines 1, 3, 4 are not age identities"
    lines = "\n".join(f"hunter{n}" for n in range(20))
    unknown = age_key.parse(lines.encode(), "keys.txt").unknown
    assert unknown and "7, 8, … are" in unknown.problem and "hunter" not in str(unknown)
