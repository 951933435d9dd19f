"""What happened to an instance: ``journal.jsonl``, one event a line, no secret in it.

It is what `list` and `verify` read, so that neither needs the vault to know an endpoint.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from barehub import reading, system_errors
from barehub.appending import append
from barehub.console import console
from barehub.disclosure import hidden_keys, id_is_public
from barehub.errors import BarehubError
from barehub.journal_schema import Event, Malformed, parse
from barehub.ledger import Ledger

LARGEST = 32 * 1024 * 1024
"""Bytes of a journal that are read: some 200,000 events."""

_WARNED: set[Path] = set()
"""Journals with malformed lines that this command has warned of."""

FREE_TEXT = {"problem", "was", "now"}
"""Facts that others word, and that may hold a secret; the rest are names that must stay whole."""

UNTOLD = ("read", "noop")
"""Terraform's actions that make nothing, nor change or destroy it."""


class Journal:
    """An append-only list of events; each has ``at`` (Unix seconds) and ``event`` (its kind)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.redact = console.redact
        """Takes secrets out of free text and out of keys of ``for_each``."""

    def add(self, event: str, **facts: Any) -> None:
        """Append one event and see it onto the disk (fsync) before going on.

        :raises BarehubError: it cannot be written.
        """
        for name in FREE_TEXT & facts.keys():
            # a file's name in a problem need not be UTF-8
            facts[name] = self.redact(str(facts[name])).encode(errors="replace").decode()
        if "id" in facts and not _may_be_told(facts.get("address", ""), facts["id"]):
            del facts["id"]
        if "address" in facts:
            facts["address"] = self.written(facts["address"])
        if "creates" in facts:
            facts["creates"] = [self.written(address) for address in facts["creates"]]
        if "moves" in facts:
            facts["moves"] = {self.written(a): self.written(b) for a, b in facts["moves"].items()}
        line = json.dumps({"at": round(time.time(), 3), "event": event, **facts}) + "\n"
        self._append(line)

    def resource(self, kind: str, address: str, action: str, id: str) -> None:
        """Append what Terraform's events tell of a resource; not that a data source was read."""
        if action in UNTOLD:
            return
        facts = {"id": id} if id else {}
        self.add(f"resource-{kind}", address=address, action=action, **facts)

    def written(self, address: str) -> str:
        """Return ``address`` as the journal has it: without a key that is a secret.

        One that an older version has written in clear stays: what becomes of it must be known.
        """
        hidden = hidden_keys(address, self.redact, self.path.parent)
        if hidden == address or any(event.get("address") == address for event in self.events()):
            return address
        return hidden

    def _append(self, line: str) -> None:
        with system_errors.attempt("written", self.path, BarehubError):
            append(
                self.path,
                line,
                lambda flags: reading.opened(
                    self.path, flags, BarehubError, links=False, mode=0o644
                ),
            )

    def content(self) -> bytes:
        """Return all of the file; nothing when there is none.

        :raises BarehubError: it is not a regular file, is too large or cannot be read.
        """
        try:
            return reading.content(self.path, BarehubError, most=LARGEST, links=False)
        except FileNotFoundError:
            return b""

    def events(self) -> list[Event]:
        """All events, oldest first.

        What is not an event is ignored, with one warning a command that names the first such line.
        An id that may be a secret, as older versions wrote it, is left out.

        :raises BarehubError: the file is not a regular one, is too large or cannot be read.
        """
        events: list[Event] = []
        malformed: list[str] = []
        for number, line in enumerate(self.content().split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                events.append(_without_secret_id(parse(line)))
            except Malformed as error:
                malformed.append(f"{self.path}, line {number}: {error}")
        if malformed and self.path not in _WARNED:
            _WARNED.add(self.path)
            more = f", and {len(malformed) - 1} more like it" if malformed[1:] else ""
            console.warn(f"{malformed[0]}{more}; ignored")
            console.hint(f"git log -p {self.path}   shows who wrote it")
        return events

    def life(self) -> list[Event]:
        """The events since the last finished teardown."""
        events = self.events()
        ends = [i for i, event in enumerate(events) if event["event"] == "gone"]
        return events[ends[-1] + 1 :] if ends else events

    def ledger(self) -> Ledger:
        """What has become of each resource in this life."""
        return Ledger.of(self.life())

    def named(self) -> list[tuple[str, str]]:
        """Address and id of every resource that any life of the instance ever had."""
        of_resources = (e for e in self.events() if e["event"].startswith("resource-"))
        told = ((e["address"], e.get("id", "")) for e in of_resources)
        return list(dict.fromkeys(pair for pair in told if pair[1]))

    def standing(self) -> str:
        """``up`` (verified since anything was changed), ``stopped``, or the event that ended it."""
        last = self.last("up", "stage", "stopped", "destroyed")
        return last["event"] if last else ""

    def is_up(self) -> bool:
        """Whether the last run verified a hub that outlives it."""
        last = self.last("up", "stopped")
        return bool(last and last["event"] == "up")

    def of_stage(self) -> list[tuple[str, str, str]]:
        """What happened to resources since the last stage began: kind, address and action."""
        found: list[tuple[str, str, str]] = []
        for event in self.life():
            kind = str(event["event"])
            if kind == "stage":
                found.clear()
            elif kind.startswith("resource-"):
                found.append(
                    (kind.removeprefix("resource-"), event["address"], event.get("action", ""))
                )
        return found

    def last(self, *kinds: str, **facts: Any) -> Event | None:
        """The newest event of one of ``kinds`` in the instance's present life, with ``facts``."""
        wanted = facts.items()
        newest = reversed(self.life())
        return next((e for e in newest if e["event"] in kinds and wanted <= e.items()), None)


def _may_be_told(address: str, id: str) -> bool:
    """Return whether ``id`` is a name. One without its secret part would name nothing."""
    return id_is_public(address) and console.redact(id) == id


def _without_secret_id(event: Event) -> Event:
    of_resource = event["event"].startswith("resource-")
    if of_resource and "id" in event and not id_is_public(event["address"]):
        del event["id"]
    return event
