"""Keys of every kind that age has, on the real sops: sealed for, read with, refused, kept out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from vaults import again, fresh, plain_sops

from barehub import age_keys, overview
from barehub.console import Console
from barehub.errors import UsageError, VaultError
from barehub.vault import guard, identity, policy, recipients
from barehub.vault.recipients import Recipients
from barehub.vault.store import Vault

CANARY = "canary-hybrid-91bd"
STATE = b'{"canary": "canary-hybrid-91bd"}'
AGE = "filippo.io/age/cmd/age-keygen@v1.3.1"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    """A vault with a value and a sealed state, in a git repository; its reader's key is in the key
    file."""
    monkeypatch.setattr(Console, "terminal", False)
    monkeypatch.setattr(identity, "_noted", set())
    made = fresh(tmp_path, runtime_dir, monkeypatch)
    made.update(made.file(None), {"variables.token": CANARY})
    made.seal(STATE, made.root / "instances/demo/terraform.tfstate.sops")
    subprocess.run(["git", "init", "-q"], cwd=made.root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=made.root, check=True)
    return made


def hybrid(prefix: str = "age-secret-key-pq-") -> tuple[str, str]:
    """A new post-quantum identity: its recipient and its line."""
    line = age_keys.encode(prefix, os.urandom(32)).upper()
    opened = age_keys.opened(line)
    assert opened
    return opened[0], line


def opens(vault: Vault) -> bool:
    now = again(vault)
    state = now.unseal(now.root / "instances/demo/terraform.tfstate.sops")
    return now.read(None).variables["token"] == CANARY and state == STATE


def checked(vault: Vault) -> list[str]:
    subprocess.run(["git", "add", "-A"], cwd=vault.root, check=True)
    return [str(problem) for problem in guard.check(vault.root)]


@pytest.mark.parametrize("prefix", ["age-secret-key-pq-", "age-plugin-pq-"])
def test_post_quantum_reader_reads_seals_and_passes_the_check(vault: Vault, prefix: str) -> None:
    recipient, line = hybrid(prefix)
    Recipients(vault.root, vault.scratch).add("alice", recipients.key_of(recipient))
    assert checked(vault) == []
    path = identity.key_file()
    mine = path.read_text()
    path.write_text(f"# alice\n{line}\n")
    assert opens(vault)
    again(vault).update(vault.file("demo"), {"variables.other": "x"})
    again(vault).seal(STATE, vault.root / "instances/demo/terraform.tfstate.sops")
    Recipients(vault.root, vault.scratch).rotate()
    assert opens(vault) and checked(vault) == []
    path.write_text(mine)
    assert opens(vault), "the ordinary reader is still one"
    Recipients(vault.root, vault.scratch).remove("alice", force=False)
    path.write_text(line)
    with pytest.raises(VaultError, match=r"you are age1pq1.{20,40}… \(from") as caught:
        again(vault).read(None)
    assert line not in str(caught.value)
    assert list(vault.scratch.iterdir()) == []


def test_plain_sops_reads_what_was_sealed_for_a_post_quantum_reader(vault: Vault) -> None:
    recipient, line = hybrid()
    Recipients(vault.root, vault.scratch).add("alice", recipient)
    identity.key_file().write_text(line)
    assert CANARY in plain_sops(vault, "decrypt", "secrets/shared.yaml").decode()


def test_key_of_the_real_age_keygen(vault: Vault) -> None:
    place = ROOT / ".tools" / "age-1.3.1"
    keygen = Path(os.environ.get("AGE_KEYGEN") or place / "age-keygen")
    if not keygen.exists():
        go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
        if not go:
            pytest.skip("age-keygen 1.3 is built with Go, which is not installed")
        env = {**os.environ, "GOBIN": str(place), "GOFLAGS": "-mod=mod"}
        subprocess.run([go, "install", AGE], env=env, check=True, timeout=300)
    path = identity.key_file()
    made = subprocess.run([keygen, "-pq"], check=True, capture_output=True, text=True).stdout
    (vault.root / "note.txt").write_text(made)
    assert any("note.txt:3: an age identity" in problem for problem in checked(vault))
    (vault.root / "note.txt").unlink()
    public = made.splitlines()[1].removeprefix("# public key: ")
    Recipients(vault.root, vault.scratch).add("alice", public)
    path.write_text(made)
    assert opens(vault) and checked(vault) == []


def test_line_of_a_kind_to_come_stops_no_one(
    vault: Vault, capfd: pytest.CaptureFixture[str]
) -> None:
    path = identity.key_file()
    to_come = age_keys.encode("age-secret-key-new-", os.urandom(32)).upper()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, to_come, hybrid()[1]]) + "\n")
    for _ in range(3):
        assert opens(vault)
    said = capfd.readouterr().err
    number = len(lines) + 1
    note = f"keys.txt line {number} is not an age identity that barehub knows; ignored"
    assert said.count(note) == 1
    assert to_come not in said
    path.write_text(f"{to_come}\n")
    with pytest.raises(VaultError, match="line 1 is not an age identity") as caught:
        again(vault).read(None)
    assert to_come not in str(caught.value)


@pytest.mark.parametrize("name", ["yubikey", "tag", "se"])
def test_reader_of_a_plugin_is_refused_before_anything_is_written(vault: Vault, name: str) -> None:
    """The pinned sops runs age-plugin-NAME to seal, also for the two kinds that age itself has."""
    key = age_keys.encode(f"age1{name}", b"\2" + os.urandom(32))
    with pytest.raises(UsageError, match=f"age-plugin-{name} would have to run"):
        recipients.key_of(key)
    before = (vault.root / policy.NAME).read_bytes()
    with pytest.raises(VaultError, match=f"age-plugin-{name} would have to run"):
        Recipients(vault.root, vault.scratch).add("alice", key)
    assert (vault.root / policy.NAME).read_bytes() == before
    with (vault.root / policy.NAME).open("a") as rules:
        rules.write(f"      - {key}  # alice\n")
    assert any(f"age-plugin-{name} would have to" in problem for problem in checked(vault))
    assert opens(vault)
    Recipients(vault.root, vault.scratch).remove("alice", force=False)
    assert checked(vault) == []


def test_file_with_a_reader_of_a_plugin_is_named_by_the_check(vault: Vault) -> None:
    path = vault.file(None)
    key = age_keys.encode("age1yubikey", b"\2" + os.urandom(32))
    text = path.read_text()
    own = next(line for line in text.splitlines() if "recipient: " in line)
    path.write_text(text.replace(own, own.partition("age1")[0] + key))
    (problem, *_) = checked(vault)
    assert "a reader that cannot be one: age-plugin-yubikey would have to run" in problem


def _commit(root: Path) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null"]
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "x"], cwd=root, check=True)


@pytest.mark.parametrize("lower", [False, True])
def test_private_key_in_old_history_is_found(
    vault: Vault, capfd: pytest.CaptureFixture[str], lower: bool
) -> None:
    recipient, line = hybrid()
    note = vault.root / "old note.txt"
    note.write_text(f"key: {line.lower() if lower else line}\n")
    _commit(vault.root)
    note.unlink()
    _commit(vault.root)
    overview.check_vault(vault.root, staged=False, as_json=False)
    said = capfd.readouterr().err
    assert "old note.txt in commit" in said and "an age identity" in said
    assert line not in said and line.lower() not in said
    Recipients(vault.root, vault.scratch).add("alice", recipient)
    _commit(vault.root)
    overview.check_vault(vault.root, staged=True, as_json=False)
    with pytest.raises(VaultError, match="1 problem") as caught:
        overview.check_vault(vault.root, staged=False, as_json=False)
    assert "invoke vault.remove-recipient alice" in str(caught.value)
    said = capfd.readouterr().out
    assert "old note.txt: an age identity in commit" in said and "alice reads" in said
    Recipients(vault.root, vault.scratch).remove("alice", force=False)
    _commit(vault.root)
    overview.check_vault(vault.root, staged=False, as_json=False)
