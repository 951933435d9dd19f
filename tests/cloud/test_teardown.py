"""A teardown with real providers, real OpenStack services and a real zone, that meets trouble.

Cloudflare's provider is a stand-in where the real one cannot be had (tests/cloud/standins).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from barehub.cloud import inventory
from barehub.cloud.openstack import Cloud
from barehub.journal import Journal
from tests.command_line import Cli

from .dns.cloudflare import ZONE_ID, Cloudflare
from .made import record
from .openstack.gate import Gate
from .openstack.layout import PUBLIC_NETWORK
from .openstack.project import Project
from .providers import Providers
from .test_leftovers import open_vault

pytestmark = pytest.mark.timeout(400)

RECIPE = """
module "provider" {
  source       = "./openstack"
  project_name = "edemo"
}

module "dns" {
  source    = "./cloudflare"
  domain    = "edemo.example.org"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "./binderhub"
  domain = module.dns.domain
}
"""

MODULES = {
    "openstack": f"""
terraform {{
  required_providers {{
    openstack = {{ source = "terraform-provider-openstack/openstack" }}
  }}
}}
variable "project_name" {{}}
data "openstack_networking_network_v2" "lab" {{ name = "lab-network" }}
resource "openstack_networking_network_v2" "net" {{
  name = "${{var.project_name}}-network"
  timeouts {{
    delete = "3s"
  }}
}}
resource "openstack_networking_subnet_v2" "net" {{
  name       = "${{var.project_name}}-subnet"
  network_id = openstack_networking_network_v2.net.id
  cidr       = "10.9.0.0/24"
  timeouts {{
    delete = "3s"
  }}
}}
resource "openstack_blockstorage_volume_v3" "master" {{
  name = "master-volume"
  size = 1
}}
resource "openstack_networking_floatingip_v2" "master" {{
  pool = "{PUBLIC_NETWORK}"
}}
output "public_ip" {{ value = openstack_networking_floatingip_v2.master.address }}
""",
    "cloudflare": f"""
