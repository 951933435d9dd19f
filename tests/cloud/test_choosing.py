"""`invoke new` with what a real OpenStack has to choose from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Cli
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.cloud

RECIPE = """
module "provider" {
  source = "../../terraform/provider/chosen"

  project_name     = "instance-name"
  os_flavor_master = "<flavor>"
  os_flavor_node   = "<flavor>"
  image_name       = "<image>"
  public_network   = "Public-Network"
}

module "dns" {
  source = "../../terraform/dns/local"

  domain    = "instance-name.localhost"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "../../terraform/dns/local"

  domain    = module.dns.domain
  public_ip = module.dns.public_ip
}
"""

MODULE = """
variable "project_name" { type = string }
variable "os_flavor_master" { type = string }
variable "os_flavor_node" { type = string }
variable "image_name" { type = string }
variable "public_network" { type = string }
output "public_ip" { value = "127.0.0.1" }
"""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    folder = cli.root / "terraform" / "provider" / "chosen"
    folder.mkdir()
    (folder / "main.tf").write_text(MODULE)
    (cli.root / "terraform" / "recipes" / "chosen.tf").write_text(RECIPE)
    cli.env.pop("SSH_AUTH_SOCK", None)
    assert cli("vault.init").code == 0
    return cli


def _to_vault(cli: Cli, env: dict[str, str]) -> None:
    (cli.root / "secrets" / "hub.yaml").write_text(json.dumps({"environment": env}))
    assert cli("vault.encrypt", "secrets/hub.yaml").code == 0


def test_flavors_images_and_networks_are_the_clouds_own(ready: Cli, project: Any) -> None:
    _to_vault(ready, project.env)
    terminal = Terminal(ready, "new", "--name", "hub", "--recipe", "chosen")
    terminal.expect("1  m1.")
    terminal.expect("2 GiB")
    terminal.expect("os_flavor_master:")
    terminal.type("no-such\n")
    terminal.expect("the cloud has no 'no-such'")
    terminal.type("m1.small\n")  # its whole name
    terminal.expect("os_flavor_node:")
    terminal.type("1\n")  # its number
    terminal.expect("image_name:")
    terminal.type("ubu\n")  # a part of its name
    terminal.expect("public_network [Public-Network]:")
    terminal.type("\n")
    assert terminal.end() == 0, terminal.text
    text = (ready.instance("hub") / "main.tf").read_text()
    assert 'os_flavor_master = "m1.small"' in text
    assert 'os_flavor_node   = "m1.' in text
    assert 'image_name       = "ubuntu' in text
    assert 'public_network   = "Public-Network"' in text
    checked = ready("check", "--name", "hub")
    assert checked.code == 0, checked


def test_a_cloud_that_refuses_does_not_stop_a_person_who_knows(ready: Cli, project: Any) -> None:
    _to_vault(ready, {**project.env, "OS_PASSWORD": "CANARY-wrong"})
    terminal = Terminal(ready, "new", "--name", "hub", "--recipe", "chosen")
    terminal.expect("names are not offered, and can be typed")
    for name in ("os_flavor_master", "os_flavor_node", "image_name"):
        terminal.expect(f"{name}:")
        terminal.type(f"my-{name}\n")
    assert terminal.end() == 0, terminal.text
    assert "CANARY" not in terminal.text
