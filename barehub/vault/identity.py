"""Finds the age identity that opens the vault, or makes one.

The order is that of sops (https://getsops.io/docs/#encrypting-using-age), with the OS keyring in
the middle: SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, keyring, SOPS_AGE_KEY_CMD, the key file of sops.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from barehub import process
from barehub.errors import ToolError, VaultError
from barehub.vault import keychain

COMMAND_SECONDS = 20.0
"""How long SOPS_AGE_KEY_CMD may take."""

_taken = ""


@dataclass(frozen=True)
class Identity:
    """A private key that reads; ``source`` says in words where it was found or is kept."""

    recipient: str
    source: str
    key: str = field(repr=False)


class NoIdentity(VaultError):
    """No identity was found anywhere."""


def take_from_environment() -> None:
    """Move SOPS_AGE_KEY from our environment, which children inherit, into our memory."""
    global _taken
    _taken = os.environ.pop("SOPS_AGE_KEY", "") or _taken


def find(readers: Collection[str] = ()) -> list[Identity]:
    """The identities of the first source that has one of ``readers`` (any, if none is named).

    When no source has one of ``readers``, the identities of all sources: enough for a message
    that says who we are.

    :raises NoIdentity: nothing was found; says where it looked.
    :raises VaultError: a source holds something else than age identities.
    """
    take_from_environment()
    found: list[Identity] = []
    notes: list[str] = []
    for look in (_from_variable, _from_named_file, _from_keyring, _from_command, _from_key_file):
        text, source, note = look()
        here = parse(text, source)
        found += here
        notes.append(f"{source} ({note})" if note else source)
        if here and (not readers or any(i.recipient in readers for i in here)):
            return here
    if not found:
        problem = f"no age identity: looked in {', '.join(notes)}"
        if readers:
            raise NoIdentity(
                problem, f"put the key of a reader into SOPS_AGE_KEY or {_shown(key_file())}"
            )
        raise NoIdentity(problem, "invoke vault.init")
    return found


def create() -> Identity:
    """A new X25519 identity, kept in the OS keyring, else in the key file of sops.

    What either holds already stays there.

    :raises VaultError: the key file cannot be written.
    """
    import pyrage

    made = pyrage.x25519.Identity.generate()
    key, recipient = str(made), str(made.to_public())
    chosen = keychain.choose()
    if keychain.keep(chosen, key):
        return Identity(recipient, chosen.name, key)
    path = key_file()
    _append(path, recipient, key)
    return Identity(recipient, _shown(path), key)


def key_file() -> Path:
    """Where sops looks by default.

    The XDG variable counts on macOS as well, else the user's configuration folder as Go's
    os.UserConfigDir has it (https://pkg.go.dev/os#UserConfigDir).
    """
    home = Path.home()
    usual = home / "Library/Application Support" if sys.platform == "darwin" else home / ".config"
    return Path(os.environ.get("XDG_CONFIG_HOME") or usual) / "sops" / "age" / "keys.txt"


def parse(text: str, source: str) -> list[Identity]:
    """The identities in ``text``, one a line; ``#`` begins a comment (age-keygen(1)).

    :raises VaultError: a line is something else; says which and what.
    """
    import pyrage

    found = []
    _refuse_other_formats(text, source)
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("AGE-PLUGIN-"):
            raise VaultError(f"{source} line {number} needs an age plugin: not supported yet")
        if line.startswith("age1"):
            raise VaultError(
                f"{source} line {number} is a public key, not an identity",
                "give the line that begins with AGE-SECRET-KEY-1",
            )
        try:
            recipient = str(pyrage.x25519.Identity.from_str(line).to_public())
        except pyrage.IdentityError:
            raise VaultError(f"{source} line {number} is not an age identity") from None
        found.append(Identity(recipient, source, line))
    return found


def _refuse_other_formats(text: str, source: str) -> None:
    start = text.lstrip()
    if start.startswith(("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE")):
        raise VaultError(
            f"{source} is protected by a passphrase: not supported yet",
            "name an identity without one in SOPS_AGE_KEY_FILE",
        )
    if start.startswith("-----BEGIN"):
        raise VaultError(f"{source} holds an SSH or PEM key, not an age identity")


Look = Callable[[], tuple[str, str, str]]
"""Looks in one source: the text found, the source in words, a note on why there is none."""


def _from_variable() -> tuple[str, str, str]:
    return _taken, "SOPS_AGE_KEY", ""


def _from_named_file() -> tuple[str, str, str]:
    source = "SOPS_AGE_KEY_FILE"
    name = os.environ.get(source, "")
    if not name:
        return "", source, ""
    _refuse_key_itself(name, source)
    try:
        return Path(name).read_text(), source, "empty"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise VaultError(f"{source} names {name}: {str(reason).lower()}") from None


def _from_keyring() -> tuple[str, str, str]:
    chosen = keychain.choose()
    text, note = keychain.read(chosen)
    return text, chosen.name if text else "the OS keyring", note


def _from_command() -> tuple[str, str, str]:
    source = "SOPS_AGE_KEY_CMD"
    command = os.environ.get(source)
    if command is None:
        return "", source, ""
    _refuse_key_itself(command, source)
    try:
        argv = shlex.split(command)
    except ValueError:
        raise VaultError(f"{source} is not a command line: a quote is not closed") from None
    if not argv:
        raise VaultError(f"{source} is empty", f"unset {source}")
    try:
        done = process.run(argv, timeout=COMMAND_SECONDS)
    except ToolError as error:
        raise VaultError(f"{source}: {error.problem}") from None
    if done.code:
        raise VaultError(f"{source} exited with {done.code}")
    return done.text, source, "it printed nothing"


def _refuse_key_itself(value: str, source: str) -> None:
    if "AGE-SECRET-KEY-" in value.upper():
        raise VaultError(f"{source} holds a private key itself", "put it into SOPS_AGE_KEY")


def _from_key_file() -> tuple[str, str, str]:
    path = key_file()
    try:
        return path.read_text(), _shown(path), "empty"
    except FileNotFoundError:
        return "", _shown(path), ""
    except (OSError, UnicodeDecodeError):
        raise VaultError(f"{_shown(path)} cannot be read", f"ls -l {_shown(path)}") from None


def _shown(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _append(path: Path, recipient: str, key: str) -> None:
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entry = f"# created by barehub: {made}\n# public key: {recipient}\n{key}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            parse(path.read_text(), _shown(path))
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.fchmod(fd, 0o600)
            os.write(fd, (("\n" if torn else "") + entry).encode())
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise VaultError(f"{_shown(path)} cannot be written: {reason}") from None
