"""Which keyrings are trusted with an identity."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from keyring import core
from keyring.backend import KeyringBackend
from keyring.backends.null import Keyring as NullKeyring

from barehub.vault import identity
from barehub.vault.identity import keychain
from barehub.vault.identity.keychain import Keychain


class Memory(KeyringBackend):
    """A keyring that keeps what it is given, for as long as it lives."""

    priority = -1  # never picked by itself

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class Clinging(Memory):
    def delete_password(self, service: str, username: str) -> None:
        pass


class Dialog(Memory):
    """A locked keyring that waits for a person who is not there."""

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None


class Locked(Memory):
    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("Prompt dismissed hunter2hunter2")


@pytest.fixture
def configured(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def configure(name: str) -> Keychain:
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
        monkeypatch.setattr(core, "_keyring_backend", None)
        return keychain.choose()

    return configure


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("keyring.backends.null.Keyring", "switched off"),
        ("keyring.backends.fail.Keyring", "none is running"),
        (f"{__name__}.Memory", "Memory is refused"),
        ("no.such.Keyring", "it is not installed"),
    ],
)
def test_only_known_keyrings_are_taken(configured: Any, name: str, note: str) -> None:
    chosen = configured(name)
    assert chosen.backend is None
    assert note in chosen.note


def test_a_refused_keyring_is_given_nothing(configured: Any) -> None:
    configured(f"{__name__}.Memory")
    assert identity.create().source.endswith("keys.txt")
    backend = core.get_keyring()
    assert isinstance(backend, Memory) and backend.kept == {}


def test_a_refused_keyring_is_named_when_there_is_no_identity(configured: Any) -> None:
    configured(f"{__name__}.Memory")
    with pytest.raises(identity.NoIdentity, match="Memory is refused"):
        identity.find()


def test_without_a_bus_there_is_no_keyring(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in keychain.SIGNS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert keychain.choose() == Keychain(None, "none is running")


def test_a_keyring_that_forgets_is_found_out() -> None:
    backend = NullKeyring()  # type: ignore[no-untyped-call]
    trouble = keychain.keep(Keychain(backend, "null"), ["AGE-SECRET-KEY-1A"])
    assert trouble == "what was written cannot be read back"


def test_a_keyring_that_does_not_let_go_is_found_out() -> None:
    chosen = Keychain(Clinging(), "clinging")
    assert keychain.keep(chosen, ["AGE-SECRET-KEY-1A"]) == ""
    assert keychain.forget(chosen) == "it is still there"


def test_a_second_identity_joins_the_first() -> None:
    chosen = Keychain(Memory(), "memory")
    assert keychain.read(chosen) == ("", "")
    assert keychain.keep(chosen, ["AGE-SECRET-KEY-1A"]) == ""
    assert keychain.keep(chosen, ["AGE-SECRET-KEY-1B", "AGE-SECRET-KEY-1A"]) == ""
    text, _ = keychain.read(chosen)
    assert text.split() == ["AGE-SECRET-KEY-1A", "AGE-SECRET-KEY-1B"]
    assert keychain.forget(chosen) == ""
    assert keychain.read(chosen) == ("", "")


def test_a_keyring_that_waits_for_a_person_is_waited_for_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keychain, "PATIENCE", 0.05)
    text, note = keychain.read(Keychain(Dialog(), "dialog"))
    assert text == "" and note.startswith("it did not answer within ")
    monkeypatch.setattr(keychain, "PATIENCE", 60.0)
    assert keychain.keep(Keychain(Dialog(), "dialog"), ["AGE-SECRET-KEY-1A"]) == "it did not answer"


def test_a_keyring_that_refuses_is_no_crash() -> None:
    text, note = keychain.read(Keychain(Locked(), "locked"))
    assert (text, note) == ("", "it refused: RuntimeError")
    assert "RuntimeError" in keychain.keep(Keychain(Locked(), "locked"), ["AGE-SECRET-KEY-1A"])
