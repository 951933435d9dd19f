"""What a journal's events come to, for each resource: made, begun, destroyed, released."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from barehub.disclosure import type_of
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

    destroyed_ids: set[str] = field(default_factory=set)

    seen: set[str] = field(default_factory=set)
    """Every id that an event tells."""

    created: set[str] = field(default_factory=set)
    """Those of ``made`` that a run created, in distinction from what was moved or imported there
    before the journal had such events."""

    moving: dict[str, str] = field(default_factory=dict)
    """A stage was about to move them: old address to new one."""

    releasing: dict[str, str] = field(default_factory=dict)
    """A stage was about to take them out of the state without destroying them; with their ids."""

    released: dict[tuple[str, str], None] = field(default_factory=dict)
    """Address and id of what was taken out of the state and not destroyed; a teardown does not
    end that."""

    _going: dict[str, str] = field(default_factory=dict)
    _replaced: set[str] = field(default_factory=set)

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
                ledger.moving = dict(event.get("moves", {}))
                ledger.releasing.clear()
                ledger._replaced.clear()
            elif kind == "moved":
                ledger._move(event["moves"])
            elif kind == "destroyed":
                ledger = cls(released=ledger.released)
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
        self.seen |= {id} - {""}
        action = event.get("action", "")
        if action == "read":  # as older journals have it, of data sources
            return
        if action == "forget":
            self._release(kind, address, id)
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
            self.created.discard(address)
        elif action == "delete":
            self._destroy(address)
        else:
            self._have(address, action, id)

    def _have(self, address: str, action: str, id: str) -> None:
        """Note what was created, changed or imported."""
        if action == "create":
            self.created.add(address)
            if address in self.releasing:  # its successor is there
                self.released[address, self.releasing.pop(address)] = None
                self._replaced.add(address)
        self.made[address] = id or self.made.get(address, "")
        self.destroyed.pop(address, None)
        self.destroyed_ids.discard(id)  # a name, such as a key pair's, can be there again
        same = type_of(address)
        self.released = {
            (at, its): None
            for at, its in self.released
            if not (id and its == id and type_of(at) == same)
        }

    def _release(self, kind: str, address: str, id: str) -> None:
        """Note what leaves the state and stays in its cloud; a person may forget that it does."""
        if kind == "forgotten":
            self.released = {one: None for one in self.released if one[0] != address}
            return
        id = id or self.releasing.get(address, "") or self.made.get(address, "")
        if kind == "start":
            self.releasing[address] = id
            return
        self.releasing.pop(address, None)
        if address in self._replaced:
            self._replaced.discard(address)
            return
        self.released[address, id] = None
        for old, new in self.moving.items():
            if new == address:  # what was moved was not there any more
                self.made.pop(old, None)
        made = self.made.get(address, "")
        if address in self.begun:  # its successor is there, or is not: that is not known
            if id and made == id:
                del self.made[address]
        elif not id or made in ("", id):
            self.made.pop(address, None)
            self.failed.pop(address, None)
            self.created.discard(address)
            self.never_whole.discard(address)

    def _move(self, moves: Mapping[str, str]) -> None:
        """Have all that is at the old addresses at the new ones, at once."""
        for table in (self.made, self.begun, self.failed, self.intended):
            _rename(table, moves)
        for group in (self.never_whole, self.created):
            arrived = {new for old, new in moves.items() if old in group}
            group.difference_update(moves)
            group |= arrived
        for new in moves.values():
            self.destroyed.pop(new, None)
        self.moving.clear()

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
        self.destroyed_ids |= {id} - {""}
        successor = self.made.get(address, "")
        if id and successor and id != successor:
            return
        self.made.pop(address, None)
        self.created.discard(address)
        self.destroyed[address] = id


def _rename(table: dict[str, Any], moves: Mapping[str, str]) -> None:
    arrived = {new: table.pop(old) for old, new in moves.items() if old in table}
    table.update(arrived)
