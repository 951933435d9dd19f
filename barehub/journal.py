"""What happened to an instance: ``journal.jsonl``, one event a line, no secret in it.

It is what `list` and `verify` read, so that neither needs the vault to know an endpoint.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from barehub.console import console
from barehub.errors import BarehubError
from barehub.ledger import Event, Ledger

FREE_TEXT = {"problem", "id", "was", "now"}
"""Facts that others word, and that may hold a secret; the rest are names that must stay whole."""

UNTOLD = ("read", "noop")
"""Terraform's actions that make nothing, nor change or destroy it."""


class Journal:
    """An append-only list of events; each has ``at`` (Unix seconds) and ``event`` (its kind)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **facts: Any) -> None:
        """Append one event and see it onto the disk (fsync) before going on.

        :raises BarehubError: it cannot be written.
        """
        for name in FREE_TEXT & facts.keys():
            facts[name] = console.redact(str(facts[name]))
        line = json.dumps({"at": round(time.time(), 3), "event": event, **facts}) + "\n"
        try:
            self._append(line)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise BarehubError(
                f"{self.path} cannot be written: {reason}", f"df -h {self.path}"
            ) from None

    def resource(self, kind: str, address: str, action: str, id: str) -> None:
        """Append what Terraform's events tell of a resource; not that a data source was read."""
        if action in UNTOLD:
            return
        facts = {"id": id} if id else {}
        self.add(f"resource-{kind}", address=address, action=action, **facts)

    def _append(self, line: str) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, (("\n" if torn else "") + line).encode())
            os.fsync(fd)
        finally:
            os.close(fd)

    def events(self) -> list[Event]:
        """All events, oldest first; a line torn by a crash is passed over."""
        try:
            lines = self.path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [event for line in lines if (event := _parse(line))]

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


def _parse(line: str) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
