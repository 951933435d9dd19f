"""What the verbs about the vault's readers do and print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from barehub.console import console
from barehub.errors import UsageError
from barehub.vault import policy, recipients
from barehub.vault.policy import Policy
from barehub.vault.recipients import Access, Outcome, Recipients
from barehub.vault.store import Vault


def show(root: Path, *, as_json: bool) -> None:
    """Who can read which file, and whether ``.sops.yaml`` says so."""
    rules, found = Policy.read(root), recipients.access(root)
    if as_json:
        console.out(json.dumps(_document(rules, found), indent=2))
        return
    console.table(("READER", "KEY"), [(rules.called(k), k) for k in _all_keys(rules, found)])
    console.out("")
    rows = [(one.file, _names(rules, one.readers) or "-", _verdict(rules, one)) for one in found]
    console.table(("FILE", "READERS", policy.NAME), rows)
    if any(one.extra or one.missing for one in found):
        console.hint("invoke vault.sync")


def add(store: Vault, name: str, key: str) -> None:
    """Let ``name`` read, and say what that needs of them."""
    key = recipients.key_of(key)
    outcome = Recipients(store.root, store.scratch).add(name, key)
    _tell(store.root, outcome)
    console.step("readers", f"{name} can read the vault, from the next commit on")
    if outcome.changes:
        folders = dict.fromkeys(change.file.split("/")[0] for change in outcome.changes)
        console.hint(
            f"git add {policy.NAME} {' '.join(folders)} && git commit, and {name} pulls it"
        )


def remove(store: Vault, name: str, *, force: bool) -> None:
    """Take ``name`` out, and list what they have seen on stdout."""
    rules = Policy.read(store.root)
    members = Recipients(store.root, store.scratch)
    outcome = members.remove(name, force=force, told=_checklist)
    _tell(store.root, outcome, rules)
    console.step("readers", f"{name} cannot read what is written from now on")


def rotate(store: Vault) -> None:
    """New data keys everywhere."""
    outcome = Recipients(store.root, store.scratch).rotate()
    _tell(store.root, outcome)
    if not outcome.changes:
        raise UsageError("there is no file in the vault", "invoke vault.init")


def sync(store: Vault, *, dry_run: bool, force: bool) -> None:
    """Every file as ``.sops.yaml`` says."""
    outcome = Recipients(store.root, store.scratch).sync(
        dry_run=dry_run, force=force, told=_checklist
    )
    _tell(store.root, outcome, would=dry_run)
    if not outcome.changes:
        console.step("readers", f"every file is as {policy.NAME} says")


def _document(rules: Policy, found: Sequence[Access]) -> dict[str, object]:
    def people(keys: Iterable[str]) -> list[dict[str, str]]:
        return [{"name": rules.names.get(key, ""), "key": key} for key in keys]

    return {
        "readers": people(_all_keys(rules, found)),
        "files": [
            {
                "file": one.file,
                "readers": people(one.readers),
                "not_in_policy": people(one.extra),
                "only_in_policy": people(one.missing),
            }
            for one in found
        ],
    }


def _all_keys(rules: Policy, found: Sequence[Access]) -> list[str]:
    return list(dict.fromkeys([*rules.everyone(), *(k for one in found for k in one.readers)]))


def _names(rules: Policy, keys: Iterable[str]) -> str:
    return ", ".join(rules.called(key) for key in keys)


def _verdict(rules: Policy, one: Access) -> str:
    if not one.readers:
        return "NOT encrypted"
    parts = [f"not there: {_names(rules, one.extra)}"] if one.extra else []
    parts += [f"only there: {_names(rules, one.missing)}"] if one.missing else []
    return "; ".join(parts) or "agrees"


def _tell(root: Path, outcome: Outcome, old: Policy | None = None, *, would: bool = False) -> None:
    rules = Policy.read(root)
    names = {**(old.names if old else {}), **rules.names}
    for change in outcome.changes:
        parts = [f"+ {names.get(key) or rules.called(key)}" for key in change.added]
        parts += [f"- {names.get(key) or rules.called(key)}" for key in change.removed]
        parts += ["new data key"] if change.rotated else []
        text = f"{change.file}: {', '.join(parts)}"
        if would:
            console.say(f"  would change {text}")
        else:
            console.step("sealed", text)


def _checklist(seen: Sequence[str]) -> None:
    """What must be reissued, as Markdown on stdout, for an issue or a note."""
    if not seen:
        return
    console.say("who is removed has read these, and git keeps what they could read: reissue each")
    for item in seen:
        console.out(f"- [ ] {item}")
