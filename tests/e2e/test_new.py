"""`invoke new`, and `spawn --recipe`, with a recipe that leaves a lot open."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, keygen, repository

from barehub.project import Project
from barehub.terraform.hcl import parse
from tests import canary

from .conftest import Cli
from .terminal import Terminal

CANARY = "CANARY-typed-password"

RECIPE = """\
# A recipe of the tests
module "provider" {
  source = "../../terraform/provider/thing"

  project_name    = "instance-name"
  flavor          = "<what the machines are>" # as the cloud calls it
  nb_nodes        = "<number>"
  ssh_cidrs       = ["<range>"]
  password        = "<vault>"
}

module "dns" {
  source = "../../terraform/dns/local"

  domain    = "<a name under localhost>"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "../../terraform/binderhub/thing"

  domain  = module.dns.domain
  version_ = "1.0"
}
"""

PROVIDER = """
variable "project_name" { type = string }

variable "flavor" {
  description = "Hardware of the machines."
  type        = string
}

variable "nb_nodes" {
  description = "Number of workers."
  type        = number

  validation {
    condition     = var.nb_nodes >= 1 && var.nb_nodes <= 9
    error_message = "nb_nodes must be from 1 to 9."
  }
}

variable "ssh_cidrs" {
  type = list(string)

  validation {
    condition     = !contains(var.ssh_cidrs, "0.0.0.0/0")
    error_message = "ssh_cidrs must not be the world."
  }
}

variable "password" {
  type      = string
  sensitive = true
}

variable "is_small" {
  type    = bool
  default = false
}

