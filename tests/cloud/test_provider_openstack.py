"""The module provider/openstack, applied by the real provider to the real services."""

from __future__ import annotations

import base64
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.canary import holding
from tests.cloud.modules import MODULES, Recipe

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(300)]

CANARY = "canary-docker-password-7d41"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk operator"
MASTER = 'module.provider.openstack_compute_instance_v2.machine["master"]'

# What each service lists, by the key of its answer; key pairs are a user's, the rest a project's.
LISTS = {
    "servers": ("compute", "/servers/detail"),
    "keypairs": ("compute", "/os-keypairs"),
    "volumes": ("block-storage", "/volumes/detail"),
    "floatingips": ("network", "/v2.0/floatingips"),
    "ports": ("network", "/v2.0/ports"),
    "networks": ("network", "/v2.0/networks?router:external=False"),
    "routers": ("network", "/v2.0/routers"),
    "security_groups": ("network", "/v2.0/security-groups"),
}


def arguments(name: str = "demo", **others: Any) -> dict[str, Any]:
    return {
        "source": "provider/openstack",
        "project_name": name,
        "nb_nodes": 0,
        "instance_volume_size": 10,
        "ssh_authorized_keys": [KEY],
        "os_flavor_master": "m1.small",
        "os_flavor_node": "m1.small",
        "image_name": "ubuntu-22.04",
        "ssh_cidrs": ["192.0.2.9/24"],
        "host_keys_from": "first-use",
        "docker_id": "someone",
        "docker_password": CANARY,
        **others,
    }


@pytest.fixture
def recipe(project: Any, providers: Any, tmp_path: Path) -> Recipe:
    return Recipe(tmp_path / "instance", {**project.env, **providers})


def listed(project: Any, kind: str) -> list[dict[str, Any]]:
    service, path = LISTS[kind]
    return [item.get("keypair", item) for item in project.call(service, "GET", path)[kind]]


def there(project: Any) -> dict[str, list[str]]:
    """The names of all that the project holds, but the group that every project has."""
    found = {
        kind: sorted(str(i.get("name") or i["description"]) for i in listed(project, kind))
        for kind in LISTS
    }
    # a router's own port has no name
    kept = {kind: [n for n in names if n not in ("", "default")] for kind, names in found.items()}
    return {kind: names for kind, names in kept.items() if names}


def is_gone(recipe: Recipe, project: Any) -> None:
    done = recipe.destroy()
    assert done.code == 0, done.said
    assert there(project) == {}


def test_it_comes_grows_shrinks_and_goes(project: Any, recipe: Recipe) -> None:
    recipe.write(provider=arguments(nb_nodes=1))
    recipe.applied()
    master = recipe.state()[MASTER]["id"]
    _its_outputs_are_right(project, recipe)
    _all_that_it_made_can_be_told(project)
    _ssh_is_not_open_to_the_world(project)
    _no_secret_reached_the_cloud(project, recipe, master)

    # another password changes nothing; more and fewer nodes leave the master alone
    recipe.write(provider=arguments(nb_nodes=1, docker_password=f"{CANARY}-rotated"))
    assert recipe.planned() == {}
    recipe.write(provider=arguments(nb_nodes=3))
    assert set(map(tuple, recipe.planned().values())) == {("create",)}
    recipe.applied()
    assert there(project)["servers"] == ["demo-master", "demo-node1", "demo-node2", "demo-node3"]
    recipe.write(provider=arguments(nb_nodes=0, ssh_cidrs=["198.51.100.0/24"]))
    recipe.applied()
    assert there(project)["servers"] == ["demo-master"]
    assert there(project)["volumes"] == ["demo-master-volume"]
    assert recipe.state()[MASTER]["id"] == master
    assert recipe.output("provider")["nodes"] == []
    is_gone(recipe, project)


def _its_outputs_are_right(project: Any, recipe: Recipe) -> None:
    outputs = recipe.output("provider")
    (address,) = listed(project, "floatingips")
    ports = {port["name"]: port for port in listed(project, "ports")}
    assert outputs == {
        "project_name": "demo",
        "public_ip": address["floating_ip_address"],
        "admin_user": "ubuntu",
        "nodes": [{"name": "demo-node1", "ip": ports["demo-node1"]["fixed_ips"][0]["ip_address"]}],
        "docker_registry": "docker.io",
        "docker_id": "someone",
        "docker_password": CANARY,
    }
    assert address["port_id"] == ports["demo-master"]["id"]


