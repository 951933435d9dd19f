"""What must be so after a fault: nothing unknown, nothing in clear, nothing twice, all settled."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from barehub.ledger import Ledger
from barehub.terraform import state as states
from barehub.terraform.events import Progress
from tests.canary import holding
from tests.command_line import Result

from .draw import Case
from .place import Place
from .world import Thing, World

HINTS = 5
"""So many hints of one error after the other are followed, each a command as it was printed."""

MOST = 15
"""So many commands in all, of one run, until it is told as it is."""

PLANNED = r"\w+: (create|replace|update|delete): "
"""A line of a plan: it names what shall be, and nothing that cannot be settled."""

DOUBTED = r"{0} was (never finished|begun|about to be begun)|: {0} \(tainted|imported {0}$"
"""What barehub says of that which it is not sure of, before it makes it again. What was imported is
replaced, with a question, where the import cannot know of all that made it (terraform_data)."""


@dataclass
class Verdict:
    """What came of a run; ``outcome`` is ``reached`` or ``named``."""

    outcome: str = "reached"
    commands: list[str] = field(default_factory=list)
    """The commands that brought it there."""

    told: str = ""
    """What they said."""


@dataclass
class Known:
    """What is known of an instance, at rest or in memory, by anybody but the cloud."""

    ids: dict[str, set[str]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    def add(self, made: dict[str, str]) -> None:
        for address, id in made.items():
            self.ids.setdefault(address, set()).add(id)

    def read(self, ledger: Ledger) -> None:
        self.add(ledger.made)
        self.begun |= {*ledger.begun, *ledger.intended, *ledger.failed}


@dataclass
class Snapshot:
    """How things stood before a command was disturbed, or after."""

    recipe: bytes
    things: list[Thing]
    up: bool
    """Whether the hub was verified with the recipe that it has."""

    @classmethod
    def of(cls, world: World, place: Place) -> Snapshot:
        last = place.journal.last("up", "revised", "put-back")
        up = bool(last and last["event"] == "up")
        return cls(place.recipe.read_bytes(), world.things(place), up)


def nothing_untrue(told: str, before: Snapshot, then: Snapshot) -> None:
    """What a command says of the one before it was so."""
    if "was cut off before anything was changed" in told:
        same = (before.recipe, before.things) == (then.recipe, then.things)
        assert same, f"UNTRUE: {before}, then {then}\n{told}"


def recipe_told(told: str, before: Snapshot, then: Snapshot) -> None:
    """The next command says that the recipe carries a change of a run that was cut off, or not."""
    carried = before.recipe != then.recipe and not then.up
    says = ", which was " in told
    assert says == carried, f"UNTRUE: the recipe carries a change: {carried}, told: {says}\n{told}"


def no_bug(said: str) -> None:
    """No traceback; but Python's own, of a Ctrl-C before the first line of ours was run."""
    early = said.rstrip().endswith("KeyboardInterrupt") and "barehub/" not in said
    assert "Traceback" not in said or early, f"A BUG\n{said}"


def nothing_unknown(world: World, place: Place) -> None:
    """Before the next command: what exists is in the state, the journal or a session."""
    known = _known(world, place)
    for thing in world.things(place):
        ids = known.ids.get(thing.address, set())
        kept = thing.address in known.begun or thing.keeper in known.ids
        assert kept or thing.id in ids or (ids and not thing.id), (
            f"UNKNOWN: {thing} exists, and neither state nor journal knows it: {known}"
        )


def _known(world: World, place: Place) -> Known:
    known = Known()
    known.add(world.state(place))
    known.read(place.journal.ledger())
    for folder in place.sessions():
        for file in folder.glob("*.tfstate*"):
            known.add(states.made(file.read_bytes()))
        for log in folder.glob("*-apply.log"):
            known.read(_ledger(log))
    errored = place.instance / "errored.tfstate"
    if errored.exists():
        known.add(states.made(errored.read_bytes()))
    return known


def _ledger(log: Path) -> Ledger:
    """What Terraform's own output of an apply comes to."""
    events: list[dict[str, str]] = []
    progress = Progress(
        lambda kind, address, action, id: events.append(
            {"event": f"resource-{kind}", "address": address, "action": action, "id": id}
        )
    )
    for line in log.read_text(errors="replace").splitlines():
        progress.feed(line)
    return Ledger.of(events)


def settled(world: World, case: Case, place: Place) -> Verdict:
    """Run the next command, do what its hints say, and see that all is as it shall be."""
    verdict, results = Verdict(), _followed(place, next_command(case, place))
    while len(results) < MOST and (named := _named(world, case, place, results)):
        verdict.outcome = "named"
        world.settle(case, place, named, results[-1][1].err)
        results += _followed(place, next_command(case, place))
    verdict.commands = [name for name, _ in results]
    verdict.told = "\n".join(result.err for _, result in results)
    left = _difference(world, case, place)
    assert not left, f"NOT SETTLED: {sorted(left)}\n{_all(results)}"
    assert results[-1][1].code == 0, f"NOT SETTLED\n{_all(results)}"
    _nothing_to_change(case, place)
    return verdict


