"""The module provider/openstack, applied by the real provider to the real services."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.canary import holding
from tests.cloud.modules import MODULES, Recipe
from tests.cloud.openstack.layout import IMAGE
from tests.cloud.openstack.project import Project
from tests.cloud.providers import Providers

CANARY = "canary-docker-password-7d41"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk operator"
MASTER = "openstack_compute_instance_v2.machine[master]"


def arguments(name: str = "demo", **others: Any) -> dict[str, Any]:
    return {
        "source": "provider/openstack",
        "project_name": name,
        "nb_nodes": 0,
        "instance_volume_size": 10,
        "ssh_authorized_keys": [KEY],
        "os_flavor_master": "m1.small",
        "os_flavor_node": "m1.small",
        "image_name": IMAGE,
        "ssh_cidrs": ["192.0.2.9/24"],
        "host_keys_from": "first-use",
        "docker_id": "someone",
        "docker_password": CANARY,
        **others,
    }


@pytest.fixture
def recipe(project: Project, providers: Providers, tmp_path: Path) -> Recipe:
    return Recipe.at(tmp_path / "instance", project.env)


def is_gone(recipe: Recipe, project: Project) -> None:
    recipe.goes()
    assert project.names() == {}


def test_it_comes_grows_shrinks_and_goes(project: Project, recipe: Recipe) -> None:
    recipe.calls(provider=arguments(nb_nodes=1))
    recipe.settles()
    master = recipe.attributes()[MASTER]["id"]
    _its_outputs_are_right(project, recipe)
    _all_that_it_made_can_be_told(project)
    _ssh_is_not_open_to_the_world(project)
    _no_secret_reached_the_cloud(project, recipe, master)

    # another password changes nothing; more and fewer nodes leave the master alone
    recipe.calls(provider=arguments(nb_nodes=1, docker_password=f"{CANARY}-rotated"))
    assert recipe.planned() == {}
    recipe.calls(provider=arguments(nb_nodes=3))
    assert set(map(tuple, recipe.planned().values())) == {("create",)}
    recipe.settles()
    assert project.names()["server"] == ["demo-master", "demo-node1", "demo-node2", "demo-node3"]
    recipe.calls(provider=arguments(nb_nodes=0, ssh_cidrs=["198.51.100.0/24"]))
    recipe.settles()
    assert project.names()["server"] == ["demo-master"]
    assert project.names()["volume"] == ["demo-master-volume"]
    assert recipe.attributes()[MASTER]["id"] == master
    assert recipe.outputs()["provider"]["nodes"] == []
    is_gone(recipe, project)


def _its_outputs_are_right(project: Project, recipe: Recipe) -> None:
    things = project.things()
    ports = {port["name"]: port for port in things["port"]}
    (address,) = things["floating address"]
    assert recipe.outputs()["provider"] == {
        "project_name": "demo",
        "public_ip": address["floating_ip_address"],
        "admin_user": "ubuntu",
        "nodes": [{"name": "demo-node1", "ip": ports["demo-node1"]["fixed_ips"][0]["ip_address"]}],
        "docker_registry": "docker.io",
        "docker_id": "someone",
        "docker_password": CANARY,
    }
    assert address["port_id"] == ports["demo-master"]["id"]


def _all_that_it_made_can_be_told(project: Project) -> None:
    things = project.things()
    (address,) = things.pop("floating address")
    assert address["description"] == "barehub demo: address of the hub"
    assert address["tags"] == ["barehub:demo"]
    for kind, found in things.items():
        for thing in found:
            if kind == "port" and thing["device_owner"] == "network:router_interface":
                continue  # neutron's own, without a name
            assert thing["name"].startswith("demo-"), (kind, thing)
            if kind in ("server", "volume"):
                assert thing["metadata"]["barehub"] == "demo", (kind, thing)
            elif kind != "key pair":
                assert thing["tags"] == ["barehub:demo"], (kind, thing)
    assert sorted(server["name"] for server in things["server"]) == ["demo-master", "demo-node1"]
    assert {kind: len(found) for kind, found in things.items()} == {
        "server": 2, "volume": 2, "router": 1, "port": 3, "subnet": 1, "network": 1,
        "security group": 2, "key pair": 1,
    }  # fmt: skip


def _ssh_is_not_open_to_the_world(project: Project) -> None:
    """As neutron has it: the rules of the ports, not those of the plan."""
    things = project.things()
    groups = {group["id"]: group for group in things["security group"]}
    opened = {
        port["name"]: sorted(
            (rule["port_range_min"], rule["remote_ip_prefix"])
            for group in port["security_groups"]
            for rule in groups[group]["security_group_rules"]
            if rule["direction"] == "ingress" and not rule["remote_group_id"]
        )
        for port in things["port"]
    }
    world = "0.0.0.0/0"
    assert opened["demo-master"] == [(22, "192.0.2.0/24"), (80, world), (443, world)]
    assert opened["demo-node1"] == []


def _no_secret_reached_the_cloud(project: Project, recipe: Recipe, master: str) -> None:
    """No database, log or file of any service has the password; the state has it in outputs."""
    user_data = project.user_data(master).decode()
    assert user_data.startswith("#cloud-config\n")
    assert yaml.safe_load(user_data)["ssh_authorized_keys"] == [KEY]
    kept = [project.layout.folder / name for name in ("db", "log", "nova")]  # volumes are 10 GB
    assert holding(KEY.split()[1], *kept), "the search cannot find anything"
    assert holding(CANARY, *kept) == []
    assert holding(CANARY, recipe.folder, but=["main.tf.json", "terraform.tfstate"]) == []
    for address, attributes in recipe.attributes().items():
        assert CANARY not in str(attributes), address


def _image(project: Project) -> str:
    """The id of a new image of the test's own name."""
    body = {"name": "of-my-own", "disk_format": "raw", "container_format": "bare"}
    image: str = project.call("image", "POST", "/v2/images", body)["id"]
    octets = {"Content_Type": "application/octet-stream"}
    project.call("image", "PUT", f"/v2/images/{image}/file", b"\0" * (1 << 20), **octets)
    return image


