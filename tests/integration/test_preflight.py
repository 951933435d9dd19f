"""What preflight finds in a recipe, with modules that real terraform fetches by real git."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from barehub import process
from barehub.finding import ERROR, WARNING, Finding
from barehub.project import Instance
from barehub.terraform import builds, fetching, preflight
from barehub.terraform import recipe as recipes

RECIPE = """module "provider" {
  source = "git::file://MODULES//provider?ref=COMMIT"

  project_name        = "demo"
  ssh_authorized_keys = ["<redacted>"]
  docker_password     = "<redacted>"
}

module "dns" {
  source    = "git::file://MODULES//dns?ref=COMMIT"
  domain    = "demo.example.org"
  public_ip = "${module.provider.public_ip}"
}

module "binderhub" {
  source          = "git::file://MODULES//binderhub?ref=COMMIT"
  ip              = "${module.provider.public_ip}"
  domain          = "${module.dns.domain}"
  docker_password = "${module.provider.docker_password}"
  mem_alloc_gb    = 4
}
"""

MODULES = {
    "provider": """
variable "project_name" { type = string }
variable "ssh_authorized_keys" { type = list(string) }
variable "docker_password" { sensitive = true }
resource "terraform_data" "master" { input = [var.project_name, var.ssh_authorized_keys] }
output "public_ip" { value = "192.0.2.1" }
output "project_name" { value = var.project_name }
output "docker_password" { value = var.docker_password }
""",
    "dns": """
variable "domain" {}
variable "public_ip" {}
output "domain" { value = "${var.domain} ${var.public_ip}" }
""",
    "binderhub": """
