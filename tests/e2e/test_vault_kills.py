"""SIGKILL at random moments of every command that writes the vault.

With those of an import (test_import.py) 200 in all. After each one every secrets file is whole, and
says what it said before or what the command was to make of it; after the next command, no plaintext
is left anywhere.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from barehub import run
from barehub.vault import guard
from barehub.vault.hooks import Hooks
from barehub.vault.store import Vault
from tests.canary import holding

from . import clones
from .conftest import Cli

pytestmark = pytest.mark.cloud  # minutes, together

KILLS = 40

CANARY = "CANARY-kill-3b1f"

OURS = (".input", "editor.py")
"""What the test itself writes."""


@dataclass
class Work:
    """A command to kill: ``begin`` puts everything back, ``argv`` is what then runs."""

    cli: Cli
    argv: list[str]
    begin: Callable[[int], None]

    def run(self, kill_after: float | None = None) -> float:
        """The seconds that it took."""
        started = time.monotonic()
        pid = os.posix_spawn(
            self.argv[0],
            self.argv,
            self.cli.env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, str(self.cli.root / ".input"), os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(self.cli.root / ".said"), _NEW, 0o600),
            ],
            setsid=True,
        )
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if kill_after is None:
            assert status == 0, (self.cli.root / ".said").read_text()
        return time.monotonic() - started


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def ready(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    cli.env["TMPDIR"] = str(temporary)
    monkeypatch.setenv("TMPDIR", str(temporary))
    (cli.root / ".input").write_text("")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.kept", input=f"{CANARY}-kept").code == 0
    assert cli("vault.set", "variables.value", input=f"{CANARY}-0").code == 0
    assert cli("vault.set", "ssh.private_key", "--name", "demo", input=f"{CANARY}-key").code == 0
    return cli


def setting(cli: Cli) -> Work:
    def begin(number: int) -> None:
        (cli.root / ".input").write_text(f"{CANARY}-{number}")

    return Work(cli, cli.argv("vault.set", "variables.value"), begin)


def editing(cli: Cli) -> Work:
    script = cli.root.parent / "editor.py"
    cli.env["EDITOR"] = shlex.join([sys.executable, str(script)])

    def begin(number: int) -> None:
        script.write_text(
            "import pathlib, re, sys, time\npath = pathlib.Path(sys.argv[1])\n"
            f"text = re.sub('value: {CANARY}-.*', 'value: {CANARY}-{number}', path.read_text())\n"
            "assert text != path.read_text()\n"
            "time.sleep(0.1)\npath.write_text(text)\n"
        )

    return Work(cli, cli.argv("vault.edit"), begin)


def rotating(cli: Cli) -> Work:
    return Work(cli, cli.argv("vault.rotate"), lambda number: None)


def merging(cli: Cli) -> Work:
    """Each run merges a branch that changed one value into one that changed another."""
    cli.env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        cli.env |= {f"GIT_{role}_NAME": "A", f"GIT_{role}_EMAIL": "a@example.org"}
    clones.with_drivers(cli.root)
    (cli.root / ".gitignore").write_text(".input\n.said\n/barehub/\n/terraform/\n")
    _git(cli.root, "init", "-q", "-b", "main", ".")
    Hooks(cli.root).install()
    vault = Vault(cli.root, Path(cli.env["XDG_RUNTIME_DIR"]))

    def commit(message: str) -> None:
        _git(cli.root, "add", "-A")
        _git(cli.root, "commit", "-q", "--no-verify", "-m", message)

    commit("base")
    _git(cli.root, "checkout", "-q", "-b", "ours")
    vault.update(vault.file(None), {"variables.other": f"{CANARY}-other"})
    commit("ours")
    _git(cli.root, "tag", "start")

    def begin(number: int) -> None:
        for lock in (cli.root / ".git").rglob("*.lock"):  # as a killed git asks for
            lock.unlink()
        _git(cli.root, "reset", "-q", "--hard", "main")
        _git(cli.root, "checkout", "-q", "-B", "theirs")
        vault.update(vault.file(None), {"variables.value": f"{CANARY}-{number}"})
        commit("theirs")
        _git(cli.root, "checkout", "-q", "-f", "-B", "ours", "start")

    git = shutil.which("git")
    assert git
    return Work(cli, [git, "-C", str(cli.root), "merge", "-q", "-m", "x", "theirs"], begin)


def _git(folder: Path, *args: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *args], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


WORK = {
    "set": setting,
    "edit": editing,
    "rotate": rotating,
    "merge": merging,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("verb", WORK)
def test_a_kill_leaves_every_file_whole_and_no_plaintext(
    verb: str, ready: Cli, tmp_path: Path, runtime_dir: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    work = WORK[verb](ready)
    work.begin(1)
    takes = work.run()
    for number in range(2, KILLS + 2):
        work.begin(number)
        moment = chance.uniform(0, takes * 1.05)
        work.run(kill_after=moment)
        told = f"{verb}, seed {seed}, kill {number} after {moment:.3f} of {takes:.3f} s"
        assert whole(ready.root, runtime_dir, number), told
        sweep(ready, number)
        assert holding(CANARY, tmp_path, runtime_dir, but=OURS) == [], told
    work.begin(KILLS + 2)
    work.run()
    assert whole(ready.root, runtime_dir, KILLS + 2)


def sweep(cli: Cli, number: int) -> None:
    """Do what any command does first; at most turns in this process, which is quicker."""
    if number % 8:
        run.swept()
    else:
        assert cli("list").code == 0


def whole(root: Path, scratch: Path, number: int) -> bool:
    """Whether all is encrypted to the policy's readers, and says what some run was to write."""
    assert guard.check(root) == []
    vault = Vault(root, scratch)
    written = {f"{CANARY}-{n}" for n in range(number + 1)}
    said = vault.read("demo").leaves()
    assert said["variables.kept"] == f"{CANARY}-kept"
    assert said["ssh.private_key"] == f"{CANARY}-key"
    assert said["variables.value"] in written
    return True
