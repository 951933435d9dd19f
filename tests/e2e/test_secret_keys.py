"""A key of ``for_each`` that is a secret would stand in the journal: nothing is made with it."""

from __future__ import annotations

import json

import pytest

from tests.canary import holding

from . import slow_cloud
from .conftest import Cli, Result, unseal

CANARY = 'CANARY-for-each "é/7d20'
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")

BY_VAULT = """
variable "domain" {}
variable "api_token" {}
resource "terraform_data" "first" { input = "x" }
resource "terraform_data" "hub" {
  for_each = nonsensitive(toset([KEY]))
  input    = each.key
  provisioner "local-exec" { command = "echo binderhub >> ${path.root}/log" }
}
output "endpoint" { value = "https://${var.domain}" }
output "connect_to" { value = "127.0.0.1:1" }
"""

GENERATES = """
resource "terraform_data" "ip" { input = "127.0.0.1" }
resource "terraform_data" "token" {
  input = sensitive(uuid())
  lifecycle { ignore_changes = [input] }
}
output "public_ip" { value = terraform_data.ip.output }
output "token" {
  value     = terraform_data.token.output
  sensitive = true
}
"""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    return cli


def _module(cli: Cli, stage: str, text: str) -> None:
    (cli.instance("demo") / "modules" / stage / "main.tf").write_text(text)


def _refused(result: Result, secret: str, cli: Cli) -> None:
    assert result.code == 2, result
    assert "a for_each key is a secret" in result.err, result
    assert "module.binderhub.terraform_data.hub[...]" in result.err, result
    assert "nonsensitive()" in result.err, result
    assert secret not in str(result), result
    assert not holding(secret, cli.instance("demo"))


@pytest.mark.parametrize(
    "key", ["var.api_token", '"hub-${var.api_token}"', "base64encode(var.api_token)"]
)
def test_a_value_of_the_vault_as_a_key_is_refused_before_anything_is_made(
    ready: Cli, key: str
) -> None:
    _module(ready, "binderhub", BY_VAULT.replace("KEY", key))
    for command in (("plan", "--name", "demo"), ("plan", "--name", "demo", "--json"), SPAWN):
        _refused(ready(*command), CANARY, ready)
    assert not (ready.instance("demo") / "log").exists()
    assert not (ready.instance("demo") / "terraform.tfstate.sops").exists()


def test_a_generated_value_as_a_key_is_refused_once_it_is_known(ready: Cli) -> None:
    """It is made by the first stage, and the third has it as a key."""
    _module(ready, "provider", GENERATES)
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text().replace('"<vault>"', "module.provider.token"))
    _module(ready, "binderhub", BY_VAULT.replace("KEY", "var.api_token"))
    result = ready(*SPAWN)
    state = unseal(ready.instance("demo") / "terraform.tfstate.sops")
    (token,) = (r for r in state["resources"] if r["name"] == "token")
    secret = token["instances"][0]["attributes"]["input"]["value"]
    _refused(result, secret, ready)
    _refused(ready("plan", "--name", "demo"), secret, ready)
    assert "binderhub" not in (ready.instance("demo") / "log").read_text()


def test_a_name_as_a_key_is_no_secret_although_the_vault_has_it_too(ready: Cli) -> None:
    assert ready("vault.set", "variables.region", input="montreal").code == 0
    _module(ready, "binderhub", BY_VAULT.replace("KEY", '"demo", "node-1"'))
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text() + 'locals { region = "montreal-1" }\n')
    text = BY_VAULT.replace("KEY", "var.region")
    _module(ready, "binderhub", text + 'variable "region" {}\n')
    recipe.write_text(recipe.read_text().replace('"<vault>"', '"<vault>"\n  region = "montreal-1"'))
    assert ready(*SPAWN).code == 8
    assert 'hub[\\"***\\"]' not in (ready.instance("demo") / "journal.jsonl").read_text()


def test_what_has_a_secret_as_its_key_already_can_be_destroyed(ready: Cli) -> None:
    """As an older version made it, which wrote the address into the journal."""
    _module(ready, "binderhub", BY_VAULT.replace("KEY", '"plain"'))
    assert ready(*SPAWN).code == 8
    address = 'module.binderhub.terraform_data.hub["plain"]'
    assert ready("vault.set", "variables.api_token", input="plain-now-secret").code == 0
    journal = ready.instance("demo") / "journal.jsonl"
    old = journal.read_text()
    assert r"[\"plain\"]" in old
    journal.write_text(old.replace(r"[\"plain\"]", r"[\"plain-now-secret\"]"))
    state = unseal(ready.instance("demo") / "terraform.tfstate.sops")
    (hub,) = (r for r in state["resources"] if r["name"] == "hub")
    hub["instances"][0]["index_key"] = "plain-now-secret"
    state["serial"] += 1
    (ready.instance("demo") / "errored.tfstate").write_text(json.dumps(state))
    _module(ready, "binderhub", BY_VAULT.replace("KEY", "var.api_token"))
    shown = ready("status", "--name", "demo", "--json")
    assert shown.code == 0 and "plain-now-secret" not in str(shown), shown
    gone = ready("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    assert "plain-now-secret" not in str(gone) and address not in str(gone)
    assert '"gone"' in ready("list", "--json").out


def test_a_command_of_terraforms_own_writes_no_key_that_is_a_secret(ready: Cli) -> None:
    _module(ready, "binderhub", BY_VAULT.replace("KEY", "var.api_token"))
    done = ready("terraform", "--name", "demo", "--", "apply", "-auto-approve")
    assert done.code == 0, done
    journal = ready.instance("demo") / "journal.jsonl"
    assert r"terraform_data.hub[\"***\"]" in journal.read_text()
    assert not holding(CANARY, ready.instance("demo"))
    gone = ready("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    assert not holding(CANARY, ready.instance("demo"))
