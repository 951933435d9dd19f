"""The guard in git's hooks, in every way that a commit is made, and the drivers beside it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pyrage
import pytest

from barehub.errors import VaultError
from barehub.vault.hooks import ATTRIBUTES, Hooks

from .clones import Clone, made
from .conftest import ROOT, Cli

FILE = "secrets/shared.yaml"
PLAIN = "secrets/demo.yaml"
CANARY = "CANARY-hooks-90aa"


@pytest.fixture
def cli(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
        cli.env[name] = os.devnull
    return cli


@pytest.fixture
def clone(cli: Cli, tmp_path: Path) -> Clone:
    return made(cli, tmp_path / "clone")


@pytest.fixture
def inside(cli: Cli, tmp_path: Path) -> Clone:
    """The project in a folder of the repository, whose name has a space and a quote."""
    return made(cli, tmp_path / "clone", "the project's")


def refused(clone: Clone, *args: str, at: Path | None = None) -> None:
    result = clone.run("git", "commit", "-qm", "x", *args, at=at)
    assert result.code == 1, result
    assert f"{PLAIN}: NOT encrypted" in result.out + result.err, result
    assert CANARY not in str(result)


@pytest.mark.parametrize("layout", ["clone", "inside"])
def test_every_way_to_commit_is_guarded(layout: str, request: pytest.FixtureRequest) -> None:
    clone: Clone = request.getfixturevalue(layout)
    plain, other = clone.root / PLAIN, clone.root / "notes.txt"
    other.write_text("one")
    clone.git("add", "notes.txt")
    said = clone.run("git", "commit", "-qm", "a good one")
    assert (said.code, said.out, said.err) == (0, "", "")
    plain.write_text(f"variables:\n  token: {CANARY}\n")
    clone.git("add", PLAIN)
    refused(clone)
    refused(clone, "-a")
    refused(clone, PLAIN)
    refused(clone, "-a", at=clone.root / "secrets")
    other.write_text("two")
    said = clone.run("git", "commit", "-qm", "without the bad one", "notes.txt")
    assert (said.code, said.out, said.err) == (0, "", "")
    clone.git("reset", "-q")
    other.write_text("three")
    clone.git("commit", "-qam", "a bad file that is not staged")


@pytest.mark.parametrize("layout", ["clone", "inside"])
def test_a_worktree_is_guarded_by_its_own_index(
    layout: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clone: Clone = request.getfixturevalue(layout)
    clone.git("worktree", "add", "-q", str(tmp_path / "other"))
    other = Clone(tmp_path / "other", clone.env, clone.inside)
    (other.root / PLAIN).write_text(f"variables:\n  token: {CANARY}\n")
    other.git("add", PLAIN)
    refused(other)
    refused(other, PLAIN)
    (clone.root / "notes.txt").write_text("one")
    clone.git("add", "notes.txt")
    clone.git("commit", "-qm", "the first one's index is good")


def test_a_merge_without_a_conflict_is_guarded(clone: Clone) -> None:
    """Both branches were good; what they make together has a reader whom the policy has lost."""
    clone.git("checkout", "-qb", "theirs")
    rules = clone.root / ".sops.yaml"
    me = rules.read_text()
    bob = pyrage.x25519.Identity.generate().to_public()
    rules.write_text(me + f"      - {bob}  # bob\n")
    clone.vault.update(clone.vault.file("demo"), {"variables.a": "x"})
    clone.git("add", "-A")
    clone.git("commit", "-qnm", "bob, and a file for him")
    clone.git("checkout", "-q", "main")
    clone.vault.update(clone.vault.file("other"), {"variables.a": "x"})
    clone.git("add", "-A")
    clone.git("commit", "-qm", "a file for us")
    result = clone.run("git", "merge", "-q", "theirs")
    assert result.code != 0
    assert "secrets/other.yaml: bob cannot read it and is in .sops.yaml" in str(result)


def test_it_works_without_a_terminal_and_with_a_bare_environment(clone: Clone) -> None:
    """As a program with windows starts git."""
    clone.env = {"PATH": "/usr/bin:/bin", "HOME": clone.env["HOME"]}
    clone.env |= {"GIT_CONFIG_NOSYSTEM": "1", "XDG_RUNTIME_DIR": "/nowhere"}
    clone.git("config", "user.name", "A")
    clone.git("config", "user.email", "a@example.org")
    (clone.root / PLAIN).write_text(f"token: {CANARY}\n")
    clone.git("add", PLAIN)
    refused(clone)
    clone.git("rm", "-q", "--cached", PLAIN)
    clone.git("commit", "-q", "--allow-empty", "-m", "x")


def test_the_real_script(clone: Clone) -> None:
    """With an environment as scripts/invoke makes it; it is the one that runs these tests."""
    shutil.copytree(ROOT / "scripts", clone.root / "scripts", dirs_exist_ok=True)
    locks = [path.name for path in ROOT.glob("requirements*.lock")]
    for name in locks:
        shutil.copy(ROOT / name, clone.root / name)
        shutil.copy(ROOT / name, clone.root / ".venv" / name)
    shutil.rmtree(clone.root / ".venv/bin")
    (clone.root / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (clone.root / ".venv/made-in").write_text(f"{clone.root}\n")
    (clone.root / PLAIN).write_text(f"token: {CANARY}\n")
    clone.git("add", PLAIN)
    refused(clone)
    clone.git("rm", "-q", "--cached", PLAIN)
    said = clone.run("git", "commit", "-q", "--allow-empty", "-m", "x")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_a_branch_without_the_project_can_be_committed_to(clone: Clone) -> None:
    clone.git("checkout", "-q", "--orphan", "pages")
    clone.git("rm", "-rqf", ".")
    (clone.root / "index.html").write_text("x")
    clone.git("add", "index.html")
    clone.git("commit", "-qm", "pages")


# Installing


def files(clone: Clone) -> dict[str, bytes]:
    """All that installing touches."""
    paths = [clone.top / ".git/config", clone.root / ".gitattributes"]
    paths += sorted((clone.top / ".git/hooks").iterdir())
    return {str(path): path.read_bytes() for path in paths if path.exists()}


def test_installing_twice_changes_nothing_and_removing_leaves_nothing(
    cli: Cli, tmp_path: Path
) -> None:
    clone = made(cli, tmp_path / "clone", install=False)
    before = files(clone)
    first = clone.task("vault.install-hooks")
    assert "made the hook pre-commit" in first.err and first.code == 0, first
    installed = files(clone)
    again = clone.task("vault.install-hooks")
    assert "hook" not in again.err and again.code == 0, again
    assert files(clone) == installed != before
    assert clone.task("vault.install-hooks", "--remove").code == 0
    assert files(clone) == before
    assert not (clone.top / ".git/barehub").exists()
    assert clone.task("vault.install-hooks", "--remove").code == 0


def test_attributes_of_others_stay_and_committed_ones_are_not_taken_out(clone: Clone) -> None:
    path = clone.root / ".gitattributes"
    path.write_text("*.png binary\n*.txt text")
    Hooks(clone.root).install()
    text = path.read_text()
    assert text.startswith("*.png binary\n*.txt text\n") and set(ATTRIBUTES) < set(text.split("\n"))
    Hooks(clone.root).remove()
    assert path.read_text() == text, "the first commit has them"


def test_attributes_that_win_over_ours_are_told(clone: Clone) -> None:
    (clone.root / "secrets/.gitattributes").write_text("*.yaml -merge\n")
    with pytest.raises(VaultError, match=r"take secrets/shared\.yaml away from"):
        Hooks(clone.root).install()


def hook(clone: Clone, name: str = "pre-commit") -> Path:
    return clone.top / ".git/hooks" / name


def test_another_hook_is_not_overwritten(inside: Clone) -> None:
    theirs = "#!/bin/sh\n# /barehub/run check comes here\necho mine\n"
    hook(inside).write_text(theirs)
    with pytest.raises(VaultError, match="is another hook") as caught:
        Hooks(inside.root).install()
    line = caught.value.hints[0].removeprefix("add this line to it: ")
    assert hook(inside).read_text() == theirs
    hook(inside).write_text(theirs.replace("echo", f"{line}\necho"))
    Hooks(inside.root).install()
    (inside.root / PLAIN).write_text(f"token: {CANARY}\n")
    inside.git("add", PLAIN)
    refused(inside)
    said = Hooks(inside.root).remove()
    assert any("is not ours" in text for text in said)
    assert line in hook(inside).read_text()


def test_a_hook_of_another_version_is_renewed_and_an_edited_one_is_kept(clone: Clone) -> None:
    hooks = Hooks(clone.root)
    now = hook(clone).read_text()
    rest = "scripts/invoke vault.check --staged --of-old || exit 1\n"
    from barehub.vault.hooks import _sum

    hook(clone).write_text(f"#!/bin/sh\n# barehub {_sum(rest)}: as it was\n{rest}")
    assert hooks.install() == ["renewed the hook pre-commit"]
    assert hook(clone).read_text() == now
    hook(clone).write_text(now + "echo and more\n")
    assert hooks.install() == []
    assert hook(clone).read_text() == now + "echo and more\n"
    hook(clone).unlink()
    hook(clone).symlink_to("../../their-hook")
    (clone.root / "their-hook").write_text("#!/bin/sh\n")
    with pytest.raises(VaultError, match="is another hook"):
        hooks.install()


@pytest.mark.parametrize("place", [".githooks", "{}/else where"])
def test_hooks_in_another_place(clone: Clone, tmp_path: Path, place: str) -> None:
    clone.git("config", "core.hooksPath", place.format(tmp_path))
    assert "made the hook pre-commit" in Hooks(clone.root).install()
    shutil.rmtree(clone.top / ".git/hooks")
    (clone.root / PLAIN).write_text(f"token: {CANARY}\n")
    clone.git("add", PLAIN)
    refused(clone)
    clone.git("config", "core.hooksPath", "/dev/null")
    with pytest.raises(VaultError, match="which is no folder"):
        Hooks(clone.root).install()


def test_hooks_in_the_work_tree_are_told_and_run_the_copy(clone: Clone) -> None:
    """As husky has them: a branch can change those, and we cannot prevent it."""
    clone.git("config", "core.hooksPath", ".husky/_")
    (clone.root / ".husky/_").mkdir(parents=True)
    runs = '#!/bin/sh\nexec sh -e ".husky/$(basename "$0")" "$@"\n'
    for name in ("pre-commit", "pre-merge-commit"):
        (clone.root / ".husky/_" / name).write_text(runs)
        (clone.root / ".husky/_" / name).chmod(0o755)
    said = clone.task("vault.install-hooks")
    assert "made the hook pre-commit" in said.err
    assert "warning: git's hooks are in the work tree" in said.err
    assert "a branch can change them" in clone.task("doctor").out
    assert (clone.root / ".husky/pre-commit").exists()
    (clone.root / PLAIN).write_text(f"token: {CANARY}\n")
    clone.git("add", PLAIN)
    refused(clone)


def test_hooks_for_all_repositories_stop_no_other(clone: Clone, tmp_path: Path) -> None:
    """With core.hooksPath in a person's own configuration."""
    clone.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    Hooks(clone.root).install()
    other = Clone(tmp_path / "other", clone.env)
    other.top.mkdir()
    other.git("init", "-q")
    other.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    other.git("commit", "-q", "--allow-empty", "-m", "x")
    shutil.rmtree(clone.top / ".git/barehub")
    said = clone.run("git", "commit", "-q", "--allow-empty", "-m", "x")
    assert said.code == 1 and "hint: invoke vault.install-hooks" in said.err, said


