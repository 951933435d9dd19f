"""What `list`, `vault.show` and `vault.check` print."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from barehub.console import console
from barehub.errors import VaultError
from barehub.lock import Lock
from barehub.project import Instance
from barehub.vault.guard import Problem

MASK = "********"


def show(instances: Sequence[Instance], *, as_json: bool) -> None:
    """The instances, one a line, or as a JSON list."""
    rows = [describe(instance) for instance in instances]
    if as_json:
        console.out(json.dumps(rows, indent=2))
    elif rows:
        table = [(r["name"], r["state"], r["endpoint"] or "-", _age(r["since"])) for r in rows]
        console.table(("NAME", "STATE", "ENDPOINT", "AGE"), table)
    else:
        console.say("there are no instances")
        console.hint("invoke spawn --name demo --recipe local")


def describe(instance: Instance) -> dict[str, Any]:
    """``state`` is ``new`` (only a recipe), ``busy`` (a run has it), ``up`` (verified by the last
    spawn that changed something), ``unfinished`` (something was changed, and not verified)."""
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
    if not instance.living:
        return "new"
    last = instance.journal.last("up", "stage", "destroyed")
    return "up" if last and last["event"] == "up" else "unfinished"


def _age(since: float | None) -> str:
    if since is None:
        return "-"
    seconds = max(0.0, time.time() - since)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def show_secrets(leaves: Mapping[str, str], *, reveal: bool, as_json: bool) -> None:
    """The key paths, and their values only when they were asked for."""
    shown = {key: value if reveal else MASK for key, value in leaves.items()}
    if as_json:
        console.exact(json.dumps(shown, indent=2))
        return
    for key, value in shown.items():
        console.exact(f"{key}: {value}")
    if not leaves:
        console.say("the vault holds no values")
        console.hint("invoke vault.set environment.OS_PASSWORD")


def show_problems(problems: Sequence[Problem]) -> None:
    """:raises VaultError: there are any."""
    for problem in problems:
        console.out(str(problem))
    if problems:
        raise VaultError(
            f"{len(problems)} problem{'s' * (len(problems) > 1)} in the vault",
            *dict.fromkeys(p.fix for p in problems),
        )
    console.step("vault", "every secrets file is wholly encrypted, to its readers")
