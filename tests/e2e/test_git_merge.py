"""Secrets files in git: every command that merges does it by key, and what cannot be is named."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pyrage
import pytest

from tests.canary import holding

from .clones import Clone, made
from .conftest import Cli

FILE = "secrets/shared.yaml"
CANARY = "CANARY-merge-5b1d"


@pytest.fixture
def clone(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """With three keys in the vault, and a branch ``theirs`` that begins there."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
        cli.env[name] = os.devnull
    clone = made(cli, tmp_path / "clone")
    clone.set("base", **{key: f"{CANARY}-{key}-0" for key in ("one", "two", "three")})
    clone.git("branch", "theirs")
    return clone


def on(clone: Clone, branch: str, **values: object) -> None:
    clone.git("checkout", "-q", branch)
    clone.set(f"on {branch}", **{key: f"{CANARY}-{key}-{value}" for key, value in values.items()})


def state(clone: Clone) -> dict[str, str]:
    return {key: str(value).rsplit("-", 1)[1] for key, value in clone.values().items()}


def assert_clean(clone: Clone) -> None:
    """No canary on a disk, and nothing left of git or of us."""
    assert clone.git("status", "--short") == ""
    assert holding(CANARY, clone.top.parent, Path(clone.env["XDG_RUNTIME_DIR"])) == []
    assert not list(clone.top.glob(".*merge_file*"))


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["merge -q theirs"], ("ours", "theirs", "0")),
        (["rebase -q theirs"], ("ours", "theirs", "0")),
        (["cherry-pick theirs"], ("ours", "theirs", "0")),
        (["merge -q theirs", "revert --no-edit -m 2 HEAD"], ("0", "theirs", "0")),
        (["cherry-pick theirs", "revert --no-edit HEAD~1"], ("0", "theirs", "0")),
    ],
    ids=lambda value: " ".join(value),
)
def test_different_keys_merge(
    clone: Clone, commands: list[str], expected: tuple[str, str, str]
) -> None:
    on(clone, "theirs", two="theirs")
    on(clone, "main", one="ours")
    for command in commands:
        clone.git(*command.split())
    assert state(clone) == dict(zip(("one", "two", "three"), expected, strict=True))
    assert clone.task("vault.check").code == 0
    assert_clean(clone)


def test_a_stash_comes_back(clone: Clone) -> None:
    vault = clone.vault
    vault.update(vault.file(None), {"variables.one": "x-stashed"})
    clone.git("stash", "-q")
    clone.set("meanwhile", two="x-new")
    clone.git("stash", "pop", "-q")
    assert state(clone) == {"one": "stashed", "two": "new", "three": "0"}


def test_criss_cross(clone: Clone) -> None:
    """Each branch has merged the other's first commit: there are two bases."""
    on(clone, "theirs", two="theirs")
    on(clone, "main", one="ours")
    clone.git("branch", "first")
    clone.git("merge", "-q", "theirs")
    clone.git("checkout", "-q", "theirs")
    clone.git("merge", "-q", "first")
    clone.set("later", two="x-later")
    on(clone, "main", three="late")
    assert len(clone.git("merge-base", "--all", "main", "theirs").split()) == 2
    clone.git("merge", "-q", "theirs")
    assert state(clone) == {"one": "ours", "two": "later", "three": "late"}


@pytest.mark.parametrize("changes_again", ["main", "theirs"])
def test_criss_cross_where_each_side_decided_otherwise(clone: Clone, changes_again: str) -> None:
    """The bases conflict: neither branch's decision may win in silence."""
    on(clone, "theirs", one="theirs")
    on(clone, "main", one="ours")
    clone.git("branch", "first")
    for branch, other in (("main", "theirs"), ("theirs", "first")):
        clone.git("checkout", "-q", branch)
        assert clone.run("git", "merge", "-q", other).code == 1
        if branch == changes_again:
            clone.vault.update(clone.vault.file(None), {"variables.one": "x-other"})
        clone.git("commit", "-q", "--no-verify", "-am", f"decided on {branch}")
    clone.git("checkout", "-q", "main")
    mine = state(clone)["one"]
    result = clone.run("git", "merge", "theirs")
    assert result.code == 1, result
    assert "CONFLICT (vault): secrets/shared.yaml: variables.one was changed on both" in result.err
    assert state(clone)["one"] == mine


def test_two_people_and_one_who_has_left(clone: Clone, tmp_path: Path) -> None:
    """Carol loses her access on one side, while Bob writes a secret that she could still read."""
    people = {name: pyrage.x25519.Identity.generate() for name in ("bob", "carol")}
    for name, one in people.items():
        clone.invoke("vault.add-recipient", name, str(one.to_public()))
    clone.git("commit", "-qam", "bob and carol")
    keys = tmp_path / "bob/.config/sops/age/keys.txt"
    keys.parent.mkdir(parents=True)
    keys.write_text(f"{people['bob']}\n")
    env = {**clone.env, "HOME": str(tmp_path / "bob")}
    bob = Clone(tmp_path / "bob/clone", env)
    clone.git("clone", "-q", str(clone.top), str(bob.top))
    assert bob.task("vault.install-hooks").code == 0
    bob.invoke("vault.set", "variables.two", input=f"{CANARY}-two-bob")
    bob.git("commit", "-qam", "two, by bob")
    clone.invoke("vault.remove-recipient", "carol")
    clone.git("commit", "-qam", "without carol")
    bob.git("pull", "-q", "--no-rebase", "--no-edit")
    clone.git("pull", "-q", str(bob.top), "main")
    assert state(clone) == {"one": "0", "two": "bob", "three": "0"}
    assert f"variables.two: {CANARY}-two-bob" in bob.invoke("vault.show", "--reveal")
    merged = (clone.root / FILE).read_text()
    assert str(people["bob"].to_public()) in merged
    assert str(people["carol"].to_public()) not in merged
    assert clone.task("vault.check").code == 0
    assert_clean(clone)


