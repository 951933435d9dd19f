"""The world `postgres`: the things of `local`, and a state in a real PostgreSQL, behind a door.

Each worker has a cluster of its own, on a small disk where it may mount one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from postgres import PASSWORD
from postgres import Postgres as Cluster

from barehub.terraform import state as states
from tests.cloud.openstack.gate import Gate

from .draw import Case
from .local import TOKEN, Local, sealed_state
from .place import Place
from .world import Extent

BACKEND = """
terraform {
  backend "pg" { schema_name = "demo" }
}
"""

ROOM = 64
"""MiB of the cluster's disk; new it has 40."""

NOTHING = "drop schema if exists demo cascade"
KEEP = "drop schema if exists up cascade; alter schema demo rename to up"
PUT = (
    f"{NOTHING}; create schema demo; "
    "create table demo.states (like up.states including all); "
    "insert into demo.states table up.states"
)


class Postgres(Local):
    """A worker runs one case at a time, so that all have the schema of the same name."""

    name = "postgres"
    secrets: Sequence[str] = (TOKEN, PASSWORD)
    extents: Mapping[str, Extent] = {
        "spawn": Extent(31, 131, 5.0),
        "change": Extent(21, 87, 4.5),
        "teardown": Extent(29, 101, 4.5),
    }

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        super().__init__(folder, stack)
        self.cluster = Cluster(room=ROOM)
        stack.callback(self.cluster.close)
        self.cluster.start()
        self.door = Gate(("127.0.0.1", self.cluster.port))
        stack.callback(self.door.shut)

    @contextmanager
    def prepared(self, case: Case, folder: Path) -> Iterator[Place]:
        with super().prepared(case, folder) as place:
            self.cluster.query(NOTHING if case.command == "spawn" else PUT)
            place.doors, place.database = {"backend": self.door}, self.cluster
            try:
                yield place
            finally:
                self.door.open()

    @contextmanager
    def _new(self) -> Iterator[Place]:
        with super()._new() as place:
            place.recipe.write_text(BACKEND + place.recipe.read_text())
            port, behind = str(self.cluster.port), str(self.door.port)
            url = self.cluster.url.replace(f":{port}/", f":{behind}/")
            told = place.cli("vault.set", "environment.PG_CONN_STR", input=url)
            assert told.code == 0, told
            yield place

    @contextmanager
    def _up(self) -> Iterator[Place]:
        self.cluster.query(NOTHING)
        with super()._up() as place:
            self.cluster.query(KEEP)
            yield place

    def state(self, place: Place) -> dict[str, str]:
        """In the backend, and what that did not take."""
        there = self.cluster.query("select to_regclass('demo.states')")
        content = (
            self.cluster.query("select data from demo.states where name = 'default'")
            if there
            else ""
        )
        untaken = place.instance / "terraform.tfstate.errored.sops"
        return states.made(content.encode()) | sealed_state(place, untaken)