def _named(
    world: World, case: Case, place: Place, results: Sequence[tuple[str, Result]]
) -> list[str]:
    """The addresses that a person has to look after, as they were told; all of what is left."""
    if in_doubt := _in_doubt(results[-1][1]):
        return in_doubt
    left = _difference(world, case, place)
    lines = [line for _, result in results for line in result.err.splitlines()]
    told = "\n".join(line for line in lines if not re.match(PLANNED, line))
    named = [address for address in sorted(left) if address in told]
    assert set(named) == left, f"NOT SETTLED, AND NOT NAMED: {sorted(left)}\n{_all(results)}"
    return named


def _in_doubt(result: Result) -> list[str]:
    """The addresses of what may be in a cloud, and a person has to look up."""
    told = re.findall(r"^error: .*creation of (.+) was interrupted; it may", result.err, re.M)
    return [address for line in told for address in line.split(", ")]


def next_command(case: Case, place: Place) -> tuple[str, ...]:
    if case.command == "teardown":
        return ("teardown", "--name", place.name, "--yes")
    return ("spawn", "--name", place.name, "--timeout", "60")


def _followed(place: Place, wanted: Sequence[str]) -> list[tuple[str, Result]]:
    """Commands with their results: what is ``wanted``, and while it fails what its error says, and
    then that again."""
    done: list[tuple[str, Result]] = []
    argv = wanted
    while True:
        result = place.cli(*argv)
        done.append((" ".join(argv), result))
        no_bug(result.err)
        reached = result.code == 0 and argv[0] == wanted[0]
        if reached or len(done) > HINTS or _in_doubt(result):
            return done  # in doubt a person looks before they do any of what it says
        tried = {command for command, _ in done}
        hinted = [args for args in commands_in(result.err) if " ".join(args) not in tried]
        if result.code == 0:
            argv = wanted
        elif hinted:
            argv = hinted[0]
        else:
            return done


def commands_in(said: str) -> list[list[str]]:
    """The commands of barehub among the hints of an error, without what explains them."""
    hints = re.findall(r"^hint: (?:[^`]*?: )?invoke (\S.*?)(?: {2,}.*| # .*)?$", said, re.M)
    return [shlex.split(hint) for hint in hints if "ID" not in hint.split()]


def _difference(world: World, case: Case, place: Place) -> set[str]:
    """The addresses of which there is not what there shall be: once, or never."""
    counted = Counter(thing.address for thing in world.things(place))
    wanted = world.wanted(case, place)
    return {a for a in counted.keys() | wanted if counted[a] != (1 if a in wanted else 0)}


def _nothing_to_change(case: Case, place: Place) -> None:
    if case.command == "teardown":
        return
    shown = place.cli("plan", "--name", place.name, "--json")
    assert shown.code == 0, f"NO PLAN\n{shown}"
    plan = json.loads(shown.out)
    assert not plan["changes"] and not plan["outputs_change"], f"NOT CONVERGED\n{shown}"


def nothing_in_clear(world: World, place: Place, *, memory: bool) -> None:
    """No secret in any file of the run; with ``memory`` none in tmpfs either, and no session."""
    places = [place.project, place.home, place.tmp]
    for value in world.secrets:
        found = holding(value, *places, *([place.memory] if memory else []))
        assert not found, f"IN CLEAR: {found}"
    if memory:
        assert not place.sessions(), f"A SESSION IS LEFT: {place.sessions()}"


def nothing_running(place: Place) -> None:
    assert not place.living(), f"STILL RUNNING: {place.living()}"


def nothing_stale(world: World, place: Place) -> None:
    """At the end the state has each thing as the one that exists."""
    state = world.state(place)
    stale = [t for t in world.things(place) if t.id and state.get(t.address) != t.id]
    assert not stale, f"STALE: {stale}, and the state has {state}"


def nothing_twice(world: World, place: Place, told: str) -> None:
    """:param told: all that barehub said, in which it may doubt what it then makes again"""
    doubts = world.doubts(place)
    again = [a for a in world.again(place) if not _doubted(a, told)]
    assert not doubts and not again, f"TWICE: {doubts}, made again unsaid: {again}\n{told}"


def _doubted(address: str, told: str) -> bool:
    return bool(re.search(DOUBTED.format(re.escape(address)), told, re.M))


def _all(results: Sequence[tuple[str, Result]]) -> str:
    return "\n".join(f"$ invoke {command}\n{result}" for command, result in results)
