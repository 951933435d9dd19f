"""The OS keyring, where one answers that is known to keep a secret.

The `keyring` package also picks backends that store plaintext (keyrings.alt) or that forget (null)
without a word, so a backend is taken by its class or not at all. Any of them may ask a person for
something, or hang with its daemon: each call is given up after a while, and none is tried after.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from barehub.console import console
from barehub.patience import Patience

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

ALLOWED = {
    "keyring.backends.macOS.Keyring": "macOS Keychain",
    "keyring.backends.SecretService.Keyring": "SecretService",
    "keyring.backends.libsecret.Keyring": "libsecret",
    "keyring.backends.kwallet.DBusKeyring": "KWallet",
    "keyring.backends.kwallet.DBusKeyringKWallet4": "KWallet 4",
}
"""Class to what a person calls it."""

ABSENT = {
    "keyring.backends.fail.Keyring": "none is running",
    "keyring.backends.null.Keyring": "switched off",
}

TROUBLE = {
    "KeyringLocked": "it is locked",
    "InitError": "it is locked, and could not be opened",
    "NoKeyringError": "none is running",
    "TimeoutError": "it did not answer",
    "ModuleNotFoundError": "it is not installed",
}
"""What the errors of `keyring` mean; others are told by their name."""

PATIENCE = 30.0
"""Seconds to wait for an answer: a person may have to unlock it, and nobody may be there."""

SIGNS = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND")

SERVICE, ENTRY = "barehub", "age identities"

T = TypeVar("T")

_silent = False
"""Whether one has let us wait in vain: a run waits once."""


@dataclass(frozen=True)
class Keychain:
    """A keyring that may be used, or why none may be (``backend`` is None then)."""

    backend: KeyringBackend | None
    note: str
    troubled: bool = False
    """Whether there may be one all the same."""

    @property
    def name(self) -> str:
        return f"the OS keyring ({self.note})"


def choose() -> Keychain:
    """The keyring of this machine, when it is one of :data:`ALLOWED`."""
    if not _possible():
        return Keychain(None, "none is running")
    found, trouble = _bounded(_backend)
    if found is None:  # a configured backend may be missing or broken in any way
        return Keychain(None, trouble, troubled=True)
    parts = getattr(found, "backends", None) or [found]  # ChainerBackend holds several
    for part in parts:
        if note := ALLOWED.get(_class(part)):
            return Keychain(part, note)
    name = _class(parts[0])
    return Keychain(None, ABSENT.get(name, f"{name} is refused: it may not keep a secret"))


def read(keychain: Keychain) -> tuple[str, str]:
    """The identities kept there, and what went wrong."""
    backend = keychain.backend
    if backend is None:
        return "", keychain.note
    kept, trouble = _bounded(lambda: backend.get_password(SERVICE, ENTRY))
    return kept or "", trouble


def keep(keychain: Keychain, keys: Sequence[str]) -> str:
    """Add ``keys`` to what is kept, and read them back; what went wrong."""
    backend = keychain.backend
    if backend is None:
        return keychain.note

    def add() -> str:
        before = (backend.get_password(SERVICE, ENTRY) or "").splitlines()
        lines = [*before, *(key for key in keys if key not in before)]
        backend.set_password(SERVICE, ENTRY, "\n".join(lines))
        return backend.get_password(SERVICE, ENTRY) or ""

    kept, trouble = _bounded(add)
    if trouble or set(keys) <= set((kept or "").split()):
        return trouble
    return "what was written cannot be read back"


def forget(keychain: Keychain) -> str:
    """Remove all that is kept, and look whether it is gone; what went wrong."""
    backend = keychain.backend
    if backend is None:
        return keychain.note

    def remove() -> str:
        backend.delete_password(SERVICE, ENTRY)
        return backend.get_password(SERVICE, ENTRY) or ""

    kept, trouble = _bounded(remove)
    return trouble or ("it is still there" if kept else "")


def _possible() -> bool:
    """Whether it is worth while to load `keyring`: on Linux every allowed one is on D-Bus."""
    if sys.platform != "linux" or any(name in os.environ for name in SIGNS):
        return True
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return bool(runtime) and Path(str(runtime), "bus").exists()


def _backend() -> KeyringBackend:
    import keyring

    return keyring.get_keyring()


def _class(backend: object) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _bounded(action: Callable[[], T]) -> tuple[T | None, str]:
    """What ``action`` returns, and what went wrong; waits for :data:`PATIENCE` at most, once."""
    global _silent
    if _silent:
        return None, "it did not answer"
    answer: list[T] = []
    trouble: list[str] = []

    def act() -> None:
        global _silent
        try:
            answer.append(action())
        except Exception as error:  # each backend has errors of its own
            _silent = _silent or isinstance(error, TimeoutError)
            name = type(error).__name__
            trouble.append(TROUBLE.get(name, f"it refused: {name}"))

    thread = threading.Thread(target=act, daemon=True, name="keyring")
    thread.start()
    patience = Patience(PATIENCE)
    with console.working("keyring", "waiting for the keyring") as work:
        while thread.is_alive() and not patience.over():
            thread.join(min(1.0, PATIENCE))
            work.go_on()
    if thread.is_alive():
        _silent = True
        return None, f"it did not answer {patience.had}"
    return (answer[0] if answer else None), (trouble[0] if trouble else "")
