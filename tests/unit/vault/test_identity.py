"""Where an identity is found, where it is kept, and what is said when there is none."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pyrage
import pytest

from barehub.errors import VaultError
from barehub.vault import identity


def made() -> tuple[str, str]:
    one = pyrage.x25519.Identity.generate()
    return str(one), str(one.to_public())


def test_no_identity_says_where_it_looked(home: Path) -> None:
    with pytest.raises(identity.NoIdentity) as caught:
        identity.find()
    for place in ("SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "keyring", "SOPS_AGE_KEY_CMD", "keys.txt"):
        assert place in caught.value.problem
    assert caught.value.hints == ("invoke vault.init",)


def test_the_variable_is_taken_out_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, recipient = made()
    monkeypatch.setenv("SOPS_AGE_KEY", key)
    identity.take_from_environment()
    assert "SOPS_AGE_KEY" not in os.environ
    identity.take_from_environment()
    (one,) = identity.find()
    assert (one.recipient, one.source) == (recipient, "SOPS_AGE_KEY")
    assert key not in repr(one)


def test_the_order_of_the_sources(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {name: made() for name in ("variable", "file", "command", "default")}
    for name, (key, _) in keys.items():
        (home / name).write_text(key)

    def source() -> str:
        (one,) = identity.find()
        return next(name for name, (_, recipient) in keys.items() if recipient == one.recipient)

    default = home / ".config/sops/age/keys.txt"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    default.parent.mkdir(parents=True)
    default.write_text(f"# a comment\n\n{keys['default'][0]}\n")
    assert source() == "default"
    monkeypatch.setenv("SOPS_AGE_KEY_CMD", f"cat '{home / 'command'}'")
    assert source() == "command"
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(home / "file"))
    assert source() == "file"
    monkeypatch.setenv("SOPS_AGE_KEY", keys["variable"][0])
    assert source() == "variable"


def test_a_later_source_counts_when_only_it_can_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, _), (second, reader) = made(), made()
    monkeypatch.setenv("SOPS_AGE_KEY", first)
    (home / "second").write_text(second)
    monkeypatch.setenv("SOPS_AGE_KEY_CMD", f"cat '{home / 'second'}'")
    assert [one.recipient for one in identity.find([reader])] == [reader]
    assert len(identity.find(["age1nobody"])) == 2


def test_create_appends_to_the_key_file_and_keeps_what_is_there(home: Path) -> None:
    first = identity.create()
    path = identity.key_file()
    path.write_text(path.read_text().rstrip("\n"))
    second = identity.create()
    assert [one.recipient for one in identity.find()] == [first.recipient, second.recipient]
    assert first.source == f"~/{path.relative_to(home)}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="the place of Linux")
def test_the_key_file_is_that_of_sops(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert identity.key_file() == home / ".config/sops/age/keys.txt"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert identity.key_file() == Path("/elsewhere/sops/age/keys.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# ok\nhunter2hunter2", "line 2 is not an age identity"),
        ("age1qqqqqqqqqqqqqqq", "line 1 is a public key"),
        ("AGE-PLUGIN-YUBIKEY-1QQQ", "needs an age plugin"),
        ("age-encryption.org/v1\n-> scrypt", "protected by a passphrase"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2", "SSH or PEM key"),
    ],
)
def test_what_is_no_identity_is_named_and_never_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", text)
    with pytest.raises(VaultError) as caught:
        identity.find()
    assert said in str(caught.value)
    assert "SOPS_AGE_KEY" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "SOPS_AGE_KEY_CMD is empty"),
        ("sh -c 'exit 7'", "SOPS_AGE_KEY_CMD exited with 7"),
        ("no-such-program-here", "was not found"),
        ("cat 'open", "quote is not closed"),
    ],
)
def test_a_command_that_gives_no_identity(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_CMD", command)
    with pytest.raises(VaultError, match=said):
        identity.find()


def test_a_command_that_hangs_is_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "COMMAND_SECONDS", 0.2)
    monkeypatch.setenv("SOPS_AGE_KEY_CMD", "sleep 60")
    with pytest.raises(VaultError, match="SOPS_AGE_KEY_CMD: sleep did not end"):
        identity.find()


def test_a_missing_named_file_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(home / "nowhere"))
    with pytest.raises(VaultError, match=r"SOPS_AGE_KEY_FILE names .*nowhere: no such file"):
        identity.find()


def test_create_refuses_to_add_to_a_file_with_a_passphrase(home: Path) -> None:
    path = identity.key_file()
    path.parent.mkdir(parents=True)
    path.write_text("age-encryption.org/v1\n-> scrypt abc\n")
    with pytest.raises(VaultError, match="protected by a passphrase"):
        identity.create()
    assert path.read_text() == "age-encryption.org/v1\n-> scrypt abc\n"
