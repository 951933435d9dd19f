"""What may never leak from the vault, and what no crash and no neighbour may break."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from vaults import again, editor, fresh

from barehub.vault import guard, identity
from barehub.vault.store import Vault
from tests.canary import Watch, holding

CANARY = 'canary "7f3a" & 100% ütf'
KEY = "AGE-SECRET-KEY-"


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    return fresh(tmp_path, runtime_dir, monkeypatch)


def test_the_editor_sees_no_identity_and_its_file_is_private(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = identity.key_file().read_text().splitlines()[-1]
    monkeypatch.setenv("SOPS_AGE_KEY", key)
    seen = own_home / "seen.json"
    editor(
        own_home,
        monkeypatch,
        "import json\nstat = [oct(p.stat().st_mode & 0o777) for p in (path, path.parent)]\n"
        "fds = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{n}')] if os.path.exists('/proc') else []\n"
        f"json.dump([dict(os.environ), stat, str(path), fds], open({str(seen)!r}, 'w'))",
    )
    assert not vault.edit(vault.file(None))
    environ, modes, path, fds = json.loads(seen.read_text())
    assert not [name for name, value in environ.items() if KEY in value or "SOPS_AGE" in name]
    assert modes == ["0o600", "0o700"]
    assert Path(path).is_relative_to(vault.scratch)
    assert not [fd for fd in fds if "memfd" in fd]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_no_secret_in_arguments_environments_or_files(
    vault: Vault, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = identity.key_file().read_text().splitlines()[-1]
    identity.key_file().unlink()
    monkeypatch.setenv("SOPS_AGE_KEY", key)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    state = vault.root / "instances/demo/terraform.tfstate.sops"
    with Watch() as watch:
        fresh = again(vault)
        for number in range(3):
            fresh.update(fresh.file("demo"), {"variables.a": f"{CANARY}{number}"})
            fresh.seal(CANARY.encode() * 1000, state)
            assert again(vault).read("demo").variables["a"] == f"{CANARY}{number}"
            assert again(vault).unseal(state)
        editor(own_home, monkeypatch, "path.write_text(text.replace('7f3a', '7f3a canary'))")
        assert again(vault).edit(fresh.file("demo"))
    assert any(b"\0set\0" in text for text in watch.seen), "the watch saw sops at work"
    assert any(b"SOPS_AGE_KEY_FILE=" in text for text in watch.seen)
    for secret in (CANARY, key):
        assert watch.holding(secret) == []
        assert holding(secret, tmp_path, vault.scratch) == []
    assert list(vault.scratch.iterdir()) == []


UPDATES = """
import pathlib, sys
from barehub.vault.store import Vault
from tests.canary import Watch, holding
vault = Vault(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
state = vault.root / "instances/demo/terraform.tfstate.sops"
print("ready", flush=True)
for number in range(10_000):
    vault.update(vault.file("demo"), {"variables.n": f"value {number}"})
    vault.seal(b"state" * 10_000, state)
"""


def killed_after(seconds: float, vault: Vault) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", UPDATES, str(vault.root), str(vault.scratch)], stdout=subprocess.PIPE
    )
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


def test_sigkill_at_any_moment_leaves_whole_files(vault: Vault) -> None:
    state = vault.root / "instances/demo/terraform.tfstate.sops"
    vault.update(vault.file("demo"), {"variables.keep": "kept", "variables.n": "value"})
    vault.seal(b"state" * 10_000, state)
    for turn in range(10):
        killed_after(0.1 + 0.026 * turn, vault)
        variables = again(vault).read("demo").variables
        assert variables["keep"] == "kept"
        assert variables["n"].startswith("value")
        assert again(vault).unseal(state) == b"state" * 10_000
    again(vault).update(vault.file("demo"), {"variables.n": "last"})
    again(vault).seal(b"last", state)
    assert guard.check(vault.root) == []
    assert sorted(p.name for p in state.parent.iterdir()) == [state.name]


SET = """
import pathlib, sys
from barehub.vault.store import Vault
from tests.canary import Watch, holding
vault = Vault(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
vault.init()
for number in range(4):
    vault.update(vault.file(None), {f"variables.of_{sys.argv[3]}_{number}": "x"})
"""


def test_commands_at_the_same_time_lose_nothing(
    own_home: Path, tmp_path: Path, runtime_dir: Path
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    children = []
    for number in range(4):
        scratch = runtime_dir / str(number)
        scratch.mkdir()
        argv = [sys.executable, "-c", SET, str(root), str(scratch), str(number)]
        children.append(subprocess.Popen(argv))
    assert [child.wait(100) for child in children] == [0] * 4
    assert len(Vault(root, runtime_dir).read(None).variables) == 16
