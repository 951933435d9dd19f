"""Decrypts by the person's own gpg and its agent, which asks for what it needs."""

from __future__ import annotations

import os
import re

from barehub import process
from barehub.console import console

SECONDS = 300.0
"""How long a person may take to type a passphrase, or to find the smartcard."""

_GRAPHICAL = ("DISPLAY", "WAYLAND_DISPLAY")

_CANCELLED, _NO_TERMINAL, _BAD_PASSPHRASE = 99, 25 | 1 << 15, 11
"""Error codes of libgpg-error: GPG_ERR_CANCELED, GPG_ERR_ENOTTY, GPG_ERR_BAD_PASSPHRASE."""


class Refused(Exception):
    """gpg did not decrypt it: it is for somebody else (``stranger``), or nobody could be asked for
    the passphrase (``alone``), or what the text says."""

    def __init__(self, reason: str, *, stranger: bool = False, alone: bool = False) -> None:
        super().__init__(reason)
        self.stranger, self.alone = stranger, alone


def decrypted(message: bytes, most: int) -> bytes:
    """The plaintext of ``message``, of ``most`` bytes or fewer.

    :raises Refused: it is not for us, the passphrase was not given, or it is no message.
    :raises ToolError: there is no gpg, or nobody answered in time.
    """
    argv = ["gpg", "--no-tty", "--status-fd", "2", "--max-output", str(most)]
    env, someone = _for_pinentry()
    if not someone:
        argv += ["--pinentry-mode", "cancel"]  # at once, instead of failing to open a screen
    done = process.run([*argv, "--decrypt"], env=env, input=message, timeout=SECONDS)
    if done.code == 0:
        return done.stdout
    raise _refused(done.stderr.decode(errors="replace"), someone)


def _for_pinentry() -> tuple[dict[str, str], bool]:
    """The environment for gpg, and whether its pinentry may find somebody to ask."""
    env = process.environment()
    if "GPG_TTY" not in env and (name := _terminal()):
        env["GPG_TTY"] = name
    there = console.terminal or any(env.get(name) for name in _GRAPHICAL)
    return env, there


def _terminal() -> str:
    """The name of our terminal: gpg runs in a session of its own, which has none."""
    for fd in (0, 1, 2):
        try:
            return os.ttyname(fd)
        except OSError:
            continue
    return ""


def _refused(said: str, someone: bool) -> Refused:
    if failed := re.search(r"^\[GNUPG:\] ERROR pkdecrypt_failed (\d+)", said, re.M):
        code = int(failed[1]) & 0xFFFF
        if code in (_CANCELLED, _NO_TERMINAL) and not someone:
            reason = "a passphrase is needed, and there is no terminal to ask for it"
            return Refused(reason, alone=True)
        if code == _CANCELLED:
            return Refused("the passphrase was not given")
        if code == _BAD_PASSPHRASE:
            return Refused("the passphrase was wrong")
        return Refused(f"its agent failed (code {code})")
    if "[GNUPG:] NO_SECKEY" in said:
        return Refused("you have none of their private keys", stranger=True)
    return Refused("that is no message that gpg can read")
