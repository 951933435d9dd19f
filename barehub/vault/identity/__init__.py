"""Finds the identity that opens the vault, or makes one.

The order is that of sops (https://getsops.io/docs/#encrypting-using-age), with the OS keyring in
the middle: SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, keyring, SOPS_AGE_KEY_CMD, the key file of sops, and
an SSH key: SOPS_AGE_SSH_PRIVATE_KEY_FILE, or those in their usual places. When no
private key opens, the credentials of a key service that the policy names may.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from barehub import age_keys, reading, system_errors
from barehub.appending import append
from barehub.console import console
from barehub.errors import VaultError
from barehub.vault import policy
from barehub.vault.identity import age_key, keychain, sources, ssh_key
from barehub.vault.identity.age_key import Identity, NeedsPlugin, UnknownLines
from barehub.vault.identity.sources import NAMED_SSH_KEY, Look, key_file, shown
from barehub.vault.services import among

__all__ = ["Identity", "Look", "NoIdentity", "Search", "create", "find", "key_file", "search"]

_taken = ""
_noted: set[str] = set()


@dataclass(frozen=True)
class Search:
    """The sources that were looked at, in their order; the last one ended it if it ``opens``."""

    looks: tuple[Look, ...]
    opens: bool

    @property
    def identities(self) -> list[Identity]:
        """Those of the source that opens, else of all: enough to say who we are."""
        looks = self.looks[-1:] if self.opens else self.looks
        return [one for look in looks for one in look.identities]


class NoIdentity(VaultError):
    """No identity was found anywhere."""


def take_from_environment() -> None:
    """Move SOPS_AGE_KEY from our environment, which children inherit, into our memory."""
    global _taken
    _taken = os.environ.pop("SOPS_AGE_KEY", "") or _taken


def find(readers: Collection[str] = ()) -> list[Identity]:
    """The identities of the first source that has one of ``readers`` (any, if none is named).

    When no source has one of ``readers``, the identities of all sources.

    :raises VaultError: as :func:`search`.
    """
    return search(readers).identities


def search(
    readers: Collection[str] = (), *, ask: bool = True, services: Collection[str] = ()
) -> Search:
    """Look in one source after the other until one has the key of one of ``readers``.

    :param ask: whether a person may be asked for a passphrase.
    :param services: as :func:`walk` takes them.
    :raises NoIdentity: nothing was found; says where it looked.
    :raises VaultError: a source is faulty, or has what cannot be used and nothing else opens.
    """
    looks: list[Look] = []
    for look in walk(readers, ask=ask, services=services):
        looks.append(look)
        if look.reader(readers):
            _note_unknown(looks)
            return Search(tuple(looks), True)
    return without_reader(looks, readers)


def without_reader(looks: Sequence[Look], readers: Collection[str] = ()) -> Search:
    """What it means that none of all sources opens.

    :raises VaultError: as :func:`search`.
    """
    _refuse_obstacles(looks, readers)
    if any(look.identities for look in looks):
        _note_unknown(looks)
        return Search(tuple(looks), False)
    problem = f"no age identity: looked in {', '.join(map(str, looks))}"
    if not readers:
        raise NoIdentity(problem, "invoke vault.login --new")
    raise NoIdentity(
        problem,
        "invoke vault.login   # if you have one",
        "invoke vault.login --new   # if not; a reader then has to add you",
    )


def walk(
    readers: Collection[str] = (), *, ask: bool = True, services: Collection[str] = ()
) -> Iterator[Look]:
    """What every source has, as :func:`barehub.vault.identity.sources.walk` tells it.

    Its keys are hidden from then on in all that is printed.

    :param services: key services to look for besides those among ``readers``.
    """
    take_from_environment()
    for look in sources.walk(_taken, readers, ask):
        for one in look.identities:
            console.redactor.add(one.key)
        yield look
    yield from sources.key_services(dict.fromkeys([*among(readers), *services]))


def for_new_vault() -> Identity:
    """The identity that will read a vault which has no readers yet, made if there is none.

    An SSH key in its usual place was made for something else and is not taken.

    :raises VaultError: as :func:`search` and :func:`create`.
    """
    try:
        found = find()[0]
    except NoIdentity:
        return create()
    return create() if found.ssh and not os.environ.get(NAMED_SSH_KEY) else found


def create() -> Identity:
    """A new X25519 identity, kept in the OS keyring, else in the key file of sops.

    What either holds already stays there.

    :raises VaultError: the key file cannot be written.
    """
    recipient, key = age_keys.create()
    chosen = keychain.choose()
    trouble = keychain.keep(chosen, [key])
    if not trouble:
        return Identity(recipient, chosen.name, key)
    if chosen.backend is not None:
        console.warn(f"{chosen.name} does not keep it: {trouble}")
    path = key_file()
    _append(path, recipient, key)
    return Identity(recipient, shown(path), key)


def admission(recipient: str, root: Path) -> str:
    """The command by which a reader of the vault at ``root`` lets the owner of ``recipient`` in."""
    name = policy.own_name()
    try:
        taken = set(policy.Policy.read(root).names.values())
    except VaultError:
        taken = set()
    return (
        f"invoke vault.add-recipient {'NAME' if name in taken else name} {shlex.quote(recipient)}"
    )


def _refuse_obstacles(looks: Sequence[Look], readers: Collection[str]) -> None:
    found = any(look.identities for look in looks)
    for obstacle in (obstacle for look in looks for obstacle in look.obstacles):
        if isinstance(obstacle, UnknownLines):
            if found:
                continue
            raise obstacle
        if not isinstance(obstacle, NeedsPlugin) or not readers:
            raise obstacle
        if any(reader.startswith(obstacle.reader) for reader in readers):
            raise obstacle
    if held := ssh_key.in_agent(readers):
        raise VaultError(
            f"your ssh-agent holds the key of a reader ({held[:24]}…), but no agent can decrypt",
            "SOPS_AGE_SSH_PRIVATE_KEY_FILE=FILE   names the private key itself",
            "or use an age identity: invoke vault.login --new",
        )


def _note_unknown(looks: Sequence[Look]) -> None:
    """Tell once of lines that were passed over."""
    for look in looks:
        for obstacle in look.obstacles:
            if isinstance(obstacle, UnknownLines) and obstacle.problem not in _noted:
                _noted.add(obstacle.problem)
                console.warn(f"{obstacle.problem}; ignored")


def _append(path: Path, recipient: str, key: str) -> None:
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entry = f"# created by barehub: {made}\n# public key: {recipient}\n{key}\n"
    with system_errors.attempt("written", path, VaultError, shown(path)):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            age_key.parse(
                reading.content(path, VaultError, shown=shown(path)), shown(path), ask=False
            )
            path.chmod(0o600)
        append(path, entry, lambda flags: os.open(path, flags, 0o600))
