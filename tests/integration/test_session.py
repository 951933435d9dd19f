"""Sessions on a real tmpfs, with real processes, locks and ssh-agents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from barehub import process, session
from barehub.errors import BarehubError, LeftoverError, ToolError, VaultError
from tests.processes import ended

PURPOSE = session.Purpose("/nowhere", "demo", "spawn")

OWNER = """
import sys
from barehub import session
own = session.create(session.Purpose("/nowhere", "demo", "spawn"))
(own.folder / "terraform.tfstate").write_text("CANARY-session")
print(own.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _alone(own_home: Path) -> None:
    """Every test here has a runtime folder of its own."""


def _owner() -> tuple[subprocess.Popen[str], Path]:
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    return child, Path(child.stdout.readline().strip())


def _kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


def test_a_session_is_ours_alone_in_memory_and_gone_afterwards() -> None:
    own = session.create(PURPOSE)
    assert own.folder.stat().st_mode & 0o777 == 0o700
    assert session.in_memory(own.folder)
    own.close()
    assert list(session.home().iterdir()) == []


def test_a_living_session_is_never_swept() -> None:
    child, folder = _owner()
    try:
        assert session.sweep(lambda dead: None) == []
        assert (folder / "terraform.tfstate").exists()
    finally:
        _kill(child)


def test_a_killed_session_is_recovered_and_swept() -> None:
    child, folder = _owner()
    _kill(child)
    seen = []
    lines = session.sweep(lambda dead: seen.append(dead.state.read_text()) or "saved it")  # type: ignore[func-returns-value]
    assert seen == ["CANARY-session"]
    assert "'spawn'" in lines[0]
    assert str(child.pid) in lines[0]
    assert lines[0].endswith("saved it")
    assert not folder.exists()


def test_a_session_stays_while_the_terraform_of_a_killed_run_still_works() -> None:
    own = session.create(PURPOSE)
    orphan = subprocess.Popen(["sleep", "60"], pass_fds=own.fds)
    try:
        os.close(own.lock.fds[0])  # what our death does
        assert session.sweep(lambda dead: None) == []
        assert own.folder.exists()
    finally:
        orphan.kill()
        orphan.wait()
    assert len(session.sweep(lambda dead: None)) == 1


def test_what_cannot_be_recovered_stays(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(dead: session.Abandoned) -> str:
        raise LeftoverError("no room")

    child, folder = _owner()
    _kill(child)
    assert session.sweep(fail) == []
    assert (folder / "terraform.tfstate").exists()
    assert "no room" in capsys.readouterr().err
    with pytest.raises(BarehubError, match="no room"):
        session.sweep(fail, awaited=("/nowhere", "demo"))


def test_many_random_kills_leave_nothing_after_a_sweep() -> None:
    for delay in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        time.sleep(0.02 * delay % 0.2)
        child.kill()
        child.wait()
    for folder in session.home().iterdir():  # those that died before they were published are old
        os.utime(folder, (0, 0))
    session.sweep(lambda dead: None)
    assert list(session.home().iterdir()) == []


def test_a_folder_that_others_can_read_is_refused() -> None:
    session.home().chmod(0o755)
    with pytest.raises(ToolError, match="not a folder that only you can read"):
        session.create(PURPOSE)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    home = session.home()
    home.rmdir()
    home.symlink_to(tmp_path)
    with pytest.raises(ToolError, match="not a folder that only you can read"):
        session.create(PURPOSE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells tmpfs from a disk")
def test_a_disk_is_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if session.in_memory(tmp_path):
        pytest.skip(f"{tmp_path} is on tmpfs on this machine")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert not session.home().is_relative_to(tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> str:
    process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"])
    return (tmp_path / "key").read_text()


def _agent_keys(env: dict[str, str]) -> str:
    return process.run(["ssh-add", "-l"], env=process.environment(env)).text


@pytest.mark.parametrize(
    "spoil", [lambda k: k, lambda k: k.replace("\n", "\r\n"), str.strip, lambda k: "\n" + k]
)
def test_the_agent_holds_the_key_and_ends_with_the_session(key: str, spoil: object) -> None:
    assert callable(spoil)
    own = session.create(PURPOSE)
    env = own.start_agent(spoil(key))
    assert "ED25519" in _agent_keys(env)
    own.close()
    assert ended(int(env["SSH_AGENT_PID"]))
    assert "ED25519" not in _agent_keys(env)


def test_a_key_that_is_none_is_named(key: str) -> None:
    own = session.create(PURPOSE)
    with pytest.raises(VaultError, match=r"ssh\.private_key"):
        own.start_agent(key[:60])
    own.close()


AGENT_OWNER = """
import sys
from barehub import session
own = session.create(session.Purpose("/nowhere", "demo", "spawn"))
print(own.start_agent(sys.stdin.readline().replace("|", "\\n"))["SSH_AGENT_PID"], flush=True)
sys.stdin.read()
"""


def test_the_agent_of_a_killed_run_ends_by_itself(key: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", AGENT_OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin
    assert child.stdout
    child.stdin.write(key.replace("\n", "|") + "\n")
    child.stdin.flush()
    pid = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert ended(pid)


BUSY = """
import sys, time
from barehub import session
for _ in range(300):
    session.create(session.Purpose("/nowhere", "demo", "spawn")).close()
print("all closed", flush=True)
"""


def test_a_sweep_never_takes_a_session_that_is_opening_or_closing() -> None:
    busy = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    taken = []
    while busy.poll() is None:
        taken += session.sweep(lambda dead: None)
    out, err = busy.communicate()
    assert (out, taken) == ("all closed\n", []), err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_that_another_user_could_swap_is_never_taken(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = runtime_dir / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 65534, 65534)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(theirs))
    assert not session.home().is_relative_to(theirs)