def test_an_old_line_in_another_hook_is_told(clone: Clone) -> None:
    hook(clone).write_text("#!/bin/sh\nscripts/invoke vault.check --staged || exit 1\n")
    with pytest.raises(VaultError, match="runs what a branch has checked out") as caught:
        Hooks(clone.root).install()
    line = caught.value.hints[0].partition(" by: ")[2]
    hook(clone).write_text(f"#!/bin/sh\n{line}\n")
    assert Hooks(clone.root).install() == []


@pytest.mark.parametrize("kind", ["submodule", "bare"])
def test_where_git_keeps_its_folder_elsewhere(clone: Clone, tmp_path: Path, kind: str) -> None:
    """A submodule's is in the one around it; worktrees of a bare repository share that."""
    if kind == "submodule":
        around = Clone(tmp_path / "around", {**clone.env, "GIT_ALLOW_PROTOCOL": "file"})
        around.top.mkdir()
        around.git("init", "-q")
        around.git("submodule", "--quiet", "add", str(clone.top), "sub")
        top = around.top / "sub"
    else:
        clone.git("clone", "-q", "--bare", str(clone.top), str(tmp_path / "bare.git"))
        clone.git("worktree", "add", "-q", str(tmp_path / "tree"), at=tmp_path / "bare.git")
        top = tmp_path / "tree"
    other = Clone(top, clone.env)
    assert "made the hook pre-commit" in Hooks(other.root).install()
    assert not list(top.rglob("start.py"))
    (other.root / PLAIN).write_text(f"token: {CANARY}\n")
    other.git("add", PLAIN)
    refused(other)
    other.git("rm", "-q", "--cached", PLAIN)
    assert "+variables" in other.git("log", "-p") or "+reader" in other.git("log", "-p")
    assert Hooks(other.root).remove()
    assert not (top / other.git("rev-parse", "--git-common-dir").strip() / "barehub").exists()


