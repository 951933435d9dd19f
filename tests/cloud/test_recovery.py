"""What a cloud did and nobody heard of: found there by the next run, and never made twice."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from barehub.cloud.openstack import Cloud
from tests.command_line import Cli

from .openstack.gate import Gate
from .openstack.project import Project
from .providers import Providers
from .test_leftovers import open_vault

SPAWN = ("spawn", "--name", "found", "--timeout", "1")
NET = "module.provider.openstack_networking_network_v2.net"
SCRATCH = "module.provider.openstack_networking_network_v2.scratch[1]"

RECIPE = """
module "provider" {
  source       = "./network"
  project_name = "found"
}
module "dns" { source = "./nothing" }
module "binderhub" { source = "./nothing" }
"""

NETWORK = """
terraform {
  required_providers {
    openstack = { source = "terraform-provider-openstack/openstack" }
  }
}
variable "project_name" {}
resource "openstack_networking_network_v2" "net" { name = "${var.project_name}-network" }
resource "openstack_networking_network_v2" "scratch" {
  count      = 2
  name       = "${var.project_name}-scratch-${count.index}"
  depends_on = [openstack_networking_network_v2.net]
}
"""

NOTHING = (
    'resource "terraform_data" "it" {}\noutput "endpoint" { value = "https://found.example.org" }\n'
)


@pytest.fixture
def doors(gates: Callable[..., dict[str, Gate]]) -> dict[str, Gate]:
    return gates("network")


@pytest.fixture
def ready(doors: dict[str, Gate], providers: Providers, cli: Cli, project: Project) -> Cli:
    open_vault(cli, project.env)
    folder = cli.instance("found")
    for name, text in {"network": NETWORK, "nothing": NOTHING}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "main.tf").write_text(text)
    (folder / "main.tf").write_text(RECIPE)
    return cli


def _networks(project: Project) -> dict[str, list[str]]:
    """The ids of the project's own networks, by name."""
    found: dict[str, list[str]] = {}
    api: Any = Cloud(project.env).connection
    for network in api.network.networks(project_id=api.current_project_id):
        found.setdefault(network.name, []).append(network.id)
    return found


def _lose(ready: Cli, doors: dict[str, Gate], project: Project) -> str:
    """A spawn whose first network is made, and whose answer is lost; the id of that."""
    doors["network"].shut_at("POST /v2.0/networks", done=True)
    failed = ready(*SPAWN, timeout=200)
    assert failed.code == 5, failed
    doors["network"].open()
    (lost,) = _networks(project)["found-network"]
    return lost


FLOATING = """
resource "openstack_networking_floatingip_v2" "hub" { pool = "Public-Network" }
"""

RULE = """
resource "openstack_networking_secgroup_v2" "hub" { name = "${var.project_name}-secgroup" }
resource "openstack_networking_secgroup_rule_v2" "ssh" {
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = 22
  port_range_max    = 22
  security_group_id = openstack_networking_secgroup_v2.hub.id
}
"""


def _with(cli: Cli, more: str) -> None:
    module = cli.instance("found") / "network" / "main.tf"
    module.write_text(module.read_text() + more)


def test_an_address_without_a_name_is_made_once(
    ready: Cli, doors: dict[str, Gate], project: Project
) -> None:
    _with(ready, FLOATING)
    doors["network"].shut_at("POST /v2.0/floatingips", done=True)
    assert ready(*SPAWN, timeout=200).code == 5
    doors["network"].open()
    (lost,) = project.things()["floating address"]
    address = "module.provider.openstack_networking_floatingip_v2.hub"
    stopped = ready(*SPAWN, "--recover", timeout=200)
    assert stopped.code == 7, stopped
    assert f"creation of {address} was interrupted" in stopped.err
    take_in = f"invoke terraform --name found -- import '{address}' {lost['id']}"
    assert f"hint: {take_in}   if it is the floating ip" in stopped.err
    assert ready("terraform", "--name", "found", "--", "import", address, lost["id"]).code == 0
    back = ready(*SPAWN, "--recover", timeout=200)
    assert back.code == 8, back
    assert [it["id"] for it in project.things()["floating address"]] == [lost["id"]]
    _end(ready, project)
    assert project.names() == {}


def test_a_rule_that_is_there_already_is_told_with_the_way_on(
    ready: Cli, doors: dict[str, Gate], project: Project
) -> None:
    _with(ready, RULE)
    doors["network"].shut_at("POST /v2.0/security-group-rules", done=True)
    assert ready(*SPAWN, timeout=200).code == 5
    doors["network"].open()
    address = "module.provider.openstack_networking_secgroup_rule_v2.ssh"
    refused = ready(*SPAWN, "--recover", timeout=200)
    assert refused.code == 5, refused
    (id,) = re.findall(
        rf"hint: invoke terraform --name found -- import '{address}' (\S+) ", refused.err
    )
    assert ready("terraform", "--name", "found", "--", "import", address, id).code == 0
    back = ready(*SPAWN, "--recover", timeout=200)
    assert back.code == 8, back
    _end(ready, project)


