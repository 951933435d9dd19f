"""What real OpenStack services and a zone say of a recipe before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from barehub.cloud import ahead, plan
from barehub.cloud.openstack import Cloud
from barehub.cloud.things import Traces
from barehub.finding import ERROR, WARNING, Finding

from .dns.cloudflare import Cloudflare
from .made import FROM_VOLUME, hub, record
from .openstack.layout import IMAGE, PUBLIC_NETWORK
from .openstack.project import Project

pytestmark = pytest.mark.timeout(300)

GOOD = {
    "source": "../../terraform/provider/openstack",
    "project_name": "edemo",
    "nb_nodes": 1,
    "instance_volume_size": 10,
    "os_flavor_master": FROM_VOLUME,
    "os_flavor_node": FROM_VOLUME,
    "image_name": IMAGE,
    "public_network": PUBLIC_NETWORK,
}


def look(
    env: dict[str, str], provider: dict[str, Any], dns: dict[str, Any] | None = None, **asked: Any
) -> list[Finding]:
    """What is found of a recipe with these arguments."""
    wanted = plan.of({"provider": provider, **({"dns": dns} if dns else {})}, {}, {})
    question = ahead.Asked(wanted, Traces("edemo"), **asked)
    return ahead.findings(env, question, lambda now: None)


def told(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.id, one.severity) for one in found]


def test_what_is_all_there_is_worth_no_word(project: Project) -> None:
    assert look(project.env, GOOD) == []


def test_what_the_cloud_does_not_have_is_told_at_once_with_near_names(project: Project) -> None:
    wrong = {
        "os_flavor_master": "m1.smal",
        "os_flavor_node": "c16-60gb-392",
        "image_name": "ubuntu-20.04",
        "public_network": "public-network",
        "cc_private_network": "lab-network",
    }
    found = look(project.env, GOOD | wrong)
    assert told(found) == [
        ("cloud.flavor", ERROR),
        ("cloud.flavor", ERROR),
        ("cloud.image", ERROR),
        ("cloud.network", ERROR),
        ("cloud.network", ERROR),
    ]
    assert found[0].fixes[0] == f'os_flavor_master = "{FROM_VOLUME}"'
    assert found[1].fixes == ("openstack flavor list",)
    assert found[2].fixes[0] == f'image_name = "{IMAGE}"'
    assert found[3].fixes[0] == f'public_network = "{PUBLIC_NETWORK}"'


def test_a_volume_must_hold_the_image(project: Project) -> None:
    (one,) = look(project.env, GOOD | {"instance_volume_size": 0})
    assert (one.id, one.fixes) == ("cloud.volume-size", ("instance_volume_size = 1",))


def test_every_quota_that_is_too_small_is_told(project: Project) -> None:
    project.quota(instances=1, cores=3, ram=2048, volumes=1, gigabytes=15, floatingip=0)
    project.quota(port=1, network=0, router=0)
    found = look(project.env, GOOD)
    assert {one.id for one in found} == {"cloud.quota"}
    shown = "\n".join(one.message for one in found)
    for line in (
        "quota of instances: 2 are needed, 1 are free (0 of 1 are used)",
        "quota of cores: 4 are needed, 3 are free",
        "quota of ram: 4096 MB are needed, 2048 MB are free",
        "quota of volumes: 2 are needed, 1 are free",
        "quota of gigabytes: 20 GB are needed, 15 GB are free",
        "quota of floating-ips: 1 are needed, 0 are free",
        "quota of ports: 2 are needed, 1 are free",
        "quota of networks: 1 are needed, 0 are free",
        "quota of routers: 1 are needed, 0 are free",
    ):
        assert line in shown
    assert len(found) == 9


def test_what_an_instance_has_already_is_not_needed_again(project: Project) -> None:
    project.may_leave = True
    hub(Cloud(project.env), "edemo")
    project.quota(instances=2, cores=4, ram=4096, volumes=2, floatingip=1, network=1, router=1)
    kept = frozenset({("key pair", "edemo-keypair-ed25519")})
    assert [one.message for one in look(project.env, GOOD, made=kept)] == []
    (one,) = look(project.env, GOOD | {"nb_nodes": 2, "instance_volume_size": 1}, made=kept)[:1]
    assert one.message.startswith("quota of instances: 1 are needed, 0 are free (2 of 2")


def test_a_key_pair_of_that_name_is_in_the_way(project: Project) -> None:
    project.may_leave = True
    Cloud(project.env).connection.compute.create_keypair(name="edemo-keypair-ed25519")
    (one,) = look(project.env, GOOD)
    assert (one.id, one.severity) == ("cloud.keypair", ERROR)
    assert one.fixes == ("openstack keypair delete edemo-keypair-ed25519",)
    assert look(project.env, GOOD, made=None) == []  # it is living, and nobody knows what it has


def test_credentials_that_reach_too_far_are_told(project: Project) -> None:
    api: Any = Cloud(project.env).connection
    for unrestricted in (False, True):
        made = api.identity.create_application_credential(
            api.current_user_id, f"c-{unrestricted}", unrestricted=unrestricted
        )
        env = {
            "OS_AUTH_URL": project.env["OS_AUTH_URL"],
            "OS_APPLICATION_CREDENTIAL_ID": made.id,
            "OS_APPLICATION_CREDENTIAL_SECRET": made.secret,
        }
        expected = [("cloud.scope", WARNING)] if unrestricted else []
        assert told(look(env, GOOD)) == expected


def test_an_administrator_is_told_to_be_less(project: Project) -> None:
    roles = project.admin("identity", "GET", "/roles?name=admin")["roles"]
    user = Cloud(project.env).access.user_id
    project.admin("identity", "PUT", f"/projects/{project.id}/users/{user}/roles/{roles[0]['id']}")
    (one,) = look(project.env, GOOD)
    assert (one.id, one.severity) == ("cloud.scope", WARNING)
    assert "have the role admin" in one.message


def test_wrong_credentials_stop_a_run(project: Project) -> None:
    (one,) = look(project.env | {"OS_PASSWORD": "CANARY-wrong"}, GOOD)
    assert (one.id, one.severity) == ("cloud.credentials", ERROR)
    assert one.fixes == ("invoke vault.set environment.OS_PASSWORD",)
    assert "CANARY" not in str(one)


def test_a_zone_of_somebody_elses_and_a_name_that_is_taken_are_told(cloudflare: Cloudflare) -> None:
    cloudflare.may_leave = True
    id = record(cloudflare.env, "edemo.example.org", "192.0.2.1")
    ours = {"source": "./cloudflare", "domain": "edemo-new.example.org"}
    assert look(cloudflare.env, {}, ours) == []
    (one,) = look(cloudflare.env, {}, ours | {"domain": "edemo.example.org"})
    assert (one.id, one.severity) == ("dns.name", ERROR)
    assert one.message == "edemo.example.org exists already and points to 192.0.2.1"
    kept = frozenset({("dns record", id)})
    assert look(cloudflare.env, {}, ours | {"domain": "edemo.example.org"}, made=kept) == []
    found = look(cloudflare.env, {}, ours | {"domain": "hub.example.net", "zone_id": "0" * 32})
    assert told(found) == [("dns.zone", ERROR), ("dns.zone", ERROR)]
    (one,) = look(cloudflare.env | {"CLOUDFLARE_API_TOKEN": "CANARY-wrong"}, {}, ours)
    assert (one.id, one.severity) == ("dns.credentials", ERROR)
    assert "CANARY" not in str(one)
