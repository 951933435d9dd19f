from __future__ import annotations

from pathlib import Path

import pytest

from barehub.cloud.plan import Plan, of
from barehub.project import Instance
from barehub.terraform.hcl import parse
from barehub.terraform.recipe import Recipe

RECIPE = """
variable "os_flavor_node" { default = "c2" }

module "provider" {
  source               = "git::ssh://git@github.com/neurolibre/terraform-binderhub.git//x/openstack-k8s"
  project_name         = "demo"
  nb_nodes             = "2"
  instance_volume_size = 100
  os_flavor_master     = "<vault>"
  os_flavor_node       = var.os_flavor_node
  image_name           = "ubuntu-${var.release}"
  is_computecanada     = true
}

module "dns" {
  source    = "./dns"
  domain    = "demo.example.org"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source              = "./binderhub"
  domain              = module.dns.domain
  binderhub_domain    = "Example.org"
  binderhub_subdomain = "demo"
  grafana_subdomain   = "grafana"
  cloudflare_zone_id  = "<zone>"
}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "main.tf").write_text(RECIPE)
    recipe = Recipe(Instance("x", tmp_path), parse(tmp_path / "main.tf"))
    secrets = {"os_flavor_master": "c4", "cloudflare_zone_id": "123", "public_network": "Public"}
    return of(recipe.calls, secrets, {"os_flavor_node": "c2"})


def test_arguments_come_from_the_recipe_the_vault_and_defaults(plan: Plan) -> None:
    assert plan.project == "demo"
    assert plan.text("os_flavor_master") == "c4"
    assert plan.text("os_flavor_node") == "c2"
    assert plan.text("public_network") == "Public"
    assert plan.zones == ["123"]


def test_what_only_terraform_can_tell_stays_open(plan: Plan) -> None:
    assert plan.text("image_name") is None


def test_a_number_may_be_written_as_a_text(plan: Plan) -> None:
    assert plan.servers == {"os_flavor_master": 1, "os_flavor_node": 2}
    assert plan.number("instance_volume_size") == 100
    assert plan.number("os_flavor_node") is None


def test_every_name_of_a_hub_is_told_once(plan: Plan) -> None:
    assert plan.domains == ["demo.example.org", "grafana.example.org"]


def test_clouds_are_told_by_sources_and_arguments(plan: Plan) -> None:
    assert (plan.openstack, plan.cloudflare) == (True, True)
    local = of({"provider": {"source": "./local"}, "dns": {"source": "./x"}}, {"zone_id": "1"}, {})
    assert (local.openstack, local.cloudflare) == (False, False)


def test_compute_canada_has_the_network_already(plan: Plan) -> None:
    assert not plan.own_network
    assert of({"provider": {"os_flavor_master": "c"}}, {}, {}).own_network
