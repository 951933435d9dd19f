"""A journal comes from git: what others put into it ends no command in a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import holding

from . import slow_cloud
from .conftest import ROOT, Cli, Result

CANARY = "CANARY-odd-journal"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")

ODD = [
    b'{"at": 1e300, "event": "spawn"}',
    b'{"at": 1, "event": "endpoint", "url": 7}',
    b'{"at": 1, "event": "endpoint", "url": "http://["}',
    b'{"at": 1, "event": "machines"}',
    b'{"at": 1, "event": "resource-done", "action": "create"}',
    b'{"at": 1, "event": "stage", "stage": ["dns"], "creates": 7}',
    b'{"at": 1, "event": "arguments", "stage": "dns", "fingerprints": "x"}',
    b'{"at": 1, "event": "revised", "was": 7}',
    b"[" * 100_000,
    b'"\xff"',
    CANARY.encode(),
]

COMMANDS = (
    (0, "list"),
    (0, "history", "--name", "demo"),
    (0, "history", "--name", "demo", "--json"),
    (0, "status", "--name", "demo"),
    (8, "verify", "--name", "demo", "--timeout", "1"),
    (0, "plan", "--name", "demo"),
    (8, *SPAWN),
    (0, "teardown", "--name", "demo", "--yes"),
    (0, "leftovers"),
)


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=f"{CANARY}-token").code == 0
    return cli


def _clean(result: Result) -> None:
    assert "Traceback" not in result.err, result
    assert CANARY not in str(result), result


def test_odd_lines_are_one_warning_and_change_nothing(ready: Cli) -> None:
    assert ready(*SPAWN).code == 8
    journal = ready.instance("demo") / "journal.jsonl"
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"\n".join([lines[0], *ODD, *lines[1:]]) + b"\n")
    for code, *command in COMMANDS:
        result = ready(*map(str, command))
        _clean(result)
        assert result.code == code, result
        said = f"{journal}, line 2: 'at' has a wrong type or value, and {len(ODD) - 1} more like it"
        assert result.err.count(said) == 1, result
    assert not (ready.instance("demo") / "terraform.tfstate.sops").exists()


def test_a_journal_that_is_no_regular_file_is_an_error(ready: Cli) -> None:
    journal = ready.instance("demo") / "journal.jsonl"
    journal.symlink_to("/dev/zero")
    for _, *command in COMMANDS[1:]:
        result = ready(*map(str, command))
        _clean(result)
        assert result.code == 1 and f"{journal}: a link, not a file" in result.err, result
    assert "unreadable" in ready("list").out
    assert not (ready.instance("demo") / "log").exists()


def test_scripts_keep_keeps_odd_lines_and_follows_no_link(cli: Cli, tmp_path: Path) -> None:
    (cli.root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/keep", cli.root / "scripts/keep")
    journal = cli.instance("demo") / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"\n".join(ODD) + b"\n")
    remote = tmp_path / "remote"
    _git(tmp_path, "init", "-q", "--bare", "-b", "main", str(remote))
    _git(cli.root, "init", "-q", "-b", "main")
    _git(cli.root, "config", "core.looseCompression", "0")  # so that a blob can be looked into
    _git(cli.root, "add", "scripts")
    _git(cli.root, "commit", "-qm", "Begin")
    _git(cli.root, "remote", "add", "origin", str(remote))
    _git(cli.root, "push", "-qu", "origin", "main")
    done = _keep(cli)
    assert done.code == 0 and "Traceback" not in done.err, done
    path = "main:instances/demo/journal.jsonl"
    assert _git(remote, "show", path) == journal.read_bytes()
    journal.unlink()
    private = tmp_path / "id_ed25519"
    private.write_text(f"{CANARY}-key")
    journal.symlink_to(private)
    done = _keep(cli)
    assert done.code == 1 and "instances/demo/journal.jsonl is a link" in done.err, done
    assert not holding(f"{CANARY}-key", remote, cli.root / ".git")
    assert _git(remote, "show", path).startswith(ODD[0])


def _keep(cli: Cli) -> Result:
    argv = [sys.executable, "scripts/keep", "demo", "--every", "0.2"]
    done = subprocess.run(argv, cwd=cli.root, capture_output=True, text=True, timeout=100)
    return Result(done.returncode, done.stdout, done.stderr)


def _git(at: Path, *args: str) -> bytes:
    me = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    return subprocess.run(("git", *me, *args), cwd=at, check=True, capture_output=True).stdout


def test_one_unreadable_journal_keeps_no_other_hub_from_being_verified(cli: Cli) -> None:
    for name in ("good", "odd"):
        slow_cloud.make(cli.instance(name))
        (cli.instance(name) / "terraform.tfstate.sops").touch()
    (cli.instance("odd") / "journal.jsonl").symlink_to("/dev/zero")
    (cli.instance("good") / "journal.jsonl").write_text(
        '{"at": 1, "event": "endpoint", "url": "https://localhost:1"}\n'
    )
    result = cli("verify", "--all")
    _clean(result)
    assert result.code == 6, result
    assert "odd/journal.jsonl: a link, not a file" in result.err
    assert "https://localhost:1" in result.err, result