def test_neither_a_newer_image_nor_its_end_is_felt(project: Project, recipe: Recipe) -> None:
    first = _image(project)
    recipe.calls(provider=arguments(image_name="of-my-own"))
    recipe.settles()
    second = _image(project)
    assert recipe.planned() == {}
    for image in (first, second):
        project.call("image", "DELETE", f"/v2/images/{image}")
    assert recipe.planned() == {}

    # machines to come are made from the same one, unless the newest is asked for
    third = _image(project)
    recipe.calls(provider=arguments(image_name="of-my-own", nb_nodes=1))
    assert "Invalid image identifier" in recipe.fails("apply", "-auto-approve")
    recipe.settles('-replace=module.provider.terraform_data.image["of-my-own"]')
    made = {v["name"]: v["volume_image_metadata"]["image_id"] for v in project.things()["volume"]}
    assert made == {"demo-master-volume": first, "demo-node1-volume": third}
    recipe.goes()
    assert project.names() == {"image": ["of-my-own"]}
    project.call("image", "DELETE", f"/v2/images/{third}")


def test_the_very_first_connection_is_verified(
    project: Project, recipe: Recipe, tmp_path: Path
) -> None:
    """By the host key that the machine has shown on its console, which OpenStack's API hands on."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    recipe.calls(provider=arguments(ssh_authorized_keys=[public], host_keys_from="console"))
    recipe.settles()
    address = recipe.outputs()["provider"]["public_ip"]
    known = recipe.folder / "known_hosts"
    assert [line.split()[0] for line in known.read_text().splitlines()] == [address]
    options = (f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=none", "BatchMode=yes",
               "StrictHostKeyChecking=yes")  # fmt: skip
    told = subprocess.run(
        ["ssh", "-F", "none", "-i", key, *(f"-o{o}" for o in options), f"ubuntu@{address}",
         "hostname"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.stdout.strip() == "demo-master", told.stderr
    is_gone(recipe, project)
    assert not known.exists()


def test_two_instances_side_by_side(project: Project, providers: Providers, tmp_path: Path) -> None:
    """In one project, made at once; one's name begins the other's. One goes, the other stays."""
    names = ("demo", "demo-two")
    both = [Recipe.at(tmp_path / name, project.env) for name in names]
    for each, name in zip(both, names, strict=True):
        each.calls(provider=arguments(name))
    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(each.settles) for each in both]:
            future.result()
    first, second = both
    assert first.outputs()["provider"]["public_ip"] != second.outputs()["provider"]["public_ip"]
    first.goes()
    second.succeeds("plan", "-detailed-exitcode")
    assert project.names()["server"] == ["demo-two-master"]
    assert project.names()["key pair"] == ["demo-two-key"]
    is_gone(second, project)


def test_an_alliance_cloud(project: Project, recipe: Recipe) -> None:
    """The network that the OpenStack project has is joined, found by that project's name."""

    def make(kind: str, **body: Any) -> str:
        made: str = project.call("network", "POST", f"/v2.0/{kind}s", {kind: body})[kind]["id"]
        return made

    network = make("network", name=f"{project.name}-network")
    subnet = make("subnet", network_id=network, ip_version=4, cidr="192.168.9.0/24")
    gateway = {"network_id": project.public_network()}
    router = make("router", name=f"{project.name}-router", external_gateway_info=gateway)
    joined = {"subnet_id": subnet}
    project.call("network", "PUT", f"/v2.0/routers/{router}/add_router_interface", joined)
    before = project.names()

    recipe.calls(provider=arguments(is_computecanada=True, nb_nodes=1))
    recipe.settles()
    assert recipe.outputs()["provider"]["nodes"][0]["ip"].startswith("192.168.9.")
    assert {k: project.names()[k] for k in ("network", "router")} == {
        k: before[k] for k in ("network", "router")
    }
    recipe.goes()
    assert project.names() == before
    project.may_leave = True  # the network was there before


