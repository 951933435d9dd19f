"""The runs with a fault: each its case and its world; marked ``cloud``, because they take minutes.

./scripts/test --cloud tests/faults --faults 40 --fault-seed 7
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .draw import Case, draw
from .local import Local
from .openstack import OpenStack
from .postgres import Postgres
from .report import PROPERTY, Report
from .world import World

WORLDS: dict[str, Callable[[Path, ExitStack], World]] = {
    "local": Local,
    "openstack": OpenStack,
    "postgres": Postgres,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("cloud")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        option = metafunc.config.option
        runs = option.faults if option.cloud else 1  # one says that it needs --cloud
        cases = [draw(option.fault_seed, number) for number in range(runs)]
        metafunc.parametrize("case", cases, ids=[case.name for case in cases])


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], World]]:
    """The worlds of this worker, made when they are first asked for."""
    made: dict[str, World] = {}
    with ExitStack() as stack:

        def world(name: str) -> World:
            if name not in made:
                made[name] = WORLDS[name](tmp_path_factory.mktemp(name), stack)
            return made[name]

        yield world


@pytest.fixture
def world(case: Case, worlds: Callable[[str], World]) -> World:
    return worlds(case.world)


@pytest.fixture
def report(case: Case, request: pytest.FixtureRequest) -> Report:
    made: Report = {"case": dataclasses.asdict(case), "hit": False, "outcome": "", "commands": []}
    request.node.user_properties.append((PROPERTY, made))
    return made
