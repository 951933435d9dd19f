"""The guard on a real git index: what is staged counts, whatever the work tree says."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pyrage
import pytest
from vaults import fresh

from barehub.errors import VaultError
from barehub.vault import guard, policy
from barehub.vault.store import Vault

CANARY = "canary-33f0"


@pytest.fixture(params=["", "in side/a"])
def vault(
    own_home: Path,
    tmp_path: Path,
    runtime_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Vault:
    """In git, committed; once as the repository itself, once as a folder of it."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    folder = tmp_path / "repository" / request.param
    folder.mkdir(parents=True)
    vault = fresh(folder, runtime_dir, monkeypatch)
    vault.update(vault.file("demo"), {"variables.token": CANARY})
    top = tmp_path / "repository" if request.param else vault.root
    git(vault, "init", "-q", str(top))
    git(vault, "add", "-A")
    git(vault, "commit", "-qm", "x")
    return vault


def git(vault: Vault, *args: str, input: str = "") -> str:
    argv = ["git", *args]
    done = subprocess.run(
        argv, cwd=vault.root, check=True, capture_output=True, text=True, input=input
    )
    return done.stdout


def stage(vault: Vault, name: str, content: str | bytes) -> None:
    """Into the index alone; the work tree keeps what it has."""
    path = vault.root / name
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(vault, "--literal-pathspecs", "add", "-f", name)
    path.unlink()
    if before is not None:
        path.write_bytes(before)


def found(vault: Vault, *, staged: bool = True) -> list[str]:
    problems = guard.check(vault.root, staged=staged)
    assert CANARY not in str(problems)
    assert all(problem.fix for problem in problems)
    return [str(problem) for problem in problems]


def test_a_good_index(vault: Vault) -> None:
    assert found(vault) == found(vault, staged=False) == []


def test_what_is_staged_counts(vault: Vault) -> None:
    stage(vault, "secrets/demo.yaml", f"variables:\n  token: {CANARY}\n")
    assert found(vault) == ["secrets/demo.yaml: NOT encrypted"]
    assert found(vault, staged=False) == ["secrets/demo.yaml: NOT encrypted"]


def test_what_is_not_staged_is_told_but_by_the_hook(vault: Vault) -> None:
    (vault.root / "secrets/demo.yaml").write_text(CANARY)
    (vault.root / "secrets/new.txt").write_text(CANARY)
    assert found(vault) == []
    assert found(vault, staged=False) == [
        "secrets/demo.yaml: NOT encrypted (not staged)",
        "secrets/new.txt: NOT encrypted (not staged)",
    ]


def test_the_policy_that_counts_is_the_staged_one(vault: Vault) -> None:
    bob = str(pyrage.x25519.Identity.generate().to_public())
    rules = vault.root / policy.NAME
    good = rules.read_text()
    stage(vault, policy.NAME, f"{good}      - {bob}  # bob\n")
    expected = "bob cannot read it and is in .sops.yaml"
    assert found(vault) == [
        f"secrets/demo.yaml: {expected}",
        f"secrets/shared.yaml: {expected}",
    ]
    rules.write_text(f"{good}      - {bob}  # bob\n")
    git(vault, "reset", "-q")
    assert found(vault) == []
    assert [text.split(": ")[1] for text in found(vault, staged=False)] == [
        f"{expected} (not staged)"
    ] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("path_regex", "path_regx"), ".sops.yaml: rule 1: unknown field 'path_regx'"),
        (("creation_rules", "creation_rulez"), ".sops.yaml: has no list of creation_rules"),
        (("    age:", "    age: ["), ".sops.yaml:6: is not YAML"),
        (("# Who", "<<<<<<< HEAD\n# Who"), ".sops.yaml:1: conflict marker of git"),
    ],
)
def test_a_policy_that_sops_would_misread(vault: Vault, change: tuple[str, str], said: str) -> None:
    text = (vault.root / policy.NAME).read_text()
    assert change[0] in text
    stage(vault, policy.NAME, text.replace(*change, 1))
    assert found(vault) == [said]


