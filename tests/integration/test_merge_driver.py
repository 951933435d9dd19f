"""Merging encrypted files on the real sops: values, readers, comments, data keys."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from vaults import fresh

from barehub.errors import VaultError
from barehub.vault import guard, merge_driver, policy, strictness
from barehub.vault.merge_driver import Merge, Result
from barehub.vault.recipients import Recipients
from barehub.vault.sops import Sops
from barehub.vault.store import Vault
from tests.canary import Watch, holding

CANARY = "canary-51ce"


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    return fresh(tmp_path, runtime_dir, monkeypatch)


class Sides:
    """One secrets file as its two branches have it; each begins with the base."""

    def __init__(self, vault: Vault, name: str = "secrets/demo.yaml") -> None:
        self.vault, self.name = vault, name
        self.file = vault.root / name
        self.rules = (vault.root / policy.NAME).read_bytes()
        self.base = self.file.read_bytes() if self.file.exists() else b""
        self.ours = self.theirs = self.base

    def made(self, change: Callable[[], Any]) -> bytes:
        """The file as ``change`` makes it of the base."""
        if self.base:
            self.file.write_bytes(self.base)
        change()
        made = self.file.read_bytes()
        (self.vault.root / policy.NAME).write_bytes(self.rules)
        self.file.unlink()
        return made

    def update(self, **values: Any) -> bytes:
        return self.made(lambda: self.vault.update(self.file, _keys(values)))

    def merge(self, *, virtual: bool = False) -> Result:
        sops = Sops(self.vault.root, self.vault.scratch)
        return Merge(sops, self.name, virtual=virtual).run(self.base, self.ours, self.theirs)

    def tree(self, sealed: bytes) -> Any:
        sops = Sops(self.vault.root, self.vault.scratch)
        return json.loads(sops.decrypt(sealed, self.file, "yaml", "json"))

    def text(self, sealed: bytes) -> str:
        sops = Sops(self.vault.root, self.vault.scratch)
        return sops.decrypt(sealed, self.file, "yaml", "yaml").decode()


def _keys(values: dict[str, Any]) -> dict[str, Any]:
    return {f"variables.{name}": value for name, value in values.items()}


@pytest.fixture
def sides(vault: Vault) -> Sides:
    vault.update(vault.file("demo"), _keys({"a": "a0", "b": "b0", "c": "c0", "l": [1, 2]}))
    return Sides(vault)


def lines(sealed: bytes) -> set[str]:
    return {line for line in sealed.decode().splitlines() if "ENC[" in line and "mac:" not in line}


def test_different_keys_merge_and_what_did_not_change_keeps_its_ciphertext(sides: Sides) -> None:
    sides.ours = sides.update(a="a1", new="n1")
    sides.theirs = sides.update(b="b1", l=[2, True, {"x": [1.5]}, []], other="o1")
    result = sides.merge()
    assert sides.tree(result.sealed)["variables"] == {
        "a": "a1",
        "b": "b1",
        "c": "c0",
        "l": [2, True, {"x": [1.5]}, []],
        "new": "n1",
        "other": "o1",
    }
    assert (result.conflicts, result.warning) == ((), "")
    kept = lines(sides.ours) & lines(result.sealed)
    assert {line.split(":")[0].strip() for line in kept} == {"a", "c", "new"}
    assert list(sides.vault.scratch.iterdir()) == []


def test_a_key_that_is_removed_goes(sides: Sides) -> None:
    sops = Sops(sides.vault.root, sides.vault.scratch)
    sides.ours = sides.update(a="a1")
    sides.theirs = sides.made(lambda: sops.unset(sides.file, ["variables", "b"]))
    assert sides.tree(sides.merge().sealed)["variables"] == {"a": "a1", "c": "c0", "l": [1, 2]}
    sides.ours, sides.theirs = sides.theirs, sides.ours
    assert sides.tree(sides.merge().sealed)["variables"] == {"a": "a1", "c": "c0", "l": [1, 2]}


def test_keys_that_are_odd_to_spell(vault: Vault) -> None:
    file = vault.file("demo")
    values = {'q"x': "1", "ü k": "2", "b]c": "3", "d.e": "4", "back\\slash": "5", "'": "6"}
    vault._write_new(file, json.dumps({"variables": {"x": values}}).encode(), "json")
    sides = Sides(vault)
    changed = {key: value * 2 for key, value in values.items()}
    sides.ours = sides.update(a="a1")
    sides.theirs = sides.made(lambda: vault.update(file, {"variables.x": changed}))
    tree = sides.tree(sides.merge().sealed)
    assert tree == {"variables": {"x": changed, "a": "a1"}}


def test_a_conflict_stays_ours_with_all_else_merged(sides: Sides) -> None:
    sides.ours = sides.update(a=f"{CANARY}-ours", b="b1", l=[3])
    sides.theirs = sides.update(a=f"{CANARY}-theirs", c="c2", l=[3])
    result = sides.merge()
    assert [str(conflict) for conflict in result.conflicts] == [
        "variables.a was changed on both sides"
    ]
    variables = sides.tree(result.sealed)["variables"]
    assert variables == {"a": f"{CANARY}-ours", "b": "b1", "c": "c2", "l": [3]}


def test_both_added_the_file(vault: Vault) -> None:
    sides = Sides(vault)
    sides.ours = sides.update(a="a1", same="s")
    sides.theirs = sides.update(b="b2", same="s")
    result = sides.merge()
    assert sides.tree(result.sealed)["variables"] == {"a": "a1", "same": "s", "b": "b2"}
    sides.theirs = sides.update(a="a2")
    assert [str(one) for one in sides.merge().conflicts] == ["variables.a was added on both sides"]


def test_a_conflict_in_a_base_for_another_merge_is_a_value_that_nobody_has(sides: Sides) -> None:
    sides.ours, sides.theirs = sides.update(a="a1", b="b1"), sides.update(a="a2")
    first, second = (sides.tree(sides.merge(virtual=True).sealed)["variables"] for _ in "12")
    assert first["b"] == "b1"
    assert first["a"] != second["a"] and not {first["a"], second["a"]} & {"a0", "a1", "a2"}


# Readers and data keys


@pytest.fixture
def others(vault: Vault) -> dict[str, pyrage.x25519.Identity]:
    return {name: pyrage.x25519.Identity.generate() for name in ("bob", "carol")}


def add(sides: Sides, name: str, one: pyrage.x25519.Identity) -> None:
    Recipients(sides.vault.root, sides.vault.scratch).add(name, str(one.to_public()))


def remove(sides: Sides, name: str) -> None:
    Recipients(sides.vault.root, sides.vault.scratch).remove(name, force=True)


def rotate(sides: Sides) -> None:
    Recipients(sides.vault.root, sides.vault.scratch).rotate()


def readers(sealed: bytes) -> set[str]:
    return set(strictness.judge(sealed).blocks)


def data_key(sealed: bytes, identity: pyrage.x25519.Identity) -> bytes:
    block = strictness.judge(sealed).blocks[str(identity.to_public())]
    armored = "".join(block.split("\n")[1:-2])
    return bytes(pyrage.decrypt(base64.b64decode(armored), [identity]))


@pytest.fixture
def shared_with_both(sides: Sides, others: dict[str, Any]) -> Sides:
    """A file that Bob and Carol read, too."""
    for name, one in others.items():
        add(sides, name, one)
    return Sides(sides.vault)


def test_who_was_added_on_either_side_reads(sides: Sides, others: dict[str, Any]) -> None:
    sides.ours = sides.made(lambda: add(sides, "bob", others["bob"]))
    sides.theirs = sides.made(lambda: add(sides, "carol", others["carol"]))
    sides.theirs = _also(sides, sides.theirs, b="b1")
    result = sides.merge()
    assert readers(result.sealed) == readers(sides.ours) | readers(sides.theirs)
    assert len(readers(result.sealed)) == 3
    assert sides.tree(result.sealed)["variables"]["b"] == "b1"


def _also(sides: Sides, sealed: bytes, **values: Any) -> bytes:
    base, sides.base = sides.base, sealed
    made = sides.update(**values)
    sides.base = base
    return made


@pytest.mark.parametrize("swapped", [False, True])
def test_who_was_removed_on_one_side_neither_reads_nor_knows_the_data_key(
    shared_with_both: Sides, others: dict[str, Any], swapped: bool
) -> None:
    sides = shared_with_both
    sides.ours = sides.made(lambda: remove(sides, "bob"))
    sides.theirs = sides.update(b="b1")
    if swapped:
        sides.ours, sides.theirs = sides.theirs, sides.ours
    result = sides.merge()
    carol = others["carol"]
    assert str(others["bob"].to_public()) not in readers(result.sealed)
    assert data_key(result.sealed, carol) != data_key(sides.base, carol)
    assert sides.tree(result.sealed)["variables"]["b"] == "b1"


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_a_data_key_that_one_removed_reader_knows_is_not_kept_for_the_other(
    shared_with_both: Sides, others: dict[str, Any], who: str
) -> None:
    """Each side removes one of them, who then knows the new data key of the other side."""
    sides = shared_with_both
    sides.ours = sides.made(lambda: remove(sides, "bob"))
    sides.theirs = sides.made(lambda: remove(sides, "carol"))
    result = sides.merge()
    assert readers(result.sealed) == readers(sides.ours) & readers(sides.theirs)
    known = {data_key(sides.ours, others["carol"]), data_key(sides.theirs, others["bob"])}
    own = _own()
    assert data_key(result.sealed, own) not in known | {data_key(sides.base, own)}


def _own() -> pyrage.x25519.Identity:
    from barehub.vault import identity

    return pyrage.x25519.Identity.from_str(identity.find()[0].key)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_rotation_is_not_undone(sides: Sides, swapped: bool) -> None:
    sides.ours = sides.made(lambda: rotate(sides))
    sides.theirs = sides.update(b="b1")
    if swapped:
        sides.ours, sides.theirs = sides.theirs, sides.ours
    result = sides.merge()
    rotated = sides.theirs if swapped else sides.ours
    assert data_key(result.sealed, _own()) == data_key(rotated, _own())
    assert sides.tree(result.sealed)["variables"]["b"] == "b1"


def test_a_reader_whom_only_one_of_two_new_files_has_is_left_out(
    vault: Vault, others: dict[str, Any]
) -> None:
    sides = Sides(vault)
    sides.ours = sides.update(a="a1")
    rules = (vault.root / policy.NAME).read_bytes()
    add(sides, "bob", others["bob"])
    sides.theirs = sides.update(a="a1")
    (vault.root / policy.NAME).write_bytes(rules)
    assert readers(sides.merge().sealed) == readers(sides.ours)
    assert readers(sides.merge(virtual=True).sealed) == readers(sides.theirs)


# Comments


BASE = "variables:\n    # about a\n    a: a0\n    b: b0\n    c: c0\n    d: d0\n"


@pytest.fixture
def commented(vault: Vault) -> Sides:
    vault._write_new(vault.file("demo"), BASE.encode(), "yaml")
    return Sides(vault)


def written(sides: Sides, text: str) -> bytes:
    return sides.made(lambda: sides.vault._write_new(sides.file, text.encode(), "yaml"))


def edited(sides: Sides, text: str) -> bytes:
    """As vault.edit does it: what did not change keeps its ciphertext and its data key."""
    good = sides.vault.scratch / "good.yaml"
    good.write_text(text)
    try:
        return sides.made(lambda: _sops(sides).rewrite(sides.file, good))
    finally:
        good.unlink()


def _sops(sides: Sides) -> Sops:
    return Sops(sides.vault.root, sides.vault.scratch)


def test_their_comments_come_along(commented: Sides) -> None:
    sides = commented
    sides.ours = edited(sides, BASE.replace("a0", "a1").replace("about a", "on a"))
    sides.theirs = edited(sides, BASE + "    # about e\n    e: e0\n")
    result = sides.merge()
    assert result.warning == ""
    expected = BASE.replace("a0", "a1").replace("about a", "on a") + "    # about e\n    e: e0\n"
    assert sides.text(result.sealed) == expected
    assert {"b", "c", "d", "a"} == {
        line.split(":")[0].strip()
        for line in lines(sides.ours) & lines(result.sealed)
        if "#" not in line
    }


def test_comments_that_are_left_behind_are_told(commented: Sides) -> None:
    sides = commented
    sides.ours = edited(sides, BASE + "    x: x0\n")
    sides.theirs = edited(sides, BASE + f"    # {CANARY}\n    e: e0\n")
    result = sides.merge()
    assert result.warning == "secrets/demo.yaml: comments changed in theirs are not in it"
    tree = sides.tree(result.sealed)["variables"]
    assert tree["x"] == "x0" and tree["e"] == "e0"
    assert result.conflicts == ()
    assert list(sides.vault.scratch.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_no_value_in_arguments_or_environments(commented: Sides, tmp_path: Path) -> None:
    sides = commented
    sides.ours = edited(sides, BASE.replace("a0", f"{CANARY}-a"))
    text = f"{BASE}    # {CANARY}-about\n    e: {CANARY}-e\n    l: [{CANARY}-l]\n"
    sides.theirs = edited(sides, text)
    with Watch() as watch:
        for _ in range(60):  # git is quick, and a busy machine may not look while it works
            assert sides.merge().warning == ""
            sides.base, base = b"", sides.base
            assert [one.path for one in sides.merge().conflicts] == [("variables", "a")]
            sides.base = base
            if at_work := any(b"\0merge-file\0" in seen for seen in list(watch.seen)):
                break
    assert at_work, "the watch saw git at work"
    assert watch.holding(CANARY) == []
    assert holding(CANARY, tmp_path, sides.vault.scratch) == []


# Sealed files


@pytest.fixture
def sealed(vault: Vault) -> Sides:
    name = "secrets/files/shared/key.bin.sops"
    vault.seal(b"\x00\xffbase", vault.root / name)
    return Sides(vault, name)


def reseal(sides: Sides, content: bytes) -> bytes:
    return sides.made(lambda: sides.vault.seal(content, sides.file))


def unsealed(sides: Sides, sealed: bytes) -> bytes:
    return _sops(sides).decrypt(sealed, sides.file, "binary", "binary")


def test_sealed_files_with_the_same_content_merge(sealed: Sides) -> None:
    sealed.ours, sealed.theirs = reseal(sealed, b"\x00new"), reseal(sealed, b"\x00new")
    result = sealed.merge()
    assert result.conflicts == ()
    assert unsealed(sealed, result.sealed) == b"\x00new"
    sealed.ours = sealed.made(lambda: rotate(sealed))
    result = sealed.merge()
    assert unsealed(sealed, result.sealed) == b"\x00new"
    own = _own()
    keys = [data_key(one, own) for one in (sealed.base, sealed.ours, sealed.theirs)]
    assert data_key(result.sealed, own) not in keys


def test_sealed_files_that_both_changed_conflict(sealed: Sides) -> None:
    sealed.ours, sealed.theirs = reseal(sealed, b"\x00ours"), reseal(sealed, b"\x00theirs")
    result = sealed.merge()
    assert [str(one) for one in result.conflicts] == ["its content was changed on both sides"]
    assert unsealed(sealed, result.sealed) == b"\x00ours"
    virtual = unsealed(sealed, sealed.merge(virtual=True).sealed)
    assert virtual.startswith(b"in conflict: ")


# What cannot be merged


@pytest.mark.parametrize("side", ["base", "ours", "theirs"])
@pytest.mark.parametrize(
    ("pattern", "replacement", "said"),
    [
        (r"(data:)...", r"\1AAA", "a value fails authentication"),
        (r"a: ENC.*", f"a: {CANARY}", "variables.a is plaintext"),
        (r"^sops:(.|\n)*", "", "its SOPS metadata are missing"),
        (r"^", "<<<<<<< HEAD\n", "conflict marker of git"),
    ],
)
def test_a_damaged_side(
    sides: Sides, side: str, pattern: str, replacement: str, said: str, tmp_path: Path
) -> None:
    sides.ours, sides.theirs = sides.update(a="a1"), sides.update(b="b1")
    good = getattr(sides, side).decode()
    setattr(sides, side, re.sub(pattern, replacement, good, count=1, flags=re.M).encode())
    paths = [tmp_path / name for name in ("base", "ours", "theirs")]
    for path, content in zip(paths, (sides.base, sides.ours, sides.theirs), strict=True):
        path.write_bytes(content)
    with pytest.raises(VaultError) as caught:
        merge_driver.drive(_sops(sides), sides.name, *paths)
    assert f"{side}: secrets/demo.yaml" in caught.value.problem
    assert said in caught.value.problem
    assert "with NOTHING of theirs in it" in caught.value.problem
    assert CANARY not in str(caught.value)
    assert paths[1].read_bytes() == sides.ours
    assert list(sides.vault.scratch.iterdir()) == []


def test_what_was_merged_is_good(sides: Sides) -> None:
    sides.ours, sides.theirs = sides.update(a="a1"), sides.update(b="b1")
    sides.file.write_bytes(sides.merge().sealed)
    assert guard.check(sides.vault.root) == []