def _all_that_it_made_can_be_told(project: Any) -> None:
    assert there(project) == {
        "servers": ["demo-master", "demo-node1"],
        "keypairs": ["demo-key"],
        "volumes": ["demo-master-volume", "demo-node1-volume"],
        "floatingips": ["barehub demo: address of the hub"],
        "ports": ["demo-master", "demo-node1"],
        "networks": ["demo-network"],
        "routers": ["demo-router"],
        "security_groups": ["demo-cluster", "demo-master"],
    }
    for kind in ("floatingips", "ports", "networks", "routers", "security_groups"):
        for item in listed(project, kind):
            if item.get("name") not in ("", "default"):
                assert item["tags"] == ["barehub:demo"], item
    for kind in ("servers", "volumes"):
        for item in listed(project, kind):
            assert item["metadata"]["barehub"] == "demo", item


def _ssh_is_not_open_to_the_world(project: Any) -> None:
    """As neutron has it: the rules of the ports, not those of the plan."""
    groups = {group["id"]: group for group in listed(project, "security_groups")}
    opened = {
        port["name"]: sorted(
            (rule["port_range_min"], rule["remote_ip_prefix"])
            for group in port["security_groups"]
            for rule in groups[group]["security_group_rules"]
            if rule["direction"] == "ingress" and not rule["remote_group_id"]
        )
        for port in listed(project, "ports")
    }
    world = "0.0.0.0/0"
    assert opened["demo-master"] == [(22, "192.0.2.0/24"), (80, world), (443, world)]
    assert opened["demo-node1"] == []


def _no_secret_reached_the_cloud(project: Any, recipe: Recipe, master: str) -> None:
    """No database, log or file of any service has the password; the state has it in outputs."""
    version = {"OpenStack_API_Version": "compute 2.3"}
    seen = project.admin.call("compute", "GET", f"/servers/{master}", **version)["server"]
    user_data = base64.b64decode(seen["OS-EXT-SRV-ATTR:user_data"]).decode()
    assert user_data.startswith("#cloud-config\n")
    assert yaml.safe_load(user_data)["ssh_authorized_keys"] == [KEY]
    kept = [project.folder / name for name in ("db", "log", "nova")]  # volumes: 10 GB, all zeros
    assert holding(KEY.split()[1], *kept), "the search cannot find anything"
    assert holding(CANARY, *kept) == []
    assert holding(CANARY, recipe.folder, but=["main.tf.json", "terraform.tfstate"]) == []
    for address, attributes in recipe.state().items():
        assert CANARY not in str(attributes), address


def test_neither_a_newer_image_nor_its_end_replaces_a_disk(project: Any, recipe: Recipe) -> None:
    first = project.image("of-my-own")
    recipe.write(provider=arguments(image_name="of-my-own"))
    recipe.applied()
    second = project.image("of-my-own")
    assert recipe.planned() == {}
    for image in (first, second):
        project.call("image", "DELETE", f"/v2/images/{image}")
    assert recipe.planned() == {}

    # machines to come are made from the same one, unless the newest is asked for
    third = project.image("of-my-own")
    recipe.write(provider=arguments(image_name="of-my-own", nb_nodes=1))
    refused = recipe.apply()
    assert refused.code == 1 and "Invalid image identifier" in refused.said
    again = recipe.apply('-replace=module.provider.terraform_data.image["of-my-own"]')
    assert again.code == 0, again.said
    made = {v["name"]: v["volume_image_metadata"]["image_id"] for v in listed(project, "volumes")}
    assert made == {"demo-master-volume": first, "demo-node1-volume": third}
    is_gone(recipe, project)


def test_two_instances_side_by_side(project: Any, providers: Any, tmp_path: Path) -> None:
    """In one project, made at once; one's name begins the other's. One goes, the other stays."""
    names = ("demo", "demo-two")
    both = [Recipe(tmp_path / name, {**project.env, **providers}) for name in names]
    for each, name in zip(both, names, strict=True):
        each.write(provider=arguments(name))
    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(each.applied) for each in both]:
            future.result()
    first, second = both
    assert first.output("provider")["public_ip"] != second.output("provider")["public_ip"]
    assert first.destroy().code == 0
    second.is_settled()
    assert there(project)["servers"] == ["demo-two-master"]
    assert there(project)["keypairs"] == ["demo-two-key"]
    is_gone(second, project)