def test_parts_of_a_vault_that_are_not_staged(vault: Vault) -> None:
    git(vault, "rm", "-q", "--cached", policy.NAME)
    assert found(vault) == [".sops.yaml: missing"]
    assert guard.check(vault.root, staged=True)[0].fix.startswith("git add .sops.yaml")
    git(vault, "rm", "-q", "--cached", "secrets/shared.yaml")
    assert found(vault) == [".sops.yaml: missing", "secrets/shared.yaml: missing"]
    git(vault, "rm", "-q", "--cached", "secrets/demo.yaml")
    assert found(vault) == []
    stage(vault, "secrets/.gitkeep", "")
    assert found(vault) == []


def test_names_are_told_on_one_line_and_quoted_in_commands(vault: Vault) -> None:
    key = str(pyrage.x25519.Identity.generate())
    stage(vault, "secrets/a\nb.yaml", CANARY)
    stage(vault, "k; touch PWNED #", key)
    stage(vault, "k\x1b[2J", key)
    stage(vault, "secrets/" + "a" * 250, (vault.root / "secrets/shared.yaml").read_bytes())
    assert sorted(found(vault)) == [
        "'k\\x1b[2J':1: an age identity",
        "'secrets/a\\nb.yaml': NOT encrypted",
        "k; touch PWNED #:1: an age identity",
        f"secrets/{'a' * 250}: secrets/{'a' * 250} is too long a path for a rule",
    ]
    fixes = {problem.file: problem.fix for problem in guard.check(vault.root, staged=True)}
    assert all(fix.isprintable() for fix in fixes.values())
    assert fixes["k; touch PWNED #"].startswith("git rm --cached 'k; touch PWNED #'   # ")
    stage(vault, "*", key)
    for name in ("secrets/a\nb.yaml", "*"):
        fix = next(p.fix for p in guard.check(vault.root, staged=True) if p.file == name)
        before = git(vault, "ls-files", "-z").split("\0")
        subprocess.run(["bash", "-c", fix], cwd=vault.root, check=True, capture_output=True)
        assert set(before) - set(git(vault, "ls-files", "-z").split("\0")) == {name}
    assert fixes["secrets/a\nb.yaml"].startswith("git rm --cached $'secrets/a\\x0ab.yaml'   # ")


def test_a_policy_whose_content_is_not_there(vault: Vault) -> None:
    id = git(vault, "rev-parse", ":./.sops.yaml").strip()
    top = Path(git(vault, "rev-parse", "--show-toplevel").strip())
    (top / ".git/objects" / id[:2] / id[2:]).unlink()
    assert found(vault) == [".sops.yaml: cannot be read"]


def test_links_and_foreign_ciphertext(vault: Vault) -> None:
    (vault.root / "secrets/link.yaml").symlink_to("/etc/hostname")
    git(vault, "add", "secrets/link.yaml")
    (vault.root / "secrets/link.yaml").unlink()
    stage(vault, "secrets/old.yaml", b"\0GITCRYPT\0" + b"x" * 30)
    stage(vault, "instances/demo/terraform.tfstate.sops", '{"version": 4}')
    stage(vault, "secrets/.gitkeep", "")
    assert found(vault) == [
        "instances/demo/terraform.tfstate.sops: NOT encrypted",
        "secrets/link.yaml: a link or a submodule, not a file",
        "secrets/old.yaml: a git-crypt file, not a SOPS file",
    ]


def test_keys_and_states_anywhere(vault: Vault) -> None:
    key = str(pyrage.x25519.Identity.generate())
    stage(vault, "docs/a b.md", f"my key\n{key}\n")
    stage(vault, "x/prod.tfvars", "a = 1\n")
    stage(vault, "large.bin", b"\0" * (33 * 1024 * 1024))
    stage(vault, "large.tfstate", b"\0" * (33 * 1024 * 1024))
    assert found(vault) == [
        "docs/a b.md:2: an age identity",
        "large.tfstate: a Terraform state, which holds secrets in clear",
        "x/prod.tfvars: Terraform variables, which belong into the vault",
    ]
    fixes = {problem.file: problem.fix for problem in guard.check(vault.root, staged=True)}
    assert fixes["x/prod.tfvars"] == "git rm --cached x/prod.tfvars"


