"""The verbs of day two on a recipe with a backend of its own: a real PostgreSQL has the state."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PASSWORD, Postgres

from barehub.lock import Lock
from tests.canary import holding
from tests.processes import kill

from .team import server, share
from .working_hub import CANARY, Hub, hub

__all__ = ["hub", "server"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(300)]  # minutes, together

MASTER = "module.provider.terraform_data.master"
NODE = "module.provider.terraform_data.node"


@pytest.fixture
def up(hub: Hub, server: Postgres) -> Iterator[Hub]:
    share(hub.cli)
    assert hub.cli("vault.set", "environment.PG_CONN_STR", input=server.url).code == 0
    hub.spawn()
    yield hub
    assert not (hub.folder / "terraform.tfstate.sops").exists()
    for secret in (PASSWORD, CANARY):
        assert holding(secret, hub.cli.root, Path(os.environ["XDG_RUNTIME_DIR"])) == []


def _names(server: Postgres) -> list[str]:
    """The resources in the state that PostgreSQL has."""
    state = json.loads(server.query("select data from demo.states where name = 'default'"))
    return sorted(r["name"] for r in state["resources"] for _ in r["instances"])


def test_status_and_history(up: Hub, server: Postgres) -> None:
    told = json.loads(up("status", "--json").out)
    assert told["state"] == "up" and told["endpoint"]["verdict"] == "pass"
    assert told["drift"] == {"problem": None, "outputs_change": False, "changes": []}
    stages = {s["stage"]: (s["state"], len(s["resources"])) for s in told["stages"]}
    assert stages == {"provider": ("done", 3), "dns": ("done", 1), "binderhub": ("done", 1)}
    assert MASTER in [loss["address"] for loss in told["losses"]]
    assert re.search(f"done +{MASTER}", up("history").out)
    server.kill()
    try:
        dead = up("status")
        assert dead.code == 0, dead
        assert "demo: up" in dead.out and "pass" in dead.out, dead
        assert "does not answer" in dead.out and "provider    done, 3 resources" in dead.out, dead
    finally:
        server.start()


def test_terraform_by_hand(up: Hub, server: Postgres) -> None:
    assert MASTER in up("terraform", "--", "state", "list").out
    assert MASTER in up("terraform", "--", "state", "show", MASTER).out
    shown = up("terraform", "--", "show", "-json")
    assert json.loads(shown.out)["values"]["root_module"] and CANARY not in shown.out
    assert '"as it was"' in up("terraform", "--", "output", "seen").out
    assert "No changes" in up("terraform", "--", "plan").out
    tainted = up("terraform", "--", "taint", f"{NODE}[0]")
    assert tainted.code == 0, tainted
    assert "must be replaced" in up("terraform", "--", "plan").out
    applied = up("terraform", "--", "apply", "-auto-approve")
    assert applied.code == 0 and "1 added" in applied.out, applied
    removed = up("terraform", "--", "state", "rm", f"{NODE}[0]")
    assert removed.code == 0 and _names(server) == ["hub", "ip", "master", "record"], removed
    assert any(
        "released" in line and f"{NODE}[0]" in line for line in up("history").out.split("\n")
    )
    taken = up("terraform", "--", "import", f"{NODE}[0]", "by-hand")
    assert taken.code == 0 and _names(server) == ["hub", "ip", "master", "node", "record"], taken
    assert "nothing to change" in up("plan").out


def test_upgrade_scale_and_their_way_back(up: Hub, server: Postgres) -> None:
    done = up("upgrade", "--binder-version", "2.0", "--yes", "--timeout", "20")
    assert done.code == 0 and up.versions == ["1.0", "2.0"], done
    failed = up("upgrade", "--binder-version", "bad", "--yes", "--timeout", "20")
    assert failed.code == 5 and "the hub is back at it, and verified" in failed.err, failed
    assert up.versions[-1] == "2.0" and 'binder_version = "2.0"' in up.recipe.read_text()
    more = up("scale", "--nodes", "3", "--timeout", "20")
    assert more.code == 0 and _names(server).count("node") == 3, more
    (up.folder / "no-machines").touch()
    failed = up("scale", "--nodes", "4", "--timeout", "20")
    assert failed.code == 5 and "the hub is back at it, and verified" in failed.err, failed
    assert _names(server).count("node") == 3


def test_ssh_and_logs_need_no_backend(up: Hub, server: Postgres) -> None:
    server.kill()
    try:
        assert up("ssh", "--", "echo here").out == "here\n"
        assert up("ssh", "--node", "1", "--", "echo node").out == "node\n"
        assert up("logs", "--of", "hub", "--lines", "5").out == "a line of deployment/hub\n"
    finally:
        server.start()


@pytest.mark.parametrize("value", ["1.0", "slow"])
def test_an_upgrade_that_was_killed_goes_on_or_back(up: Hub, value: str) -> None:
    before = up.recipe.read_text()
    run = up.cli.start("upgrade", "--name", "demo", "--yes", "--binder-version", "slow")
    deadline = time.monotonic() + 60
    while not (up.folder / "going").exists():
        assert time.monotonic() < deadline and run.poll() is None, run.communicate()
        time.sleep(0.05)
    kill(*(pid for pid, _ in Lock(up.folder / ".lock").keepers()))
    run.communicate(timeout=20)
    done = up("upgrade", "--binder-version", value, "--yes", "--timeout", "30")
    if done.code == 1 and "--recover" in done.err:
        done = up("spawn", "--recover", "--timeout", "30")
    assert done.code == 0, done
    assert up.recipe.read_text() == before.replace('"1.0"', f'"{value}"')
    assert up.versions[-1] == value and json.loads(up("status", "--json").out)["state"] == "up"