def test_an_alliance_cloud(project: Any, recipe: Recipe) -> None:
    """The network that the OpenStack project has is joined, found by that project's name."""

    def make(kind: str, **body: Any) -> str:
        made: str = project.call("network", "POST", f"/v2.0/{kind}s", {kind: body})[kind]["id"]
        return made

    network = make("network", name=f"{project.name}-network")
    subnet = make("subnet", network_id=network, ip_version=4, cidr="192.168.9.0/24")
    (outside,) = project.call("network", "GET", "/v2.0/networks?router:external=True")["networks"]
    gateway = {"network_id": outside["id"]}
    router = make("router", name=f"{project.name}-router", external_gateway_info=gateway)
    joined = {"subnet_id": subnet}
    project.call("network", "PUT", f"/v2.0/routers/{router}/add_router_interface", joined)
    before = there(project)

    recipe.write(provider=arguments(is_computecanada=True, nb_nodes=1))
    recipe.applied()
    assert recipe.output("provider")["nodes"][0]["ip"].startswith("192.168.9.")
    assert {k: there(project)[k] for k in ("networks", "routers")} == before
    assert recipe.destroy().code == 0
    assert there(project) == before


def test_a_quota_says_so_and_a_rerun_goes_on(project: Any, recipe: Recipe) -> None:
    project.quota("compute", instances=0)
    recipe.write(provider=arguments())
    failed = recipe.apply()
    assert failed.code == 1 and "Quota exceeded for instances" in failed.said
    project.quota("compute", instances=10)
    recipe.applied()
    is_gone(recipe, project)


def test_no_host_is_large_enough(project: Any, recipe: Recipe) -> None:
    """The provider says which machine; why is in the server, where barehub's hint leads."""
    project.quota("compute", ram=-1)
    recipe.write(provider=arguments(nb_nodes=1, os_flavor_node=project.flavor(ram=1 << 30)))
    failed = recipe.apply()
    assert failed.code == 1 and "unexpected state 'ERROR'" in failed.said
    assert 'openstack_compute_instance_v2.machine["node1"]' in failed.said
    faults = {s["name"]: s.get("fault", {}).get("message", "") for s in listed(project, "servers")}
    assert "No valid host was found" in faults["demo-node1"]
    recipe.write(provider=arguments(nb_nodes=1))
    recipe.applied()
    is_gone(recipe, project)


def test_what_the_cloud_does_not_have_is_named_before_anything_is_made(
    project: Any, recipe: Recipe
) -> None:
    for others, said in (
        ({"image_name": "nosuch"}, "the cloud has no image nosuch"),
        ({"public_network": "nosuch"}, "data.openstack_networking_network_v2.public"),
        (
            {"is_computecanada": True, "cc_private_network": "nosuch"},
            "data.openstack_networking_network_v2.existing",
        ),
    ):
        recipe.write(provider=arguments(**others))
        failed = recipe.apply()
        assert failed.code == 1 and said in failed.said
    assert there(project) == {}


def test_a_wrong_password_makes_nothing(project: Any, providers: Any, tmp_path: Path) -> None:
    recipe = Recipe(tmp_path / "instance", {**project.env, **providers, "OS_PASSWORD": "wrong"})
    recipe.write(provider=arguments())
    failed = recipe.apply()
    assert failed.code == 1 and "401" in failed.said
    assert there(project) == {}


def test_a_network_in_use_holds_up_nothing_else(
    project: Any, providers: Any, tmp_path: Path
) -> None:
    """The module as it is, but that the provider goes on asking for 5 seconds, not 2 minutes."""
    recipe = Recipe(tmp_path / "instance", {**project.env, **providers})
    module = tmp_path / "module"
    shutil.copytree(MODULES / "provider" / "openstack", module)
    for path in module.glob("*.tf"):
        path.write_text(path.read_text().replace('delete = "2m"', 'delete = "5s"'))
    recipe.write(provider=arguments(source=str(module)))
    recipe.applied()
    (network,) = listed(project, "networks")
    body = {"port": {"network_id": network["id"], "name": "somebody-s"}}
    port = project.call("network", "POST", "/v2.0/ports", body)["port"]
    failed = recipe.destroy()
    assert failed.code == 1 and "openstack_networking_subnet_v2" in failed.said
    assert there(project) == {"networks": ["demo-network"], "ports": ["somebody-s"]}
    project.call("network", "DELETE", f"/v2.0/ports/{port['id']}")
    is_gone(recipe, project)