def conflicting(clone: Clone) -> str:
    """What `git merge` says of a key that both changed, beside one that only theirs did."""
    on(clone, "theirs", one="theirs", two="theirs")
    on(clone, "main", one="ours")
    result = clone.run("git", "merge", "theirs")
    assert result.code == 1, result
    assert CANARY not in str(result)
    return result.err + result.out


def test_a_conflict_and_the_way_out_of_it(clone: Clone) -> None:
    said = conflicting(clone)
    assert f"CONFLICT (vault): {FILE}: variables.one was changed on both sides" in said
    assert "<<<<" not in (clone.root / FILE).read_text()
    assert state(clone) == {"one": "ours", "two": "theirs", "three": "0"}
    refused = clone.task("vault.check")
    assert refused.code == 4 and f"{FILE}: a conflict of git" in refused.out, refused
    hints = [line.removeprefix("hint: ") for line in said.splitlines() if "hint: " in line]
    assert hints == [
        f"to see theirs: git checkout --theirs {FILE} && invoke vault.show --reveal",
        f"and back: git checkout -m {FILE}",
        "to take theirs: invoke vault.set variables.one",
        f"then: git add {FILE}",
    ]
    clone.git("checkout", "--theirs", FILE)
    assert f"variables.one: {CANARY}-one-theirs" in clone.invoke("vault.show", "--reveal")
    clone.git("checkout", "-m", FILE)
    assert state(clone) == {"one": "ours", "two": "theirs", "three": "0"}
    clone.invoke("vault.set", "variables.one", input=f"{CANARY}-one-theirs")
    clone.git("add", FILE)
    clone.git("commit", "-qm", "merged, by way of the hook")
    assert state(clone) == {"one": "theirs", "two": "theirs", "three": "0"}
    assert_clean(clone)


def test_without_an_identity_nothing_of_theirs_is_taken(clone: Clone) -> None:
    on(clone, "theirs", two="theirs")
    on(clone, "main", one="ours")
    ours = (clone.root / FILE).read_bytes()
    keys = Path(clone.env["HOME"]) / ".config/sops/age/keys.txt"
    keys.rename(keys.with_name("away"))
    result = clone.run("git", "merge", "theirs")
    assert result.code == 1
    assert f"error: {FILE} is still ours, with NOTHING of theirs in it" in result.err
    assert "no age identity" in result.err
    assert (clone.root / FILE).read_bytes() == ours
    keys.with_name("away").rename(keys)
    clone.git("checkout", "-m", FILE)
    assert state(clone) == {"one": "ours", "two": "theirs", "three": "0"}


def test_a_merge_before_the_drivers_were_installed(clone: Clone) -> None:
    clone.invoke("vault.install-hooks", "--remove")
    on(clone, "theirs", two="theirs")
    on(clone, "main", one="ours")
    result = clone.run("git", "merge", "theirs")
    assert result.code == 1 and "CONFLICT (content)" in result.out, result
    checked = clone.task("vault.check")
    assert f"{FILE}: a conflict of git" in checked.out
    assert "conflict marker of git (not staged)" in checked.out
    assert f"hint: invoke vault.install-hooks && git checkout -m {FILE}" in checked.err
    clone.invoke("vault.install-hooks")
    clone.git("checkout", "-m", FILE)
    clone.git("add", FILE)
    clone.git("commit", "-qm", "merged")
    assert state(clone) == {"one": "ours", "two": "theirs", "three": "0"}


@pytest.mark.parametrize("script", ["exit 1", "exit 127", "kill -9 $$", ""])
def test_a_driver_that_comes_to_no_answer_leaves_gits_ordinary_conflict(
    clone: Clone, script: str
) -> None:
    """Or ours would stand there without a mark, and pass for the merged file."""
    on(clone, "theirs", two="theirs")
    on(clone, "main", one="ours")
    driver = clone.top / ".git/barehub/run"
    driver.unlink()
    if script:
        driver.write_text(f"#!/bin/sh\n{script}\n")
        driver.chmod(0o755)
    result = clone.run("git", "merge", "theirs")
    assert result.code == 1
    text = (clone.root / FILE).read_text()
    assert "<<<<<<< ours" in text and ">>>>>>> theirs" in text


def test_sigkill_leaves_a_whole_file(clone: Clone) -> None:
    on(clone, "theirs", two="theirs")
    on(clone, "main", one="ours")
    ours, before = (clone.root / FILE).read_bytes(), clone.git("rev-parse", "main").strip()
    killed = 0
    for turn in range(8):
        merging = subprocess.Popen(
            ["git", "merge", "-q", "theirs"],
            cwd=clone.root,
            env=clone.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.15 + 0.06 * turn)
        for pid in drivers(clone):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        merging.wait(60)
        text = (clone.root / FILE).read_bytes()
        if b"<<<<<<< ours" not in text:
            assert text == ours or state(clone) == {"one": "ours", "two": "theirs", "three": "0"}
        clone.git("reset", "-q", "--hard", before)
    assert killed
    clone.invoke("vault.show")  # the next command sweeps
    clone.git("merge", "-q", "theirs")
    assert_clean(clone)


def drivers(clone: Clone) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"merge" in words and any(word.endswith(b"/start.py") for word in words):
            if os.readlink(entry / "cwd") != str(clone.root):
                continue
            found.append(int(entry.name))
    return found
