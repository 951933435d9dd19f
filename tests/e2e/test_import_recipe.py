"""An instance's folder of the old procedure, applied there by the real terraform, taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.canary import Watch, holding

from .conftest import Cli, Result, unseal

CANARY = "CANARY-take-over-51f0"

RECIPE = f"""# the docker password was {CANARY}-comment
module "provider" {{
  source = "../modules/provider"

  project_name        = "old-hub"
  ssh_authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOld me"]
  docker_id           = "robot"
  docker_password     = "{CANARY}-docker"
}}

module "dns" {{
  source    = "../modules/dns"
  domain    = "old-hub.example.org"
  public_ip = "${{module.provider.public_ip}}"
}}

module "binderhub" {{
  source          = "../modules/binderhub"
  ip              = "${{module.provider.public_ip}}"
  domain          = "${{module.dns.domain}}"
  docker_password = "${{module.provider.docker_password}}"
  TLS_email       = "me@example.org"
}}
"""

MODULES = {
    "provider": """
variable "project_name" {}
variable "ssh_authorized_keys" { type = list(string) }
variable "docker_id" {}
variable "docker_password" {}
resource "terraform_data" "node" {
  count = 2
  input = "${var.project_name}-node${count.index} ${var.docker_id} ${var.docker_password}"
}
resource "terraform_data" "keys" { input = var.ssh_authorized_keys }
output "public_ip" { value = "127.0.0.1" }
output "docker_password" { value = var.docker_password }
""",
    "dns": """
variable "domain" {}
variable "public_ip" {}
resource "terraform_data" "record" { input = "${var.domain} ${var.public_ip}" }
output "domain" { value = var.domain }
""",
    "binderhub": """
