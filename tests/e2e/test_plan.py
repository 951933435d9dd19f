"""The plan is a promise: what is shown, what is asked, what the guard refuses, what is applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import slow_cloud
from .conftest import Cli, Result, unseal
from .terminal import Terminal

CANARY = "CANARY-plan-token"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")

PROVIDER = """
variable "nb_nodes" {}
variable "docker_password" {}
variable "color" { default = "blue" }
resource "terraform_data" "ip" {
  input            = "127.0.0.1"
  triggers_replace = var.color == "red" ? "moved" : "here"
}
resource "terraform_data" "init" { input = "nodes ${var.nb_nodes} ${var.docker_password}" }
resource "terraform_data" "master" {
  triggers_replace = ["nodes ${var.nb_nodes} ${var.docker_password}"]
  provisioner "local-exec" { command = "echo provider >> ${path.root}/log" }
}
resource "terraform_data" "node" {
  count            = var.nb_nodes
  triggers_replace = terraform_data.master.id
}
output "public_ip" { value = terraform_data.ip.output }
"""

CALL = """
module "provider" {
  source          = "./modules/provider"
  nb_nodes        = 2
  docker_password = "<vault>"
}
"""

MASTER = "module.provider.terraform_data.master"


@pytest.fixture
def hub(cli: Cli) -> Cli:
    folder = cli.instance("demo")
    slow_cloud.make(folder)
    (folder / "modules" / "provider" / "main.tf").write_text(PROVIDER)
    recipe = folder / "main.tf"
    rest = recipe.read_text().partition("}\n")[2]
    recipe.write_text(CALL + rest)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    assert cli("vault.set", "variables.docker_password", input=f"{CANARY}-docker").code == 0
    return cli


def _edit(cli: Cli, old: str, new: str, file: str = "main.tf") -> None:
    path = cli.instance("demo") / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _spawned(cli: Cli, *args: str) -> Result:
    """A spawn that does all but find an endpoint: nothing listens at this recipe's."""
    result = cli(*SPAWN, *args)
    assert result.code == 8, result
    return result


def _ids(cli: Cli) -> dict[str, str]:
    resources = unseal(cli.instance("demo") / "terraform.tfstate.sops")["resources"]
    return {r["name"]: r["instances"][0]["attributes"]["id"] for r in resources}


def test_a_new_hub_is_shown_by_stage_before_anything_is_made(hub: Cli) -> None:
    said = hub("plan", "--name", "demo")
    assert said.code == 0, said
    assert said.out.splitlines()[0] == "demo: 7 to create"
    assert "provider: create: module.provider.terraform_data.node[1]" in said.out
    assert not (hub.instance("demo") / "terraform.tfstate.sops").exists()
    assert not (hub.instance("demo") / "log").exists()
    err = _spawned(hub).err
    assert err.index("✓ plan       7 to create") < err.index("✓ provider")
    assert "also" not in err  # each stage did what had been shown


def test_the_guard_names_the_argument_that_would_cost_the_master(hub: Cli) -> None:
    _spawned(hub)
    before = _ids(hub)
    _edit(hub, "nb_nodes        = 2", "nb_nodes = 3")
    for more in ((), ("--yes",)):
        refused = hub(*SPAWN, *more)
        assert refused.code == 1, refused
        assert f"would replace {MASTER} (triggers_replace: nb_nodes)" in refused.err
        assert f"--allow-replace {MASTER}" in refused.err
        assert "loses the machine and its disk" in refused.err
    assert _ids(hub) == before
    # nodes are nobody's home: they go with an ordinary yes
    assert hub(*SPAWN, "--allow-replace", MASTER).code == 1
    _spawned(hub, "--allow-replace", MASTER, "--yes")
    assert _ids(hub)["master"] != before["master"]


def test_a_password_of_the_vault_is_named_and_never_shown(hub: Cli) -> None:
    _spawned(hub)
    assert hub("vault.set", "variables.docker_password", input=f"{CANARY}-new").code == 0
    refused = hub(*SPAWN)
    assert refused.code == 1, refused
    assert "(triggers_replace: docker_password)" in refused.err
    for form in ((), ("--json",), ("--markdown",)):
        said = hub("plan", "--name", "demo", *form)
        assert "docker_password" in said.out, said
        assert CANARY not in str(said) + str(refused)
    journal = (hub.instance("demo") / "journal.jsonl").read_text()
    assert "docker_password" in journal and CANARY not in journal


def test_the_address_that_dns_names_is_guarded_whatever_it_is(hub: Cli) -> None:
    _spawned(hub)
    _edit(hub, "nb_nodes", 'color = "red"\n  nb_nodes')
    refused = hub(*SPAWN, "--yes")
    assert refused.code == 1, refused
    assert "terraform_data.ip (triggers_replace: color)" in refused.err


