"""The journal held against the state, by type and id: what was moved, released or imported.

Terraform tells of no such step while it applies a plan; the state shows it afterwards. So the
journal gets these events from a comparison, which is made after each apply and, because a run may
be killed in between, before anything else is done to the state:

- what the journal has at one address and the state, by type and id, at another one was moved
- what a stage was about to take out of the state, and is not in it, was released: it stays in its
  cloud
- what the state has and the journal does not was imported

An id may be missing, because the journal has it for types of clouds only; then the stage's own
intentions tell (``moves`` of the event ``stage``, and ``resource-start`` with the action forget).
An id need not be unique either: where runs created two resources of one type with the same id,
neither is taken for the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from barehub.cloud.things import TYPES, Thing
from barehub.console import console
from barehub.disclosure import GENERATED, HARMLESS, type_of
from barehub.journal import Journal
from barehub.journal_schema import Event
from barehub.ledger import Ledger
from barehub.leftovers import Leftover
from barehub.run import Run
from barehub.terraform.state import Object

SAME = {"null_resource": "terraform_data"}
"""Types beside those of clouds that a ``moved`` block may turn into one another."""


@dataclass(frozen=True)
class Differences:
    """What the state tells beyond the journal; ``moves`` maps old addresses to new ones."""

    moves: dict[str, str] = field(default_factory=dict)
    released: list[tuple[str, str]] = field(default_factory=list)
    imported: dict[str, str] = field(default_factory=dict)

    def events(self) -> list[Event]:
        """The same as events of a journal, in an order in which they can be read."""
        found = [_event("forget", address, id) for address, id in self.released]
        found += [{"event": "moved", "moves": self.moves}] if self.moves else []
        return found + [_event("import", address, id) for address, id in self.imported.items()]


def _event(action: str, address: str, id: str) -> Event:
    return {"event": "resource-done", "address": address, "action": action, "id": id}


def kind_of(address: str) -> str:
    """What a resource is, whatever version of its provider names it."""
    type = type_of(address)
    return TYPES.get(type) or SAME.get(type, type)


def compare(ledger: Ledger, objects: Collection[Object]) -> Differences:
    """Find what the state's ``objects`` tell that the ``ledger`` does not."""
    there = {one.address: one.id for one in objects if not one.aside}
    moves = _moves(ledger, there)
    made = {moves.get(address, address) for address in ledger.made}
    pending = {*ledger.begun, *ledger.failed, *ledger.intended, *ledger.never_whole}
    imported = {
        address: id
        for address, id in there.items()
        if address not in made | pending and not _was_destroyed(ledger, address, id)
    }
    released = [
        (address, id)
        for address, id in ledger.releasing.items()
        if (not id and address in ledger.begun)  # which of the two the state has, nobody knows
        or not any(_is(one, address, id) for one in objects)
    ]
    return Differences(moves, released, imported)


def _was_destroyed(ledger: Ledger, address: str, id: str) -> bool:
    """Whether it can be in the state only because that is older than the journal."""
    return ledger.destroyed.get(address) in ("", id) or id in ledger.destroyed_ids


def _is(one: Object, address: str, id: str) -> bool:
    if one.address == address:
        return not id or not one.id or one.id == id
    return bool(id) and one.id == id and kind_of(one.address) == kind_of(address)


def _moves(ledger: Ledger, there: dict[str, str]) -> dict[str, str]:
    """Old address to new one, of what the state has elsewhere than the journal."""
    moves = {
        old: new
        for old, new in ledger.moving.items()
        if new in there and (old not in there or _differ(ledger.made.get(old, ""), there[old]))
    }
    for address, id in ledger.made.items():
        away = address not in there or _differ(id, there[address])
        if not (id and away) or address in moves:
            continue
        taken = {*moves.values()}
        places = [at for at, its in there.items() if its == id and at not in taken]
        if place := _place(ledger, address, id, places):
            moves[address] = place
    return moves


