"""Key files that are none, each told by what it is instead."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from barehub.errors import UsageError, VaultError
from barehub.migration import git_crypt

MAGIC = b"\0GITCRYPTKEY"


def field(number: int, data: bytes) -> bytes:
    return struct.pack(">II", number, len(data)) + data


END = struct.pack(">I", 0)
ENTRY = field(1, b"\0\0\0\0") + field(3, b"a" * 32) + field(5, b"h" * 64) + END
HEAD = MAGIC + struct.pack(">I", 2)
GOOD = HEAD + END + ENTRY


def test_a_key_with_a_name_and_without() -> None:
    assert git_crypt.key_of(GOOD, "k").name == "default"
    named = git_crypt.key_of(HEAD + field(1, b"ops") + END + ENTRY, "k")
    assert named.name == "ops"
    assert named.pairs == ((b"a" * 32, b"h" * 64),)
    assert "aaaa" not in repr(named)


def test_fields_that_may_be_passed_over_and_several_versions() -> None:
    assert git_crypt.key_of(HEAD + field(8, b"x") + END + ENTRY, "k").pairs
    assert len(git_crypt.key_of(GOOD + ENTRY, "k").pairs) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "k is empty"),
        (b"\0", "not a key file"),
        (b"x" * 96, "the format before 0.4"),
        (b"x" * 95, "not a key file of git-crypt"),
        (b"-----BEGIN PGP MESSAGE-----\n\nabc", "k is encrypted for GPG"),
        (b"\x85\x01\x8c\x03abc", "k is encrypted for GPG"),
        (b"\0GITCRYPT\0" + b"x" * 30, "a file that git-crypt encrypted"),
        (MAGIC, "k is truncated"),
        (HEAD, "k is truncated"),
        (HEAD + END, "there is no key in it"),
        (MAGIC + struct.pack(">I", 3) + END + ENTRY, "format 3"),
        (HEAD + field(7, b"") + END + ENTRY, "needs a newer git-crypt: it has a field 7"),
        (HEAD + END + field(3, b"a" * 31) + field(5, b"h" * 64) + END, "wrong length"),
        (HEAD + END + field(3, b"a" * 32) + END, "wrong length"),
    ],
)
def test_what_is_no_key_file(content: bytes, said: str) -> None:
    with pytest.raises(VaultError) as caught:
        git_crypt.key_of(content, "k")
    assert said in caught.value.problem


@pytest.mark.parametrize("length", range(len(MAGIC), len(GOOD)))
def test_every_truncation_is_told(length: int) -> None:
    with pytest.raises(VaultError, match="truncated"):
        git_crypt.key_of(GOOD[:length], "k")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such key file"):
        git_crypt.read_key(tmp_path / "missing")
    with pytest.raises(VaultError, match="is a folder, not a key file"):
        git_crypt.read_key(tmp_path)
    (tmp_path / ".git").mkdir()
    with pytest.raises(VaultError, match="is a repository, not a key file"):
        git_crypt.read_key(tmp_path)
    (tmp_path / "large").write_bytes(GOOD + bytes(1 << 20))
    with pytest.raises(VaultError):
        git_crypt.read_key(tmp_path / "large")


@pytest.mark.parametrize("blob", [b"", b"x", b"\0GITCRYPT\0", b"\0GITCRYPT\0" + b"n" * 11])
def test_what_is_too_short_to_be_opened(blob: bytes) -> None:
    assert git_crypt.opened(blob, [git_crypt.key_of(GOOD, "k")]) is None


def test_a_file_cut_in_its_first_bytes_is_still_git_crypts() -> None:
    assert git_crypt.encrypted(b"\0GITCRYPT\0" + b"n" * 20)
    assert git_crypt.encrypted(b"\0GITCR")
    assert not git_crypt.encrypted(b"\0GI")
    assert not git_crypt.encrypted(b"")
    assert not git_crypt.encrypted(b"GITCRYPT")