variable "ip" {}
variable "domain" {}
variable "docker_password" {}
variable "mem_alloc_gb" {}
resource "terraform_data" "hub" { input = [var.ip, var.domain, var.docker_password] }
output "limit" { value = var.mem_alloc_gb }
""",
}

VALUES = {"ssh_authorized_keys": ["ssh-ed25519 AAAA"], "docker_password": "CANARY-password"}


class World:
    """A repository of modules, and an instance whose recipe calls them."""

    def __init__(self, root: Path) -> None:
        self.modules = root / "modules"
        for name, text in MODULES.items():
            (self.modules / name).mkdir(parents=True)
            self.write(name, text)
        self.git("init", "-q", "-b", "main")
        self.commit()
        folder = root / "instances" / "demo"
        folder.mkdir(parents=True)
        self.instance = Instance("demo", folder)

    def write(self, name: str, text: str) -> None:
        (self.modules / name / "main.tf").write_text(text)

    def git(self, *args: str) -> str:
        names = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",)}
        names |= {f"GIT_{who}_EMAIL": "a@b" for who in ("AUTHOR", "COMMITTER")}
        done = process.run(["git", *args], cwd=self.modules, env={**os.environ, **names})
        assert done.code == 0, done.stderr
        return done.text.strip()

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def look(
        self,
        text: str = RECIPE,
        values: Mapping[str, Any] | None = VALUES,
        makes: Mapping[str, list[str]] | None = None,
    ) -> list[Finding]:
        text = text.replace("MODULES", str(self.modules))
        text = text.replace("COMMIT", self.git("rev-parse", "HEAD"))
        self.instance.recipe.write_text(text)
        recipe = recipes.read(self.instance)
        done = process.run(["terraform", "get", "-no-color"], cwd=self.instance.folder)
        said = "" if done.code == 0 else done.text + done.stderr.decode()
        known = preflight.Known(values, makes or {})
        self.recipe = recipe
        return preflight.findings(recipe, known, fetching.unfetched(recipe, said))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _only(found: list[Finding], id: str, severity: str = ERROR) -> Finding:
    assert [(one.id, one.severity) for one in found] == [(id, severity)]
    return found[0]


def test_a_recipe_in_order_has_no_findings(world: World) -> None:
    assert world.look() == []


def test_local_modules_need_no_fetching(world: World) -> None:
    text = RECIPE.replace("git::file://MODULES//", "../../modules/").replace("?ref=COMMIT", "")
    assert world.look(text) == []
    assert fetching.remote(world.recipe) == []


def test_an_unknown_argument_is_answered_with_near_names(world: World) -> None:
    found = world.look(RECIPE.replace("project_name ", "project_nane "))
    unknown, missing = found
    assert unknown.id == "argument.unknown" and missing.id == "argument.missing"
    assert unknown.message == "provider: its module takes no argument project_nane"
    assert unknown.where == "instances/demo/main.tf:4"
    assert unknown.fixes == ("did you mean project_name?",)
    assert missing.where == "instances/demo/main.tf:1"


def test_an_argument_of_another_module_is_told_so(world: World) -> None:
    found = world.look(RECIPE.replace("  domain    =", '  docker_password = "<x>"\n  domain    ='))
    assert _only(found, "argument.unknown").fixes == ("provider and binderhub would take it",)


@pytest.mark.parametrize(
    ("line", "values", "fix"),
    [
        ("  docker_password = ", VALUES, "docker_password = module.provider.docker_password"),
        ("  ip              = ", VALUES, "ip = …"),
        ("  domain          = ", VALUES, "domain = module.dns.domain"),
        ("  mem_alloc_gb", {**VALUES, "mem_alloc_gb": 4}, 'mem_alloc_gb = "<vault>"   # the vault'),
    ],
)
def test_where_a_missing_argument_can_come_from(
    world: World, line: str, values: dict[str, Any], fix: str
) -> None:
    kept = [one for one in RECIPE.splitlines() if not one.startswith(line)]
    found = _only(world.look("\n".join(kept), values), "argument.missing")
    assert found.fixes[0].startswith(fix), found
    assert found.where == "instances/demo/main.tf:15"


def test_a_secret_that_is_missing_belongs_into_the_vault(world: World) -> None:
    world.write("dns", MODULES["dns"] + 'variable "token" {}\noutput "t" { value = var.token }\n')
    world.commit()
    found = _only(world.look(), "argument.missing")
    command = "invoke vault.set variables.token --name demo"
    assert found.fixes == (f'token = "<vault>"   # and: {command}',)


def test_an_output_that_does_not_exist(world: World) -> None:
    text = RECIPE.replace("module.provider.docker_password", "module.provider.docker_pasword")
    found = _only(world.look(text), "output.unknown")
    assert found.where == "instances/demo/main.tf:19"
    assert found.fixes == (
        "did you mean module.provider.docker_password?",
        "provider has the outputs: docker_password, project_name, public_ip",
    )
    found = _only(world.look(RECIPE.replace("module.dns.", "module.dsn.")), "output.no-module")
    assert found.fixes == ("did you mean module.dns?",)


def test_a_placeholder_for_which_the_vault_has_nothing(world: World) -> None:
    values = {"ssh_authorized_keys": ["x"], "docker_pasword": "x"}
    found = _only(world.look(values=values), "placeholder.unfilled")
    assert found.where == "instances/demo/main.tf:6"
    assert found.fixes == (
        "invoke vault.set variables.docker_password --name demo",
        "the vault has variables.docker_pasword: is it that?",
    )


def test_nothing_is_said_of_a_vault_that_could_not_be_opened(world: World) -> None:
    assert world.look(values=None) == []


def test_what_barehub_makes_itself_is_not_missed(world: World) -> None:
    makes = {"provider": ["docker_password", "ssh_authorized_keys"]}
    assert world.look(values={}, makes=makes) == []


def test_a_variable_of_the_recipe_without_a_value(world: World) -> None:
    text = RECIPE + 'variable "size" {\n}\nvariable "key" {\n  default = "<vault>"\n}\n'
    unset, placeholder = world.look(text)
    assert (unset.id, unset.where) == ("variable.unset", "instances/demo/main.tf:22")
    assert placeholder.id == "placeholder.unfilled"
    assert world.look(text, {**VALUES, "size": 1, "key": "x"}) == []


def test_a_secret_in_clear_is_named_and_not_told(world: World) -> None:
    text = RECIPE.replace(
        'docker_password     = "<redacted>"', 'docker_password     = "CANARY-in-clear"'
    )
    found = _only(world.look(text), "secret.literal", WARNING)
    assert found.where == "instances/demo/main.tf:6"
    assert found.message == "provider: docker_password is a secret in clear"
    assert "CANARY" not in str(found)
    text = RECIPE + 'locals {\n  api_token = "CANARY-in-clear"\n}\n'
    found = _only(world.look(text), "secret.literal", WARNING)
    assert found.where == "instances/demo/main.tf:23" and "CANARY" not in str(found)
    text = RECIPE + 'variable "api_token" {\n  default = "CANARY-in-clear"\n}\n'
    found = _only(world.look(text), "secret.literal", WARNING)
    assert found.message == "variable: api_token is a secret in clear"
    assert found.where == "instances/demo/main.tf:23"


def test_a_password_in_a_source_is_named_and_not_told(world: World) -> None:
    text = RECIPE.replace(
        "git::file://MODULES//dns?", "git::https://me:CANARY-pw@127.0.0.1:1/x//dns?"
    )
    found = world.look(text)
    assert {one.id for one in found} == {"module.unfetched", "secret.literal"}
    assert "CANARY" not in str(found)
    text = text.replace("//dns?ref=COMMIT", "//dns")
    assert "CANARY" not in str(world.look(text))


def test_a_module_for_terraform_0_11(world: World) -> None:
    old = MODULES["dns"] + 'variable "names" {\n  type = "list"\n}\n'
    world.write("dns", old)
    world.commit()
    found = world.look(RECIPE.replace("  domain    =", "  names     = []\n  domain    ="))
    told = next(one for one in found if one.id == "module.terraform-0.11")
    assert told.where == "instances/demo/main.tf:10"
    assert "main.tf line 6" in told.message


def test_what_to_use_instead_of_the_module_of_2019() -> None:
    old = "git::ssh://git@github.com/neurolibre/terraform-binderhub.git//terraform-modules/"
    assert "openstack-k8s?ref=eb457" in preflight.instead(f"{old}providers/openstack")[0]
    assert preflight.instead(f"{old}dns/cloudflare") == ()


def test_a_module_that_is_no_hcl(world: World) -> None:
    world.write("dns", MODULES["dns"] + 'output "x" {\n')
    world.commit()
    found = _only(world.look(), "module.unreadable")
    assert "not valid HCL" in found.message and found.where == "instances/demo/main.tf:10"


def test_a_source_that_may_be_moved(world: World) -> None:
    text = RECIPE.replace("//dns?ref=COMMIT", "//dns").replace(
        "binderhub?ref=COMMIT", "binderhub?ref=main"
    )
    first, second = world.look(text)
    assert (first.id, first.severity) == ("source.unpinned", WARNING)
    assert "dns: its source follows the default branch" in first.message
    assert first.fixes[0].endswith(f"git ls-remote file://{world.modules} HEAD")
    assert "binderhub: its source follows main" in second.message


def test_an_argument_that_the_module_ignores(world: World) -> None:
    world.write("binderhub", MODULES["binderhub"].replace("var.mem_alloc_gb", "4"))
    world.commit()
    found = _only(world.look(), "argument.ignored", WARNING)
    assert found.message == "binderhub: its module makes nothing of mem_alloc_gb"
    assert found.where == "instances/demo/main.tf:20"


def test_a_folder_that_is_not_there(world: World) -> None:
    text = RECIPE.replace("git::file://MODULES//dns?ref=COMMIT", "../../modules/dsn")
    found = [one for one in world.look(text) if one.id == "module.missing"]
    assert [one.where for one in found] == ["instances/demo/main.tf:10"]
    found = world.look(RECIPE.replace("//dns?", "//dsn?"))
    assert "has no folder dsn" in _only(found, "module.missing").message


def test_a_host_that_does_not_answer(world: World) -> None:
    assert world.look() == []
    text = RECIPE.replace(
        "git::file://MODULES//dns?ref=COMMIT",
        "git::ssh://git@127.0.0.1:1/x.git//dns?ref=" + "a" * 40,
    )
    found = _only(world.look(text), "module.unfetched")
    assert found.message.endswith("127.0.0.1 cannot be reached: connection refused")
    assert found.fixes[0] == "ssh -v -p 1 127.0.0.1"


def test_all_of_it_is_said_at_once(world: World) -> None:
    text = RECIPE.replace("project_name ", "project_nane ").replace("//dns?ref=COMMIT", "//dns")
    text = text.replace("module.dns.domain", "module.dns.name")
    assert sorted({one.id for one in world.look(text, {})}) == [
        "argument.missing",
        "argument.unknown",
        "output.unknown",
        "placeholder.unfilled",
        "source.unpinned",
    ]


TEMPLATE = 'data "template_file" "x" { template = var.ip }\n'


@pytest.mark.parametrize(
    ("more", "machine", "ids"),
    [
        (TEMPLATE, "darwin_arm64", ["provider.no-build"]),
        (TEMPLATE, "linux_amd64", []),
        ('terraform {\n  required_providers {\n    template = { source = "hashicorp/template" }\n'
         "  }\n}\n", "darwin_arm64", ["provider.no-build"]),
        ('terraform {\n  required_providers {\n    template = { source = "example/template" }\n'
         "  }\n}\n" + TEMPLATE, "darwin_arm64", []),
    ],
)  # fmt: skip
def test_a_provider_that_nobody_built_for_this_machine(
    world: World, own_home: Path, more: str, machine: str, ids: list[str]
) -> None:
    world.write("binderhub", MODULES["binderhub"] + more)
    world.commit()
    world.look()
    module = world.recipe.module("binderhub")

    def seen() -> list[str]:
        return [one.id for one in builds.unbuilt(world.recipe, "binderhub", module, machine)]

    assert seen() == ids
    plugins = own_home / ".terraform.d" / "plugins" / "registry.terraform.io" / "hashicorp"
    (plugins / "template" / "2.2.0" / machine).mkdir(parents=True)
    assert seen() == []


def test_this_machine_is_named_as_terraform_names_it() -> None:
    said = process.run(["terraform", "version", "-json"]).text
    assert f'"{builds.machine()}"' in said
