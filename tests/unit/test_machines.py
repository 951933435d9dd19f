"""Where `ssh` goes, out of a journal that others write as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from barehub import machines
from barehub.errors import BarehubError, RecipeError, UsageError
from barehub.project import Instance

MASTER = {"address": "203.0.113.7", "user": "ubuntu", "port": 2222}
NODES = [{"name": "demo-a", "ip": "10.0.0.5"}, {"name": "demo-b", "ip": "10.0.0.6"}]


def _instance(folder: Path, **facts: Any) -> Instance:
    instance = Instance("demo", folder)
    instance.sealed_state.touch()
    if facts:
        instance.journal.add("machines", **facts)
    return instance


def test_a_node_is_behind_the_master(tmp_path: Path) -> None:
    instance = _instance(tmp_path, **MASTER, nodes=NODES)
    master, node = machines.choose(instance, ""), machines.choose(instance, "2")
    assert (master.host, master.user) == ("[203.0.113.7]:2222", "ubuntu")
    assert (node.name, node.address, node.port) == ("demo-b", "10.0.0.6", 2222)
    assert [one.name for one in node.way] == ["demo-master", "demo-b"]
    assert machines.choose(instance, "demo-a").address == "10.0.0.5"
    for wrong in ("0", "3", "demo-c"):
        with pytest.raises(UsageError, match="has no node"):
            machines.choose(instance, wrong)


@pytest.mark.parametrize(
    "hostile",
    [
        {"user": "-oProxyCommand=reboot"},
        {"user": "a;reboot"},
        {"address": "-oProxyCommand=reboot"},
        {"address": "$(reboot)"},
        {"port": "22 -o x"},
        {"nodes": [{"name": "x", "ip": "`reboot`"}]},
    ],
)
def test_what_is_no_account_never_reaches_ssh(tmp_path: Path, hostile: dict[str, Any]) -> None:
    instance = _instance(tmp_path, **{**MASTER, **hostile})
    with pytest.raises(RecipeError, match="no account on a machine"):
        machines.of(instance)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({}, "no machine that barehub knows of"),
        ({"address": "127.0.0.1", "user": "local", "nodes": []}, "runs on this machine"),
        ({"address": "203.0.113.7"}, "has told no admin_user"),
    ],
)
def test_there_may_be_nothing_to_log_in_to(
    tmp_path: Path, facts: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BarehubError, match=problem) as failed:
        machines.of(_instance(tmp_path, **facts))
    assert failed.value.hints
