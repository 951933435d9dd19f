"""What `invoke vault.check` prints: for people, for scripts, for GitHub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .clones import Clone, made
from .conftest import Cli

CANARY = "CANARY-check-1a07"


@pytest.fixture
def clone(cli: Cli, tmp_path: Path) -> Clone:
    """In a folder of its repository, with two bad files, one of them staged."""
    clone = made(cli, tmp_path / "clone", "sub: folder")
    (clone.root / "secrets/staged.yaml").write_text(f"variables: {{token: {CANARY}}}\n")
    clone.git("add", "secrets/staged.yaml")
    text = (clone.root / "secrets/shared.yaml").read_text()
    (clone.root / "secrets/shared.yaml").write_text(f"# {CANARY}\n{text}x: {CANARY}\n")
    return clone


def test_people(clone: Clone) -> None:
    result = clone.task("vault.check")
    assert result.code == 4
    *lines, last = result.out.splitlines()
    assert lines == [
        "secrets/staged.yaml: NOT encrypted",
        "secrets/shared.yaml:1: a comment is plaintext (not staged)",
    ]
    assert last.startswith("secrets/shared.yaml:") and last.endswith("x is plaintext (not staged)")
    assert "error: 3 problems in the vault" in result.err
    assert "hint: invoke vault.encrypt secrets/staged.yaml   # and reissue what" in result.err
    assert CANARY not in str(result)
    staged = clone.task("vault.check", "--staged")
    assert (staged.code, staged.out.splitlines()) == (4, lines[:1])


def test_scripts(clone: Clone) -> None:
    result = clone.task("vault.check", "--json")
    assert result.code == 4
    problems = json.loads(result.out)
    assert [(one["file"], one["line"], one["staged"]) for one in problems][:2] == [
        ("secrets/staged.yaml", 0, True),
        ("secrets/shared.yaml", 1, False),
    ]
    assert set(problems[0]) == {"file", "line", "text", "fix", "staged"}
    clone.git("reset", "-q", "--hard")
    (clone.root / "secrets/staged.yaml").unlink(missing_ok=True)
    good = clone.task("vault.check", "--json")
    assert (good.code, good.out, good.err) == (0, "[]\n", "")


def test_github(clone: Clone) -> None:
    clone.env["GITHUB_ACTIONS"] = "true"
    said = clone.task("vault.check").err
    assert "::error file=sub%3A folder/secrets/staged.yaml::NOT encrypted" in said
    assert "::error file=sub%3A folder/secrets/shared.yaml,line=1::a comment is plaintext" in said
    assert CANARY not in said


def test_outside_of_git(cli: Cli) -> None:
    cli.env["GIT_CEILING_DIRECTORIES"] = str(cli.root.parent)
    nothing = cli("vault.check")
    assert nothing.code == 0 and "there is none yet" in nothing.err
    assert "this is no git repository: only the files are looked at" in nothing.err
    staged = cli("vault.check", "--staged")
    assert staged.code == 4 and "is in no git repository" in staged.err


def test_no_key_is_needed(clone: Clone, tmp_path: Path) -> None:
    clone.git("reset", "-q", "--hard")
    clone.env["HOME"] = str(tmp_path / "nobody")
    result = clone.task("vault.check")
    assert result.code == 0, result