def test_a_quota_says_so_and_a_rerun_goes_on(project: Project, recipe: Recipe) -> None:
    project.quota(instances=0)
    recipe.calls(provider=arguments())
    assert "Quota exceeded for instances" in recipe.fails("apply", "-auto-approve")
    project.quota(instances=10)
    recipe.settles()
    is_gone(recipe, project)


def test_no_host_is_large_enough(project: Project, recipe: Recipe) -> None:
    """The provider says which machine; why it has none stands in the server itself."""
    project.quota(ram=-1)
    recipe.calls(provider=arguments(nb_nodes=1, os_flavor_node="m1.huge"))
    said = recipe.fails("apply", "-auto-approve")
    assert "unexpected state 'ERROR'" in said
    assert 'openstack_compute_instance_v2.machine["node1"]' in said
    servers = project.things()["server"]
    (id,) = (server["id"] for server in servers if server["name"] == "demo-node1")
    fault = project.call("compute", "GET", f"/servers/{id}")["server"]["fault"]
    assert "No valid host was found" in fault["message"]
    recipe.calls(provider=arguments(nb_nodes=1))
    recipe.settles()
    is_gone(recipe, project)


def test_what_the_cloud_does_not_have_is_named_before_anything_is_made(
    project: Project, recipe: Recipe
) -> None:
    for others, said in (
        ({"image_name": "nosuch"}, "the cloud has no image nosuch"),
        ({"public_network": "nosuch"}, "data.openstack_networking_network_v2.public"),
        (
            {"is_computecanada": True, "cc_private_network": "nosuch"},
            "data.openstack_networking_network_v2.existing",
        ),
    ):
        recipe.calls(provider=arguments(**others))
        assert said in recipe.fails("apply", "-auto-approve")
    assert project.names() == {}


def test_a_wrong_password_makes_nothing(
    project: Project, providers: Providers, tmp_path: Path
) -> None:
    recipe = Recipe.at(tmp_path / "instance", {**project.env, "OS_PASSWORD": "wrong"})
    recipe.calls(provider=arguments())
    assert "401" in recipe.fails("apply", "-auto-approve")
    assert project.names() == {}


def test_a_network_in_use_holds_up_nothing_else(
    project: Project, recipe: Recipe, tmp_path: Path
) -> None:
    """The module as it is, but that the provider goes on asking for 5 seconds, not 2 minutes."""
    module = tmp_path / "module"
    shutil.copytree(MODULES / "provider" / "openstack", module)
    for path in module.glob("*.tf"):
        path.write_text(path.read_text().replace('delete = "2m"', 'delete = "5s"'))
    recipe.calls(provider=arguments(source=str(module)))
    recipe.settles()
    (network,) = project.things()["network"]
    body = {"port": {"network_id": network["id"], "name": "somebody-s"}}
    port = project.call("network", "POST", "/v2.0/ports", body)["port"]
    assert "openstack_networking_subnet_v2" in recipe.fails("destroy", "-auto-approve")
    assert project.names() == {
        "network": ["demo-network"],
        "port": ["somebody-s"],
        "subnet": ["demo-subnet"],
    }
    project.call("network", "DELETE", f"/v2.0/ports/{port['id']}")
    is_gone(recipe, project)
