"""Ids that older versions wrote into journals are found until they are made anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from test_guard_index import git
from vaults import fresh

from barehub.vault import guard
from barehub.vault.store import Vault

CANARY = "CANARY-leaked-id"
JOURNAL = "instances/demo/journal.jsonl"
TOKEN = "module.binderhub.random_id.token"


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
    git(vault, "init", "-q", str(tmp_path / "repository"))
    commit(vault)
    return vault


def commit(vault: Vault) -> None:
    git(vault, "add", "-A")
    git(vault, "commit", "-qm", "x")


def write(vault: Vault, *events: tuple[str, str, str, str], start: int = 1) -> None:
    """Add events as they were written: kind, address, action and id."""
    path = vault.root / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for at, (kind, address, action, id) in enumerate(events, start):
            event = {"at": at, "event": kind, "address": address, "action": action, "id": id}
            file.write(json.dumps({k: v for k, v in event.items() if v}) + "\n")


DELETED = [("resource-start", TOKEN, "delete", ""), ("resource-done", TOKEN, "delete", "")]


def made(address: str, id: str = CANARY) -> tuple[str, str, str, str]:
    return ("resource-done", address, "create", id)


def found(vault: Vault, *, staged: bool = False) -> list[str]:
    problems = guard.check(vault.root, staged=staged)
    assert CANARY not in str(problems)
    assert all(problem.fix for problem in problems)
    return [str(problem) for problem in problems]


def test_only_ids_that_may_be_secrets_are_named_each_with_its_line(vault: Vault) -> None:
    write(
        vault,
        made("openstack_compute_instance_v2.master"),
        made(TOKEN),
        made("random_password.admin", "none"),
        made("terraform_data.x"),
        made('random_string.salt["CANARY-leaked-id-key"]'),
        made("module.provider.local_sensitive_file.key"),
        made("time_static.now", "2024-01-01T00:00:00Z"),
        made("tls_private_key.ssh"),
    )
    told = [
        f"{JOURNAL}:2: the id of {TOKEN} may be a secret",
        f"{JOURNAL}:5: the id of random_string.salt[...] may be a secret",
        f"{JOURNAL}:6: the id of module.provider.local_sensitive_file.key may be a secret",
    ]
    assert found(vault) == [f"{line} (not staged)" for line in told]
    assert found(vault, staged=True) == []
    git(vault, "add", "-A")
    assert found(vault) == found(vault, staged=True) == told
    fixes = [problem.fix for problem in guard.check(vault.root)]
    assert f"invoke terraform --name demo -- taint '{TOKEN}'" in fixes[0]
    assert "invoke vault.set" in fixes[2]
    git(vault, "commit", "-qm", "x")
    assert found(vault) == told
    assert found(vault, staged=True) == []  # what is committed already stops no other commit


def test_what_was_cut_out_of_the_journal_is_in_gits_history(vault: Vault) -> None:
    write(vault, made(TOKEN))
    commit(vault)
    leaked = git(vault, "rev-parse", "HEAD").strip()
    path = vault.root / JOURNAL
    path.write_text(path.read_text().replace(CANARY, "cut"))
    path.write_text(path.read_text().replace('"id": "cut"', '"by": "hand"'))
    commit(vault)
    where = f"in git's history (commit {leaked[:12]})"
    assert found(vault) == [f"{JOURNAL}: the id of {TOKEN} may be a secret, {where}"]
    path.unlink()
    commit(vault)
    assert found(vault) == [f"{JOURNAL}: the id of {TOKEN} may be a secret, {where}"]


@pytest.mark.parametrize(
    "events",
    [
        [("resource-start", TOKEN, "delete", CANARY), ("resource-done", TOKEN, "delete", "")],
        [*DELETED, made(TOKEN, "")],
        [made(TOKEN, ""), *DELETED],
        [("resource-forgotten", TOKEN, "", "")],
        [("destroyed", "", "", "")],
        [("gone", "", "", "")],
    ],
)
def test_what_was_made_anew_or_is_gone_is_no_problem_any_more(
    vault: Vault, events: list[tuple[str, str, str, str]]
) -> None:
    write(vault, made(TOKEN))
    commit(vault)
    assert len(found(vault)) == 1
    write(vault, *events, start=10)
    assert found(vault) == []
    commit(vault)
    assert found(vault) == found(vault, staged=True) == []


def test_a_replacement_that_an_older_version_made_has_leaked_itself(vault: Vault) -> None:
    write(
        vault,
        made(TOKEN),
        made(TOKEN, f"{CANARY}-new"),  # create_before_destroy
        ("resource-start", TOKEN, "delete", CANARY),
        ("resource-done", TOKEN, "delete", ""),
    )
    assert found(vault) == [f"{JOURNAL}:2: the id of {TOKEN} may be a secret (not staged)"]


def test_what_is_no_journal_is_passed_over(vault: Vault) -> None:
    path = vault.root / JOURNAL
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/zero")
    other = vault.root / "instances/other/journal.jsonl"
    other.parent.mkdir()
    other.write_bytes(b"[" * 100_000 + b"\nresource-\xff\n7\n")
    commit(vault)
    assert found(vault) == found(vault, staged=True) == []
