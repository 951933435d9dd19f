"""What a journal's events come to, for each resource: made, begun, destroyed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from barehub.journal_schema import Event

HEARD_OUT = ("stage-done", "failed", "replayed", "up", "stopped")
"""Events before which all that Terraform said of a stage was read."""


@dataclass
class Ledger:
    """Resources by address, with their ids where the events tell them."""

    made: dict[str, str] = field(default_factory=dict)
    """Created, and not destroyed since."""

    begun: dict[str, None] = field(default_factory=dict)
    """Their creation began, and nothing was heard since."""

    failed: dict[str, None] = field(default_factory=dict)
    """Their creation failed, and was not tried since; a cloud may have made them all the same."""

    intended: dict[str, None] = field(default_factory=dict)
    """A stage was about to create them, and nothing was heard of them, nor of the stage's end."""

    never_whole: set[str] = field(default_factory=set)
    """Their creation began, or was about to, and has not succeeded since."""

    destroyed: dict[str, str] = field(default_factory=dict)
    """Destroyed, and not made again since."""

    _going: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Ledger:
        """What has become of everything after ``events``, which are in order."""
        ledger = cls()
        for event in events:
            kind = str(event["event"])
            if kind.startswith("resource-"):
                ledger._add(kind.removeprefix("resource-"), event)
            elif kind == "stage":
                ledger._intend(event.get("creates", ()))
            elif kind == "destroyed":
                ledger = cls()
            elif kind in ("up", "stopped"):
                ledger.begun.clear()
                ledger.failed.clear()
            if kind in HEARD_OUT:
                ledger.intended.clear()
        return ledger

    def _intend(self, addresses: Iterable[str]) -> None:
        self.intended = dict.fromkeys(addresses)
        self.never_whole |= self.intended.keys() - self.made.keys()

    def _add(self, kind: str, event: Event) -> None:
        address, id = event["address"], event.get("id", "")
        action = event.get("action", "")
        if action == "read":  # as older journals have it, of data sources
            return
        self.intended.pop(address, None)
        if kind == "start":
            self._start(address, action, id)
            return
        self.begun.pop(address, None)
        self.failed.pop(address, None)
        if kind == "failed":
            if action == "create":
                self.failed[address] = None
            return
        self.never_whole.discard(address)
        if kind == "forgotten":
            self.made.pop(address, None)
        elif action == "delete":
            self._destroy(address)
        else:  # created, changed, imported
            self.made[address] = id or self.made.get(address, "")
            self.destroyed.pop(address, None)

    def _start(self, address: str, action: str, id: str) -> None:
        if action == "create":
            self.begun[address] = None
            self.failed.pop(address, None)
            self.never_whole.add(address)
        elif action == "delete":
            self._going[address] = id

    def _destroy(self, address: str) -> None:
        """One that is replaced before it is destroyed has its successor at the same address."""
        id = self._going.pop(address, "")
        successor = self.made.get(address, "")
        if id and successor and id != successor:
            return
        self.made.pop(address, None)
        self.destroyed[address] = id