def test_with_the_pre_commit_framework(clone: Clone) -> None:
    Hooks(clone.root).remove()
    config = clone.top / ".pre-commit-config.yaml"
    config.write_text("repos:\n")
    with pytest.raises(VaultError, match="does not look at the vault") as caught:
        Hooks(clone.root).install()
    assert not hook(clone).exists()
    assert "/barehub/run" in clone.git("config", "merge.barehub.driver")
    with config.open("a") as file:
        file.write(caught.value.hints[0].partition("\n")[2] + "\n")
    import yaml

    (repo,) = yaml.safe_load(config.read_text())["repos"]
    entry = shlex.split(repo["hooks"][0]["entry"])
    assert entry[:2] == ["sh", "-c"] and "/barehub/run" in entry[2]
    assert clone.run(*entry).code == 0
    assert Hooks(clone.root).install() == []


def test_outside_of_git(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="is in no git repository"):
        Hooks(tmp_path)


# Diffs


def test_a_diff_shows_keys_and_readers_and_never_a_value(clone: Clone) -> None:
    clone.set("one", token=f"{CANARY}-1", kept="same", hub={"list": [1, CANARY]})
    clone.set("two", token=f"{CANARY}-2")
    shown = clone.git("diff", "HEAD~1")
    assert CANARY not in shown and "same" not in shown
    changed = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in "+++---"]
    assert [line.split(":")[0] for line in changed] == ["-variables.token", "+variables.token"]
    assert changed[0] != changed[1]
    log = clone.git("log", "-p")
    assert CANARY not in log and "+variables.hub.list.1: ********" in log
    assert "+reader: " in log
    assert clone.git("show", f"HEAD:{FILE}") == (clone.root / FILE).read_text(), "as git has it"
    stranger = {**clone.env, "HOME": "/nowhere"}
    other = Clone(clone.top, stranger).git("diff", "HEAD~1")
    assert "+variables.token: ********" in other and CANARY not in other
    (clone.root / FILE).write_text(f"variables:\n  token: {CANARY}\n")
    plain = clone.git("diff")
    assert "+PROBLEM: NOT encrypted" in plain and CANARY not in plain
