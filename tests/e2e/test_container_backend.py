"""A command in a container, of a hub whose state is in a real PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from postgres import PASSWORD, Postgres

from barehub.container import NETWORK
from tests.canary import holding

from . import slow_cloud
from .boxed import boxed
from .conftest import Cli

__all__ = ["boxed"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

TOKEN = "CANARY-container-backend"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
SLOW = "test -e ${path.root}/quick || until test -e ${path.root}/go; do sleep 0.1; done"
BACKEND = 'terraform {\n  backend "pg" { schema_name = "demo" }\n}\n'


@pytest.fixture
def server() -> Iterator[Postgres]:
    started = Postgres()
    started.start()
    yield started
    started.close()


@pytest.fixture
def shared(boxed: Cli, server: Postgres) -> Cli:
    folder = boxed.instance("demo")
    slow_cloud.make(folder, SLOW)
    (folder / "main.tf").write_text(BACKEND + (folder / "main.tf").read_text())
    assert boxed("vault.init").code == 0
    assert boxed("vault.set", "variables.api_token", input=TOKEN).code == 0
    assert boxed("vault.set", "environment.PG_CONN_STR", input=server.url).code == 0
    boxed.env[NETWORK] = "host"  # the server is on loopback
    return boxed


def test_inside_and_outside_have_one_state_and_one_lock(shared: Cli, server: Postgres) -> None:
    folder = shared.instance("demo")
    run = shared.start(*SPAWN, "--container")
    deadline = time.monotonic() + 200
    while not (folder / "log").exists():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    held = json.loads(server.query("select data from demo.states where name = 'barehub-lock'"))
    holder = json.loads(held["outputs"]["holder"]["value"])
    assert holder["host"].startswith("barehub-") and holder["command"] == "spawn"
    told = shared(*SPAWN)
    assert told.code == 1 and f"@{holder['host']}" in told.err, told
    (folder / "go").touch()
    _, said = run.communicate(timeout=200)
    assert run.returncode == 8, said
    assert (folder / "log").read_text().split() == ["provider", "dns", "binderhub"]
    assert not (folder / "terraform.tfstate.sops").exists()
    outside = shared(*SPAWN)
    assert outside.code == 8 and "nothing to change" in outside.err, outside
    gone = shared("teardown", "--name", "demo", "--yes", "--container")
    assert gone.code == 0, gone
    assert json.loads(server.query("select data from demo.states"))["resources"] == []
    for secret in (PASSWORD, TOKEN):
        assert holding(secret, shared.root) == []
        assert secret not in said + gone.err


def test_a_backend_that_dies_under_a_container_loses_nothing(shared: Cli, server: Postgres) -> None:
    folder = shared.instance("demo")
    run = shared.start(*SPAWN, "--container")
    deadline = time.monotonic() + 200
    while not (folder / "log").exists():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.kill()
    (folder / "go").touch()
    _, said = run.communicate(timeout=200)
    server.start()
    assert run.returncode == 5 and "the backend did not take the newest state" in said, said
    assert not (folder / "errored.tfstate").is_symlink()
    again = shared(*SPAWN)
    assert again.code == 8 and "the pg backend took what it had not taken" in again.err, again
    assert (folder / "log").read_text().split() == ["provider", "dns", "binderhub"]
