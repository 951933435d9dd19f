"""The door to a person's ssh-agent, a real one: what goes through it, and when it closes."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, keygen

from barehub import keys, process
from barehub.errors import BarehubError, UsageError
from barehub.session import Purpose, Session, create
from barehub.ssh import relay
from barehub.ssh.agent import OwnAgent
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


@pytest.fixture(params=["own", "person's"])
def door(request: pytest.FixtureRequest, agent: Path, own: Session) -> dict[str, str]:
    """What makes a program use the agent of a run; the key ``one`` is in it."""
    if request.param == "own":
        return own.start_agent((agent / "one").read_text())
    return own.open_agent(os.environ["SSH_AUTH_SOCK"], [_public(agent, "one")])


FORBIDDEN = [["-D"], ["-x"], ["-X"], ["-d", "one.pub"], ["two"], ["-s", "/usr/lib/x.so"]]
FORBIDDEN += [["-e", "/usr/lib/x.so"], ["-t", "5", "two"], ["-c", "two"]]


@pytest.mark.parametrize("options", FORBIDDEN, ids=" ".join)
def test_agent_of_a_run_only_lists_and_signs(
    agent: Path, own: Session, door: dict[str, str], options: list[str]
) -> None:
    """On the real ssh-add: remove all, lock, unlock, remove, add, load a PKCS#11 library."""
    (agent / "ask").write_text("#!/bin/sh\necho word\n")
    (agent / "ask").chmod(0o700)
    asking = {"SSH_ASKPASS": str(agent / "ask"), "SSH_ASKPASS_REQUIRE": "force"}
    env = process.environment(door | asking)
    assert process.run(["ssh-add", *options], env=env, cwd=agent).code != 0
    assert [key.blob for key in held(process.environment(door))] == [_public(agent, "one").blob]
    assert _signs(agent, "one", door) and not _signs(agent, "two", door)


def _ask(address: str, message: bytes) -> bytes:
    """Send a whole message in its frame; the answer without its length."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(address)
        relay.send(peer, message)
        return relay.receive(peer)


def test_every_other_request_is_refused(own_door: dict[str, str]) -> None:
    """9 and 19 remove all, 22 and 23 lock, 20 and 26 load a library, 17 and 25 add, 27 extend."""
    name = b"query"
    bodies = (b"", b"\0" * 8, len(name).to_bytes(4, "big") + name, b"\0\0\0\4word")
    for kind in set(range(256)) - {relay.LIST, relay.SIGN}:
        for body in bodies:
            try:
                answer = _ask(own_door["SSH_AUTH_SOCK"], bytes([kind]) + body)
            except ConnectionResetError:
                answer = b""
            assert answer in (b"", bytes([relay.FAILURE])), (kind, body)


@pytest.fixture(scope="module")
def own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One for many requests, with a key; it is seen at the end that it holds that still."""
    folder = tmp_path_factory.mktemp("own")
    keygen(folder / "key")
    place = tempfile.mkdtemp(prefix="barehub-test-", dir="/dev/shm")
    agent = OwnAgent(Path(place) / "agent.sock")
    try:
        agent.add((folder / "key").read_text())
        yield agent.env
        assert len(held(process.environment(agent.env))) == 1
    finally:
        agent.close()
        shutil.rmtree(place)


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff" + b"x" * 1000,  # 4 GiB
        b"\0\4\0\1" + b"\x0b" * 1000,  # one byte more than an agent takes
        b"\0\0\0\0",
        b"\0\0",
        b"\0\0\0\x64\x0b",  # 100 bytes are promised, one comes
        b"\0\0\0\5\x0d\xff\xff\xff\xff",  # to sign with a key of 4 GiB
        b"\0\0\0\5\x1b\0\0\0\x19",
        os.urandom(5000),
    ],
)
def test_frames_that_are_none_end_their_connection_alone(
    own_door: dict[str, str], frame: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(own_door["SSH_AUTH_SOCK"])
        with contextlib.suppress(BrokenPipeError):
            peer.sendall(frame)
            peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(1000):
                pass
    assert len(held(process.environment(own_door))) == 1


def test_more_connections_than_descriptors_end_nothing(agent: Path, own: Session) -> None:
    """Each takes two; root on a machine that the agent is forwarded to can open any number."""
    env = own.start_agent((agent / "one").read_text())
    assert isinstance(own._agent, OwnAgent) and own._agent._door
    resource.prlimit(own._agent._door._child.pid, resource.RLIMIT_NOFILE, (40, 40))
    peers = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for peer in peers:
        peer.connect(env["SSH_AUTH_SOCK"])
    time.sleep(0.5)  # it comes to its limit
    for peer in peers:
        peer.close()
    assert len(held(process.environment(env), seconds=60)) == 1


def test_forwarded_agent_of_a_run_logs_in_and_nothing_else(
    agent: Path, own: Session, door: dict[str, str], tmp_path: Path
) -> None:
    """As Terraform forwards it, through a real sshd: what root on that machine can do with it."""
    server = Sshd(tmp_path / "sshd", [_public(agent, "one").line])
    try:
        (tmp_path / "known").write_text(server.known_hosts_line)
        ssh = ["ssh", "-F", "/dev/null", "-A", "-o", "BatchMode=yes", "-p", str(server.port)]
        ssh += ["-o", f"UserKnownHostsFile={tmp_path / 'known'}", "127.0.0.1"]
        again = shlex.join(ssh)
        script = (
            "ssh-add -l | wc -l; ssh-add -D; ssh-add -s /usr/lib/x.so </dev/null; "
            f"ssh-add -x </dev/null; ssh-add {agent / 'two'}; ssh-add -l | wc -l; {again} echo in"
        )
        done = process.run([*ssh, script], env=process.environment(door))
        assert done.text.split() == ["1", "1", "in"], done.stderr
        assert b"All identities removed" not in done.stderr and b"Agent locked" not in done.stderr
    finally:
        server.close()
    assert len(held(process.environment(door))) == 1


OWNER = """
import os, sys
from barehub import session
from barehub.ssh import relay
from barehub.ssh.agent import OwnAgent
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
