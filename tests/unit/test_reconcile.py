"""What the state tells beyond the journal: for types of clouds, which no test machine has."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from barehub import moves, reconcile
from barehub.errors import RecipeError, UsageError
from barehub.journal import Journal
from barehub.reconcile import compare
from barehub.run import Run
from barehub.terraform.driver import Terraform
from barehub.terraform.events import Progress
from barehub.terraform.state import Object

UUID = "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
VOLUME = "module.provider.openstack_blockstorage_volume_v3"
ADDRESS = "module.provider.openstack_networking_floatingip_v2.hub"
JOINED = "module.provider.openstack_networking_floatingip_associate_v2.hub"
RECORD = "module.dns.cloudflare_record.hub"
NEW_RECORD = "module.dns.cloudflare_dns_record.hub"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def _made(journal: Journal, address: str, id: str = UUID) -> None:
    journal.resource("start", address, "create", "")
    journal.resource("done", address, "create", id)


@pytest.mark.parametrize(("old", "new"), [(f"{VOLUME}.a", f"{VOLUME}.a[0]"), (RECORD, NEW_RECORD)])
@pytest.mark.parametrize("changed", [False, True])
def test_a_move_that_an_older_version_did_not_write_down(
    journal: Journal, old: str, new: str, changed: bool
) -> None:
    _made(journal, old)
    if changed:  # with the move, or after it
        journal.resource("done", new, "update", UUID)
    found = compare(journal.ledger(), [Object(new, UUID)])
    assert (found.moves, found.imported, found.released) == ({old: new}, {}, [])
    journal.add("moved", moves=found.moves)
    assert journal.ledger().made == {new: UUID}
    assert compare(journal.ledger(), [Object(new, UUID)]) == reconcile.Differences()


def test_what_joins_two_things_is_not_taken_for_one_of_them(journal: Journal) -> None:
    _made(journal, ADDRESS)
    assert not compare(journal.ledger(), [Object(JOINED, UUID)]).moves


def test_an_id_that_two_resources_were_created_with_tells_nothing(journal: Journal) -> None:
    one, two = "module.binderhub.helm_release.one", "module.binderhub.helm_release.two"
    _made(journal, one, "binderhub")
    _made(journal, two, "binderhub")
    assert not compare(journal.ledger(), [Object(two, "binderhub")]).moves
    assert journal.ledger().made == {one: "binderhub", two: "binderhub"}


def test_moves_are_at_once(journal: Journal) -> None:
    _made(journal, f"{VOLUME}.a", "1")
    _made(journal, f"{VOLUME}.b", "2")
    found = compare(journal.ledger(), [Object(f"{VOLUME}.b", "1"), Object(f"{VOLUME}.a", "2")])
    journal.add("moved", moves=found.moves)
    assert journal.ledger().made == {f"{VOLUME}.a": "2", f"{VOLUME}.b": "1"}


def test_without_an_id_the_intention_of_the_stage_tells(journal: Journal) -> None:
    old, new = "module.provider.some_disk.a", "module.provider.some_disk.b"
    _made(journal, old)  # no type whose ids are written down
    assert journal.ledger().made == {old: ""}
    assert not compare(journal.ledger(), [Object(new, UUID)]).moves
    journal.add("stage", stage="moves", moves={old: new})
    assert not compare(journal.ledger(), [Object(old, UUID)]).moves
    assert compare(journal.ledger(), [Object(new, UUID)]).moves == {old: new}


def test_what_is_released_is_named_through_all_lives_until_it_is_taken_in(journal: Journal) -> None:
    _made(journal, f"{VOLUME}.a")
    journal.resource("start", f"{VOLUME}.a", "forget", UUID)
    assert compare(journal.ledger(), [Object(f"{VOLUME}.a", UUID)]).released == []
    assert compare(journal.ledger(), []).released == [(f"{VOLUME}.a", UUID)]
    journal.resource("done", f"{VOLUME}.a", "forget", UUID)
    journal.add("destroyed")
    journal.add("gone")
    assert reconcile.released(journal, []) == [(f"{VOLUME}.a", UUID)]
    (told,) = reconcile.still_there("demo", reconcile.released(journal, []))
    assert f"openstack_blockstorage_volume_v3 {UUID}" in told.what
    assert told.remove.startswith(f"openstack volume delete {UUID}")
    journal.resource("done", f"{VOLUME}.b", "import", UUID)
    assert reconcile.released(journal, []) == []


def test_a_name_that_is_used_again_hides_nothing(journal: Journal) -> None:
    _made(journal, f"{VOLUME}.a", "1")
    journal.resource("start", f"{VOLUME}.a", "forget", "1")
    _made(journal, f"{VOLUME}.a", "2")
    journal.resource("done", f"{VOLUME}.a", "forget", "1")
    assert journal.ledger().made == {f"{VOLUME}.a": "2"}
    assert reconcile.released(journal, [Object(f"{VOLUME}.a", "2")]) == [(f"{VOLUME}.a", "1")]


@pytest.mark.parametrize("id", [UUID, f"zone/{'0a' * 16}"])
def test_nothing_is_imported_that_the_state_has(id: str) -> None:
    there = [Object("module.dns.cloudflare_record.a", id.rpartition("/")[2])]
    with pytest.raises(UsageError, match="the state has it as module"):
        moves.see_imports({"module.dns.cloudflare_dns_record.b": id}, there)
    moves.see_imports({"module.dns.cloudflare_record.a": id}, there)
    moves.see_imports({"module.dns.cloudflare_dns_record.b": "0b" * 16}, there)


def test_what_the_state_has_twice_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    reconcile.warn_of_doubles("demo", [Object(ADDRESS, UUID), Object(JOINED, UUID)])
    assert capsys.readouterr().err == ""
    reconcile.warn_of_doubles("demo", [Object(f"{VOLUME}.a", UUID), Object(f"{VOLUME}.b", UUID)])
    assert f"{VOLUME}.a and {VOLUME}.b are the same thing ({UUID})" in capsys.readouterr().err


class Recorded:
    """Terraform, as far as a recorded plan goes."""

    def __init__(self, actions: list[list[str]]) -> None:
        self.actions = actions

    def explain(self, path: Path) -> dict[str, Any]:
        changes = [
            {"address": f"{VOLUME}.v{n}", "change": {"actions": actions, "before": {"id": str(n)}}}
            for n, actions in enumerate(self.actions)
        ]
        return {"resource_changes": changes}


def test_terraform_1_16_keeps_what_its_lifecycle_says() -> None:
    """Actions as Terraform 1.16 records them for ``destroy = false`` (hashicorp/terraform#38784);
    it is not on the machines of these tests. OpenTofu 1.12, which is, has the same in an e2e test.
    """
    plan = Progress(planned={"a": "replace"})
    recorded = cast(Terraform, Recorded([["create", "forget"], ["forget"], ["delete", "create"]]))
    kept = moves.releases(recorded, Path("plan"), plan)
    assert kept == [(f"{VOLUME}.v0", "0"), (f"{VOLUME}.v1", "1")]


def _planned(address: str, action: str, **more: Any) -> str:
    change = {"resource": {"addr": address}, "action": action, **more}
    return json.dumps({"type": "planned_change", "change": change})


def test_a_plan_tells_of_moves_imports_and_what_it_forgets() -> None:
    plan = Progress()
    plan.feed(_planned("x.new", "update", previous_resource={"addr": "x.old"}))
    plan.feed(_planned("x.kept", "remove"))
    plan.feed(_planned("x.there", "import", importing={"id": UUID}))
    plan.feed(_planned("x.again", "noop", reason="cannot_update"))  # OpenTofu 1.12
    assert plan.moves == {"x.old": "x.new"}
    assert plan.imports == {"x.there": UUID}
    assert plan.planned == {
        "x.new": "update",
        "x.kept": "forget",
        "x.there": "import",
        "x.again": "replace",
    }


def test_a_move_that_cannot_go_first_is_refused_with_its_line(tmp_path: Path) -> None:
    """A stand-in for a Terraform that leaves the move out; the real one is in the e2e tests."""
    (tmp_path / "dns.tf").write_text(
        "# the record\nmoved {\n  from = cloudflare_record.hub\n"
        "  to   = cloudflare_dns_record.hub\n}\n"
    )
    journal = Journal(tmp_path / "journal.jsonl")
    run = SimpleNamespace(
        instance=SimpleNamespace(
            folder=tmp_path / "demo", recipe=tmp_path / "demo" / "main.tf", journal=journal
        ),
        project=SimpleNamespace(relative=lambda path: path.relative_to(tmp_path)),
        recipe=SimpleNamespace(folder=lambda stage: tmp_path),
    )
    (tmp_path / "demo").mkdir()
    terraform = SimpleNamespace(plan=lambda *args, **options: (Path("plan"), Progress()))
    with pytest.raises(RecipeError, match=r"dns\.tf:2: the move of .*cloudflare_record\.hub to"):
        moves.carry_out(cast(Run, run), cast(Terraform, terraform), {RECORD: NEW_RECORD})
    assert journal.events() == []
