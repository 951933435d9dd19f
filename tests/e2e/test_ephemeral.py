"""Ephemeral variables: no plan holds them, and an apply is given them without anybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import holding
from tests.cloud.providers import by_opentofu

from . import slow_cloud
from .conftest import Cli

CANARY = "CANARY-ephemeral"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
ROOM = 70_000
"""Bytes: more than a pipe holds."""

ROOT = """
variable "login_token" {
  type      = string
  ephemeral = true
}
variable "big" {
  type      = string
  sensitive = true
  ephemeral = true
}
variable "with_default" {
  default   = "as it was"
  ephemeral = true
}
variable "nothing" {
  default   = null
  ephemeral = true
}
variable "unset" {
  default   = "kept"
  ephemeral = true
}
variable "late" {}
resource "terraform_data" "login" {
  provisioner "local-exec" {
    command     = <<-EOT
      test "$T" = CANARY-ephemeral-login && test "$D" = CANARY-ephemeral-default
      test "$N" = none && test "$U" = kept && test "$L" = ROOM
      test "$M" = CANARY-ephemeral-late
      env | grep -v '^[TDNULM]=' > ${path.root}/environment
      for fd in /proc/self/fd/*; do timeout 1 cat $fd || true; done > ${path.root}/descriptors 2>&1
    EOT
    interpreter = ["/bin/bash", "-euc"]
    environment = {
      T = var.login_token
      D = var.with_default
      N = var.nothing == null ? "none" : "some"
      U = var.unset
      L = length(var.big)
      M = var.late
    }
  }
}
"""

BINDERHUB = """
variable "domain" {}
variable "api_token" {
  type      = string
  ephemeral = true
}
resource "terraform_data" "hub" {
  provisioner "local-exec" {
    command     = "test \\"$T\\" = CANARY-ephemeral-module"
    environment = { T = var.api_token }
  }
}
output "endpoint" { value = "https://${var.domain}" }
output "connect_to" { value = "127.0.0.1:1" }
"""


@pytest.fixture(params=["terraform", pytest.param("tofu", marks=pytest.mark.cloud)])
def ready(cli: Cli, tmp_path: Path, request: pytest.FixtureRequest) -> Cli:
    if request.param == "tofu":
        by_opentofu(cli, tmp_path / "tools")
    slow_cloud.make(cli.instance("demo"))
    folder = cli.instance("demo")
    (folder / "modules" / "binderhub" / "main.tf").write_text(BINDERHUB)
    recipe = folder / "main.tf"
    recipe.write_text(recipe.read_text() + ROOT.replace("ROOM", str(ROOM)))
    # an override makes it ephemeral
    (folder / "more_override.tf.json").write_text('{"variable": {"late": {"ephemeral": true}}}')
    assert cli("vault.init").code == 0
    for name, value in {
        "api_token": f"{CANARY}-module",
        "login_token": f"{CANARY}-login",
        "with_default": f"{CANARY}-default",
        "late": f"{CANARY}-late",
        "big": (f"{CANARY}-big" + "x" * ROOM)[:ROOM],
    }.items():
        assert cli("vault.set", f"variables.{name}", input=value).code == 0
    return cli


def test_an_apply_gets_the_ephemeral_variables_that_its_plan_was_given(ready: Cli) -> None:
    result = ready(*SPAWN)
    assert result.code == 8, result  # nothing listens at this recipe's endpoint
    assert "✓ rest       1 created" in result.err
    folder = ready.instance("demo")
    declared = (folder / "barehub.tf.json").read_text()
    assert '"ephemeral": true' in declared
    # what a provisioner inherits has none of them
    assert (folder / "environment").exists() and (folder / "descriptors").exists()
    assert holding(CANARY, folder) == [folder / "main.tf", *_modules(folder)], result
    assert CANARY not in str(result)
    gone = ready("teardown", "--name", "demo", "--yes")
    assert "✓ binderhub  1 destroyed" in gone.err, gone
    assert CANARY not in str(gone)


def _modules(folder: Path) -> list[Path]:
    """The module whose provisioner compares with the canary."""
    return [folder / "modules" / "binderhub" / "main.tf"]
