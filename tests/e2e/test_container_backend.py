"""A command in a container, of a hub whose state is in a real PostgreSQL."""

from __future__ import annotations

import json

import pytest
from postgres import PASSWORD, Postgres

from barehub.container import NETWORK
from tests.canary import holding

from .boxed import boxed
from .conftest import Cli
from .team import SPAWN, at_work, go_on, log, make, server, share

__all__ = ["boxed", "server"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

TOKEN = "CANARY-container-backend"


@pytest.fixture
def shared(boxed: Cli, server: Postgres) -> Cli:
    make(boxed, TOKEN, {"PG_CONN_STR": server.url})
    share(boxed)
    boxed.env[NETWORK] = "host"  # the server is on loopback
    return boxed


def test_inside_and_outside_have_one_state_and_one_lock(shared: Cli, server: Postgres) -> None:
    folder = shared.instance("demo")
    run = at_work(shared, "--container")
    held = json.loads(server.query("select data from demo.states where name = 'barehub-lock'"))
    holder = json.loads(held["outputs"]["holder"]["value"])
    assert holder["host"].startswith("barehub-") and holder["command"] == "spawn"
    told = shared(*SPAWN)
    assert told.code == 1 and f"@{holder['host']}" in told.err, told
    go_on(shared)
    _, said = run.communicate(timeout=200)
    assert run.returncode == 8, said
    assert log(shared) == ["provider", "dns", "binderhub"]
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
    run = at_work(shared, "--container")
    server.kill()
    go_on(shared)
    _, said = run.communicate(timeout=200)
    server.start()
    assert run.returncode == 5 and "the backend did not take the newest state" in said, said
    assert not (folder / "errored.tfstate").is_symlink()
    again = shared(*SPAWN)
    assert again.code == 8 and "the pg backend took what it had not taken" in again.err, again
    assert log(shared) == ["provider", "dns", "binderhub"]
