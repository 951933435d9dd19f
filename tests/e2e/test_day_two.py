"""A hub that people use: how it stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

from barehub.lock import Holder, Lock
from tests.canary import holding

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
