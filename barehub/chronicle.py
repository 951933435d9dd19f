"""`invoke history`: an instance's journal, as a person reads it."""

from __future__ import annotations

import json
import time
from collections import defaultdict

from barehub.console import console
from barehub.journal_schema import Event
from barehub.project import Instance

WORDS = {
    "resource-start": "begins",
    "resource-done": "done",
    "resource-failed": "failed",
    "resource-imported": "imported",
    "resource-forgotten": "forgotten",
    "moved": "addresses changed",
    "stage": "stage begins",
    "stage-done": "stage done",
    "cut-off": "was cut off",
    "up": "up, verified",
    "revised": "recipe changed",
    "put-back": "recipe put back",
}

QUIET = ("arguments", "resource-start", "replayed")
"""Events that a person does not miss: fingerprints, the beginning of what also ended, and that a
killed run was heard out."""

ABOUT = (
    "address",
    "stage",
    "command",
    "action",
    "id",
    "how",
    "by",
    "holder",
    "url",
    "problem",
)


def show(instance: Instance, *, whole: bool, as_json: bool) -> None:
    """Print what happened, oldest first; ``whole`` means earlier lives, too."""
    events = instance.journal.events() if whole else instance.journal.life()
    if as_json:
        console.out(json.dumps(events, indent=2))
        return
    open_ended = list(instance.journal.ledger().begun)
    rows = [
        (_at(event), _word(event), _about(event))
        for event in events
        if event["event"] not in QUIET or event.get("address") in open_ended
    ]
    if rows:
        console.table(("AT", "EVENT", "WHAT"), rows)
    else:
        console.say(f"nothing has happened to {instance.name} yet")


def _at(event: Event) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"]))


def _word(event: Event) -> str:
    if event["event"] == "resource-done" and event.get("action") == "forget":
        return "released"  # out of the state, and not destroyed
    return WORDS.get(event["event"], str(event["event"]))


def _about(event: Event) -> str:
    if event["event"] in ("revised", "put-back"):
        return "{argument} = {now}, which was {was}".format_map(defaultdict(lambda: "?", event))
    if event["event"] == "moved":
        return ", ".join(f"{old} to {new}" for old, new in event["moves"].items())
    return "  ".join(str(event[name]) for name in ABOUT if event.get(name))