output "public_ip" { value = "127.0.0.1" }
"""

BINDERHUB = """
variable "domain" { type = string }
variable "version_" { type = string }
output "endpoint" { value = "https://${var.domain}" }
output "connect_to" { value = "127.0.0.1:1" }
"""

NEW = ("new", "--name", "demo", "--recipe", "thing")

SETS = (
    *("--set", "flavor=m1.${small}", "--set", "nb_nodes=2"),
    *("--set", "ssh_cidrs=192.0.2.0/24, 198.51.100.7/32", "--set", "domain=demo.localhost"),
)


@pytest.fixture
def ready(cli: Cli) -> Cli:
    for place, text in {"provider": PROVIDER, "binderhub": BINDERHUB}.items():
        folder = cli.root / "terraform" / place / "thing"
        folder.mkdir()
        (folder / "main.tf").write_text(text)
    (cli.root / "terraform" / "recipes" / "thing.tf").write_text(RECIPE)
    cli.env.pop("SSH_AUTH_SOCK", None)
    return cli


def _calls(cli: Cli) -> dict[str, dict[str, object]]:
    content = parse(cli.instance("demo") / "main.tf")
    return {name: call for block in content["module"] for name, call in block.items()}


def test_everything_comes_from_flags_and_the_hub_can_be_made(ready: Cli) -> None:
    assert ready("vault.init").code == 0
    assert ready("vault.set", "variables.password", "--name", "demo", input=CANARY).code == 0
    result = ready(*NEW, *SETS, "--set", "is_small=yes", "--set", "version_=2.0")
    assert result.code == 0, result
    assert result.out == "instances/demo/main.tf\n"
    calls = _calls(ready)
    provider = calls["provider"]
    assert provider["flavor"] == "m1.$${small}"
    assert (provider["nb_nodes"], provider["is_small"]) == (2, True)
    assert provider["ssh_cidrs"] == ["192.0.2.0/24", "198.51.100.7/32"]
    assert provider["password"] == "<vault>"
    assert (calls["dns"]["domain"], calls["binderhub"]["version_"]) == ("demo.localhost", "2.0")
    text = (ready.instance("demo") / "main.tf").read_text()
    assert "# A recipe of the tests" in text and "# as the cloud calls it" in text
    tool = Project(ready.root).terraform.path
    formatted = subprocess.run([tool, "fmt", "-check", "-"], input=text.encode())
    assert formatted.returncode == 0
    assert ready("check", "--name", "demo").code == 0
    assert ready("spawn", "--name", "demo", "--timeout", "1").code == 8  # nothing listens there


def test_all_that_is_missing_is_named_at_once_with_its_flag(ready: Cli) -> None:
    for command in (NEW, ("spawn", "--name", "demo", "--recipe", "thing")):
        result = ready(*command, timeout=30)
        assert result.code == 1, result
        for name in ("provider.flavor", "provider.nb_nodes", "provider.password", "dns.domain"):
            assert name in result.err
        assert "hint: invoke vault.set variables.password --name demo" in result.err
        flags = "--set flavor=… --set nb_nodes=… --set ssh_cidrs=… --set domain=…"
        assert f"hint: invoke new --name demo --recipe thing {flags}" in result.err
        assert result.err.index("invoke vault.init") < result.err.index("invoke vault.set")
    assert not ready.instance("demo").exists()


def test_a_recipe_that_admits_the_key_of_the_run_says_how_to_give_one(cli: Cli) -> None:
    cli.env.pop("SSH_AUTH_SOCK", None)
    result = cli("new", "--name", "demo", "--recipe", "openstack", "--set", "image_name=i")
    assert result.code == 1, result
    assert "hint: invoke vault.set ssh.private_key   # its public half is" in result.err
    assert "--recipe openstack … --set ssh_authorized_keys=…" in result.err
    text = (cli.root / "terraform" / "recipes" / "openstack.tf").read_text()
    cli.instance("demo").mkdir(parents=True)
    (cli.instance("demo") / "main.tf").write_text(text)
    assert cli("vault.init").code == 0
    checked = cli("check")
    assert "fix: invoke vault.set ssh.private_key   # its public half is let in" in checked.err
    assert "the vault has no credentials for it" in checked.err


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["nb_nodes=10"], "nb_nodes must be from 1 to 9"),
        (["nb_nodes=many"], "nb_nodes: 'many' is no number"),
        (["ssh_cidrs=0.0.0.0/0"], "ssh_cidrs must not be the world"),
        (["flavour=x"], "knows no such argument\nhint: did you mean flavor?"),
        ([f"password={CANARY}"], "a secret is not given in a command"),
        (["flavor"], "--set flavor: not of the form name=value"),
        (["dns.flavor=x"], "--set dns.flavor: the recipe 'thing' knows no such argument"),
    ],
)
def test_a_wrong_flag_is_told_and_nothing_is_written(
    ready: Cli, flags: list[str], problem: str
) -> None:
    assert ready("vault.init").code == 0
    assert ready("vault.set", "variables.password", input="CANARY-x").code == 0
    given = [part for flag in flags for part in ("--set", flag)]
    result = ready(*NEW, *SETS, *given)
    assert result.code == 1, result
    assert problem in result.err
    assert CANARY not in result.err
    assert not ready.instance("demo").exists()


def test_an_instance_that_is_there_is_never_overwritten(ready: Cli) -> None:
    recipe = ready.instance("demo") / "main.tf"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("mine")
    result = ready(*NEW, *SETS)
    assert result.code == 2, result
    assert "instances/demo/main.tf is there already" in result.err
    recipe.unlink()
    (recipe.parent / "terraform.tfstate.sops").write_text("sealed")
    assert "has lost its recipe" in ready(*NEW, *SETS).err
    assert not recipe.exists()


def test_a_person_is_asked_for_what_is_open_until_it_is_right(ready: Cli) -> None:
    with canary.Watch() as watch:
        terminal = Terminal(ready, "new")
        terminal.expect("the hub's name, such as demo:")
        terminal.type("demo\n")
        terminal.expect("openstack, thing):")
        terminal.type("thing\n")
        terminal.expect("flavor  Hardware of the machines. (what the machines are)")
        terminal.type("\nm1.small\n")
        terminal.expect("it has to have a value")
        terminal.expect("nb_nodes:")
        terminal.type("12\n")
        terminal.expect("nb_nodes must be from 1 to 9")
        terminal.type("3\n")
        terminal.expect("ssh_cidrs:")
        terminal.type("192.0.2.1/32\n")
        terminal.expect("it is stored in the vault, encrypted")
        terminal.expect("password: ")
        assert not terminal.echoes
        terminal.type(f"{CANARY}\n")
        terminal.expect("domain:")
        terminal.type("hub.example.org\n")
        terminal.expect("domain must be a name under .localhost")
        terminal.type("demo.localhost\n")
        assert terminal.end() == 0, terminal.text
    assert "✓ vault      variables.password: stored encrypted" in terminal.text
    assert _calls(ready)["provider"]["nb_nodes"] == 3
    assert f"variables.password: {CANARY}" in ready("vault.show", "--name", "demo", "--reveal").out
    assert CANARY not in terminal.text and not watch.holding(CANARY)
    assert canary.holding(CANARY, ready.root, Path(os.environ["HOME"])) == []


@pytest.mark.parametrize("key", ["\x04", "\x03"])
def test_who_stops_answering_leaves_nothing_behind(ready: Cli, key: str) -> None:
    terminal = Terminal(ready, *NEW)
    terminal.expect("flavor:")
    terminal.type(f"m1.small\n{key}")
    assert terminal.end() == (1 if key == "\x04" else 130), terminal.text
    assert not ready.instance("demo").exists()
    assert not (ready.root / ".sops.yaml").exists()


def test_a_recipe_that_leaves_nothing_open_asks_nothing(cli: Cli) -> None:
    terminal = Terminal(cli, "new", "--name", "demo", "--recipe", "local")
    assert terminal.end() == 0, terminal.text
    again = cli("new", "--name", "other", "--recipe", "local", "--set", "port=9443")
    assert again.code == 0, again
    assert "port         = 9443" in (cli.instance("other") / "main.tf").read_text()


@pytest.fixture
def served(ready: Cli, tmp_path: Path) -> Iterator[Sshd]:
    """The module of the provider in a repository behind ssh, which the vault's key opens."""
    public = keygen(tmp_path / "key")
    server = Sshd(tmp_path / "sshd", [public])
    (ready.root / "instances" / "demo").mkdir(parents=True)
    (ready.instance("demo") / "known_hosts").write_text(server.known_hosts_line)
    module = ready.root / "terraform" / "provider" / "thing"
    url = server.url(repository(module))
    recipe = ready.root / "terraform" / "recipes" / "thing.tf"
    recipe.write_text(RECIPE.replace("../../terraform/provider/thing", f"git::{url}"))
    assert ready("vault.init").code == 0
    assert ready("vault.set", "ssh.private_key", input=(tmp_path / "key").read_text()).code == 0
    values = json.dumps({"variables": {"password": "CANARY-x"}})
    (ready.root / "secrets" / "demo.yaml").write_text(values)
    assert ready("vault.encrypt", "secrets/demo.yaml").code == 0
    yield server
    server.close()


def test_modules_of_others_are_fetched_to_see_what_they_ask_for(ready: Cli, served: Sshd) -> None:
    wrong = ready(*NEW, *SETS, "--set", "nb_nodes=10")
    assert "nb_nodes must be from 1 to 9" in wrong.err, wrong
    served.admit([])
    blind = ready(*NEW, *SETS)
    assert blind.code == 0, blind
    assert "the modules could not be fetched" in blind.err
    assert "127.0.0.1 refuses the key" in blind.err
