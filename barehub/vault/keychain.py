"""The OS keyring, where one answers that is known to keep a secret.

The `keyring` package also picks backends that store plaintext (keyrings.alt) or that forget (null)
without a word, so a backend is taken by its class or not at all.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from barehub.errors import Interrupted

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

PATIENCE = 30.0
"""Seconds to wait for an answer: a person may have to unlock it, and nobody may be there."""

SIGNS = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND")

SERVICE, ENTRY = "barehub", "age identities"


@dataclass(frozen=True)
class Keychain:
    """A keyring that may be used, or why none may be (``backend`` is None then)."""

    backend: KeyringBackend | None
    note: str

    @property
    def name(self) -> str:
        return f"the OS keyring ({self.note})"


def choose() -> Keychain:
    """The keyring of this machine, when it is one of :data:`ALLOWED`."""
    if not _possible():
        return Keychain(None, "none is running")
    try:
        import keyring

        backend = keyring.get_keyring()
    except Interrupted:
        raise
    except Exception as error:  # a configured backend may be missing or broken in any way
        return Keychain(None, f"cannot be loaded: {type(error).__name__}")
    parts = getattr(backend, "backends", None) or [backend]  # ChainerBackend holds several
    for part in parts:
        if note := ALLOWED.get(_class(part)):
            return Keychain(part, note)
    name = _class(parts[0])
    return Keychain(None, ABSENT.get(name, f"{name} is refused: it may not keep a secret"))


def read(keychain: Keychain) -> tuple[str, str]:
    """The identities kept there, and if there are none, why: empty, locked, silent."""
    backend = keychain.backend
    if backend is None:
        return "", keychain.note
    kept, trouble = _bounded(lambda: backend.get_password(SERVICE, ENTRY))
    return kept or "", trouble or f"{keychain.note}: empty"


def keep(keychain: Keychain, key: str) -> bool:
    """Add ``key`` to what is kept; whether it can be read back from there."""
    backend = keychain.backend
    if backend is None:
        return False

    def add() -> str:
        before = backend.get_password(SERVICE, ENTRY) or ""
        backend.set_password(SERVICE, ENTRY, f"{before}\n{key}".strip())
        return backend.get_password(SERVICE, ENTRY) or ""

    kept, _ = _bounded(add)
    return key in (kept or "").split()


def _possible() -> bool:
    """Whether it is worth while to load `keyring`: on Linux every allowed one is on D-Bus."""
    if sys.platform != "linux" or any(name in os.environ for name in SIGNS):
        return True
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return bool(runtime) and Path(str(runtime), "bus").exists()


def _class(backend: object) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _bounded(action: Callable[[], str | None]) -> tuple[str | None, str]:
    """What ``action`` returns, and what went wrong; never waits longer than :data:`PATIENCE`."""
    answer: list[str | None] = []
    trouble: list[str] = []

    def act() -> None:
        try:
            answer.append(action())
        except Exception as error:  # each backend has errors of its own
            trouble.append(f"it refused: {type(error).__name__}")

    thread = threading.Thread(target=act, daemon=True, name="keyring")
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        return None, f"it did not answer within {PATIENCE:.0f} s"
    return (answer[0] if answer else None), (trouble[0] if trouble else "")