def test_what_a_stage_was_about_to_make_is_looked_for_in_a_cloud_that_nothing_else_tells_of(
    ready: Cli, project: Project
) -> None:
    """The power went before barehub had read a word of what Terraform had made."""
    api: Any = Cloud(project.env).connection
    made = api.network.create_network(name="found-network").id
    event = {"at": time.time(), "event": "stage", "stage": "provider", "creates": [NET]}
    (ready.instance("found") / "journal.jsonl").write_text(json.dumps(event) + "\n")
    back = ready(*SPAWN, "--recover", timeout=200)
    assert back.code == 8, back
    assert f"is there: network found-network ({made})" in back.err
    assert len(_networks(project)["found-network"]) == 1
    _end(ready, project)


def test_what_may_be_there_can_be_imported_when_the_state_is_lost_too(
    ready: Cli, project: Project
) -> None:
    """The power went between the first thing that was made and the first seal."""
    api: Any = Cloud(project.env).connection
    net, *twins = (
        api.network.create_network(name=f"found-{name}").id
        for name in ("network", "scratch-1", "scratch-1")
    )
    event = {"at": time.time(), "event": "resource-done", "address": NET, "action": "create"}
    (ready.instance("found") / "journal.jsonl").write_text(json.dumps({**event, "id": net}) + "\n")
    _begin(ready, SCRATCH)
    stopped = ready(*SPAWN, "--recover", timeout=200)
    assert stopped.code == 7, stopped
    take_in = ("terraform", "--name", "found", "--recover", "--", "import", SCRATCH, twins[0])
    assert f"hint: invoke {' '.join(take_in[:6])} '{SCRATCH}' {twins[0]} " in stopped.err
    taken = ready(*take_in, timeout=200)
    assert taken.code == 0, taken
    api.network.delete_network(twins[1])
    back = ready(*SPAWN, "--recover", timeout=200)
    assert back.code == 8, back
    assert _networks(project)["found-network"] == [net]
    assert _networks(project)["found-scratch-1"] == [twins[0]]
    _end(ready, project)


def _end(cli: Cli, project: Project) -> None:
    gone = cli("teardown", "--name", "found", "--yes", timeout=200)
    assert gone.code == 0, gone
    assert _networks(project) == {}


def test_what_was_made_and_never_heard_of_is_found_and_made_once(
    ready: Cli, doors: dict[str, Gate], project: Project
) -> None:
    lost = _lose(ready, doors, project)
    asked = ready(*SPAWN, timeout=200)
    assert asked.code == 1, asked
    assert f"{NET} was begun, and is there: network found-network ({lost})" in asked.err
    assert "hint: invoke spawn --name found --recover" in asked.err
    back = ready(*SPAWN, "--recover", timeout=200)
    assert back.code == 8, back  # nothing answers at this recipe's endpoint
    names = _networks(project)
    assert {name: len(ids) for name, ids in names.items()} == {
        "found-network": 1,
        "found-scratch-0": 1,
        "found-scratch-1": 1,
    }
    assert names["found-network"] != [lost]  # nobody knew how far that one had come
    _end(ready, project)


def test_a_teardown_removes_what_was_made_and_never_heard_of(
    ready: Cli, doors: dict[str, Gate], project: Project
) -> None:
    _lose(ready, doors, project)
    _end(ready, project)


def _begin(cli: Cli, address: str) -> None:
    """As a run writes it before it begins with a resource; it was killed then."""
    with (cli.instance("found") / "journal.jsonl").open("a") as journal:
        event = {"at": time.time(), "event": "resource-start", "address": address}
        journal.write(json.dumps({**event, "action": "create"}) + "\n")


def test_what_is_not_found_after_a_kill_is_for_a_person(ready: Cli, project: Project) -> None:
    _begin(ready, NET)
    stopped = ready(*SPAWN, "--recover", timeout=200)
    assert stopped.code == 7, stopped
    assert f"creation of {NET} was interrupted" in stopped.err
    forget = (
        f"invoke forget --name found --address '{NET}'   nothing there that is found's can be it"
    )
    assert f"hint: {forget}" in stopped.err
    assert ready("forget", "--name", "found", "--address", NET).code == 0
    spawned = ready(*SPAWN, timeout=200)
    assert spawned.code == 8, spawned
    _end(ready, project)


def test_two_that_it_may_be_are_for_a_person(ready: Cli, project: Project) -> None:
    api: Any = Cloud(project.env).connection
    twins = [api.network.create_network(name="found-scratch-1").id for _ in range(2)]
    _begin(ready, SCRATCH)
    stopped = ready(*SPAWN, "--recover", timeout=200)
    assert stopped.code == 7, stopped
    for id in twins:
        line = f"invoke terraform --name found -- import '{SCRATCH}' {id}   if it is the network"
        assert f"hint: {line}" in stopped.err
    api.network.delete_network(twins[0])
    # now there is no doubt
    back = ready(*SPAWN, "--recover", timeout=200)
    assert back.code == 8, back
    assert {name: len(ids) for name, ids in _networks(project).items()} == {
        "found-network": 1,
        "found-scratch-0": 1,
        "found-scratch-1": 1,
    }
    _end(ready, project)