variable "ip" {}
variable "domain" {}
variable "docker_password" {}
variable "TLS_email" {}
resource "terraform_data" "hub" {
  input = "${var.ip} ${var.domain} ${var.docker_password} ${var.TLS_email}"
}
""",
}

RESOURCES = 5

OPENRC = f"""#!/usr/bin/env bash
touch /tmp/never-{os.getpid()}
export OS_AUTH_URL=https://cloud.example.org:5000/v3
export OS_USERNAME="robot"
export OS_REGION_NAME="{CANARY}-region"
echo "Please enter your OpenStack Password: "
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
"""

KEYS_CC = f"export CLOUDFLARE_EMAIL=me@example.org\nexport CLOUDFLARE_API_TOKEN='{CANARY}-cc'\n"


def _terraform(folder: Path, *args: str) -> None:
    done = subprocess.run(["terraform", *args], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def old(cli: Cli, tmp_path: Path) -> Path:
    """The folder, its modules beside it, and what terraform made there."""
    for name, text in MODULES.items():
        module = tmp_path / "modules" / name
        module.mkdir(parents=True)
        (module / "main.tf").write_text(text)
    folder = tmp_path / "Old_Hub"
    folder.mkdir()
    (folder / "main.tf").write_text(RECIPE)
    _terraform(folder, "init")
    _terraform(folder, "apply", "-auto-approve")
    (folder / "def-someone-openrc.sh").write_text(OPENRC)
    (folder / "keys_cc.sh").write_text(KEYS_CC)
    (folder / "logs").write_text(f"module.provider: {CANARY}-docker\n")
    (folder / "README.txt").write_text("nothing\n")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id_rsa"])
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def _import(cli: Cli, old: Path, *args: str) -> Result:
    return cli("import-recipe", str(old), *args)


def _values(cli: Cli, name: str = "old-hub") -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(cli("vault.show", "--name", name, "--reveal", "--json").out)
    return shown


def _plain(old: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((old / "terraform.tfstate").read_text())
    return state


def test_all_of_it_arrives_and_a_plan_changes_nothing(
    cli: Cli, old: Path, tmp_path: Path, runtime_dir: Path
) -> None:
    before = _contents(old)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    cli.env["TMPDIR"] = str(temporary)
    with Watch() as watch:
        result = _import(cli, old)
    assert result.code == 0, result
    assert any(b"plan" in text for text in watch.seen), "the watch saw terraform at work"
    assert watch.holding(f"{CANARY}-docker") == []
    assert CANARY not in result.out + result.err
    assert holding(CANARY, cli.root, temporary, runtime_dir) == []
    assert _contents(old) == before, "the folder is left as it was"
    assert not Path(f"/tmp/never-{os.getpid()}").exists(), "no script was run"
    assert "terraform would change nothing" in result.err
    assert f"{RESOURCES - 1} resources, sealed into" in result.err
    assert "environment.OS_PASSWORD is asked for" in result.err
    assert "hint: invoke vault.set environment.OS_PASSWORD --name old-hub" in result.err
    values = _values(cli)
    assert values == {
        "environment.OS_AUTH_URL": "https://cloud.example.org:5000/v3",
        "environment.OS_USERNAME": "robot",
        "environment.OS_REGION_NAME": f"{CANARY}-region",
        "environment.CLOUDFLARE_EMAIL": "me@example.org",
        "environment.CLOUDFLARE_API_TOKEN": f"{CANARY}-cc",
        "variables.docker_password": f"{CANARY}-docker",
        "ssh.private_key": (old / "id_rsa").read_text(),
    }
    instance = cli.instance("old-hub")
    assert 'docker_password     = "<vault>"' in (instance / "main.tf").read_text()
    assert unseal(instance / "terraform.tfstate.sops") == _plain(old)


def test_what_to_delete_and_to_reissue_is_told(cli: Cli, old: Path) -> None:
    result = _import(cli, old)
    for name in ("main.tf", "def-someone-openrc.sh", "keys_cc.sh", "id_rsa", "logs"):
        assert f"- [ ] rm {old}/{name}" in result.out
    assert f"- [ ] rm {old}/terraform.tfstate\n" in result.out
    assert "- [ ] secrets/old-hub.yaml: variables.docker_password (main.tf)" in result.out
    assert "- [ ] secrets/old-hub.yaml: ssh.private_key (id_rsa)" in result.out
    assert "OS_USERNAME" not in result.out
    assert "not imported, and not needed here: README.txt" in result.err
    document = json.loads(_import(cli, old, "--json").out)
    assert document["instance"] == "old-hub" and str(old / "keys_cc.sh") in document["delete"]
    assert any("docker_password" in item["secret"] for item in document["reissue"])


def test_the_same_again_changes_nothing(cli: Cli, old: Path) -> None:
    assert _import(cli, old).code == 0
    before = _contents(cli.root / "secrets") | _contents(cli.instance("old-hub"))
    result = _import(cli, old)
    assert result.code == 0 and "all of it was there already" in result.err, result
    assert _contents(cli.root / "secrets") | _contents(cli.instance("old-hub")) == before


@pytest.mark.parametrize("seconds", [0.35, 0.6, 0.9])
def test_what_a_kill_cuts_short_the_next_import_completes(
    cli: Cli, old: Path, seconds: float, runtime_dir: Path
) -> None:
    child = cli.start("import-recipe", str(old))
    time.sleep(seconds)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    instance = cli.instance("old-hub")
    if (instance / "main.tf").exists():
        assert (instance / "terraform.tfstate.sops").exists(), "the state comes before the recipe"
    result = _import(cli, old)
    assert result.code == 0, result
    assert unseal(instance / "terraform.tfstate.sops") == _plain(old)
    assert _values(cli)["variables.docker_password"] == f"{CANARY}-docker"
    assert holding(CANARY, cli.root, runtime_dir) == []


def test_what_is_imported_can_be_torn_down(cli: Cli, old: Path) -> None:
    assert _import(cli, old).code == 0
    result = cli("teardown", "--name", "old-hub", "--yes")
    assert result.code == 0, result
    assert "2 destroyed" in result.err or "3 destroyed" in result.err
    assert not (cli.instance("old-hub") / "terraform.tfstate.sops").exists()


def test_a_plan_that_changes_something_is_told_and_not_applied(cli: Cli, old: Path) -> None:
    recipe = old / "main.tf"
    recipe.write_text(recipe.read_text().replace('"old-hub.example', '"new-hub.example'))
    result = _import(cli, old)
    assert result.code == 5, result
    assert "module.dns.terraform_data.record" in result.err
    assert "module.provider." not in result.err, "what changes nothing is not told"
    assert "nothing was applied" in result.err
    assert unseal(cli.instance("old-hub") / "terraform.tfstate.sops") == _plain(old)


def test_keys_in_a_folder_of_their_own(cli: Cli, old: Path, tmp_path: Path) -> None:
    keys = tmp_path / "my-keys"
    keys.mkdir()
    for name in ("id_rsa", "id_rsa.pub", "keys_cc.sh"):
        (old / name).rename(keys / name)
    (keys / "gitcrypt-key").write_bytes(b"\0GITCRYPTKEY")
    result = _import(cli, old, "--name", "hub", "--keys", str(keys))
    assert result.code == 0, result
    assert _values(cli, "hub")["ssh.private_key"] == (keys / "id_rsa").read_text()
    assert f"- [ ] rm {keys}/gitcrypt-key" in result.out
    assert f"- [ ] rm {keys}/id_rsa\n" in result.out


def test_without_a_state_it_says_so(cli: Cli, old: Path) -> None:
    (old / "terraform.tfstate").unlink()
    result = _import(cli, old)
    assert result.code == 5, result
    assert "has no terraform.tfstate: what it has made is not known here" in result.err
    assert "create: module.provider.terraform_data.node[0]" in result.err


def test_a_state_of_terraform_0_12_is_brought_up_to_date(cli: Cli, old: Path) -> None:
    """As 0.12 named the providers; what else is in it was written by the terraform of this test."""
    state = old / "terraform.tfstate"
    text = state.read_text().replace(
        'provider[\\"terraform.io/builtin/terraform\\"]', "provider.terraform"
    )
    assert "provider.terraform" in text
    state.write_text(text)
    result = _import(cli, old)
    assert result.code == 0, result
    kept = unseal(cli.instance("old-hub") / "terraform.tfstate.sops")
    assert kept["resources"][0]["provider"] == 'provider["terraform.io/builtin/terraform"]'
    assert (kept["serial"], kept["lineage"]) == (_plain(old)["serial"], _plain(old)["lineage"])
    assert state.read_text() == text


def _no_state(old: Path) -> None:
    (old / "terraform.tfstate").write_text(f"{CANARY} no state")


def _newer_state(old: Path) -> None:
    (old / "terraform.tfstate").write_text('{"version": 5, "serial": 1, "lineage": "x"}')


def _ancient_state(old: Path) -> None:
    (old / "terraform.tfstate").write_text('{"version": 0, "serial": 1, "lineage": "x"}')


def _errored(old: Path) -> None:
    (old / "errored.tfstate").write_text("{}")


def _two_files(old: Path) -> None:
    (old / "outputs.tf").write_text("")


def _no_recipe(old: Path) -> None:
    (old / "main.tf").write_text('module "x" {\n  source = "./x"\n}\n')


def _no_hcl(old: Path) -> None:
    (old / "main.tf").write_text(RECIPE + "module {\n")


def _backend(old: Path) -> None:
    (old / "main.tf").write_text(RECIPE + 'terraform { backend "pg" {} }\n')


def _git_crypt(old: Path) -> None:
    (old / "main.tf").write_bytes(b"\0GITCRYPT\0" + bytes(40))


def _nothing(old: Path) -> None:
    (old / "main.tf").unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (_no_state, 5, "does not hold a Terraform state"),
        (_newer_state, 5, "is a state of format 5"),
        (_ancient_state, 5, "cannot bring"),
        (_errored, 5, "errored.tfstate"),
        (_two_files, 2, "more than one Terraform file: main.tf, outputs.tf"),
        (_no_recipe, 2, "is no recipe"),
        (_no_hcl, 2, "is no recipe"),
        (_backend, 2, "a backend of its own, pg"),
        (_git_crypt, 4, "is encrypted by git-crypt"),
        (_nothing, 2, "has no main.tf"),
    ],
)
def test_a_refusal_leaves_nothing(
    cli: Cli, old: Path, spoil: Callable[[Path], None], code: int, said: str
) -> None:
    spoil(old)
    before = _contents(cli.root)
    result = _import(cli, old)
    assert result.code == code, result
    assert said in result.err and "hint: " in result.err
    assert CANARY not in result.err and "Traceback" not in result.err
    after = {k: v for k, v in _contents(cli.root).items() if "__pycache__" not in k}
    assert after == {k: v for k, v in before.items() if "__pycache__" not in k}
    assert not cli.instance("old-hub").exists()


def test_another_state_is_not_overwritten(cli: Cli, old: Path) -> None:
    assert _import(cli, old).code == 0
    kept = unseal(cli.instance("old-hub") / "terraform.tfstate.sops")
    state = _plain(old)
    (old / "terraform.tfstate").write_text(json.dumps({**state, "lineage": "another"}))
    result = _import(cli, old)
    assert result.code == 5 and "has a state already" in result.err, result
    assert unseal(cli.instance("old-hub") / "terraform.tfstate.sops") == kept


def test_a_folder_whose_name_is_none_for_an_instance(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "-"
    folder.mkdir()
    result = _import(cli, folder)
    assert result.code == 1 and "hint: --name NAME" in result.err, result
