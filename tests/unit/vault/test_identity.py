"""Where an identity is found, where it is kept, and what is said when there is none."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from barehub.errors import VaultError
from barehub.vault import identity, policy
from barehub.vault.identity import sources


def made() -> tuple[str, str]:
    one = pyrage.x25519.Identity.generate()
    return str(one), str(one.to_public())


def test_no_identity_says_where_it_looked(home: Path) -> None:
    with pytest.raises(identity.NoIdentity) as caught:
        identity.find()
    places = caught.value.problem.partition("looked in ")[2].split(", ")
    assert [place.split(" (")[0] for place in places] == [
        "SOPS_AGE_KEY",
        "SOPS_AGE_KEY_FILE",
        "the OS keyring",
        "SOPS_AGE_KEY_CMD",
        "~/.config/sops/age/keys.txt",
        "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
        "~/.ssh/id_ed25519",
        "~/.ssh/id_rsa",
    ]
    assert caught.value.hints == ("invoke vault.login --new",)


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
        ("ssh-ed25519 AAAAqqqq", "line 1 is a public key"),
        ("AGE-PLUGIN-YUBIKEY-1QQQ", "is an identity of age-plugin-yubikey, and barehub runs no"),
        ("age-encryption.org/v1\n-> X25519 hunter2", "encrypted, but not by a passphrase"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n====hunter2", "encrypted, but not by a passphrase"),
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


def test_lines_beside_those_of_a_plugin_still_work(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, recipient = made()
    monkeypatch.setenv("SOPS_AGE_KEY", f"AGE-PLUGIN-YUBIKEY-1QQQ\n{key}\n")
    assert [one.recipient for one in identity.find([recipient])] == [recipient]
    assert len(identity.find(["age1nobody"])) == 1, "the plugin's is nobody's"
    with pytest.raises(VaultError, match="line 1 is an identity of age-plugin-yubikey") as caught:
        identity.find(["age1yubikey1qqq", "age1nobody"])
    assert "SOPS_AGE_SSH_PRIVATE_KEY_FILE" in str(caught.value)


def test_a_plugin_alone_hides_no_later_source(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "plugin").write_text("AGE-PLUGIN-SE-1QQQ")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(home / "plugin"))
    mine = identity.create()
    assert [one.recipient for one in identity.find()] == [mine.recipient]


@pytest.mark.parametrize(
    "variable", ["SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"]
)
@pytest.mark.parametrize(
    "value", ["AGE-SECRET-KEY-1HUNTER2", "-----BEGIN PRIVATE KEY-----\nHUNTER2"]
)
def test_a_key_where_a_name_belongs_is_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(VaultError, match=f"{variable} holds a private key itself") as caught:
        identity.find()
    assert "HUNTER2" not in str(caught.value)


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
    monkeypatch.setattr(sources, "COMMAND_SECONDS", 0.2)
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


def test_a_new_vault_does_not_take_an_ssh_key_from_its_usual_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = home / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    assert identity.for_new_vault().recipient.startswith("age1")
    identity.key_file().unlink()
    monkeypatch.setenv("SOPS_AGE_SSH_PRIVATE_KEY_FILE", str(key))
    assert identity.for_new_vault().recipient.startswith("ssh-ed25519 ")


def test_who_asks_to_be_let_in_takes_nobody_elses_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("LOGNAME", "alice")
    assert identity.admission("age1x", tmp_path) == "invoke vault.add-recipient alice age1x"
    policy.write(tmp_path, policy.new({made()[1]: "alice"}))
    asked = identity.admission("ssh-rsa AAAA", tmp_path)
    assert asked == "invoke vault.add-recipient NAME 'ssh-rsa AAAA'"
