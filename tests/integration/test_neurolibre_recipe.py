"""The recipe of NeuroLibre's modules, preflighted against those modules, restated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from barehub import process
from barehub.finding import Finding
from barehub.project import Instance
from barehub.terraform import fetching, preflight
from barehub.terraform import recipe as recipes
from tests import neurolibre

ARGUMENTS = [
    "cloudflare_zone_id",
    "cc_private_network",
    "ssh_authorized_keys",
    "ssh_private_key_path",
    "ssh_private_key_name",
    "sftp_secgroup_name",
    "sftp_ip_address",
    "docker_id",
    "docker_password",
    "TLS_email",
    "cloudflare_token",
    "grafana_admin_user",
    "grafana_admin_password",
]

OF_2019 = """
module "provider" {
  source = "SOURCE//terraform-modules/providers/openstack-k8s?ref=COMMIT"

  project_name         = "demo"
  nb_nodes             = 1
  instance_volume_size = 100
  ssh_authorized_keys  = ["<redacted>"]
  os_flavor_master     = "c4-30gb-83"
  os_flavor_node       = "c16-60gb-392"
  image_name           = "Ubuntu-18.04.3-Bionic-x64-2020-01"
  is_computecanada     = true
  docker_registry      = "binder-registry.conp.cloud"
  docker_id            = "<redacted>"
  docker_password      = "<redacted>"
}

module "dns" {
  source = "SOURCE//terraform-modules/dns/cloudflare?ref=COMMIT"

  domain    = "demo.conp.cloud"
  public_ip = "${module.provider.public_ip}"
}

module "binderhub" {
  source = "SOURCE//terraform-modules/binderhub?ref=COMMIT"

  ip              = "${module.provider.public_ip}"
  domain          = "${module.dns.domain}"
  admin_user      = "${module.provider.admin_user}"
  binder_version  = "v0.2.0-n121.h6d936d7"
  TLS_email       = "<redacted>"
  TLS_name        = "demo-conp-cloud"
  mem_alloc_gb    = 4
  cpu_alloc       = 1
  docker_registry = "${module.provider.docker_registry}"
  docker_id       = "${module.provider.docker_id}"
  docker_password = "${module.provider.docker_password}"
}
"""


class World:
    def __init__(self, root: Path) -> None:
        self.source, self.commit = neurolibre.repository(root / "modules")
        folder = root / "instances" / "demo"
        folder.mkdir(parents=True)
        self.instance = Instance("demo", folder)

    def look(self, text: str, values: dict[str, Any]) -> list[Finding]:
        self.instance.recipe.write_text(text)
        recipe = recipes.read(self.instance)
        done = process.run(["terraform", "get", "-no-color"], cwd=self.instance.folder)
        assert done.code == 0, done.stderr
        known = preflight.Known(values, {})
        return preflight.findings(recipe, known, fetching.unfetched(recipe, ""))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_recipe_fits_its_modules(world: World) -> None:
    text = neurolibre.recipe("demo", world.source, world.commit)
    found = world.look(text, dict.fromkeys(ARGUMENTS, "x"))
    assert {one.id for one in found} == {"argument.ignored"}
    ignored = sorted(one.message.split()[6] for one in found)
    assert ignored == ["TLS_name", "cpu_alloc", "mem_alloc_gb"]


def test_without_any_values_each_of_them_is_named(world: World) -> None:
    found = world.look(neurolibre.recipe("demo", world.source, world.commit), {})
    unfilled = [one for one in found if one.id in ("placeholder.unfilled", "variable.unset")]
    assert len(unfilled) == len(ARGUMENTS)
    fixes = " ".join(fix for one in unfilled for fix in one.fixes)
    assert [name for name in ARGUMENTS if f"variables.{name} " not in fixes] == []


def test_the_recipe_of_2019_is_told_all_that_has_changed(world: World) -> None:
    text = OF_2019.replace("SOURCE", world.source).replace("COMMIT", world.commit)
    found = world.look(text, dict.fromkeys(ARGUMENTS, "x"))
    missing = [one.message.split()[1] for one in found if one.id == "argument.missing"]
    assert sorted(missing) == sorted(
        [
            "sftp_ip_address",
            "sftp_mnt_dir",
            "sftp_secgroup_name",
            "ssh_private_key_name",
            "ssh_private_key_path",
            "zone_id",
            "binder_deployment_yaml_config",
            "binderhub_domain",
            "binderhub_subdomain",
            "cloudflare_token",
            "cloudflare_zone_id",
            "grafana_admin_password",
            "grafana_admin_user",
            "grafana_subdomain",
            "project_name",
            "prometheus_subdomain",
        ]
    )
    unknown = [one for one in found if one.id == "argument.unknown"]
    assert [one.message for one in unknown] == ["binderhub: its module takes no argument domain"]
    origin = next(one for one in found if one.message.startswith("binderhub: project_name"))
    assert origin.fixes == ("project_name = module.provider.project_name",)
