"""Recipes, completed from the vault and read by the real terraform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barehub import process
from barehub.errors import RecipeError
from barehub.project import Instance
from barehub.terraform import recipe as recipes

NEUROLIBRE = """
module "provider" {
  source              = "../../modules/provider"
  project_name        = "demo"
  ssh_authorized_keys = ["<redacted>"]
  docker_id           = "<redacted>"
  docker_password     = "<redacted>"
}

module "dns" {
  source    = "../../modules/dns"
  domain    = "demo.conp.cloud"
  public_ip = "${module.provider.public_ip}"
}

module "binderhub" {
  source          = "../../modules/binderhub"
  ip              = "${module.provider.public_ip}"
  domain          = "${module.dns.domain}"
  docker_password = "${module.provider.docker_password}"

  cloudflare_token = "<redacted>"
}
"""

MODULES = {
    "provider": """
variable "project_name" { type = string }
variable "ssh_authorized_keys" { type = list(string) }
variable "docker_id" {}
variable "docker_password" {}
variable "nb_nodes" { default = 1 }
resource "terraform_data" "master" { input = var.docker_password }
output "public_ip" { value = "192.0.2.1" }
output "docker_password" { value = var.docker_password }
""",
    "dns": """
variable "domain" {}
variable "public_ip" {}
output "domain" { value = var.domain }
""",
    "binderhub": """
variable "ip" {}
variable "domain" {}
variable "docker_password" {}
variable "cloudflare_token" {}
resource "terraform_data" "hub" { input = var.cloudflare_token }
""",
}

VALUES = {
    "ssh_authorized_keys": ["ssh-ed25519 AAAA"],
    "docker_id": "robot",
    "docker_password": 'CANARY-"pw" ${x} %{y} é',
    "cloudflare_token": "CANARY-cloudflare",
    "not_asked_for": "CANARY-unused",
}


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    for name, text in MODULES.items():
        folder = tmp_path / "modules" / name
        folder.mkdir(parents=True)
        (folder / "main.tf").write_text(text)
    folder = tmp_path / "instances" / "demo"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(NEUROLIBRE)
    return Instance("demo", folder)


def _init(instance: Instance) -> recipes.Recipe:
    recipe = recipes.read(instance)
    done = process.run(["terraform", "init", "-input=false"], cwd=instance.folder)
    assert done.code == 0, done.stderr
    return recipe


def test_a_recipe_of_the_old_procedure_is_completed_and_stays_as_it_is(instance: Instance) -> None:
    recipe = _init(instance)
    assert recipe.missing(VALUES) == {}
    values = recipe.complete(VALUES)
    assert set(values) == set(VALUES) - {"not_asked_for"}

    variables = instance.folder / "v.tfvars.json"
    variables.write_text(json.dumps(values))
    options = ["-auto-approve", f"-var-file={variables.name}"]
    done = process.run(["terraform", "apply", *options], cwd=instance.folder)
    assert done.code == 0, done.stderr
    assert "CANARY" not in done.text
    state = json.loads((instance.folder / "terraform.tfstate").read_text())
    inputs = {
        resource["name"]: resource["instances"][0]["attributes"]["input"]["value"]
        for resource in state["resources"]
    }
    assert inputs == {"master": VALUES["docker_password"], "hub": VALUES["cloudflare_token"]}
    assert state["outputs"]["barehub_dns_domain"]["value"] == "demo.conp.cloud"
    assert instance.recipe.read_text() == NEUROLIBRE


def test_the_generated_files_hold_no_secret(instance: Instance) -> None:
    recipe = _init(instance)
    recipe.complete(VALUES)
    for name in (recipes.DECLARATIONS, recipes.OVERRIDES):
        assert "CANARY" not in (instance.folder / name).read_text()
    recipes.forget(instance)
    assert not list(instance.folder.glob("barehub*"))


def test_everything_that_is_missing_is_named_at_once(instance: Instance) -> None:
    recipe = _init(instance)
    assert recipe.unwritten() == {}
    assert recipe.missing({"docker_id": "x"}) == {
        "provider": ["ssh_authorized_keys", "docker_password"],
        "binderhub": ["cloudflare_token"],
    }


def test_a_required_argument_that_the_recipe_does_not_write_is_named(instance: Instance) -> None:
    text = NEUROLIBRE.replace('cloudflare_token = "<redacted>"', "")
    instance.recipe.write_text(text.replace('  project_name        = "demo"\n', ""))
    assert _init(instance).unwritten() == {
        "provider": ["project_name"],
        "binderhub": ["cloudflare_token"],
    }


def test_an_optional_argument_that_only_the_vault_has_is_filled(instance: Instance) -> None:
    recipe = _init(instance)
    assert recipe.complete({**VALUES, "nb_nodes": 3})["nb_nodes"] == 3
    valid = process.run(["terraform", "validate"], cwd=instance.folder)
    assert valid.code == 0, valid.stderr


def test_a_variable_that_the_recipe_declares_itself_is_only_filled(instance: Instance) -> None:
    text = NEUROLIBRE.replace('docker_id           = "<redacted>"', "docker_id = var.docker_id")
    instance.recipe.write_text(text + 'variable "docker_id" {}\n')
    recipe = _init(instance)
    assert "docker_id" in recipe.complete(VALUES)
    declared = json.loads((instance.folder / recipes.DECLARATIONS).read_text())["variable"]
    assert "docker_id" not in declared


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (NEUROLIBRE.replace('module "dns"', 'module "dsn"'), r'no module "dns" \(it has: provider'),
        ('module "provider" {\n  source = "x\n}\n', r"main\.tf line 2, column .* not valid HCL"),
        ('module "provider" {\n', r"not valid HCL"),
        ("", r'no module "provider" \(it has: none\)'),
        (NEUROLIBRE + 'terraform {\n  backend "local" {}\n}\n', "a backend 'local'"),
    ],
)
def test_a_recipe_that_cannot_run_is_refused_by_name(
    instance: Instance, text: str, problem: str
) -> None:
    instance.recipe.write_text(text)
    with pytest.raises(RecipeError, match=problem):
        recipes.read(instance)


def test_a_misspelt_module_is_named(instance: Instance) -> None:
    instance.recipe.write_text(NEUROLIBRE.replace('module "dns"', 'module "dsn"'))
    with pytest.raises(RecipeError) as caught:
        recipes.read(instance)
    assert caught.value.hints == ('rename module "dsn" to "dns"',)
