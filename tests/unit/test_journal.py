from __future__ import annotations

from pathlib import Path

from barehub.console import console
from barehub.journal import Journal
from barehub.ledger import Ledger


def test_events_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add("spawn")
    journal.add("endpoint", url="https://demo.localhost:1")
    assert [event["event"] for event in journal.events()] == ["spawn", "endpoint"]
    last = journal.last("endpoint")
    assert last is not None
    assert last["url"] == "https://demo.localhost:1"


def test_a_line_torn_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add("spawn")
    with path.open("a") as file:
        file.write('{"at": 1, "event": "up')
    journal.add("failed")
    assert [event["event"] for event in journal.events()] == ["spawn", "failed"]


def test_a_teardown_ends_a_life(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add("endpoint", url="https://old")
    journal.add("gone")
    assert journal.last("endpoint") is None
    journal.add("spawn")
    assert [event["event"] for event in journal.life()] == ["spawn"]


def test_no_secret_enters_the_journal(tmp_path: Path) -> None:
    console.hide({"token": "CANARY-journal-value"})
    path = tmp_path / "journal.jsonl"
    Journal(path).add("failed", problem="it said CANARY-journal-value")
    assert "CANARY" not in path.read_text()


def test_a_name_stays_whole_even_where_a_secret_has_the_same_text(tmp_path: Path) -> None:
    console.hide({"project": "neurolibre"})
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add("endpoint", url="https://neurolibre.localhost:1")
    assert journal.events()[0]["url"] == "https://neurolibre.localhost:1"


def test_what_was_made_and_not_destroyed_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for kind, name, action in (
        ("start", "null_resource.a", "create"),
        ("done", "null_resource.a", "create"),
        ("start", "null_resource.b", "create"),
        ("done", "null_resource.b", "create"),
        ("start", "null_resource.b", "delete"),
        ("done", "null_resource.b", "delete"),
        ("start", "null_resource.c", "create"),
        ("failed", "null_resource.c", "create"),
        ("start", "null_resource.d", "create"),
        ("start", "null_resource.a", "update"),
        ("done", "data.image.i", "read"),  # even a plan tells of it
    ):
        journal.resource(kind, name, action, "id-1" if name.endswith(".a") else "")
    assert "data.image" not in journal.path.read_text()
    ledger = journal.ledger()
    assert (ledger.made, list(ledger.begun)) == ({"null_resource.a": "id-1"}, ["null_resource.d"])
    assert (ledger.never_whole, ledger.destroyed) == (
        {"null_resource.c", "null_resource.d"},
        {"null_resource.b": ""},
    )
    assert list(ledger.failed) == ["null_resource.c"]
    journal.add("resource-forgotten", address="null_resource.d")
    journal.add("resource-imported", address="null_resource.e")
    assert journal.ledger().made == {"null_resource.a": "id-1", "null_resource.e": ""}
    assert not journal.ledger().begun
    journal.add("destroyed")
    assert journal.ledger() == Ledger()


def test_what_is_replaced_before_it_is_destroyed_is_still_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.resource(
        "done", "null_resource.a", "create", "new"
    )  # and the old one stands aside, until now
    journal.resource("start", "null_resource.a", "delete", "old")
    journal.resource("done", "null_resource.a", "delete", "")
    assert journal.ledger().made == {"null_resource.a": "new"}
    assert journal.ledger().destroyed == {}


def test_what_was_only_read_is_no_resource(tmp_path: Path) -> None:
    """Its id is that of something that was there before, and that a teardown must leave."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.resource("start", "module.a.data.some_network.lab", "read", "")
    journal.resource("done", "module.a.data.some_network.lab", "read", "id-1")
    assert journal.events() == []


def test_every_id_of_every_life_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.resource("done", "null_resource.b", "create", "id-1")
    journal.resource("start", "null_resource.b", "delete", "id-1")
    journal.resource("done", "null_resource.b", "delete", "")
    journal.add("gone")
    journal.add("releasing", address="192.0.2.1")
    journal.resource("done", "null_resource.b", "create", "id-2")
    assert journal.named() == [("null_resource.b", "id-1"), ("null_resource.b", "id-2")]


def test_what_a_stage_was_about_to_make_is_known_until_it_is_heard_of(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add("stage", stage="provider", creates=["x.a", "x.b"])
    journal.resource("start", "x.a", "create", "")
    assert list(journal.ledger().intended) == ["x.b"]
    journal.add("replayed")
    assert not journal.ledger().intended
    assert list(journal.ledger().begun) == ["x.a"]