@pytest.mark.parametrize("vault", ["in side/a"], indirect=True)
def test_beside_the_project_only_what_is_new_counts(vault: Vault) -> None:
    """A repository that holds more than the project may hold keys that its tests need."""
    top = Path(git(vault, "rev-parse", "--show-toplevel").strip())
    (top / "old.txt").write_text(str(pyrage.x25519.Identity.generate()))
    git(vault, "add", str(top / "old.txt"))
    up = os.path.relpath(top, vault.root)
    assert found(vault) == [f"{up}/old.txt:1: an age identity"]
    git(vault, "commit", "-qm", "theirs")
    assert found(vault) == []
    (top / "old.txt").rename(top / "moved.txt")
    git(vault, "add", "-A", str(top))
    assert found(vault) == [f"{up}/moved.txt:1: an age identity"]


def test_an_unmerged_file(vault: Vault) -> None:
    git(vault, "checkout", "-qb", "theirs")
    vault.update(vault.file("demo"), {"variables.other": "x"})
    git(vault, "commit", "-qam", "theirs")
    git(vault, "checkout", "-q", "-")
    vault.update(vault.file("demo"), {"variables.other": "y"})
    git(vault, "commit", "-qam", "ours")
    assert subprocess.run(["git", "merge", "-q", "theirs"], cwd=vault.root).returncode == 1
    assert found(vault) == ["secrets/demo.yaml: a conflict of git"]
    both = found(vault, staged=False)
    assert len(both) == 2 and both[1].endswith("conflict marker of git (not staged)")


def test_content_that_the_repository_lacks(vault: Vault) -> None:
    id = git(vault, "rev-parse", ":./secrets/demo.yaml").strip()
    top = Path(git(vault, "rev-parse", "--show-toplevel").strip())
    (top / ".git/objects" / id[:2] / id[2:]).unlink()
    assert found(vault) == ["secrets/demo.yaml: its content is not in the repository"]


def test_a_hundred_files_take_less_than_a_second(vault: Vault) -> None:
    values = {f"variables.key_{number}": f"value {number}" for number in range(20)}
    vault.update(vault.file("demo"), values)
    content = vault.file("demo").read_text()
    for number in range(100):
        vault.file(f"copy-{number}").write_text(f"{content}#\n" + "\n" * number)
    git(vault, "add", "-A")
    began = time.process_time()  # of this process: others may be at work, too
    assert found(vault) == []
    assert time.process_time() - began < 1


def test_another_index(vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As git hands one to a hook of `git commit FILE`."""
    monkeypatch.chdir(Path(git(vault, "rev-parse", "--show-toplevel").strip()))
    stage(vault, "secrets/demo.yaml", CANARY)
    index = Path(git(vault, "rev-parse", "--absolute-git-dir").strip()) / "index"
    (tmp_path / "bad").write_bytes(index.read_bytes())
    git(vault, "reset", "-q")
    assert found(vault) == []
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "bad"))
    assert found(vault) == ["secrets/demo.yaml: NOT encrypted"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert found(vault) == [], "a hook of another repository, about that one's index"


def test_outside_of_git(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = fresh(tmp_path, runtime_dir, monkeypatch)
    (vault.root / "secrets/x.yaml").write_text(CANARY)
    assert found(vault, staged=False) == ["secrets/x.yaml: NOT encrypted (not staged)"]
    with pytest.raises(VaultError, match="is in no git repository"):
        guard.check(vault.root, staged=True)
    assert guard.work_tree(vault.root) is None


def test_a_repository_that_git_refuses(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not pass for none: the index would go unseen."""
    top = Path(git(vault, "rev-parse", "--show-toplevel").strip())
    (top / ".git/config").write_text("[core\n")
    with pytest.raises(VaultError, match="git rev-parse failed"):
        guard.check(vault.root)