terraform {{
  required_providers {{
    cloudflare = {{ source = "cloudflare/cloudflare", version = "~> 4.40" }}
  }}
}}
variable "domain" {{}}
variable "public_ip" {{}}
resource "cloudflare_record" "hub" {{
  zone_id = "{ZONE_ID}"
  name    = var.domain
  type    = "A"
  content = var.public_ip
}}
output "domain" {{ value = var.domain }}
""",
    "binderhub": 'variable "domain" {}\nresource "terraform_data" "hub" {}\n',
}


def write_recipe(folder: Path, project: Project) -> None:
    """A recipe, and the network that was there before and that it only reads."""
    project.may_leave = True
    Cloud(project.env).connection.network.create_network(name="lab-network")
    for name, text in MODULES.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "main.tf").write_text(text)
    (folder / "main.tf").write_text(RECIPE)


def what_is_there(project: Project) -> list[str]:
    found, unseen = inventory.things(Cloud(project.env), lambda now: None)
    assert unseen == []
    return [str(thing) for thing in found]


def removed(journal: Journal) -> list[str]:
    """What terraform has removed, in that order, by its type and name."""
    return [
        ".".join(event["address"].split(".")[-2:])
        for event in journal.events()
        if event["event"] == "resource-done" and event["action"] == "delete"
    ]


def test_what_one_failure_leaves_is_told_and_what_nobody_knew_of_too(
    providers: Providers,
    cli: Cli,
    project: Project,
    cloudflare: Cloudflare,
) -> None:
    providers.need("cloudflare/cloudflare")
    open_vault(cli, {**project.env, **cloudflare.env})
    folder = cli.instance("edemo")
    write_recipe(folder, project)
    journal = Journal(folder / "journal.jsonl")
    spawned = cli("spawn", "--name", "edemo", "--timeout", "1", timeout=200)
    assert spawned.code in (6, 8), spawned  # all is made, but no hub answers there
    (address,) = cloudflare.dns.ask("edemo.example.org")
    api: Any = Cloud(project.env).connection
    network = api.network.find_network("edemo-network", ignore_missing=False)
    intruder = api.network.create_port(network_id=network.id, name="whose-port")
    scratch = api.block_storage.create_volume(name="edemo-scratch", size=1)

    # neutron refuses the network (409): that comes first, and what is left besides is told
    failed = cli("teardown", "--name", "edemo", "--yes", timeout=200)
    assert failed.code == 5, failed
    told = failed.err[failed.err.index("error: ") :]
    assert told.startswith("error: stage provider: "), failed
    still = f"hint: network edemo-network is still there: openstack network delete {network.id}"
    assert still in told, failed
    assert f"openstack volume delete {scratch.id}" in told
    assert cloudflare.dns.ask("edemo.example.org") == []

    # the name went before the address that it pointed to was given back
    order = removed(journal)
    assert order.index("cloudflare_record.hub") < order.index(
        "openstack_networking_floatingip_v2.master"
    )
    assert address not in [ip.floating_ip_address for ip in api.network.ips()]

    # terraform then knows of nothing more, but the cloud does
    api.network.delete_port(intruder)
    unproved = cli("teardown", "--name", "edemo", "--yes", timeout=200)
    assert unproved.code == 7, unproved
    assert "error: edemo: volume edemo-scratch is still there\n" in unproved.err, unproved
    assert "hint: invoke leftovers --name edemo --delete" in unproved.err
    assert f"hint: openstack volume delete {scratch.id}" in unproved.err
    assert journal.last("gone") is None
    assert cli("leftovers", "--name", "edemo", "--delete", "--yes").code == 0
    proved = cli("teardown", "--name", "edemo", "--yes")
    assert proved.code == 0, proved
    assert "nothing in OpenStack, nothing in Cloudflare" in proved.err, proved
    assert what_is_there(project) == ["network lab-network"]


def test_what_a_living_instance_has_beside_its_state_outlives_it_and_is_told(
    providers: Providers,
    cli: Cli,
    project: Project,
    cloudflare: Cloudflare,
) -> None:
    """Whoever gets the address next would be reached by that name."""
    providers.need("cloudflare/cloudflare")
    open_vault(cli, {**project.env, **cloudflare.env})
    write_recipe(cli.instance("edemo"), project)
    cli("spawn", "--name", "edemo", "--timeout", "1", timeout=200)
    (address,) = cloudflare.dns.ask("edemo.example.org")

    # while it is living, what it has is no leftover, and nothing of it is removed but by a teardown
    assert cli("leftovers", "--name", "edemo").code == 0
    volume = Cloud(project.env).connection.block_storage.create_volume(name="edemo-more", size=1)
    beside = cli("leftovers", "--name", "edemo", "--json")
    assert beside.code == 7, beside
    assert [thing["id"] for thing in json.loads(beside.out)[0]["left"]] == [volume.id]
    refused = cli("leftovers", "--name", "edemo", "--delete", "--yes")
    assert refused.code == 1 and "error: edemo is living" in refused.err, refused

    record(cloudflare.env, "ewww.example.org", address)
    done = cli("teardown", "--name", "edemo", "--yes", timeout=200)
    assert done.code == 7, done
    told = f"dns record ewww.example.org {address} is still there; volume edemo-more is still there"
    assert f"error: edemo: {told}" in done.err, done
    assert cli("leftovers", "--name", "edemo", "--delete", "--yes").code == 0
    assert cloudflare.dns.ask("ewww.example.org") == []
    assert what_is_there(project) == ["network lab-network"]


def test_a_service_that_is_down_at_the_end_is_no_success(
    gates: Callable[..., dict[str, Gate]],
    providers: Providers,
    cli: Cli,
    project: Project,
    cloudflare: Cloudflare,
) -> None:
    providers.need("cloudflare/cloudflare")
    compute = gates("compute")["compute"]
    open_vault(cli, {**project.env, **cloudflare.env})
    write_recipe(cli.instance("edemo"), project)
    cli("spawn", "--name", "edemo", "--timeout", "1", timeout=200)
    compute.shut()
    done = cli("teardown", "--name", "edemo", "--yes", timeout=200)
    assert done.code == 7, done
    for what in ("servers", "key pairs"):
        place = f"the address that its catalog has for the {what}"
        said = f"OpenStack, {what}: OpenStack does not answer at {place}"
        assert f"could not be looked at: {said}" in done.err, done
    assert project.password not in done.out + done.err
    compute.open()
    assert cli("teardown", "--name", "edemo", "--yes").code == 0
    assert what_is_there(project) == ["network lab-network"]
