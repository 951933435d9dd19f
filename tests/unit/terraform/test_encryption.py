"""OpenTofu's encryption: whose it is, and that its key is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.terraform import encryption


def test_each_key_is_new_and_found_to_be_hidden() -> None:
    made = [encryption.make() for _ in range(2)]
    keys = [encryption.passphrases(text) for text in made]
    assert [len(found) for found in keys] == [1, 1] and keys[0] != keys[1]
    assert all(
        len(found[0]) == 64 and found[0] in text for found, text in zip(keys, made, strict=True)
    )
    own = '{"key_provider": {"pbkdf2": {"mine": {"passphrase": "of a person"}}}}'
    assert encryption.passphrases(own) == ["of a person"]


@pytest.mark.parametrize(
    ("name", "text", "has"),
    [
        ("main.tf", 'terraform {\n  encryption {\n    method "aes_gcm" "a" {}\n  }\n}\n', True),
        ("more.tofu", 'terraform {\n  encryption {\n    method "aes_gcm" "a" {}\n  }\n}\n', True),
        ("main.tf", '# encryption {\nterraform {\n  backend "pg" {}\n}\n', False),
        ("main.tf", 'resource "a" "b" {\n  encryption { on = true }\n}\n', False),
    ],
)
def test_only_terraforms_own_block_is_one(tmp_path: Path, name: str, text: str, has: bool) -> None:
    (tmp_path / name).write_text(text)
    assert encryption.written(tmp_path) is has


def test_what_cannot_be_read_is_told_apart() -> None:
    assert encryption.encrypted(b'{"serial": 1, "encrypted_data": "x"}')
    assert not encryption.encrypted(b'{"serial": 1, "resources": []}')
    assert not encryption.encrypted(b"torn")
    assert encryption.unreadable("pg", "demo", "dial tcp: connection refused") is None
