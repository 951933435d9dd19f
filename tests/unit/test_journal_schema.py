"""Lines of a journal that barehub did not write: each is ignored, with a warning."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from barehub import chronicle, clouds, edits, machines, overview, recovery
from barehub.errors import BarehubError
from barehub.journal import LARGEST, Journal
from barehub.journal_schema import KINDS, Malformed, parse
from barehub.project import Instance

ODD = {
    "not JSON": [b"{", b"nonsense", b"<<<<<<< HEAD", b"[" * 100_000, b'{"a":' * 100_000],
    "not UTF-8": [b'{"at": 1, "event": "up\xff"}', b"\x1f\x8b\x08"],
    "not an object": [b"7", b"null", b'"up"', b"[]", b'["event"]', b"1e300", b"NaN"],
    "it has no 'at'": [b'{"event": "up"}', b"{}"],
    "it has no 'event'": [b'{"at": 1}'],
    "'at' has a wrong type or value": [
        b'{"at": %s, "event": "up"}' % at
        for at in (b"1e300", b"-1", b'"1"', b"null", b"true", b"[]", b"9" * 400)
    ],
    "a number is not finite": [
        b'{"at": %s, "event": "up"}' % at for at in (b"NaN", b"-Infinity", b"1e999")
    ],
    "'event' has a wrong type or value": [
        b'{"at": 1, "event": %s}' % kind for kind in (b"7", b"null", b'""', b"[]", b'{"up": 1}')
    ],
    "half of a surrogate pair": [rb'{"at": 1, "event": "up", "x": "\ud800"}'],
    "more than 20 levels of brackets": [
        b'{"at": 1, "event": "up", "x": %s}' % (b"[" * 50 + b"]" * 50)
    ],
}

FACTS: dict[str, object] = {
    "at": 1, "stage": "dns", "fingerprints": {}, "address": "x.y", "url": "https://hub.localhost:1",
    "to": "pg", "holder": "alice", "command": "upgrade", "argument": "a", "was": "1", "now": "2",
    "moves": {"x.y": "x.z"},
}  # fmt: skip
WRONG: tuple[object, ...] = (
    None,
    True,
    7,
    1e300,
    "",
    [],
    {},
    [None],
    [[]],
    {"a": None},
    "http://[",
    [{"name": 1}],
)


@pytest.mark.parametrize(("why", "line"), [(w, line) for w, lines in ODD.items() for line in lines])
def test_what_is_no_event_says_why(why: str, line: bytes) -> None:
    with pytest.raises(Malformed, match="^" + why):
        parse(line)


def _event(kind: str, **facts: object) -> dict[str, object]:
    needed = {n: FACTS[n] for n in KINDS.get(kind, ()) if not n.endswith("?")}
    return {"at": 1, "event": kind, **needed, **facts}


@pytest.mark.parametrize("kind", KINDS)
def test_every_fact_that_a_kind_needs_is_needed(kind: str) -> None:
    whole = _event(kind)
    assert parse(json.dumps(whole).encode()) == whole
    for name in whole.keys() - {"at", "event"}:
        less = {k: v for k, v in whole.items() if k != name}
        with pytest.raises(Malformed, match=f"it has no '{name}'"):
            parse(json.dumps(less).encode())


def test_what_a_newer_version_writes_is_kept() -> None:
    for event in (
        {"at": 1, "event": "from-the-future", "address": 7, "x": [{"y": None}]},
        {"at": 1, "event": "up", "more": {"a": [1]}},
    ):
        assert parse(json.dumps(event).encode()) == event


@pytest.mark.parametrize("kind", [*KINDS, "resource-moved", "from-the-future"])
def test_no_reader_falls_over_a_fact_of_a_wrong_type(kind: str, tmp_path: Path) -> None:
    """What is passed over is passed over before any of them sees it."""
    instance = Instance("demo", tmp_path)
    (tmp_path / "main.tf").write_text("")
    instance.sealed_state.touch()
    names = {name.rstrip("?") for facts in KINDS.values() for name in facts}
    lines = [json.dumps(_event(kind, **{name: value})) for name in names for value in WRONG]
    for line in lines:
        instance.journal.path.write_text(line + "\n")
        _read(instance)
    instance.journal.path.write_text("\n".join(lines))
    _read(instance)


def _read(instance: Instance) -> None:
    """All that asks a journal and needs neither Terraform nor a vault."""
    journal = instance.journal
    journal.ledger(), journal.named(), journal.of_stage(), journal.standing()
    journal.last("up", stage="dns")
    overview.show([instance], as_json=True)
    chronicle.show(instance, whole=True, as_json=False)
    chronicle.show(instance, whole=True, as_json=True)
    edits.tell(instance, "main.tf", going_on=False)
    clouds.used(instance, clouds.NOTHING)
    with contextlib.suppress(BarehubError):
        machines.of(instance)
    recovery.tell_cut_off(instance)


def test_a_malformed_line_is_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = Instance("demo", tmp_path)
    instance.journal.add("spawn")
    with instance.journal.path.open("ab") as file:
        file.write(b'\n{"at": 1, "event": "up", "x": "CANARY-odd-line"\n7\n')
    instance.journal.add("failed")
    for _ in range(3):
        again = Instance("demo", tmp_path).journal
        assert [event["event"] for event in again.events()] == ["spawn", "failed"]
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert f"{instance.journal.path}, line 3: not JSON, and 1 more like it; ignored" in said
    assert "CANARY" not in said


def test_a_journal_that_is_no_regular_file_is_neither_read_nor_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    (tmp_path / "real").write_text('{"at": 1, "event": "up"}\n')
    makes: list[Callable[[], object]] = [
        lambda: journal.path.symlink_to("/dev/zero"),
        lambda: journal.path.symlink_to("real"),
        lambda: journal.path.symlink_to("nowhere"),
        lambda: os.mkfifo(journal.path),
        lambda: os.mkdir(journal.path),
    ]
    for make in makes:
        make()
        for use in (journal.events, lambda: journal.add("spawn")):
            with pytest.raises(BarehubError, match="not a file"):
                use()
        journal.path.rename(tmp_path / "aside") if journal.path.is_dir() else journal.path.unlink()
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "real").read_text().count("\n") == 1


def test_a_journal_without_end_is_not_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.touch()
    os.truncate(journal.path, 100 * LARGEST)  # a hole: takes no room
    with pytest.raises(BarehubError, match="too large: more than 32 MiB"):
        journal.events()


def test_one_unreadable_journal_does_not_hide_the_other_instances(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = Instance("good", tmp_path / "good"), Instance("bad", tmp_path / "bad")
    good.folder.mkdir()
    bad.folder.mkdir()
    bad.journal.path.symlink_to("/dev/zero")
    overview.show([bad, good], as_json=True)
    said = capsys.readouterr()
    assert [row["state"] for row in json.loads(said.out)] == ["unreadable", "new"]
    assert "a link, not a file" in said.err