def _place(ledger: Ledger, address: str, id: str, places: Iterable[str]) -> str:
    """Which of ``places``, where the state has the same id, is the new address; may be none."""
    free = [at for at in places if not (at in ledger.created and ledger.made.get(at) == id)]
    if same := [at for at in free if kind_of(at) == kind_of(address)]:
        return same[0]
    if type_of(address) in TYPES:  # what only joins two things may have the id of one of them
        return ""
    provider = type_of(address).partition("_")[0]  # one that has given its type another name
    kin = [at for at in free if type_of(at).partition("_")[0] == provider]
    return next((at for at in kin if at not in ledger.made), "")


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _objects(run: Run) -> list[Object]:
    """What the state has, at addresses as the journal has them: without keys that are secrets."""
    written = run.instance.journal.written
    return [replace(one, address=written(one.address)) for one in run.state.objects()]


def ledger_of(run: Run) -> Ledger:
    """What has become of each resource, by the journal and by what the state tells beyond it."""
    journal = run.instance.journal
    ledger = journal.ledger()
    if not run.state.lineage:
        return ledger
    return Ledger.of([*journal.life(), *compare(ledger, _objects(run)).events()])


def catch_up(run: Run) -> Differences:
    """Write into the journal what the state tells beyond it, which is returned."""
    if not run.state.lineage:
        return Differences()
    journal = run.instance.journal
    found = compare(journal.ledger(), _objects(run))
    for address, id in found.released:
        journal.resource("done", address, "forget", id)
    if found.moves:
        journal.add("moved", moves=found.moves)
    for address, id in found.imported.items():
        journal.resource("done", address, "import", id)
    return found


def released(journal: Journal, objects: Collection[Object]) -> list[tuple[str, str]]:
    """Address and id of what was taken out of the state, not destroyed, and not taken in again.

    :param objects: of the state, as far as there is one
    """
    pairs = Ledger.of(journal.events()).released
    return outside([pair for pair in pairs if not _leaves_nothing(pair[0])], objects)


def _leaves_nothing(address: str) -> bool:
    type = type_of(address)
    return bool(GENERATED.fullmatch(type) or HARMLESS.fullmatch(type))


def outside(pairs: Iterable[tuple[str, str]], objects: Collection[Object]) -> list[tuple[str, str]]:
    """Those of ``pairs`` (address and id) that are none of the state's ``objects``."""
    return [(a, id) for a, id in pairs if not (id and any(_is(one, a, id) for one in objects))]


def still_there(name: str, pairs: Iterable[tuple[str, str]]) -> list[Leftover]:
    """Name what was released (address and id), each with what removes it."""
    found = []
    for address, id in pairs:
        type = type_of(address)
        forget = f"invoke forget --name {name} --address '{address}'"
        remove = f"remove it where it is; once it is gone, or if it is to stay: {forget}"
        if id and type in TYPES and TYPES[type] != "dns record":
            remove = f"{Thing(TYPES[type], id, '').command}   removes it; then: {forget}"
        told = f"{type} {id}".strip()
        found.append(Leftover(f"{address} ({told}) was not destroyed and is still there", remove))
    return found


def tell(name: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Warn of what was released (address and id) and is still in its cloud."""
    for one in still_there(name, pairs):
        console.warn(one.what)
        console.hint(one.remove)


def warn_of_doubles(name: str, objects: Iterable[Object]) -> None:
    """Warn of what the state has at two addresses, as older versions could leave it."""
    first: dict[tuple[str, str], str] = {}
    for one in objects:
        if one.aside or not one.id or type_of(one.address) not in TYPES:
            continue
        other = first.setdefault((kind_of(one.address), one.id), one.address)
        if other != one.address:
            console.warn(f"{other} and {one.address} are the same thing ({one.id}) in the state")
            console.hint(f"invoke terraform --name {name} -- state rm ADDRESS   of the wrong one")
