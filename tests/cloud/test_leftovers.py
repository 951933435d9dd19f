"""Leftovers made by hand in real OpenStack services and a real DNS server, found and removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from barehub.cloud import inventory
from barehub.cloud.openstack import Cloud
from barehub.cloud.things import KINDS
from barehub.journal import Journal
from tests.canary import holding
from tests.command_line import Cli

from .dns.cloudflare import Cloudflare
from .made import hub, record
from .openstack.project import Project

pytestmark = pytest.mark.timeout(300)


def open_vault(cli: Cli, env: dict[str, str]) -> None:
    """A vault with ``env`` as the credentials of clouds."""
    assert cli("vault.init").code == 0
    lines = ["environment:", *(f"  {name}: {json.dumps(value)}" for name, value in env.items())]
    (cli.root / "secrets" / "shared.yaml").write_text("\n".join(lines) + "\n")
    assert cli("vault.encrypt", "secrets/shared.yaml").code == 0


def names(cloud: Cloud) -> list[tuple[str, str]]:
    """Kind and id of all that a project has."""
    found, unseen = inventory.things(cloud, lambda now: None)
    assert unseen == []
    return [(thing.kind, thing.id) for thing in found]


def test_what_a_hub_left_is_found_and_removed_and_nothing_else(
    cli: Cli,
    project: Project,
    cloudflare: Cloudflare,
) -> None:
    project.may_leave = cloudflare.may_leave = True
    cloud = Cloud(project.env)
    hub(cloud, "edemo-two"), hub(cloud, "edemos")
    others = names(cloud)
    made = hub(cloud, "edemo")
    mine = set(names(cloud)) - set(others)
    record(cloudflare.env, "edemo.example.org", made.address)
    record(cloudflare.env, "ewww.example.org", made.address)
    record(cloudflare.env, "edemos.example.org", "192.0.2.7")
    open_vault(cli, {**project.env, **cloudflare.env})

    # all of it is told, in the order in which it can go, and not touched
    found = cli("leftovers", "--name", "edemo", "--json")
    assert found.code == 7, found
    (document,) = json.loads(found.out)
    left = document["left"]
    assert {(thing["kind"], thing["id"]) for thing in left} >= mine
    assert [thing["kind"] for thing in left] == sorted(
        (thing["kind"] for thing in left), key=KINDS.index
    )
    assert {t["name"] for t in left if t["kind"] == "dns record"} == {
        "edemo.example.org",
        "ewww.example.org",
    }
    assert len(left) == len(mine) + 2
    assert document["left_alone"] == ["edemo-two"]
    asked = cli("leftovers", "--name", "edemo", "--delete")
    assert asked.code == 1 and "--delete --yes" in asked.err, asked
    assert set(names(cloud)) == mine | set(others)

    # then it is removed, names first, and the rest is as it was
    removed = cli("leftovers", "--name", "edemo", "--delete", "--yes")
    assert removed.code == 0, removed
    kinds = [line.split()[2] for line in removed.err.splitlines() if line.startswith("✓ removed")]
    assert kinds[:3] == ["dns", "dns", "server"] and len(kinds) == len(left), removed
    assert sorted(names(cloud)) == sorted(others)
    assert cloudflare.dns.ask("edemo.example.org") == []
    assert cloudflare.dns.ask("ewww.example.org") == []
    assert cloudflare.dns.ask("edemos.example.org") == ["192.0.2.7"]
    assert cli("leftovers", "--name", "edemo").code == 0

    for secret in (project.password, cloudflare.token):
        for done in (found, asked, removed):
            assert secret not in done.out + done.err
        assert holding(secret, cli.root) == []


def test_what_a_journal_knows_is_found_whatever_its_name(
    cli: Cli,
    project: Project,
) -> None:
    project.may_leave = True
    api: Any = Cloud(project.env).connection
    kept, left = (api.block_storage.create_volume(name="master-volume", size=1) for _ in "ab")
    open_vault(cli, project.env)
    folder = cli.instance("edemo")
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text('module "provider" {\n  source = "./openstack"\n}\n')
    journal = Journal(folder / "journal.jsonl")
    journal.resource(
        "done", "module.provider.openstack_blockstorage_volume_v3.master", "create", left.id
    )
    found = cli("leftovers")
    assert found.code == 7 and left.id in found.out and kept.id not in found.out, found
    assert "hint: invoke leftovers --name edemo --delete" in found.err
    removed = cli("leftovers", "--name", "edemo", "--delete", "--yes")
    assert removed.code == 0, removed
    assert [volume.id for volume in api.block_storage.volumes()] == [kept.id]
    assert journal.life() == []


def test_what_cannot_be_removed_does_not_keep_the_rest(cli: Cli, project: Project) -> None:
    """Somebody else's port is on the network: neutron says 409, SubnetInUse and NetworkInUse."""
    project.may_leave = True
    api: Any = Cloud(project.env).connection
    network = api.network.create_network(name="edemo-network")
    api.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.9.0.0/24")
    api.network.create_port(network_id=network.id, name="eother-master")
    key = api.compute.create_keypair(name="edemo-keypair-ed25519")
    open_vault(cli, project.env)
    other = cli.instance("eother")
    other.mkdir(parents=True)
    (other / "main.tf").write_text("# a living instance's\n")
    done = cli("leftovers", "--name", "edemo", "--delete", "--yes")
    assert done.code == 7, done
    assert "kept       network edemo-network: OpenStack refuses to remove" in done.err, done
    assert f"removed    key pair {key.name}" in done.err, done
    assert [port.name for port in api.network.ports(project_id=api.current_project_id)] == [
        "eother-master"
    ]
