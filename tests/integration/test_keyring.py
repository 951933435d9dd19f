"""An identity in the OS keyring: a real Secret Service, and keyrings that are none."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from keyring import core
from vaults import again, fresh

from barehub import whoami
from barehub.errors import UsageError, VaultError
from barehub.vault import identity
from barehub.vault.identity import keychain
from barehub.vault.store import Vault
from tests.canary import holding
from tests.secret_service import SecretService

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Secret Service is on D-Bus")


@pytest.fixture
def service(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """The keyring of this process."""
    service = SecretService(own_home)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", service.address)
    # keyring looks for usable backends once in a process, and other tests have none
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
    monkeypatch.setattr(core, "_keyring_backend", None)
    monkeypatch.setattr(keychain, "_silent", False)
    monkeypatch.setattr(keychain, "PATIENCE", 2.0)
    monkeypatch.setattr(identity, "_taken", "")
    yield service
    service.end()


def made() -> tuple[str, str]:
    one = pyrage.x25519.Identity.generate()
    return str(one), str(one.to_public())


def login(monkeypatch: pytest.MonkeyPatch, root: Path, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    whoami.login(root, new=False)


def recipients() -> list[str]:
    return [one.recipient for one in identity.find()]


def test_what_is_stored_is_found_and_in_no_file(
    service: SecretService, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, recipient = made()
    login(monkeypatch, own_home, f"# created: today\n# public key: {recipient}\n{key}\n")
    (mine,) = identity.find()
    assert (mine.recipient, mine.source) == (recipient, "the OS keyring (SecretService)")
    files = [path for path in own_home.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix == ".keyring"]
    assert holding(key, own_home) == []


def test_a_second_identity_joins_and_nothing_is_kept_twice(
    service: SecretService,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (first, one), (second, two) = made(), made()
    login(monkeypatch, own_home, first)
    login(monkeypatch, own_home, f"{first}\n{second}\n{second}\n")
    assert recipients() == [one, two]
    said = capsys.readouterr().err
    assert f"{one} was already in the OS keyring (SecretService)" in said
    assert f"{two} is in the OS keyring (SecretService)" in said
    assert "hint: invoke vault.init" in said
    assert first not in said and second not in said


def test_init_keeps_a_new_identity_there_and_the_vault_opens(
    service: SecretService, own_home: Path, tmp_path: Path, runtime_dir: Path
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    vault = Vault(root, runtime_dir)
    assert vault.init().source == "the OS keyring (SecretService)"
    vault.update(vault.file(None), {"variables.token": "canary-keyring"})
    assert again(vault).read(None).variables == {"token": "canary-keyring"}
    assert not identity.key_file().exists()


def test_logout_removes_it_and_names_other_copies(
    service: SecretService,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (first, one), (second, _) = made(), made()
    login(monkeypatch, own_home, f"{first}\n{second}\n")
    monkeypatch.setenv("SOPS_AGE_KEY", second)
    with pytest.raises(UsageError, match="no terminal to ask on") as caught:
        whoami.logout(agreed=False)
    assert caught.value.hints == ("invoke vault.logout --yes",)
    said = capsys.readouterr().err
    assert f"{one}  nowhere else that is known" in said
    assert "also in SOPS_AGE_KEY" in said
    assert keychain.read(keychain.choose())[0]

    whoami.logout(agreed=True)
    assert keychain.read(keychain.choose()) == ("", "")
    whoami.logout(agreed=False)
    assert "there is nothing of barehub in the OS keyring" in capsys.readouterr().err


def test_what_is_no_identity_in_the_keyring_can_be_removed(
    service: SecretService, own_home: Path
) -> None:
    backend = keychain.choose().backend
    assert backend
    backend.set_password(keychain.SERVICE, keychain.ENTRY, "canary-hunter2")
    with pytest.raises(VaultError, match=r"SecretService\) line 1 is not an age id") as caught:
        identity.find()
    assert "canary" not in str(caught.value)
    assert "vault.logout" in caught.value.hints[0]
    whoami.logout(agreed=True)
    with pytest.raises(identity.NoIdentity, match="SecretService: empty"):
        identity.find()


def test_a_locked_keyring_is_named(
    service: SecretService, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = made()
    login(monkeypatch, own_home, key)
    service.lock()
    with pytest.raises(identity.NoIdentity, match="SecretService: it is locked"):
        identity.find()
    with pytest.raises(VaultError, match=r"SecretService\): it is locked"):
        login(monkeypatch, own_home, key)
    with pytest.raises(VaultError, match=r"SecretService\): it is locked"):
        whoami.logout(agreed=True)


def test_a_locked_keyring_is_told_to_who_has_another_identity(
    service: SecretService, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = fresh(tmp_path, runtime_dir, monkeypatch)
    service.lock()
    monkeypatch.setenv("SOPS_AGE_KEY", made()[0])
    with pytest.raises(VaultError, match=r"not seen: the OS keyring \(SecretService: it is locked"):
        again(vault).read(None)


@pytest.mark.parametrize("stopped", ["daemon", "bus"])
def test_a_keyring_that_does_not_answer_costs_one_wait(
    service: SecretService, own_home: Path, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    login(monkeypatch, own_home, made()[0])
    if stopped == "daemon":
        service.stop()
    else:
        service.stop_bus()
    with pytest.raises(identity.NoIdentity, match="it did not answer"):
        identity.find()
    with pytest.raises(VaultError, match=r"it did not answer(?! within)"):  # not waited for again
        whoami.logout(agreed=True)
    made_anyway = identity.create()
    assert made_anyway.source == "~/.config/sops/age/keys.txt"
    assert recipients() == [made_anyway.recipient]


ALT = """
from keyring.backend import KeyringBackend

class PlaintextKeyring(KeyringBackend):
    priority = 0.5

    def get_password(self, service, username):
        return None

    def set_password(self, service, username, password):
        open({kept!r}, "w").write(password)
"""
"""Stands for the package keyrings.alt, which is none of our dependencies, under its own name."""


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("keyrings.alt.file.PlaintextKeyring", "PlaintextKeyring is refused: it may not keep a"),
        ("keyring.backends.null.Keyring", "in the OS keyring: switched off"),
        ("keyring.backends.fail.Keyring", "in the OS keyring: none is running"),
        ("no.such.Keyring", "it is not installed"),
    ],
)
def test_a_keyring_that_does_not_keep_secrets_is_refused_by_name(
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    backend: str,
    said: str,
) -> None:
    kept = own_home / "kept"
    package = own_home / "site" / "keyrings" / "alt"
    package.mkdir(parents=True)
    (package / "file.py").write_text(ALT.format(kept=str(kept)))
    monkeypatch.syspath_prepend(str(own_home / "site"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    monkeypatch.setattr(core, "_keyring_backend", None)
    key, _ = made()
    with pytest.raises(VaultError) as caught:
        login(monkeypatch, own_home, key)
    assert said in caught.value.problem
    assert "~/.config/sops/age/keys.txt" in caught.value.hints[0]
    whoami.login(own_home, new=True)
    assert "is in ~/.config/sops/age/keys.txt" in capsys.readouterr().err
    assert not kept.exists()
