"""Modules that never settle: each plan would change again what was just applied."""

from __future__ import annotations

import pytest

from . import slow_cloud
from .conftest import Cli, unseal

RESTLESS = """
resource "terraform_data" "restless" {
  triggers_replace = timestamp()
  provisioner "local-exec" { command = "echo restless >> ${path.root}/log" }
}
"""
"""As the nodes of a module whose master always has something to change."""

OUTSIDE = """
resource "terraform_data" "outside" {
  input = module.dns.domain
  provisioner "local-exec" { command = "echo outside >> ${path.root}/log" }
}
output "name" { value = module.dns.domain }
"""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    module = cli.instance("demo") / "modules" / "provider" / "main.tf"
    module.write_text(module.read_text() + RESTLESS)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-unsettled").code == 0
    return cli


@pytest.mark.parametrize(("more", "last"), [("", []), (OUTSIDE, ["outside"])])
def test_what_was_just_made_is_not_made_again(ready: Cli, more: str, last: list[str]) -> None:
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text() + more)
    result = ready("spawn", "--name", "demo", "--timeout", "1")
    assert result.code == 8, result  # verify was reached; nothing answers there
    log = (ready.instance("demo") / "log").read_text().split()
    assert sorted(log[:2]) == ["provider", "restless"] and log[2:] == ["dns", "binderhub", *last]
    assert "would change again" in result.err
    assert "module.provider.terraform_data.restless" in result.err
    state = unseal(ready.instance("demo") / "terraform.tfstate.sops")
    assert "barehub_dns_domain" in state["outputs"]
    assert ready("teardown", "--name", "demo", "--yes").code == 0
