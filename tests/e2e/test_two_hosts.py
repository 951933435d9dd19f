"""Two hosts, each with a network and a name of its own, and a real PostgreSQL on a third.

They are namespaces of Linux (network, UTS), joined by virtual cables; the file system is one.
"""

from __future__ import annotations

import dataclasses
import getpass
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgres import PASSWORD, Postgres

from tests.canary import holding
from tests.processes import until

from .conftest import Cli
from .team import SPAWN, at_work, go_on, log, make, second, share

pytestmark = [
    pytest.mark.cloud,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

TOKEN = "CANARY-two-hosts"
SERVER = "10.77.0.1"
HOLD = "hostname $0 && ip link set lo up && echo up && exec sleep infinity"


@dataclass
class Host:
    """A network and a host name of its own, as long as a process holds them."""

    name: str
    process: subprocess.Popen[str]

    @classmethod
    def up(cls, name: str) -> Host:
        argv = ["unshare", "--net", "--uts", "sh", "-c", HOLD, name]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert process.stdout and process.stdout.readline() == "up\n"
        return cls(name, process)

    @property
    def within(self) -> list[str]:
        """What runs a program there."""
        places = f"/proc/{self.process.pid}/ns"
        return ["nsenter", f"--net={places}/net", f"--uts={places}/uts"]

    def ip(self, *args: str) -> None:
        subprocess.run([*self.within, "ip", *args], check=True)

    def wire(self, name: str, other: Host) -> None:
        """A cable from our interface ``name`` to ``eth0`` of another host."""
        end = ["peer", "name", "eth0", "netns", str(other.process.pid)]
        self.ip("link", "add", name, "type", "veth", *end)


@dataclass
class There(Cli):
    """The command line on a host."""

    host: Host | None = None

    def argv(self, *args: str) -> list[str]:
        assert self.host
        return [*self.host.within, *super().argv(*args)]


@pytest.fixture
def hosts() -> Iterator[dict[str, Host]]:
    """``server``, ``alice`` and ``bob``, on one switch in the server."""
    up = {name: Host.up(name) for name in ("server", "alice", "bob")}
    server = up["server"]
    server.ip("link", "add", "switch", "type", "bridge")
    server.ip("addr", "add", f"{SERVER}/24", "dev", "switch")
    server.ip("link", "set", "switch", "up")
    for number, name in enumerate(("alice", "bob"), 2):
        server.wire(name, up[name])
        server.ip("link", "set", name, "master", "switch", "up")
        up[name].ip("addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
        up[name].ip("link", "set", "eth0", "up")
    yield up
    for host in up.values():
        host.process.kill()
        host.process.communicate()


@pytest.fixture
def server(hosts: dict[str, Host]) -> Iterator[Postgres]:
    started = Postgres(hosts["server"].within, SERVER)
    started.start()
    yield started
    started.close()


@pytest.fixture
def alice(cli: Cli, hosts: dict[str, Host], server: Postgres) -> There:
    make(cli, TOKEN, {"PG_CONN_STR": server.url})
    share(cli)
    return There(cli.root, cli.env, hosts["alice"])


@pytest.fixture
def bob(alice: There, hosts: dict[str, Host], tmp_path: Path) -> There:
    return dataclasses.replace(second(alice, tmp_path), host=hosts["bob"])


@pytest.mark.timeout(300)
def test_two_hosts_that_race_make_everything_once(alice: There, bob: There) -> None:
    for _ in range(2):
        before = len(log(alice) + log(bob))
        runs = [cli.start(*SPAWN, "--wait") for cli in (alice, bob)]
        said = [run.communicate(timeout=100)[1] for run in runs]
        assert [run.returncode for run in runs] == [8, 8], said
        assert sorted("nothing to change" in text for text in said) == [False, True], said
        assert len(log(alice) + log(bob)) == before + 3, said
        assert alice("teardown", "--name", "demo", "--yes").code == 0
        (bob.instance("demo") / "journal.jsonl").unlink()  # as git would bring alice's
    for secret in (PASSWORD, TOKEN):
        assert holding(secret, alice.root, bob.root) == []


def test_who_comes_second_is_told_the_host_of_the_first(alice: There, bob: There) -> None:
    first = at_work(alice)
    who = rf"'spawn' of {getpass.getuser()}@alice \(process {first.pid}, since [\d:]+\)"
    told = bob(*SPAWN)
    assert told.code == 1, told
    assert re.search(f"error: demo is in use by {who}, on another machine", told.err), told
    assert "hint: if alice is dead: invoke unlock --name demo" in told.err
    second = bob.start(*SPAWN, "--wait")
    said = until(second, "waiting for")
    go_on(alice)
    assert first.communicate(timeout=60) and first.returncode == 8
    said += second.communicate(timeout=60)[1]
    assert re.search(f"waiting for {who}, on another machine", said), said
    assert second.returncode == 8 and "nothing to change" in said, said
    assert log(alice) == ["provider", "dns", "binderhub"] and log(bob) == []


def test_a_host_whose_cable_is_pulled_keeps_the_lock_until_it_is_cut_off(
    alice: There, bob: There, hosts: dict[str, Host], server: Postgres
) -> None:
    run = at_work(alice)
    hosts["server"].ip("link", "set", "alice", "down")
    told = bob(*SPAWN)
    assert told.code == 1 and "root@alice" in told.err, told
    refused = bob("unlock", "--name", "demo", "--yes")
    assert refused.code == 1, refused
    asked = re.search(r'hint: psql "\$PG_CONN_STR" -c "(.*)"   # who has it', refused.err)
    cut = re.search(r'hint: psql "\$PG_CONN_STR" -c "(.*)"   # if it is dead', refused.err)
    assert asked and cut, refused
    holders = server.query(asked[1]).splitlines()
    assert {line.split("|")[1] for line in holders} == {"10.77.0.2"}
    for line in holders:
        assert server.query(cut[1].replace("PID", line.split("|")[0])) == "t"
    assert bob("plan", "--name", "demo").code == 0
    hosts["server"].ip("link", "set", "alice", "up")
    go_on(alice)
    _, said = run.communicate(timeout=100)
    assert run.returncode == 5, said
    assert log(alice) == ["provider"], "it went on without the lock"
