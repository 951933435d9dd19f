"""The door to a person's ssh-agent, a real one: what goes through it, and when it closes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import keygen

from barehub import keys, process
from barehub.errors import BarehubError, UsageError
from barehub.session import Purpose, Session, create
from barehub.ssh.public_key import PublicKey, held
from tests.processes import ended

PURPOSE = Purpose("/nowhere", "demo", "spawn")


@pytest.fixture
def agent(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A person's agent with two keys, ``one`` and ``two``, which lie in this folder."""
    address = tmp_path / "agent.sock"
    child = subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
    monkeypatch.delenv(keys.SETTING, raising=False)
    for name in ("one", "two"):
        keygen(tmp_path / name, comment=name)
        while process.run(["ssh-add", "-q", tmp_path / name]).code == 2:
            assert child.poll() is None
    yield tmp_path
    child.terminate()
    child.wait()


@pytest.fixture
def own(own_home: Path) -> Iterator[Session]:
    session = create(PURPOSE)
    yield session
    session.close()


def _public(folder: Path, name: str) -> PublicKey:
    key = PublicKey.parse((folder / f"{name}.pub").read_text())
    assert key
    return key


def _signs(folder: Path, name: str, env: dict[str, str]) -> bool:
    argv: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "sign",
        "-n",
        "test",
        "-f",
        folder / f"{name}.pub",
        "-U",
    ]
    return process.run(argv, env=process.environment(env), input=b"text").code == 0


def test_only_the_chosen_key_is_seen_and_signs(agent: Path, own: Session) -> None:
    env = own.open_agent(os.environ["SSH_AUTH_SOCK"], [_public(agent, "one")])
    assert [key.comment for key in held(process.environment(env))] == ["one"]
    assert _signs(agent, "one", env)
    assert not _signs(agent, "two", env)


@pytest.mark.parametrize("argv", [["ssh-add", "-D"], ["ssh-add", "-x"], ["ssh-add", "three"]])
def test_nothing_is_changed_in_the_persons_agent(
    agent: Path, own: Session, argv: list[str]
) -> None:
    keygen(agent / "three")
    env = own.open_agent(os.environ["SSH_AUTH_SOCK"], [_public(agent, "one")])
    done = process.run(argv, env=process.environment(env), input=b"x\nx\n", cwd=agent)
    assert done.code != 0
    assert [key.comment for key in held(process.environment())] == ["one", "two"]


def test_many_ask_at_once(agent: Path, own: Session) -> None:
    env = process.environment(own.open_agent(os.environ["SSH_AUTH_SOCK"], [_public(agent, "two")]))
    argv = ["ssh-add", "-L"]
    asking = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) for _ in range(20)]
    assert {child.communicate()[0].split()[-1] for child in asking} == {b"two"}


@pytest.mark.parametrize(
    "message",
    [
        b"\xff" * 8,  # longer than any
        b"\0\0\0\0",  # nothing
        b"\0\0\0\1\x0d",  # to sign, without a key
        b"\0\0\0\5\x1b\0\0\0\x09",  # an extension whose name is cut
    ],
)
def test_nonsense_ends_its_own_connection_alone(agent: Path, own: Session, message: bytes) -> None:
    env = own.open_agent(os.environ["SSH_AUTH_SOCK"], [_public(agent, "one")])
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(env["SSH_AUTH_SOCK"])
        peer.sendall(message)
        with contextlib.suppress(ConnectionResetError):  # it left some of the nonsense unread
            assert peer.recv(1) == b""
    assert [key.comment for key in held(process.environment(env))] == ["one"]


OWNER = """
import os, sys
from barehub import session
from barehub.ssh.public_key import held
own = session.create(session.Purpose("/nowhere", "demo", "spawn"))
own.open_agent(os.environ["SSH_AUTH_SOCK"], held(os.environ))
print(own._agent._child.pid, flush=True)
sys.stdin.read()
"""


def test_the_door_of_a_killed_run_closes_by_itself(agent: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    pid = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert ended(pid)


def test_an_agent_that_hangs_is_not_waited_for(
    agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", HANGING, tmp_path / "h.sock"]) as hanging:
        while not (tmp_path / "h.sock").exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "h.sock"))
        monkeypatch.setattr("barehub.ssh.public_key.AGENT_SECONDS", 0.5)
        assert keys.choose("") is None
        hanging.kill()


HANGING = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(60)
"""


def test_what_is_chosen_without_a_setting(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vaults = keys.choose("PRIVATE")
    assert vaults and vaults.source == "the vault"
    running = keys.choose("")
    assert running and [key.comment for key in running.public] == ["one", "two"]
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert keys.choose("") is None


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("vault", "BAREHUB_SSH_KEY is vault, and the vault has no ssh.private_key"),
        ("agent", "BAREHUB_SSH_KEY is agent, and no ssh-agent runs here"),
        ("nowhere", "BAREHUB_SSH_KEY: nowhere: no such file or directory"),
        ("text", "BAREHUB_SSH_KEY: text is no private SSH key"),
        ("damaged", "BAREHUB_SSH_KEY: damaged is damaged"),
        ("one.pub", "one.pub is a public key; no ssh-agent runs here"),
    ],
)
def test_a_setting_that_cannot_be_met_is_named(
    agent: Path, monkeypatch: pytest.MonkeyPatch, setting: str, problem: str
) -> None:
    monkeypatch.chdir(agent)
    (agent / "text").write_text("CANARY")
    text = (agent / "one").read_text()
    (agent / "damaged").write_text(text.replace(text.splitlines()[3], ""))
    monkeypatch.setenv(keys.SETTING, setting)
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(BarehubError) as caught:
        keys.choose("")
    assert problem in caught.value.problem
    assert caught.value.hints


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_any_form_is_held(
    agent: Path, own: Session, monkeypatch: pytest.MonkeyPatch, kind: str, form: str
) -> None:
    path = agent / "file"
    argv: list[str | Path] = [
        "ssh-keygen",
        "-q",
        "-t",
        kind,
        "-m",
        form,
        "-N",
        "",
        "-C",
        "of a file",
        "-f",
        path,
    ]
    process.run(argv)
    monkeypatch.setenv(keys.SETTING, str(path))
    assert keys.hold(keys.choose(""), own).authorized() == [_public(agent, "file").line]


def test_a_passphrase_that_nobody_can_type_is_not_waited_for(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keygen(agent / "locked", passphrase="CANARY-passphrase")
    monkeypatch.setenv(keys.SETTING, str(agent / "locked"))
    with pytest.raises(UsageError, match="protected by a passphrase"):
        keys.choose("", ask=False)
