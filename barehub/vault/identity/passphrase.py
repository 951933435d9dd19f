"""Passphrases: each asked for once a run, on the terminal, wherever standard input comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from barehub.console import console
from barehub.errors import VaultError

TRIES = 3

_told: dict[bytes, str | VaultError] = {}
"""What came of each content that was asked about, by its hash."""


class Protected(VaultError):
    """A passphrase is needed and nobody can be asked."""


class WrongPassphrase(Exception):
    """What a function that opens something raises so that it is asked again."""


def unlocked(content: bytes, what: str, opened: Callable[[str], str], *, ask: bool = True) -> str:
    """What ``opened`` makes of the passphrase of ``content``.

    :param what: names the file in the prompt and in errors.
    :param ask: whether a person may be asked at all.
    :raises Protected: there is no terminal, or ``ask`` is false.
    :raises VaultError: a wrong passphrase was given three times, or ``opened`` raises it.
    """
    key = hashlib.sha256(content).digest()
    if key not in _told:
        if not (ask and console.terminal):
            raise _protected(what, ask)
        try:
            _told[key] = _asked(what, opened)
        except VaultError as error:
            _told[key] = error
    told = _told[key]
    if isinstance(told, VaultError):
        raise told
    return told


def _asked(what: str, opened: Callable[[str], str]) -> str:
    for left in reversed(range(TRIES)):
        try:
            return opened(console.hidden(f"passphrase of {what}: "))
        except WrongPassphrase:
            console.say("that is not its passphrase" + ("; once more" if left else ""))
    raise VaultError(f"{what}: a wrong passphrase was given {TRIES} times")


def _protected(what: str, ask: bool) -> Protected:
    nobody = " and there is no terminal to ask for it" if ask else ""
    return Protected(
        f"{what} is protected by a passphrase{nobody}",
        "put an identity without one into SOPS_AGE_KEY",
        "or keep one in the OS keyring, on a terminal: invoke vault.login",
    )
