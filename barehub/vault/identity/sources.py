"""The places where an identity may be, in the order in which they are looked at."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from barehub import age_keys, process, reading
from barehub.console import console
from barehub.errors import ToolError, VaultError
from barehub.vault import credentials
from barehub.vault.identity import age_key, keychain, ssh_key
from barehub.vault.identity.age_key import Identity
from barehub.vault.identity.passphrase import Protected
from barehub.vault.identity.ssh_key import SshKey
from barehub.vault.services import KINDS, kind_of

COMMAND_SECONDS = 20.0
"""How long SOPS_AGE_KEY_CMD may take."""

SSH_KEYS = ("id_ed25519", "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519_sk")
"""In ~/.ssh: where sops looks, and then what a person may take for usable, to say that it is not.
"""

NAMED_SSH_KEY = "SOPS_AGE_SSH_PRIVATE_KEY_FILE"


@dataclass(frozen=True)
class Look:
    """What one source has: identities, or a note on why there is none.

    ``obstacles`` say of identities that are there why they cannot be used.
    """

    source: str
    identities: tuple[Identity, ...] = ()
    note: str = ""
    obstacles: tuple[VaultError, ...] = ()
    troubled: bool = False
    """Whether there may be identities that nobody could see: a keyring is locked."""

    def __str__(self) -> str:
        return f"{self.source} ({self.note})" if self.note else self.source

    def reader(self, readers: Collection[str]) -> bool:
        """Whether it has the key of one of ``readers`` (of anybody, if none is named)."""
        if not readers:
            return bool(self.identities)
        return any(one.recipient in readers and one.usable for one in self.identities)


def walk(variable: str, readers: Collection[str], ask: bool) -> Iterator[Look]:
    """What every source has, each looked at when it is its turn.

    :param variable: what SOPS_AGE_KEY held.
    :param readers: a protected SSH key is only unlocked if it is one of them.
    :param ask: whether a person may be asked for a passphrase.
    :raises VaultError: a source that a person named is faulty.
    """
    yield _age(os.fsencode(variable), "SOPS_AGE_KEY", "", ask)
    for look in (_in_named_file, _in_keyring, _in_command, _in_key_file):
        yield look(ask)
    yield from _in_ssh_keys(readers, ask)


def key_services(ids: Collection[str]) -> Iterator[Look]:
    """What the environment has for the services ``ids``, looked at after all private keys."""
    credentials.take_from_environment(ids)
    for kind in KINDS:
        if mine := [id for id in ids if kind_of(id) == kind]:
            source = credentials.source(kind)
            found = tuple(Identity(id, source, "") for id in mine if source)
            yield Look(source or kind.credentials[0], found)


def key_file() -> Path:
    """Where sops looks by default.

    The XDG variable counts on macOS as well, else the user's configuration folder as Go's
    os.UserConfigDir has it (https://pkg.go.dev/os#UserConfigDir).
    """
    home = Path.home()
    usual = home / "Library/Application Support" if sys.platform == "darwin" else home / ".config"
    return Path(os.environ.get("XDG_CONFIG_HOME") or usual) / "sops" / "age" / "keys.txt"


def shown(path: Path) -> str:
    """``path`` as a person would write it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


LARGEST = reading.SETTINGS
"""Bytes of a key file."""


def _age(content: bytes, source: str, empty: str, ask: bool) -> Look:
    """What the text of a source says."""
    try:
        text = age_key.parse(content, source, ask=ask)
    except Protected as error:
        return Look(source, note="protected by a passphrase", obstacles=(error,))
    note = "" if text.identities else "for a plugin" if text.plugins else empty
    return Look(source, tuple(text.identities), note, tuple(text.obstacles))


def _in_named_file(ask: bool) -> Look:
    variable = "SOPS_AGE_KEY_FILE"
    name = os.environ.get(variable, "")
    if not name:
        return Look(variable)
    _refuse_key_itself(name, variable)
    try:
        content = reading.content(
            Path(name), VaultError, shown=f"{variable} names {name}", most=LARGEST, pipes=True
        )
    except FileNotFoundError:
        missing = "no such file or directory"
        raise VaultError(f"{variable} names {name}: {missing}", f"ls -l {name}") from None
    return _age(content, f"{variable}={name}", "empty", ask)


def _in_keyring(ask: bool) -> Look:
    chosen = keychain.choose()
    text, trouble = keychain.read(chosen)
    if text:
        removed = "invoke vault.logout   # removes it"
        try:
            look = _age(text.encode(), chosen.name, "", ask)
        except VaultError as error:
            raise VaultError(error.problem, removed) from None
        obstacles = [
            one if isinstance(one, Protected) else VaultError(one.problem, removed)
            for one in look.obstacles
        ]
        return replace(look, obstacles=tuple(obstacles))
    note = trouble if chosen.backend is None else f"{chosen.note}: {trouble or 'empty'}"
    troubled = chosen.troubled or bool(chosen.backend and trouble)
    return Look("the OS keyring", note=note, troubled=troubled)


def _in_command(ask: bool) -> Look:
    source = "SOPS_AGE_KEY_CMD"
    command = os.environ.get(source)
    if command is None:
        return Look(source)
    _refuse_key_itself(command, source)
    try:
        argv = shlex.split(command)
    except ValueError:
        raise VaultError(f"{source} is not a command line: a quote is not closed") from None
    if not argv:
        raise VaultError(f"{source} is empty", f"unset {source}")
    try:
        with console.working("identity", f"waiting for {source}"):
            done = process.run(argv, timeout=COMMAND_SECONDS)
    except ToolError as error:
        raise VaultError(f"{source}: {error.problem}", f'sh -c "${source}"') from None
    if done.code:
        raise VaultError(f"{source} exited with {done.code}", f'sh -c "${source}"')
    return _age(done.stdout, source, "it printed nothing", ask)


def _in_key_file(ask: bool) -> Look:
    path = key_file()
    source = shown(path)
    try:
        content = reading.content(path, VaultError, shown=source, most=LARGEST)
    except FileNotFoundError:
        return Look(source)
    return _age(content, source, "empty", ask)


def _in_ssh_keys(readers: Collection[str], ask: bool) -> Iterator[Look]:
    if name := os.environ.get(NAMED_SSH_KEY, ""):
        _refuse_key_itself(name, NAMED_SSH_KEY)
        try:
            key = ssh_key.read(Path(name), name)
        except VaultError as error:
            raise VaultError(
                f"{NAMED_SSH_KEY} names {name}: {error.problem}", *error.hints
            ) from None
        yield _ssh(key, f"{NAMED_SSH_KEY}={name}", readers, ask)
        return
    yield Look(NAMED_SSH_KEY)
    for path in (Path.home() / ".ssh" / name for name in SSH_KEYS):
        if os.path.exists(path):  # where Path.exists() raises, the folder is closed to us
            try:
                key = ssh_key.read(path, shown(path))
            except VaultError as error:
                yield Look(shown(path), note=error.problem)
            else:
                yield _ssh(key, shown(path), readers, ask)
        elif os.path.exists(f"{path}.pub"):
            yield Look(shown(path), note="only its public half is there: no ssh-agent can decrypt")
        elif path.name in SSH_KEYS[:2]:
            yield Look(shown(path))


def _ssh(key: SshKey, source: str, readers: Collection[str], ask: bool) -> Look:
    """The key, unlocked if it is of use."""
    note = "protected by a passphrase" if key.protected else ""
    if key.protected and key.recipient not in readers:
        return Look(source, (Identity(key.recipient, source, ""),), note)
    try:
        return Look(source, (Identity(key.recipient, source, key.text(ask=ask)),), note)
    except Protected as error:
        return Look(source, (Identity(key.recipient, source, ""),), note, (error,))


def _refuse_key_itself(value: str, variable: str) -> None:
    if age_keys.like_secret(value) or "PRIVATE KEY-----" in value:
        hint = "put an age identity into SOPS_AGE_KEY, an SSH key into a file"
        raise VaultError(f"{variable} holds a private key itself", hint)
