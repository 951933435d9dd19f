"""A hub that people use: how it stands, another version, more machines, and the way back."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from barehub.lock import Holder, Lock
from tests.canary import holding

from .conftest import Cli
from .working_hub import CANARY, Hub, hub

__all__ = ["hub"]

MASTER = "module.provider.terraform_data.master"


def _status(hub: Hub) -> dict[str, object]:
    said = hub("status", "--json")
    assert said.code == 0, said
    document: dict[str, object] = json.loads(said.out)
    return document


def test_status_tells_how_a_hub_stands(hub: Hub) -> None:
    new = hub("status")
    assert (new.code, new.out.splitlines()[0]) == (0, "demo: new"), new
    endpoint = hub.spawn()
    me = Holder.me("spawn").person
    told = _status(hub)
    assert told["state"] == "up"
    assert told["endpoint"] == {"url": endpoint, "verdict": "pass", "failures": []}
    assert told["spawned_by"] == me
    assert told["drift"] == {"problem": None, "outputs_change": False, "changes": []}
    assert round(told["certificate"]["days_left"]) == 89  # type: ignore[index]
    stages = {s["stage"]: (s["state"], len(s["resources"])) for s in told["stages"]}  # type: ignore[attr-defined]
    assert stages == {"provider": ("done", 3), "dns": ("done", 1), "binderhub": ("done", 1)}
    roles = {loss["address"]: loss["role"] for loss in told["losses"]}  # type: ignore[attr-defined]
    assert roles[MASTER] == "master"
    assert roles["module.provider.terraform_data.ip"] == "address"

    (hub.folder / "seen").write_text("changed by hand")
    (hub.folder / "log").write_text("sick\n")
    read = hub("status")
    assert read.code == 0, read
    assert read.out.startswith("demo: down\n"), read
    assert f"{endpoint}  not-ready" in read.out
    assert "none but in outputs" in read.out and f"by {me}" in read.out
    assert f"{MASTER}: the machine and its disk" in read.out
    assert CANARY not in str(read) + json.dumps(told)
    assert holding(CANARY, hub.folder, Path(os.environ["XDG_RUNTIME_DIR"])) == []


def test_status_shows_what_is_tainted_and_what_was_never_finished(hub: Hub) -> None:
    hub.spawn()
    node = "module.provider.terraform_data.node[0]"
    assert hub("terraform", "--", "taint", node).code == 0
    begun = {"event": "resource-start", "address": f"{MASTER}2", "action": "create"}
    with (hub.folder / "journal.jsonl").open("a") as journal:  # as a killed run leaves it
        journal.write(json.dumps({"at": time.time(), **begun}) + "\n")
    told = _status(hub)
    assert (told["tainted"], told["begun"]) == ([node], [f"{MASTER}2"])
    read = hub("status").out
    assert f"  tainted     {node}: the next spawn makes it again\n" in read
    assert f"  unfinished  {MASTER}2: it was being made when a run was killed\n" in read


def test_status_says_what_it_could_not_look_at(hub: Hub) -> None:
    hub.spawn()
    lock = Lock(hub.folder / ".lock")
    assert lock.acquire(Holder.me("spawn")) is None
    busy = _status(hub)
    lock.release(remove=True)
    assert busy["state"] == "busy"
    assert "in use by 'spawn'" in busy["drift"]["problem"]  # type: ignore[index]
    assert busy["endpoint"]["verdict"] == "pass"  # type: ignore[index]
    stages = {s["stage"]: len(s["resources"]) for s in busy["stages"]}  # type: ignore[attr-defined]
    assert stages == {"provider": 3, "dns": 1, "binderhub": 1}  # the journal's account

    keys = Path(os.environ["HOME"]) / ".config" / "sops" / "age" / "keys.txt"
    keys.rename(keys.with_name("elsewhere"))
    locked = _status(hub)
    assert "identity" in locked["drift"]["problem"]  # type: ignore[index]
    assert locked["endpoint"]["verdict"] == "pass"  # type: ignore[index]


def test_upgrade_changes_one_line_and_verifies(hub: Hub) -> None:
    refused = hub("upgrade", "--binder-version", "2.0")
    assert refused.code == 1 and "demo is not up" in refused.err, refused
    endpoint = hub.spawn()
    before = hub.recipe.read_text()
    asked = hub("upgrade", "--binder-version", "2.0")
    assert asked.code == 1, asked
    assert "invoke upgrade --name demo --binder-version 2.0 --yes" in asked.err
    assert 'says binder_version = "1.0" again, and nothing else was changed' in asked.err
    assert (hub.recipe.read_text(), hub.versions) == (before, ["1.0"])

    done = hub("upgrade", "--binder-version", "2.0", "--yes", "--timeout", "20")
    assert (done.code, done.out.strip()) == (0, endpoint), done
    assert hub.recipe.read_text() == before.replace('"1.0"', '"2.0"')
    assert hub.versions == ["1.0", "2.0"]
    assert 'binder_version = "2.0", which was "1.0"' in hub("history").out
    again = hub("upgrade", "--binder-version", "2.0")
    assert (again.code, again.out.strip()) == (0, endpoint), again
    assert "has this binder_version already" in again.err and "nothing to change" in again.err


@pytest.mark.parametrize(("version", "code"), [("bad", 5), ("sick", 6)])
def test_a_failed_upgrade_goes_back(hub: Hub, version: str, code: int) -> None:
    hub.spawn()
    before = hub.recipe.read_bytes()
    failed = hub("upgrade", "--binder-version", version, "--yes", "--timeout", "5")
    assert failed.code in (code, 8), failed
    assert "the hub is back at it, and verified" in failed.err, failed
    assert failed.out == ""
    assert hub.recipe.read_bytes() == before
    assert hub.versions[-1] == "1.0"
    assert _status(hub)["state"] == "up"
    assert "nothing to change" in hub("plan").out


def test_a_way_back_that_fails_is_told(hub: Hub) -> None:
    hub.spawn()
    before = hub.recipe.read_bytes()
    hub.edit("!= bad ||", "!= bad && test ! -e ${path.root}/log ||", "modules/binderhub/main.tf")
    failed = hub("upgrade", "--binder-version", "2.0", "--yes", "--timeout", "5")
    assert failed.code == 5, failed
    assert "but the way back failed, too" in failed.err
    assert "hint: invoke spawn --name demo" in failed.err
    assert hub.recipe.read_bytes() == before
    assert _status(hub)["state"] == "unfinished"


def test_an_interrupted_upgrade_puts_the_line_back(hub: Hub) -> None:
    hub.spawn()
    before = hub.recipe.read_bytes()
    args = ("upgrade", "--name", "demo", "--binder-version", "slow", "--yes")
    going = hub.cli.start(*args)
    deadline = time.monotonic() + 60
    while not (hub.folder / "going").exists():
        assert time.monotonic() < deadline and going.poll() is None, going.communicate()
        time.sleep(0.05)
    going.send_signal(signal.SIGINT)
    _, err = going.communicate(timeout=60)
    assert going.returncode == 130, err
    assert "somewhere in between: invoke spawn --name demo" in err
    assert hub.recipe.read_bytes() == before
    hub("spawn", "--yes", "--timeout", "20")
    assert hub.versions[-1] == "1.0" and _status(hub)["state"] == "up"


def test_a_module_that_knows_no_upgrade_is_not_believed(hub: Hub) -> None:
    hub.edit("[var.binder_version]", "[]", "modules/binderhub/main.tf")
    hub.spawn()
    failed = hub("upgrade", "--binder-version", "2.0", "--yes")
    assert failed.code == 2, failed
    assert 'module "binderhub" of demo makes nothing of another binder_version' in failed.err
    assert '"1.0"' in hub.recipe.read_text()


def test_scale_adds_and_takes_away(hub: Hub) -> None:
    endpoint = hub.spawn()
    more = hub("scale", "--nodes", "3", "--timeout", "20")  # nothing is lost: nothing is asked
    assert (more.code, more.out.strip()) == (0, endpoint), more
    assert "nb_nodes = 3 # beside the master" in hub.recipe.read_text()
    fewer = hub("scale", "--nodes", "1")
    assert fewer.code == 1 and "loses 2 resources" in fewer.err, fewer
    assert "nb_nodes = 3" in hub.recipe.read_text()
    assert hub("scale", "--nodes", "1", "--yes", "--timeout", "20").code == 0

    (hub.folder / "no-machines").touch()
    failed = hub("scale", "--nodes", "4", "--timeout", "20")
    assert failed.code == 5, failed
    assert "the hub is back at it, and verified" in failed.err
    assert "nb_nodes = 1" in hub.recipe.read_text()
    told = _status(hub)
    assert told["last"]["end"] == "failed" and told["last"]["problem"] in failed.err  # type: ignore[index]
    stages = told["stages"]
    assert len(stages[0]["resources"]) == 3  # type: ignore[index]


def test_the_guard_stops_a_scale_that_would_cost_the_master(hub: Hub) -> None:
    (hub.folder / "stern").touch()
    hub.spawn()
    before = hub.recipe.read_bytes()
    refused = hub("scale", "--nodes", "2", "--yes")
    assert refused.code == 1, refused
    assert f"would replace {MASTER} (triggers_replace: nb_nodes)" in refused.err
    assert f"invoke scale --name demo --nodes 2 --allow-replace {MASTER}" in refused.err
    assert "and nothing else was changed" in refused.err
    assert hub.recipe.read_bytes() == before


def test_what_is_no_plain_line_is_left_to_its_owner(hub: Hub) -> None:
    hub.edit("nb_nodes = 1 #", "nb_nodes = local.nodes #")
    with hub.recipe.open("a") as file:
        file.write("locals { nodes = 1 }\n")
    hub.spawn()
    failed = hub("scale", "--nodes", "2")
    assert failed.code == 2 and "is local.nodes: that is no plain value" in failed.err, failed
    hub.edit("nb_nodes = local.nodes # beside the master", "")
    failed = hub("scale", "--nodes", "2")
    assert failed.code == 2 and "leaves out nb_nodes of module" in failed.err, failed
    assert "hint: if the module takes it: nb_nodes = 2, then: invoke spawn" in failed.err


def test_a_value_that_means_nothing_is_refused_before_anything_is_written(hub: Hub) -> None:
    before = hub.recipe.read_bytes()
    for value in ("", "a b", "${x}", "<vault>", 'a"b'):
        refused = hub("upgrade", "--binder-version", value)
        assert refused.code == 1 and "error: --binder-version" in refused.err, refused
    for value in ("", "two", "-1", "1.5", "99999999999999999999"):
        refused = hub("scale", "--nodes", value)
        assert refused.code == 1 and "error: --nodes" in refused.err, refused
    assert hub("upgrade").code == 1 and hub("scale").code == 1
    assert hub.recipe.read_bytes() == before


@pytest.mark.timeout(400)
def test_a_real_hub_is_upgraded_and_goes_back(cli: Cli) -> None:
    """A process: to a version that no index has, then to another name of the one it has."""
    spawned = cli("spawn", "--name", "demo", "--recipe", "local", timeout=200)
    assert spawned.code == 0, spawned
    recipe = cli.instance("demo") / "main.tf"
    before = recipe.read_bytes()
    upgrade = ("upgrade", "--name", "demo", "--yes", "--timeout", "60", "--binder-version")
    failed = cli(*upgrade, "0.1.99", timeout=200)
    assert failed.code == 5, failed
    assert "the hub is back at it, and verified" in failed.err
    assert recipe.read_bytes() == before
    assert cli("verify", "--name", "demo").code == 0

    done = cli(*upgrade, "0.1", timeout=200)
    assert (done.code, done.out) == (0, spawned.out), done
    assert recipe.read_bytes() == before.replace(b'"0.1.0"', b'"0.1"')
    told = json.loads(cli("status", "--name", "demo", "--json").out)
    assert (told["state"], told["endpoint"]["verdict"]) == ("up", "pass")
    assert told["last"]["event"] == "upgrade" and told["drift"]["changes"] == []
    assert told["certificate"]["days_left"] > 0
    assert cli("ssh", "--name", "demo").code == 1
    log = cli("logs", "--name", "demo", "--lines", "3")
    assert log.code == 0 and len(log.out.splitlines()) == 3, log
    assert cli("teardown", "--name", "demo", "--yes").code == 0
