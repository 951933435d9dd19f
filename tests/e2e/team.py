"""Two who share the state of one hub: a recipe with a backend of its own, and two clones of it."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
from postgres import Postgres

from barehub.patience import Patience

from . import slow_cloud
from .conftest import Cli, Result

SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
HELD = "test -e ${path.root}/quick || until test -e ${path.root}/go; do sleep 0.1; done"
PG = """
terraform {
  backend "pg" { schema_name = "demo" }
}
"""

AnyCli = TypeVar("AnyCli", bound=Cli)


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL of the test's own."""
    started = Postgres()
    started.start()
    yield started
    started.close()


def make(cli: Cli, token: str, environment: Mapping[str, str], slow: str = HELD) -> None:
    """An instance whose vault has ``token`` and a backend's credentials; what it makes is quick."""
    slow_cloud.make(cli.instance("demo"), slow)
    (cli.instance("demo") / "quick").touch()
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=token).code == 0
    for name, value in environment.items():
        assert cli("vault.set", f"environment.{name}", input=value).code == 0


def share(cli: Cli, block: str = PG) -> None:
    """Give the recipe a backend."""
    recipe = cli.instance("demo") / "main.tf"
    recipe.write_text(block + recipe.read_text())


def unshare(cli: Cli, block: str = PG) -> None:
    recipe = cli.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text().replace(block, ""))


def second(first: AnyCli, folder: Path) -> AnyCli:
    """The same on another machine: a clone, and memory, of its own."""
    root, memory = folder / "bob", folder / "bob-memory"
    shutil.copytree(first.root, root)
    memory.mkdir(mode=0o700)
    return dataclasses.replace(first, root=root, env={**first.env, "XDG_RUNTIME_DIR": str(memory)})


def spawned(cli: Cli, *args: str) -> Result:
    """A spawn that made all: nothing listens at this recipe's endpoint."""
    result = cli(*SPAWN, *args)
    assert result.code == 8, result
    return result


def at_work(cli: Cli, *args: str) -> subprocess.Popen[str]:
    """A spawn whose machine is being made until :func:`go_on`, and whose address is known."""
    (cli.instance("demo") / "quick").unlink()
    run = cli.start(*SPAWN, *args)
    journal = cli.instance("demo") / "journal.jsonl"
    patience = Patience(200)
    while not (log(cli) and "resource-done" in journal.read_text()):
        assert run.poll() is None, run.communicate()
        assert not patience.over()
        time.sleep(0.02)
    return run


def go_on(cli: Cli) -> None:
    (cli.instance("demo") / "go").touch()


def log(cli: Cli) -> list[str]:
    """What was made from this clone, in that order."""
    path = cli.instance("demo") / "log"
    return path.read_text().split() if path.exists() else []
