"""Random edits, runs and kills on a model of Terraform and a cloud: nothing is lost, nothing twice.

The code under test is barehub's own order of steps (``moves.carry_out``, ``stages._apply_plan``,
``reconcile.catch_up``, ``recovery.account``) with its real journal; a model stands for Terraform,
because it has to die at every single step of an apply. The real one is in tests/e2e/test_moves.py.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from barehub import moves, reconcile, recovery, stages
from barehub.disclosure import type_of
from barehub.journal import Journal
from barehub.reconcile import kind_of
from barehub.run import Run
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress
from barehub.terraform.state import Object

VOLUME, OTHER = "openstack_blockstorage_volume_v3", "exoscale_volume"
RECORD, NEW_RECORD = "cloudflare_record", "cloudflare_dns_record"
NO_ID = (OTHER,)
"""Types whose ids the journal does not have."""


class Killed(BaseException):
    pass


class Memory(Journal):
    """A journal in memory; after a kill nothing can be written."""

    def __init__(self, world: World) -> None:
        super().__init__(Path("journal.jsonl"))
        self.world, self.lines = world, b""

    def _append(self, line: str) -> None:
        self.world.step()
        self.lines += line.encode()

    def content(self) -> bytes:
        return self.lines

    def resource(self, kind: str, address: str, action: str, id: str) -> None:
        super().resource(kind, address, action, "" if type_of(address) in NO_ID else id)


class World:
    """A cloud, a recipe, a state, and the run that works on them; also barehub's ``State``."""

    lineage = "one"

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lags = seed % 2 == 0
        """Whether the sealed state may be older than the journal, after a loss of power. Where a
        replacement has the same address and the journal no ids, nothing tells the two apart."""
        self.cloud: set[str] = set()
        self.recipe: dict[str, str] = {}
        """Address to version of its arguments."""
        self.state: dict[str, tuple[str, str]] = {}
        """Address to id and version."""
        self.renames: dict[str, str] = {}
        self.kept: set[str] = set()
        """Addresses that leave the state without being destroyed."""
        self.marked: set[str] = set()
        self.left_alone: set[str] = set()
        """Ids of what left the state and was not destroyed."""
        self.count = 0
        self.last: dict[str, str] = {}
        """By id the address that it was last at, for what has no id in the journal."""
        self.dead, self.left = False, -1
        self.journal = Memory(self)
        self.snapshots: list[dict[str, tuple[str, str]]] = []
        instance = SimpleNamespace(journal=self.journal, name="demo")
        self.run = cast(
            Run, SimpleNamespace(instance=instance, state=self, shown={}, changed=False, losses={})
        )

    def step(self) -> None:
        """Die here, if this is the moment."""
        if self.dead or self.left == 0:
            self.dead = True
            raise Killed
        self.left -= 1

    # what barehub asks of a state

    def objects(self) -> list[Object]:
        return [Object(address, id) for address, (id, _) in self.state.items()]

    def ids(self) -> dict[str, str]:
        return {address: id for address, (id, _) in self.state.items()}

    def resources(self) -> list[str]:
        return list(self.state)

    def tainted(self) -> list[str]:
        return [*self.marked]

    def outputs(self) -> dict[str, Any]:
        return {}

    def drop(self, addresses: Collection[str]) -> None:
        for address in addresses:
            self.last[self.state[address][0]] = address
            del self.state[address]

    # what a person does to a recipe

    def edit(self) -> None:
        there = [a for a in self.recipe if a not in self.renames.values()]
        kind = self.random.choice(["new", "new", "update", "move", "remove", "keep", "replace"])
        if kind == "new" or not there:
            type = self.random.choice([VOLUME, RECORD, VOLUME if self.lags else OTHER])
            if address := self.free(type):
                self.recipe[address] = "1"
            return
        address = self.random.choice(there)
        if kind in ("update", "replace"):
            self.recipe[address] = f"{kind} {self.random.random()}"
            if kind == "replace" and self.random.random() < 0.3:
                self.kept.add(address)
        elif kind == "move" and address in self.state:
            type = type_of(address)
            type = NEW_RECORD if type == RECORD and self.random.random() < 0.5 else type
            if to := self.free(type):
                self.recipe[to] = self.recipe.pop(address)
                self.renames[address] = to
        elif kind in ("remove", "keep"):
            del self.recipe[address]
            if kind == "keep":
                self.kept.add(address)

    def free(self, type: str) -> str:
        """A name of few, so that old ones are used again; none that is in use."""
        names = [f"module.provider.{type}.{n}" for n in ("a", "b", "c[0]", 'd["k"]')]
        used = {*self.recipe, *self.state, *self.renames, *self.renames.values()}
        names = [name for name in names if name not in used]
        return self.random.choice(names) if names else ""

    # Terraform

    def plan(self, label: str, **options: Any) -> tuple[Path, Progress]:
        progress = Progress()
        pending = {o: n for o, n in self.renames.items() if o in self.state}
        if options.get("refresh_only"):
            progress.moves = pending
            return Path("moves"), progress
        assert not pending
        for address in {**self.state, **self.recipe}:
            if action := self.action(address):
                progress.planned[address] = action
        return Path("plan"), progress

    def action(self, address: str) -> str:
        if address not in self.recipe:
            return "forget" if address in self.kept else "delete"
        if address not in self.state:
            return "create"
        if address in self.marked:
            return "replace"
        if self.state[address][1] != self.recipe[address]:
            return "replace" if self.recipe[address].startswith("replace") else "update"
        return ""

    def explain(self, path: Path) -> dict[str, Any]:
        if path == Path("moves"):
            return {}
        changes = []
        for address, (id, _) in self.state.items():
            action = self.action(address)
            forgets = address in self.kept and action in ("forget", "replace")
            actions = ["forget"] if forgets else [action]
            changes.append(
                {"address": address, "change": {"actions": actions, "before": {"id": id}}}
            )
        return {"resource_changes": changes}

    def apply(self, label: str, path: Path) -> Progress:
        self.snapshots = [dict(self.state)]
        if path == Path("moves"):
            self.step()
            self.state = {self.renames.get(a, a): value for a, value in self.state.items()}
            self.renames.clear()
            self.snapshots.append(dict(self.state))
            self.step()
            return Progress()
        for address, action in self.plan(label)[1].planned.items():
            self.change(address, action)
            self.snapshots.append(dict(self.state))
        self.kept.clear()
        return Progress()

    def change(self, address: str, action: str) -> None:
        if action == "update":
            self.state[address] = (self.state[address][0], self.recipe[address])
            self.journal.resource("done", address, "update", self.state[address][0])
            return
        if action != "create":
            id = self.state[address][0]
            self.last[id] = address
            if address not in self.kept:
                self.journal.resource("start", address, "delete", id)
                self.cloud.discard(id)
                self.step()
                self.journal.resource("done", address, "delete", "")
            else:
                self.left_alone.add(id)
            del self.state[address]
            self.step()
        if action in ("create", "replace"):
            self.journal.resource("start", address, "create", "")
            self.count += 1
            id = f"id-{self.count}"
            self.cloud.add(id)
            self.last[id] = address
            self.step()
            self.state[address] = (id, self.recipe[address])
            self.marked.discard(address)
            self.journal.resource("done", address, "create", id)

    # a run of barehub's

    def spawn(self, left: int = -1) -> None:
        """One run, killed after ``left`` steps, if that is not negative."""
        self.dead, self.left, self.snapshots = False, left, []
        terraform = cast(Terraform, self)
        try:
            reconcile.catch_up(self.run)
            self.settle(recovery.account(self.run))
            pending = self.plan("plan", refresh_only=True)[1].moves
            if pending:
                moves.carry_out(self.run, terraform, pending)
            self.renames.clear()
            path, plan = self.plan("provider")
            if plan.planned:
                stages._apply_plan(self.run, terraform, "provider", path, plan, meant=True)
            self.journal.add("up")
        except Killed:
            if (
                self.lags and self.snapshots and self.random.random() < 0.5
            ):  # what was sealed is a little older
                self.state = dict(self.random.choice(self.snapshots[-2:]))
        self.dead, self.left = False, -1

    def settle(self, found: recovery.Account) -> None:
        """As ``recovery.settle`` does, and a person for what has no id."""
        recovery.drop(self.run, found.gone)
        for address, id in found.unknown.items():
            assert id not in self.ids().values(), f"{id} would be imported twice"
            assert address not in self.state
            self.state[address] = (id, "imported")
        for address in found.begun:
            known = {*self.ids().values(), *self.left_alone}
            there = [
                id for id, at in self.last.items() if at == address and id in self.cloud - known
            ]
            if address in self.state:  # a person finds it, and removes it
                self.cloud -= {*there}
                self.journal.add("resource-forgotten", address=address)
            elif there:  # a person finds it, and imports it
                self.state[address] = (there[-1], "imported")
                self.marked.add(address)
        self.marked |= {*found.half_made} & self.state.keys()

    # what must be true

    def check(self) -> None:
        self.last |= {id: address for address, id in self.ids().items()}
        ids = [(kind_of(a), id) for a, id in self.ids().items()]
        assert len(ids) == len(set(ids)), "one thing at two addresses"
        released = reconcile.released(self.journal, self.objects())
        addresses = {address for address, id in released if not id}
        known = {*self.ids().values(), *(id for _, id in released)}
        ledger = self.journal.ledger()
        lost = self.cloud - known
        lost -= {id for id in ledger.made.values() if id}
        lost -= {id for id in lost & self.left_alone if self.last[id] in addresses}
        assert {*self.ids().values()} <= self.cloud, "the state has what was destroyed"
        assert not lost, {id: self.last[id] for id in lost}


@pytest.mark.parametrize("first", range(0, 100, 25))
def test_random_edits_and_kills(first: int) -> None:
    for seed in range(first, first + 25):
        world = World(seed)
        try:
            for _ in range(12):
                for _ in range(world.random.randint(1, 3)):
                    world.edit()
                if world.random.random() < 0.5:
                    world.spawn(left=world.random.randint(0, 25))
                world.spawn()
                world.check()
        except BaseException:
            print(f"seed {seed}")
            print(world.journal.lines.decode())
            raise
