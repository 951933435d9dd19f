"""Who can read the vault, on the real sops: added, removed, rotated, brought to the policy."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vaults import again, fresh, plain_sops

from barehub.errors import UsageError, VaultError
from barehub.lock import Holder, Lock
from barehub.vault import files, guard, policy, recipients
from barehub.vault.policy import Policy
from barehub.vault.recipients import Outcome, Recipients
from barehub.vault.sections import Secrets
from barehub.vault.store import Vault

STATE = b'{"canary": "CANARY-state"}'


@pytest.fixture
def vault(
    tmp_path: Path, runtime_dir: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    """With shared secrets, those of an instance, its state, and a sealed file."""
    scratch = runtime_dir / "scratch"
    scratch.mkdir(mode=0o700)
    made = fresh(tmp_path, scratch, monkeypatch)
    made.update(made.file(None), {"variables.token": "CANARY-shared", "environment.A": "CANARY-a"})
    made.update(made.file("demo"), {"ssh.private_key": "CANARY-key"})
    made.seal(STATE, made.root / "instances/demo/terraform.tfstate.sops")
    made.seal(b"\0CANARY-file", made.root / "secrets/files/demo/licence.sops")
    return made


def members(vault: Vault) -> Recipients:
    return Recipients(vault.root, vault.scratch)


def age_key(folder: Path, name: str) -> str:
    """A new key in ``folder``/``name``; its public half."""
    subprocess.run(["age-keygen", "-o", folder / name], check=True, capture_output=True)
    made = subprocess.run(["age-keygen", "-y", folder / name], check=True, capture_output=True)
    return made.stdout.decode().strip()


def ssh_key(folder: Path, name: str, kind: str) -> str:
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "a b", "-f", str(folder / name)]
    subprocess.run(argv, check=True)
    return (folder / f"{name}.pub").read_text()


def what_it_says(vault: Vault) -> tuple[Secrets, bytes, bytes]:
    now = again(vault)
    return (
        now.read("demo"),
        now.unseal(now.root / "instances/demo/terraform.tfstate.sops"),
        now.unseal(now.root / "secrets/files/demo/licence.sops"),
    )


def data_keys(vault: Vault) -> dict[str, bytes]:
    """The encrypted lines of every file: they change with the data key, and not without."""
    return {
        path.name: b"".join(line for line in path.read_bytes().splitlines() if b"ENC[" in line)
        for path in recipients.sealed(vault.root)
    }


def files_of(outcome: Outcome) -> list[str]:
    return [change.file for change in outcome.changes]


ALL = [
    "instances/demo/terraform.tfstate.sops",
    "secrets/demo.yaml",
    "secrets/files/demo/licence.sops",
    "secrets/shared.yaml",
]


@pytest.mark.parametrize("kind", ["age", "ed25519", "rsa"])
def test_an_added_reader_reads_with_plain_sops(
    vault: Vault, tmp_path: Path, kind: str, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, values = what_it_says(vault), data_keys(vault)
    made = age_key(tmp_path, "bob") if kind == "age" else ssh_key(tmp_path, "bob", kind)
    outcome = members(vault).add("bob", recipients.key_of(made))
    assert sorted(files_of(outcome)) == ALL
    assert not any(change.rotated for change in outcome.changes)
    assert data_keys(vault) == values, "no value was encrypted again"
    assert what_it_says(vault) == before
    assert guard.check(vault.root) == []
    assert all(not one.extra and not one.missing for one in recipients.access(vault.root))

    (own_home / ".config/sops/age/keys.txt").unlink()
    variable = "SOPS_AGE_KEY_FILE" if kind == "age" else "SOPS_AGE_SSH_PRIVATE_KEY_FILE"
    argv = ["env", f"{variable}={tmp_path / 'bob'}", "SOPS_DISABLE_VERSION_CHECK=1"]
    from barehub.vault.sops import binary

    argv += [binary(), "decrypt", str(vault.file(None))]
    said = subprocess.run(argv, capture_output=True, check=True).stdout
    assert b"CANARY-shared" in said


def test_a_removed_reader_cannot_read_what_comes_after(vault: Vault, tmp_path: Path) -> None:
    key = age_key(tmp_path, "bob")
    members(vault).add("bob", key)
    before, values = what_it_says(vault), data_keys(vault)
    outcome = members(vault).remove("bob", force=False)
    assert sorted(files_of(outcome)) == ALL
    assert all(change.rotated and change.removed == (key,) for change in outcome.changes)
    after = data_keys(vault)
    assert all(after[name] != values[name] for name in values), "each has a new data key"
    assert what_it_says(vault) == before
    assert key not in Policy.read(vault.root).text
    assert sorted(outcome.seen) == [
        "instances/demo/terraform.tfstate.sops",
        "secrets/demo.yaml: ssh.private_key",
        "secrets/files/demo/licence.sops",
        "secrets/shared.yaml: environment.A",
        "secrets/shared.yaml: variables.token",
    ]
    assert guard.check(vault.root) == []


def test_nobody_is_locked_out_by_accident(vault: Vault, tmp_path: Path) -> None:
    me = Policy.read(vault.root).everyone()[0]
    with pytest.raises(VaultError, match="is the only reader"):
        members(vault).remove(me, force=True)
    members(vault).add("ci-github", age_key(tmp_path, "ci"))
    before = {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is you: you could read nothing"):
        members(vault).remove(me, force=False)
    with pytest.raises(UsageError, match="what CI reads with"):
        members(vault).remove("ci-github", force=False)
    with pytest.raises(UsageError, match="has no reader 'eve'"):
        members(vault).remove("eve", force=True)
    assert before == {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}
    members(vault).remove("ci-github", force=True)
    assert again(vault).read("demo").variables == {"token": "CANARY-shared"}


def test_who_removes_themselves_leaves_a_vault_that_the_others_read(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = what_it_says(vault)
    me = Policy.read(vault.root).everyone()[0]
    members(vault).add("bob", age_key(tmp_path, "bob"))
    members(vault).remove(me, force=True)
    with pytest.raises(VaultError, match="is not for you"):
        what_it_says(vault)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "bob"))
    assert what_it_says(vault) == before
    assert guard.check(vault.root) == []


def test_rotation_changes_every_value_and_no_content(vault: Vault) -> None:
    before, values = what_it_says(vault), data_keys(vault)
    assert sorted(files_of(members(vault).rotate())) == ALL
    after = data_keys(vault)
    assert all(after[name] != values[name] for name in values)
    assert what_it_says(vault) == before


def test_sync_does_what_a_hand_in_the_policy_began(vault: Vault, tmp_path: Path) -> None:
    bob, carol = age_key(tmp_path, "bob"), age_key(tmp_path, "carol")
    members(vault).add("bob", bob)
    rules = vault.root / ".sops.yaml"
    rules.write_text(rules.read_text().replace(f"{bob}  # bob", f"{carol}  # carol"))
    assert [problem.file for problem in guard.check(vault.root)], "the guard sees it"
    before = data_keys(vault)
    planned = members(vault).sync(dry_run=True)
    assert data_keys(vault) == before
    done = members(vault).sync()
    assert sorted(files_of(planned)) == sorted(files_of(done)) == ALL
    assert all(c.removed == (bob,) and c.added == (carol,) and c.rotated for c in done.changes)
    assert "secrets/shared.yaml: variables.token" in done.seen
    assert guard.check(vault.root) == []
    assert members(vault).sync().changes == []


def test_sync_does_not_lock_out_who_calls_it(vault: Vault, tmp_path: Path) -> None:
    me = Policy.read(vault.root).everyone()[0]
    rules = vault.root / ".sops.yaml"
    rules.write_text(rules.read_text().replace(me, age_key(tmp_path, "bob")))
    with pytest.raises(UsageError, match="is you") as caught:
        members(vault).sync()
    assert caught.value.hints[0] == "git diff .sops.yaml", "the slip may be there"
    assert caught.value.hints[1].startswith("invoke vault.sync --force")
    assert what_it_says(vault)


def test_adding_once_more_completes_what_was_cut_short(vault: Vault, tmp_path: Path) -> None:
    key = age_key(tmp_path, "bob")
    old = vault.file("demo").read_bytes()
    members(vault).add("bob", key)
    vault.file("demo").write_bytes(old)  # as a kill between two files leaves it
    assert files_of(members(vault).add("bob", key)) == ["secrets/demo.yaml"]
    with pytest.raises(UsageError, match="another key of bob"):
        members(vault).add("bob", age_key(tmp_path, "other"))


def test_one_file_that_is_not_for_us_changes_nothing(vault: Vault, tmp_path: Path) -> None:
    bob = age_key(tmp_path, "bob")
    members(vault).add("bob", bob)
    me = Policy.read(vault.root).everyone()[0]
    plain_sops(vault, "rotate", "-i", "--rm-age", me, str(vault.file("demo")))
    before = {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}
    with pytest.raises(VaultError, match=r"secrets/demo\.yaml is not for you"):
        members(vault).remove("bob", force=False)
    assert before == {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}


def test_the_state_of_a_run_at_work_is_left_alone(vault: Vault, tmp_path: Path) -> None:
    lock = Lock(vault.root / "instances/demo/.lock")
    assert lock.acquire(Holder.me("spawn")) is None
    with pytest.raises(VaultError, match="demo is at work, and its state cannot be changed"):
        members(vault).rotate()
    lock.release(remove=True)
    assert members(vault).rotate().changes


@pytest.mark.parametrize("spelling", ["'{}'", '"{}"', "\n            {}"])
def test_a_reader_in_another_spelling_is_removed_as_well(
    vault: Vault, tmp_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = age_key(tmp_path, "mallory")
    members(vault).add("mallory", key)
    file = vault.file(None)
    text = file.read_text()
    file.write_text(text.replace(f"recipient: {key}", f"recipient: {spelling.format(key)}"))
    assert "secrets/shared.yaml" in files_of(members(vault).remove("mallory", force=False))
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "mallory"))
    (Path.home() / ".config/sops/age/keys.txt").unlink()
    with pytest.raises(VaultError, match="is not for you"):
        again(vault).read(None)


def test_an_anchor_of_yaml_stops_a_removal_before_sops_reads_the_file(
    vault: Vault, tmp_path: Path
) -> None:
    key = age_key(tmp_path, "mallory")
    members(vault).add("mallory", key)
    file = vault.file(None)
    file.write_text(file.read_text().replace(f"recipient: {key}", f"recipient: &a {key}"))
    with pytest.raises(VaultError, match=r"secrets/shared\.yaml: line \d+: an anchor of YAML"):
        members(vault).remove("mallory", force=False)


ADD = """
import pathlib, sys
from barehub.vault.recipients import Recipients
root, scratch, name, key = sys.argv[1:]
Recipients(pathlib.Path(root), pathlib.Path(scratch)).add(name, key)
"""


def test_a_reader_added_meanwhile_does_not_bring_a_removed_one_back(
    vault: Vault, tmp_path: Path
) -> None:
    mallory, bob = age_key(tmp_path, "mallory"), age_key(tmp_path, "bob")
    members(vault).add("mallory", mallory)
    adding: list[subprocess.Popen[bytes]] = []

    def told(seen: object) -> None:  # the removal is under way, and nothing is written yet
        argv = [sys.executable, "-c", ADD, str(vault.root), str(vault.scratch), "bob", bob]
        adding.append(subprocess.Popen(argv))
        time.sleep(1)

    members(vault).remove("mallory", force=False, told=told)
    assert adding[0].wait(60) == 0
    assert set(Policy.read(vault.root).names.values()) == {policy.own_name(), "bob"}
    assert all(mallory not in one.readers for one in recipients.access(vault.root))
    assert all(bob in one.readers for one in recipients.access(vault.root))


def test_what_was_seen_is_told_before_anything_is_written(vault: Vault, tmp_path: Path) -> None:
    members(vault).add("bob", age_key(tmp_path, "bob"))
    before = {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}

    def nobody_listens(seen: object) -> None:
        raise UsageError("standard output cannot be written")

    with pytest.raises(UsageError):
        members(vault).remove("bob", force=False, told=nobody_listens)
    assert before == {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}


def test_what_only_history_has_was_seen_as_well(vault: Vault, tmp_path: Path) -> None:
    def commit() -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        for argv in (["add", "-A"], [*who, "commit", "-qm", "x"]):
            subprocess.run(["git", *argv], cwd=vault.root, check=True)

    subprocess.run(["git", "init", "-q", "."], cwd=vault.root, check=True)
    vault.update(vault.file(None), {"variables.before_bob": "CANARY-x"})
    commit()
    plain_sops(vault, "unset", str(vault.file(None)), '["variables"]["before_bob"]')
    members(vault).add("bob", age_key(tmp_path, "bob"))
    again(vault).update(vault.file(None), {"variables.retired": "CANARY-y"})
    commit()
    plain_sops(vault, "unset", str(vault.file(None)), '["variables"]["retired"]')
    (vault.root / "secrets/files/demo/licence.sops").unlink()
    commit()
    seen = members(vault).remove("bob", force=False).seen
    assert [one for one in seen if "only in history" in one] == [
        "secrets/files/demo/licence.sops (only in history)",
        "secrets/shared.yaml: variables.retired (only in history)",
    ]


def test_a_write_that_fails_says_what_is_changed_already(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.replace

    def fails_at_the_last(path: Path, content: bytes, shown: str) -> None:
        if path.name == "shared.yaml":
            raise VaultError("secrets/shared.yaml could not be written", "df -h")
        write(path, content, shown)

    monkeypatch.setattr(files, "replace", fails_at_the_last)
    with pytest.raises(VaultError) as caught:
        members(vault).add("bob", age_key(tmp_path, "bob"))
    assert "changed already: .sops.yaml, instances/demo" in caught.value.problem
    assert caught.value.hints == ("df -h", "then: invoke vault.sync")
    monkeypatch.setattr(files, "replace", write)
    assert files_of(members(vault).sync()) == ["secrets/shared.yaml"]


def test_a_mistyped_key_in_the_policy_is_named(vault: Vault, tmp_path: Path) -> None:
    rules = vault.root / ".sops.yaml"
    key = age_key(tmp_path, "bob")
    mistyped = key[:-1] + ("p" if key.endswith("q") else "q")
    rules.write_text(rules.read_text() + f"      - {mistyped}  # bob\n")
    for change in (members(vault).sync, members(vault).rotate):
        with pytest.raises(VaultError, match=r"\.sops\.yaml line 7: 'age1.* is no whole age"):
            change()


@pytest.mark.parametrize(
    "act",
    [
        lambda members, key: members.add(key, "age1x"),
        lambda members, key: members.remove(key, force=True),
    ],
)
def test_a_private_key_in_the_place_of_a_name_is_not_repeated(
    vault: Vault, act: Callable[[Recipients, str], object]
) -> None:
    with pytest.raises(UsageError, match="PRIVATE key") as caught:
        act(members(vault), "AGE-SECRET-KEY-1CANARY")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AGE-SECRET-KEY-1CANARY", "PRIVATE key: consider it leaked"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "PRIVATE key"),
        ("age1notakey", "is no whole key"),
        ("ecdsa-sha2-nistp256 AAAA", "'ecdsa-sha2-nistp256' is no whole key"),
        ("ssh-ed25519 AAAA", "is no whole key"),
        ("", "is no whole key"),
        ("missing.pub", "cannot be read"),
    ],
)
def test_what_is_no_public_key(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        recipients.key_of(text)
    assert "CANARY" not in str(caught.value)
