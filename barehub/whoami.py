"""Who we are to the vault: `vault.whoami`, `vault.login` and `vault.logout`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from barehub.console import console
from barehub.errors import UsageError, VaultError
from barehub.vault import files, identity, policy, recipients, services
from barehub.vault.identity import Identity, Look, age_key, keychain, sources
from barehub.vault.identity.keychain import Keychain


@dataclass(frozen=True)
class Standing:
    """The sources that were looked at, the ``readers`` of each file, and the ``names`` of keys."""

    looks: Sequence[Look]
    readers: Mapping[str, frozenset[str]]
    names: Mapping[str, str]

    @property
    def mine(self) -> list[Identity]:
        return [one for look in self.looks for one in look.identities]

    @property
    def answering(self) -> Identity:
        """The first identity that opens something, else the first."""
        return next((one for one in self.mine if self.opened_by([one])), self.mine[0])

    def opened_by(self, ours: Sequence[Identity]) -> list[str]:
        keys = {one.recipient for one in ours}
        return [file for file, readers in self.readers.items() if readers & keys]


def show(root: Path, *, as_json: bool) -> None:
    """Which source answers, who that is, and which files it opens; needs no vault.

    Sources are looked at as a run does: until every file can be opened.

    :raises VaultError: there is no identity, or the only one cannot be used.
    """
    standing = _standing(root)
    if as_json:
        console.out(json.dumps(_document(standing), indent=2))
        return
    me = standing.answering
    for look in standing.looks:
        for one in look.identities:
            label = "you are" if one == me else "also"
            console.out(f"{label:<10} {_called(standing, one.recipient)}, from {look}")
        for obstacle in look.obstacles:
            console.out(f"{'note':<10} {obstacle.problem}")
    if empty := [str(look) for look in standing.looks if not look.identities]:
        console.out(f"{'nothing in':<10} {', '.join(empty)}")
    opened = standing.opened_by(standing.mine)
    if standing.readers:
        rows = [(file, "yes" if file in opened else "no") for file in standing.readers]
        console.table(("FILE", "OPENS"), rows)
    if not opened:
        _hint_at_admission(root, me)


def login(root: Path, *, new: bool) -> None:
    """Store an identity in the OS keyring, from a hidden prompt or standard input, or a new one.

    :raises UsageError: nothing was given.
    :raises VaultError: no keyring keeps it, or it is no age identity.
    """
    if new:
        stored = [identity.create()]
        console.step("identity", f"{stored[0].recipient} is in {stored[0].source}")
    else:
        stored = _store(keychain.choose())
    opened = Standing((), _readers(root), {}).opened_by(stored)
    if opened:
        console.step("vault", f"it opens {', '.join(opened)}")
    else:
        _hint_at_admission(root, stored[0])


def logout(*, agreed: bool) -> None:
    """Remove our entry from the OS keyring, and see that it is gone.

    :raises UsageError: the person does not agree, or cannot be asked.
    :raises VaultError: the keyring refuses.
    """
    chosen = keychain.choose()
    text, trouble = keychain.read(chosen)
    if chosen.troubled or (chosen.backend and trouble):
        raise VaultError(f"{_where(chosen)}: {trouble}", "unlock it, then: invoke vault.logout")
    if not text:
        note = f": {trouble}" if trouble else ""
        console.step("logout", f"there is nothing of barehub in the OS keyring{note}")
        return
    held = _held(chosen, text)
    if not agreed:
        elsewhere = _elsewhere(chosen)
        for key in held:
            also = f"also in {elsewhere[key]}" if key in elsewhere else "nowhere else that is known"
            console.say(f"  {key}  {also}")
        console.confirm(
            f"this removes it from {chosen.name}; type yes to go on:",
            "yes",
            "invoke vault.logout --yes",
        )
    if trouble := keychain.forget(chosen):
        raise VaultError(f"{chosen.name}: {trouble}")
    console.step("logout", f"{', '.join(held) or 'what was there'} is gone from {chosen.name}")


def _standing(root: Path) -> Standing:
    try:
        names = policy.Policy.read(root).names
    except VaultError:
        names = {}
    readers = _readers(root)
    looks: list[Look] = []
    for look in identity.walk(services=policy.key_services(root)):
        looks.append(look)
        standing = Standing(tuple(looks), readers, names)
        if standing.mine and len(standing.opened_by(standing.mine)) == len(readers):
            return standing
    if not any(look.identities for look in looks):
        identity.without_reader(looks)
    return Standing(tuple(looks), readers, names)


def _readers(root: Path) -> dict[str, frozenset[str]]:
    """Who can open each file of the vault, as it says itself."""
    return {
        path.relative_to(root).as_posix(): frozenset(
            services.readers(files.content(path, path.name))
        )
        for path in recipients.sealed(root)
    }


def _document(standing: Standing) -> dict[str, object]:
    me, opened = standing.answering, standing.opened_by(standing.mine)
    return {
        "recipient": me.recipient,
        "name": standing.names.get(me.recipient),
        "source": me.source,
        "looked_in": [
            {
                "source": look.source,
                "recipients": [one.recipient for one in look.identities],
                "note": look.note or None,
            }
            for look in standing.looks
        ],
        "files": [{"file": file, "opens": file in opened} for file in standing.readers],
    }


def _called(standing: Standing, key: str) -> str:
    name = standing.names.get(key)
    return f"{name}, {key}" if name else key


def _hint_at_admission(root: Path, me: Identity) -> None:
    if (root / policy.NAME).exists():
        console.hint(f"ask a reader: {identity.admission(me.recipient, root)}")
    else:
        console.hint("invoke vault.init")


def _store(chosen: Keychain) -> list[Identity]:
    """Keep what is given in the keyring; all that was given, new or not."""
    before, trouble = keychain.read(chosen)
    if trouble:
        raise _unfit(chosen, trouble)
    known = _held(chosen, before)
    text = age_key.parse(*_given())
    for refused in text.obstacles:
        if not text.identities:
            raise refused
        console.warn(f"not stored: {refused.problem}")
    if not text.identities:
        raise UsageError("no identity was given, only comments", "invoke vault.login --new")
    given = {one.recipient: one for one in text.identities}
    missing = [one for one in given.values() if one.recipient not in known]
    if missing and (trouble := keychain.keep(chosen, [one.key for one in missing])):
        raise _unfit(chosen, trouble)
    for one in given.values():
        words = "is in" if one in missing else "was already in"
        console.step("identity", f"{one.recipient} {words} {chosen.name}")
    return list(given.values())


def _given() -> tuple[bytes, str]:
    """What a person types, or all of standard input, and what to call it."""
    if sys.stdin is not None and sys.stdin.isatty():
        return console.hidden("age identity (AGE-SECRET-KEY-1…): ").encode(), "what was typed"
    content = b"" if sys.stdin is None else sys.stdin.buffer.read()
    if not content.strip():
        raise UsageError(
            "no identity was given on standard input",
            "invoke vault.login < FILE",
            "invoke vault.login --new",
        )
    return content, "standard input"


def _held(chosen: Keychain, text: str) -> list[str]:
    """The recipients of what is kept; none when it is no identity."""
    try:
        return [one.recipient for one in age_key.parse(text.encode(), chosen.name).identities]
    except VaultError:
        return []


def _elsewhere(chosen: Keychain) -> dict[str, str]:
    """Recipient to source, of all other sources as far as they can be looked at."""
    found: dict[str, str] = {}
    try:
        for look in identity.walk(ask=False):
            if look.source != chosen.name:
                found |= {one.recipient: one.source for one in look.identities}
    except VaultError:
        pass  # one is faulty: what is behind it is not known
    return found


def _unfit(chosen: Keychain, trouble: str) -> VaultError:
    return VaultError(
        f"no identity can be stored in {_where(chosen)}: {trouble}",
        f"keep it in {sources.shown(sources.key_file())}, or in a file: SOPS_AGE_KEY_FILE=FILE",
    )


def _where(chosen: Keychain) -> str:
    return "the OS keyring" if chosen.backend is None else chosen.name
