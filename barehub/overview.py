"""What `list`, `vault.show`, `vault.cat` and `vault.check` print."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from barehub.console import console
from barehub.errors import BarehubError, UsageError, VaultError
from barehub.lock import Lock
from barehub.project import Instance
from barehub.vault import guard, leaked
from barehub.vault.git import shown
from barehub.vault.store import Vault

MASK = "********"


def show(instances: Sequence[Instance], *, as_json: bool) -> None:
    """The instances, one a line, or as a JSON list."""
    rows = [_row(instance) for instance in instances]
    if as_json:
        console.out(json.dumps(rows, indent=2))
    elif rows:
        table = [(r["name"], r["state"], r["endpoint"] or "-", age(r["since"])) for r in rows]
        console.table(("NAME", "STATE", "ENDPOINT", "AGE"), table)
    else:
        console.say("there are no instances")
        console.hint("invoke spawn --name demo --recipe local")


def _row(instance: Instance) -> dict[str, Any]:
    """Describe an instance; one whose journal cannot be read is ``unreadable``."""
    try:
        return describe(instance)
    except BarehubError as error:
        console.warn(error.problem)
        return {"name": instance.name, "state": "unreadable", "endpoint": None, "since": None}


def describe(instance: Instance) -> dict[str, Any]:
    """``state`` is ``new`` (only a recipe), ``gone`` (torn down, and nothing since), ``busy`` (a
    run has it), ``up`` (verified by the last spawn that changed something), ``stopped`` (verified
    in a container, with which its hub ended), ``unfinished`` (something was changed, and not
    verified, or destroyed and perhaps not all gone)."""
    journal = instance.journal
    endpoint = journal.last("endpoint")
    first = next((e for e in journal.life() if e["event"] == "spawn"), None)
    return {
        "name": instance.name,
        "state": _state(instance),
        "endpoint": endpoint["url"] if endpoint and instance.living else None,
        "since": first["at"] if first and instance.living else None,
    }


def _state(instance: Instance) -> str:
    if Lock(instance.lock).held():
        return "busy"
    journal, kept = instance.journal, instance.sealed_state.exists()
    event = journal.standing()
    if not (kept or event):
        return "gone" if journal.events() and not journal.life() else "new"
    stands = event in ("up", "stopped") and (kept or instance.backend)
    return event if stands else "unfinished"


def age(since: float | None) -> str:
    """How long ago that was, such as ``3d``."""
    if since is None:
        return "-"
    seconds = max(0.0, time.time() - since)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def show_secrets(leaves: Mapping[str, str], *, reveal: bool, as_json: bool) -> None:
    """The key paths, and their values only when they were asked for."""
    told = {key: value if reveal else MASK for key, value in leaves.items()}
    if as_json:
        console.exact(json.dumps(told, indent=2))
        return
    for key, value in told.items():
        console.exact(f"{shown(key)}: {value}")
    if not leaves:
        console.say("the vault holds no values")
        console.hint("invoke vault.set environment.OS_PASSWORD")


def check_vault(root: Path, *, staged: bool, as_json: bool) -> None:
    """Tell what must not be committed; of ``staged`` alone only what is wrong.

    :raises VaultError: there is any.
    """
    top = guard.work_tree(root)
    problems = guard.check(root, staged=staged)
    if top and not staged:
        problems += _in_history(root)
    for problem in problems:
        where = os.path.relpath(root / problem.file, top or root)
        console.annotate("error", problem.text, where, problem.line)
    if as_json:
        console.out(json.dumps([asdict(problem) for problem in problems], indent=2))
    else:
        if top is None:
            console.say("this is no git repository: only the files are looked at")
        for problem in problems:
            console.out(str(problem))
    if problems:
        raise VaultError(
            f"{len(problems)} problem{'s' * (len(problems) > 1)} in the vault",
            *dict.fromkeys(p.fix for p in problems),
        )
    if not (staged or as_json):
        there = (root / guard.SHARED).exists()
        told = "every secrets file is wholly encrypted, to its readers"
        console.step("vault", told if there else "there is none yet")


def _in_history(root: Path) -> Iterator[guard.Problem]:
    """Warn of private keys in git's history; what a reader still reads with is a problem."""
    for leak in leaked.find(root):
        if leak.reader:
            fix = f"invoke vault.remove-recipient {shlex.quote(leak.reader)}   # and add a new key"
            text = f"{leak.what} in commit {leak.commit[:10]}, with which {leak.reader} reads"
            yield guard.Problem(leak.file, 0, text, fix)
        else:
            console.warn(f"{leak}; it stays in git: use a new one, where this one still counts")


def show_kept(store: Vault, file: Path) -> None:
    """What was sealed into ``file``, byte for byte on stdout.

    :raises UsageError: there is no such file, or it is of another kind.
    :raises VaultError: as :meth:`~barehub.vault.store.Vault.unseal`.
    """
    look = "find secrets -name '*.sops'"
    if file.suffix in (".yaml", ".yml"):
        raise UsageError(f"{file} is no file that was kept whole", "invoke vault.show --reveal")
    if not file.resolve().is_relative_to(store.root.resolve() / "secrets"):
        raise UsageError(f"{file} is not under secrets/files", look)
    if not file.is_file():
        raise UsageError(f"{file} does not exist", look)
    console.content(store.unseal(file.absolute()))
