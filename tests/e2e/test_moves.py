"""Terraform's verbs beside create and destroy: moved, removed and import blocks, count on and off.

The modules are of ``terraform_data``; a cloud's types are in the unit tests of ``reconcile``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.providers import by_opentofu

from . import slow_cloud
from .conftest import Cli, Result, unseal

CANARY = "CANARY-moves-token"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
PROVIDER = "module.provider.terraform_data"
HUB = "module.binderhub.terraform_data"


class Hub:
    """An instance whose modules a test edits; it is spawned once."""

    def __init__(self, cli: Cli) -> None:
        self.cli, self.folder = cli, cli.instance("demo")

    def file(self, stage: str) -> Path:
        return self.folder / "modules" / stage / "main.tf"

    def add(self, stage: str, text: str) -> None:
        with self.file(stage).open("a") as file:
            file.write(text + "\n")

    def rename(self, stage: str, old: str, new: str) -> None:
        path = self.file(stage)
        path.write_text(path.read_text().replace(old, new))

    def move(self, stage: str, old: str, new: str) -> None:
        self.rename(stage, f'"terraform_data" "{old}"', f'"terraform_data" "{new}"')
        self.rename(stage, f"terraform_data.{old}.", f"terraform_data.{new}.")
        self.add(stage, f"moved {{\n  from = terraform_data.{old}\n  to = terraform_data.{new}\n}}")

    def drop_moves(self, stage: str) -> None:
        path = self.file(stage)
        path.write_text(re.sub(r"^moved \{\n[^}]*\}\n", "", path.read_text(), flags=re.MULTILINE))

    def spawn(self, *args: str) -> str:
        result = self.cli(*SPAWN, *args)
        assert result.code == 8, result  # nothing listens at this recipe's endpoint
        return result.err

    def ids(self) -> dict[str, str]:
        """Address to id, by the sealed state."""
        return {
            ".".join(filter(None, (r.get("module"), r["type"], r["name"])))
            + (f"[{json.dumps(i['index_key'])}]" if "index_key" in i else ""): i["attributes"]["id"]
            for r in unseal(self.folder / "terraform.tfstate.sops")["resources"]
            for i in r["instances"]
        }

    def settled(self) -> None:
        """A plan and a spawn have nothing to do, and to say."""
        planned = self.cli("plan", "--name", "demo")
        assert (planned.code, planned.out) == (0, "demo: nothing to change\n"), planned
        assert "nothing to change" in self.spawn()

    def journal(self) -> list[dict[str, Any]]:
        lines = (self.folder / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def forget_moves(self) -> None:
        """Make the journal one that was written before moves were events."""
        path = self.folder / "journal.jsonl"
        kept = [e for e in self.journal() if e["event"] != "moved" and e.get("stage") != "moves"]
        path.write_text("".join(f"{json.dumps(event)}\n" for event in kept))


def _made(cli: Cli, **more: str) -> Hub:
    hub = Hub(cli)
    slow_cloud.make(hub.folder)
    for stage, text in more.items():
        hub.add(stage, text)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    hub.spawn()
    return hub


def _torn_down(hub: Hub) -> Result:
    result = hub.cli("teardown", "--name", "demo", "--yes")
    assert result.code == 0, result
    return result


def test_a_move_in_a_later_stage_is_carried_out_before_the_first(cli: Cli) -> None:
    hub = _made(cli)
    before = hub.ids()
    hub.move("binderhub", "hub", "release")
    hub.add("provider", 'resource "terraform_data" "volume" { input = "1" }')
    shown = cli("plan", "--name", "demo", "--json")
    rows = {c["address"]: c for c in json.loads(shown.out)["changes"]}
    assert rows[f"{HUB}.release"]["previous_address"] == f"{HUB}.hub"
    assert rows[f"{HUB}.release"]["action"] in ("move", "replace")
    said = hub.spawn("--yes")
    assert "1 resource has a new address" in said
    assert said.index("moves") < said.index("1 created")
    assert f"{HUB}.hub" not in hub.ids()
    assert hub.ids()[f"{PROVIDER}.machine"] == before[f"{PROVIDER}.machine"]
    hub.settled()
    _torn_down(hub)


VOLUME = 'resource "terraform_data" "volume" { input = "users" }'


@pytest.mark.parametrize("events", [True, False], ids=["", "a journal of an older version"])
def test_a_name_that_a_move_has_left_is_free(cli: Cli, events: bool) -> None:
    hub = _made(cli, provider=VOLUME)
    users = hub.ids()[f"{PROVIDER}.volume"]
    hub.move("provider", "volume", "home")
    hub.spawn()
    if not events:
        hub.forget_moves()
        hub.settled()
    hub.drop_moves("provider")
    hub.add("provider", VOLUME)
    hub.spawn()
    ids = hub.ids()
    assert ids[f"{PROVIDER}.home"] == users
    assert ids[f"{PROVIDER}.volume"] not in ("", users)
    hub.settled()
    _torn_down(hub)


def test_count_that_comes_and_goes_is_a_move(cli: Cli) -> None:
    hub = _made(cli, dns=VOLUME)
    address, one = "module.dns.terraform_data.volume", hub.ids()["module.dns.terraform_data.volume"]
    hub.rename("dns", '"volume" { ', '"volume" {\n  count = 2\n  ')
    hub.rename("dns", 'input = "users" }', 'input = "users"\n}')
    hub.add("provider", 'resource "terraform_data" "extra" {}')
    assert "1 resource has a new address" in hub.spawn()
    assert hub.ids()[f"{address}[0]"] == one
    assert hub.ids()[f"{address}[1]"] != one
    hub.settled()
    hub.rename("dns", "  count = 2\n", "")
    hub.spawn("--yes")
    assert hub.ids()[address] == one
    hub.settled()
    _torn_down(hub)


def test_a_move_between_stages_and_of_a_whole_module(cli: Cli) -> None:
    hub = _made(cli, provider=VOLUME)
    one = hub.ids()[f"{PROVIDER}.volume"]
    hub.rename("provider", VOLUME, "")
    inner = hub.folder / "modules" / "inner"
    inner.mkdir()
    (inner / "main.tf").write_text(VOLUME)
    hub.add("dns", 'module "disk" { source = "../inner" }')
    with (hub.folder / "main.tf").open("a") as recipe:
        recipe.write(
            "moved {\n  from = module.provider.terraform_data.volume\n"
            "  to   = module.dns.module.disk.terraform_data.volume\n}\n"
        )
    hub.spawn()
    assert hub.ids()["module.dns.module.disk.terraform_data.volume"] == one
    hub.settled()
    hub.rename("dns", 'module "disk"', 'module "home"')
    hub.add("dns", "moved {\n  from = module.disk\n  to = module.home\n}")
    with (hub.folder / "main.tf").open("a") as recipe:
        recipe.write("")
    hub.spawn()
    assert hub.ids()["module.dns.module.home.terraform_data.volume"] == one
    hub.settled()
    _torn_down(hub)


def test_a_move_where_the_whole_cannot_be_planned(cli: Cli) -> None:
    """How many there are in dns depends on what the provider makes anew."""
    hub = _made(
        cli, dns='resource "terraform_data" "many" { count = length(var.public_ip) > 1 ? 2 : 1 }'
    )
    hub.rename("provider", '"127.0.0.1"', '"127.0.0.2"')
    hub.move("binderhub", "hub", "release")
    said = hub.spawn("--yes")
    assert "is only known as stages are made" in said
    assert f"move: {HUB}.hub to {HUB}.release" in said
    hub.settled()


def test_a_run_that_is_killed_before_it_writes_the_event_down(cli: Cli) -> None:
    hub = _made(cli, provider=VOLUME)
    hub.move("provider", "volume", "home")
    hub.spawn()
    _forget_end(hub, "moved")
    hub.settled()
    hub.drop_moves("provider")
    hub.rename("provider", VOLUME.replace("volume", "home"), "")
    hub.add(
        "provider",
        "removed {\n  from = terraform_data.home\n  lifecycle {\n    destroy = false\n  }\n}",
    )
    hub.spawn()
    _forget_end(hub, "resource-done")
    assert f"{PROVIDER}.home (terraform_data" in hub.spawn() + cli("plan", "--name", "demo").err
    hub.settled()


def _forget_end(hub: Hub, kind: str) -> None:
    """Cut the journal off before its last event of ``kind``, where a kill may have stopped it."""
    events = hub.journal()
    last = max(n for n, event in enumerate(events) if event["event"] == kind)
    path = hub.folder / "journal.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events[:last]))


def test_a_teardown_carries_out_what_is_pending(cli: Cli) -> None:
    hub = _made(cli)
    hub.move("provider", "machine", "node")
    assert "1 resource has a new address" in _torn_down(hub).err
    assert not (hub.folder / "terraform.tfstate.sops").exists()


def test_what_is_removed_without_destroying_it_is_named_until_it_is_forgotten(cli: Cli) -> None:
    hub = _made(cli, provider=VOLUME)
    hub.rename("provider", VOLUME, "")
    hub.add(
        "provider",
        "removed {\n  from = terraform_data.volume\n  lifecycle {\n    destroy = false\n  }\n}",
    )
    planned = cli("plan", "--name", "demo").out
    assert "1 to forget" in planned and f"forget: {PROVIDER}.volume" in planned, planned
    assert "remove" not in planned
    still = f"{PROVIDER}.volume (terraform_data"
    assert still in hub.spawn()
    assert f"{PROVIDER}.volume" not in hub.ids()
    planned_again = cli("plan", "--name", "demo")
    assert planned_again.out == "demo: nothing to change\n"
    assert still in planned_again.err
    assert still in _torn_down(hub).err
    left = cli("leftovers", "--name", "demo")
    assert (left.code, still in left.err) == (7, True), left
    forget = ("forget", "--name", "demo", "--address", f"{PROVIDER}.volume")
    assert cli(*forget).code == 0
    left = cli("leftovers", "--name", "demo")
    assert (left.code, still in left.err) == (0, False), left


def test_what_is_removed_and_destroyed_is_gone(cli: Cli) -> None:
    hub = _made(cli, provider=VOLUME)
    hub.rename("provider", VOLUME, "")
    hub.add(
        "provider",
        "removed {\n  from = terraform_data.volume\n  lifecycle {\n    destroy = true\n  }\n}",
    )
    assert "1 destroyed" in hub.spawn("--yes")
    hub.settled()
    assert "still there" not in _torn_down(hub).err


def test_import_blocks_are_in_the_journal_and_import_nothing_twice(cli: Cli) -> None:
    hub = _made(cli, provider='resource "terraform_data" "old" { for_each = toset(["a", "b"]) }')
    one = hub.ids()[f'{PROVIDER}.old["a"]']
    hub.rename("provider", 'toset(["a", "b"])', 'toset(["a", "b", "c", "d"])')
    with (hub.folder / "main.tf").open("a") as recipe:
        recipe.write(
            'import {\n  for_each = { c = "made-c", d = "made-d" }\n'
            "  to       = module.provider.terraform_data.old[each.key]\n  id = each.value\n}\n"
        )
    hub.spawn()
    assert hub.ids()[f'{PROVIDER}.old["c"]'] == "made-c"
    hub.settled()
    imported = [e["address"] for e in hub.journal() if e.get("action") == "import"]
    assert imported == [f'{PROVIDER}.old["c"]', f'{PROVIDER}.old["d"]']
    hub.add("dns", 'resource "terraform_data" "again" {}')
    with (hub.folder / "main.tf").open("a") as recipe:
        recipe.write(f'import {{\n  to = module.dns.terraform_data.again\n  id = "{one}"\n}}\n')
    for command in (SPAWN, ("plan", "--name", "demo")):
        refused = cli(*command)
        assert refused.code == 1, refused
        assert f'the state has it as {PROVIDER}.old["a"]' in refused.err
    by_hand = cli("terraform", "--name", "demo", "--", "import", f"{HUB}.hub", one)
    assert by_hand.code == 1 and "the state has it as" in by_hand.err, by_hand


def test_by_hand_too(cli: Cli) -> None:
    hub = _made(cli, provider=VOLUME)
    one = hub.ids()[f"{PROVIDER}.volume"]
    hand = ("terraform", "--name", "demo", "--")
    assert cli(*hand, "state", "mv", f"{PROVIDER}.volume", f"{PROVIDER}.home").code == 0
    hub.rename("provider", '"volume"', '"home"')
    hub.settled()
    assert hub.ids()[f"{PROVIDER}.home"] == one
    removed = cli(*hand, "state", "rm", f"{PROVIDER}.home")
    assert f"{PROVIDER}.home (terraform_data" in removed.err, removed
    assert f"{PROVIDER}.home (terraform_data" in cli("plan", "--name", "demo").err
    assert cli(*hand, "import", f"{PROVIDER}.home", one).code == 0
    assert "still there" not in cli("plan", "--name", "demo").err
    hub.spawn()
    hub.settled()
    destroyed = cli(*hand, "destroy", "-auto-approve", f"-target={PROVIDER}.home")
    assert destroyed.code == 0 and "still there" not in destroyed.err, destroyed
    _torn_down(hub)


@pytest.mark.cloud
def test_opentofu_keeps_what_its_lifecycle_says(cli: Cli, tmp_path: Path) -> None:
    """``lifecycle { destroy = false }`` of OpenTofu 1.12: on a replacement, and in a teardown."""
    by_opentofu(cli, tmp_path / "bin")
    volume = (
        'resource "terraform_data" "volume" {\n  triggers_replace = "1"\n'
        "  lifecycle {\n    destroy = false\n  }\n}"
    )
    hub = _made(cli, provider=volume)
    one = hub.ids()[f"{PROVIDER}.volume"]
    hub.rename("provider", 'replace = "1"', 'replace = "2"')
    rows = json.loads(cli("plan", "--name", "demo", "--json").out)["changes"]
    told = {c["address"]: (c["action"], c["kept"]) for c in rows}
    assert told[f"{PROVIDER}.volume"] == ("replace", True)
    still = f"{PROVIDER}.volume (terraform_data"
    assert still in hub.spawn("--yes")
    two = hub.ids()[f"{PROVIDER}.volume"]
    assert two != one
    hub.settled()
    hub.move("binderhub", "hub", "release")
    hub.spawn("--yes")
    hub.settled()
    torn_down = _torn_down(hub)
    assert torn_down.err.count(still) >= 2, torn_down
    assert cli("leftovers", "--name", "demo").err.count(still) >= 2
