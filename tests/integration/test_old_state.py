"""States of older Terraforms, brought up to date by today's.

No Terraform before 0.13 can be had where the tests run: what it wrote is spelled out here, after
its documented format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from barehub.errors import TerraformError
from barehub.migration import old_state
from barehub.project import Project, Tool

CANARY = "CANARY-old-state"


@pytest.fixture
def tool() -> Tool:
    return Project(Path(__file__).resolve().parent.parent.parent).terraform


def _resource(kind: str, id: str, **attributes: str) -> dict[str, Any]:
    primary = {"id": id, "attributes": {"id": id, **attributes}, "meta": {}, "tainted": False}
    return {
        "type": kind,
        "depends_on": [],
        "primary": primary,
        "deposed": [],
        "provider": f"provider.{kind.partition('_')[0]}",
    }


V3 = {
    "version": 3,
    "terraform_version": "0.11.14",
    "serial": 7,
    "lineage": "9b4d2c9e-0b0f-4c0a-8f5c-6f2f8e0b1a77",
    "modules": [
        {"path": ["root"], "outputs": {}, "resources": {}, "depends_on": []},
        {
            "path": ["root", "provider"],
            "outputs": {},
            "resources": {
                "openstack_compute_instance_v2.node.0": _resource(
                    "openstack_compute_instance_v2", "i-1", user_data=CANARY
                ),
                "null_resource.wait": _resource("null_resource", "1"),
            },
            "depends_on": [],
        },
        {
            "path": ["root", "dns"],
            "outputs": {},
            "resources": {"cloudflare_record.domain": _resource("cloudflare_record", "r-1")},
            "depends_on": [],
        },
    ],
}


def _read(tmp_path: Path, tool: Tool, content: str) -> bytes | None:
    path = tmp_path / "terraform.tfstate"
    path.write_text(content)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    try:
        return old_state.read(path, scratch, tool)
    finally:
        assert list(scratch.iterdir()) == [], "nothing in clear is left"
        assert path.read_text() == content


def test_of_terraform_0_11(tmp_path: Path, tool: Tool) -> None:
    content = _read(tmp_path, tool, json.dumps(V3))
    assert content is not None
    state = json.loads(content)
    assert state["version"] == 4
    assert old_state.identity(content) == (V3["lineage"], V3["serial"])
    assert sorted(old_state.addresses(content)) == [
        "module.dns.cloudflare_record.domain",
        "module.provider.null_resource.wait",
        "module.provider.openstack_compute_instance_v2.node",
    ]
    providers = {one["type"]: one["provider"] for one in state["resources"]}
    openstack = "registry.terraform.io/terraform-provider-openstack/openstack"
    assert providers == {
        "openstack_compute_instance_v2": f'provider["{openstack}"]',
        "cloudflare_record": 'provider["registry.terraform.io/cloudflare/cloudflare"]',
        "null_resource": 'provider["registry.terraform.io/hashicorp/null"]',
    }


def test_of_today_stays_as_it_is(tmp_path: Path, tool: Tool) -> None:
    now = {"version": 4, "serial": 1, "lineage": "x", "resources": [{"mode": "data"}]}
    text = json.dumps(now, indent=3)
    assert _read(tmp_path, tool, text) == text.encode()


@pytest.mark.parametrize("text", ["", "\n", '{"version": 4, "serial": 3, "lineage": "x"}'])
def test_with_nothing_in_it(tmp_path: Path, tool: Tool, text: str) -> None:
    assert _read(tmp_path, tool, text) is None


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        "[]",
        '{"version": "4", "serial": 1}',
        '{"version": 4}',
        json.dumps({**V3, "modules": CANARY}),
    ],
)
def test_what_is_none_is_refused_without_telling_it(tmp_path: Path, tool: Tool, text: str) -> None:
    with pytest.raises(TerraformError) as caught:
        _read(tmp_path, tool, text)
    assert CANARY not in str(caught.value)
