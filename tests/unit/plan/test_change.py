"""What is read from a plan's document, made here as `terraform show -json` writes it for OpenStack.

The e2e tests have real documents; what needs a provider that is not on every machine is here.
"""

from __future__ import annotations

from typing import Any

import pytest

from barehub.plan import showing
from barehub.plan.address import parse
from barehub.plan.arguments import changed, fingerprints
from barehub.plan.change import read
from barehub.plan.guard import role_of
from barehub.plan.showing import Shown

MASTER = "module.provider.openstack_compute_instance_v2.master"

CONFIGURATION = {
    "root_module": {
        "module_calls": {
            "provider": {
                "expressions": {
                    "nb_nodes": {"constant_value": 2},
                    "docker_password": {"references": ["var.docker_password"]},
                    "size": {"constant_value": 40},
                },
                "module": {
                    "outputs": {
                        "public_ip": {"expression": {"references": ["terraform_data.ip.output"]}}
                    },
                    "resources": [
                        {
                            "address": "openstack_compute_instance_v2.master",
                            "expressions": {
                                "user_data": {"references": ["data.cloudinit_config.all.rendered"]},
                                "flavor_name": {"references": ["local.flavor"]},
                                "image_id": {"references": ["module.image.id", "module.image"]},
                            },
                        },
                        {
                            "address": "data.cloudinit_config.all",
                            "expressions": {
                                "part": [
                                    {"content": {"references": ["var.nb_nodes"]}},
                                    {"content": {"references": ["var.docker_password"]}},
                                ]
                            },
                        },
                    ],
                    "module_calls": {
                        "image": {
                            "expressions": {"size": {"references": ["var.size"]}},
                            "module": {
                                "outputs": {"id": {"expression": {"references": ["var.size"]}}}
                            },
                        }
                    },
                },
            }
        }
    }
}


def _document(attribute: str, secret: str = "CANARY-plan") -> dict[str, Any]:
    change = {
        "actions": ["delete", "create"],
        "before": {attribute: secret},
        "after": {attribute: f"{secret}-2"},
        "replace_paths": [[attribute]],
    }
    return {
        "configuration": CONFIGURATION,
        "resource_changes": [
            {
                "address": MASTER,
                "change": change,
                "action_reason": "replace_because_cannot_update",
            }
        ],
    }


@pytest.mark.parametrize(
    ("attribute", "was_changed", "why"),
    [
        ("user_data", {"nb_nodes"}, "user_data: nb_nodes"),
        ("user_data", {"docker_password", "size"}, "user_data: docker_password"),
        ("user_data", {"size"}, "user_data"),  # something else changed it: nobody is accused
        ("user_data", set(), "user_data: docker_password, nb_nodes"),
        ("image_id", set(), "image_id: size"),  # through a module inside the module
        ("flavor_name", {"size"}, "flavor_name: size"),  # locals: all that changed may be it
        ("flavor_name", set(), "flavor_name"),
    ],
)
def test_what_forces_a_replacement(attribute: str, was_changed: set[str], why: str) -> None:
    (change,) = read({MASTER: "replace"}, _document(attribute), {"provider": was_changed})
    assert change.why == why
    assert (change.role, change.lost, change.stage) == ("master", True, "provider")


@pytest.mark.parametrize(
    ("address", "role"),
    [
        (MASTER, "master"),
        ('module.provider.openstack_compute_instance_v2.instances["mgmt1"]', "master"),
        ("module.provider.openstack_compute_instance_v2.node[3]", ""),
        ('module.provider.openstack_compute_instance_v2.all["worker.1"]', ""),
        ("module.provider.openstack_blockstorage_volume_v3.home[0]", "volume"),
        ("module.provider.openstack_networking_floatingip_v2.fip_1", "address"),
        ("module.provider.openstack_networking_floatingip_associate_v2.a", ""),
        ("module.dns.cloudflare_record.domain", "name"),
        ('module.dns["a"].cloudflare_dns_record.wildcard', "name"),
        ("module.provider.terraform_data.k8s_master", "master"),
        ("module.provider.terraform_data.masterful", ""),
        ("module.binderhub.null_resource.install", ""),
        ("what is this", ""),
    ],
)
def test_what_the_guard_keeps(address: str, role: str) -> None:
    assert role_of(address, {"configuration": CONFIGURATION}) == role


def test_an_address_is_taken_apart_at_the_right_dots() -> None:
    parsed = parse('module.a["x.y"].module.b[0].data.t_v2.n["k\\"].[z"]')
    assert parsed is not None
    assert (parsed.modules, parsed.type, parsed.name) == (("a", "b"), "data.t_v2", "n")


def test_no_form_holds_a_value() -> None:
    changes = read({MASTER: "replace", "x.y": "create"}, _document("user_data"), {})
    shown = Shown("demo", changes, refused=[MASTER])
    forms = [
        *showing.lines(shown),
        *showing.table(shown, lambda text, *styles: text),
        showing.document(shown),
        showing.markdown(shown),
    ]
    assert MASTER in forms[0] and all("CANARY" not in form for form in forms)


def test_markdown_takes_hostile_names_for_what_they_are() -> None:
    address = 'module.provider.terraform_data.x["`**@everyone** </details>"]'
    text = showing.markdown(Shown("demo", read({address: "delete"}, None, {})))
    assert f"`` {address} ``" in text


def test_fingerprints_tell_a_change_and_nothing_else() -> None:
    given = {"a": "${var.p}", "b": "${var.p}", "c": "${local.x}", "d": 2}
    before = fingerprints("key", given, {"p": "secret"}, {"x": "${var.p}"})
    assert before == fingerprints("key", given, {"p": "secret"}, {"x": "${var.p}"})
    assert before["a"] != before["b"]  # equal values do not look equal
    assert changed(before, fingerprints("key", given, {"p": "other"}, {"x": "${var.p}"})) == {
        "a",
        "b",
        "c",
    }
    assert changed(before, fingerprints("another key", given, {"p": "secret"}, {})) == set(given)
    assert changed(None, before) == set()