def test_the_plan_as_json_and_as_a_comment(hub: Cli) -> None:
    _spawned(hub)
    _edit(hub, "nb_nodes        = 2", "nb_nodes = 1")
    document = json.loads(hub("plan", "--name", "demo", "--json").out)
    by_address = {row["address"]: row for row in document["changes"]}
    assert (document["schema_version"], document["instance"]) == (1, "demo")
    assert document["counts"] == {"create": 0, "update": 1, "replace": 2, "delete": 1}
    assert by_address[MASTER]["refused"] and by_address[MASTER]["arguments"] == ["nb_nodes"]
    gone = by_address["module.provider.terraform_data.node[1]"]
    assert (gone["action"], gone["arguments"], gone["refused"]) == ("delete", ["nb_nodes"], False)
    text = hub("plan", "--name", "demo", "--markdown").out
    assert "| provider | 1 to change, 2 to replace, 1 to destroy |" in text
    assert f"invoke spawn --name demo --allow-replace {MASTER}" in text


def test_a_stage_that_would_lose_more_than_was_shown_is_stopped(hub: Cli) -> None:
    """Somebody changes the recipe's module while the stage before it is being applied."""
    _spawned(hub)
    folder = hub.instance("demo")
    dns = folder / "modules" / "dns" / "main.tf"
    (folder / "sneak").write_text(dns.read_text().replace("input", "triggers_replace = 1\n  input"))
    sneak = "cp ${path.root}/sneak ${path.root}/modules/dns/main.tf"
    _edit(hub, "echo provider >> ${path.root}/log", sneak, "modules/provider/main.tf")
    _edit(hub, "nb_nodes        = 2", "nb_nodes = 3")
    _edit(hub, "demo.example.org", "new.example.org")
    stopped = hub(*SPAWN, "--allow-replace", MASTER, "--yes")
    assert "triggers_replace" in dns.read_text()
    assert stopped.code == 5, stopped
    assert "stage dns would now replace module.dns.terraform_data.record" in stopped.err
    assert "✓ dns" not in stopped.err


def test_one_stage_alone_is_applied_from_the_plan_that_was_shown(hub: Cli) -> None:
    _spawned(hub)
    _edit(hub, "echo dns", "echo again", "modules/dns/main.tf")
    _edit(hub, "input = ", "triggers_replace = 1\n  input = ", "modules/dns/main.tf")
    said = _spawned(hub, "--yes")
    assert "✓ dns" in said.err, said
    plans = [line for line in said.err.splitlines() if "✓ plan" in line]
    assert plans == ["✓ plan       1 to replace"]


def test_on_a_terminal_the_plan_is_a_table_and_a_question(hub: Cli) -> None:
    _spawned(hub)
    _edit(hub, "input = ", "triggers_replace = 1\n  input = ", "modules/dns/main.tf")
    terminal = Terminal(hub, *SPAWN)
    terminal.expect("type demo to go on:")
    assert "dns        1 to replace" in terminal.text
    assert "replace  module.dns.terraform_data.record  triggers_replace" in terminal.text
    terminal.type("no\n")
    assert terminal.end() == 1, terminal.text
    assert "nothing was done" in terminal.text


def test_from_begins_with_a_stage_and_leaves_the_earlier_ones(hub: Cli) -> None:
    _spawned(hub)
    before = _ids(hub)
    _edit(hub, "nb_nodes        = 2", "nb_nodes = 3")  # would cost the master
    _edit(hub, "input = ", "triggers_replace = 1\n  input = ", "modules/dns/main.tf")
    said = _spawned(hub, "--from", "dns", "--yes")
    assert "left as they are: module.provider" in said.err, said
    assert "✓ dns" in said.err and "✓ provider" not in said.err
    assert _ids(hub)["master"] == before["master"]
    assert _ids(hub)["record"] != before["record"]
    wrong = hub(*SPAWN, "--from", "verify")
    assert wrong.code == 1, wrong
    assert "choose one of: provider, dns, binderhub" in wrong.err


def test_from_does_not_draw_an_earlier_stage_in(hub: Cli) -> None:
    _spawned(hub)
    _edit(hub, '"127.0.0.1"', '"127.0.0.2"', "modules/provider/main.tf")
    drawn = hub(*SPAWN, "--from", "dns", "--yes")
    assert drawn.code == 1, drawn
    assert "module.provider.terraform_data.ip would change with it" in drawn.err


COUNTED = """
resource "terraform_data" "more" { for_each = toset([var.public_ip]) }
"""


def test_a_recipe_that_can_only_be_planned_by_stages(hub: Cli) -> None:
    _edit(hub, 'output "domain"', COUNTED + 'output "domain"', "modules/dns/main.tf")
    cannot = hub("plan", "--name", "demo")
    assert cannot.code == 2, cannot
    assert "cannot be planned as a whole" in cannot.err
    said = _spawned(hub)
    assert said.err.index("✓ provider") < said.err.index("2 to create") < said.err.index("✓ dns")


def test_plan_takes_part_in_the_lock_and_leaves_nothing(hub: Cli, runtime_dir: Path) -> None:
    assert hub("plan", "--name", "demo").code == 0
    assert [p for home in runtime_dir.iterdir() for p in home.iterdir()] == []
    assert not (hub.instance("demo") / ".lock").exists()
    assert not (hub.instance("demo") / "journal.jsonl").exists()
