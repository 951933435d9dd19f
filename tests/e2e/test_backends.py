"""A hub whose state is in one of several real backends, seen from two clones.

PostgreSQL has tests of its own (test_shared_state, test_two_hosts). consul, gcs and azurerm are not
run: none of their servers is here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes_api import ETCD, GO
from state_servers import TOOLS, Place, http, kubernetes, s3

from barehub.lock import Lock
from tests.canary import holding
from tests.processes import children, ended

from .conftest import Cli, unseal
from .team import SPAWN, at_work, go_on, log, make, second, share, spawned, unshare

pytestmark = [
    pytest.mark.cloud,
    pytest.mark.timeout(1800),  # the first time it builds the servers
]

TOKEN = "CANARY-backends-token"
KINDS = [
    "http",
    pytest.param("s3", marks=pytest.mark.skipif(not GO, reason="needs Go")),
    pytest.param(
        "kubernetes",
        marks=pytest.mark.skipif(not (GO and ETCD and TOOLS), reason="needs Go, etcd and kubectl"),
    ),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, tmp_path: Path, own_home: Path) -> Iterator[Place]:
    folder = tmp_path / "server"
    folder.mkdir()
    with {"http": http, "s3": s3, "kubernetes": kubernetes}[kind](folder) as made:
        yield made


@pytest.fixture
def alice(cli: Cli, place: Place) -> Cli:
    """An instance whose state is in the backend as soon as there is one."""
    make(cli, TOKEN, place.environment)
    for name, text in place.files.items():
        (cli.instance("demo") / name).write_text(text)
    share(cli, place.block)
    return cli


@pytest.fixture
def bob(alice: Cli, tmp_path: Path) -> Cli:
    return second(alice, tmp_path)


def test_a_hub_lives_in_it_and_its_state_moves_out_and_in(
    alice: Cli, bob: Cli, place: Place, kind: str
) -> None:
    folder = alice.instance("demo")
    assert "secret in clear" not in spawned(alice).err
    assert (folder / ".terraform" / "terraform.tfstate").exists()
    assert not (folder / "terraform.tfstate.sops").exists()
    assert "nothing to change" in spawned(bob).err
    back = alice("state.migrate", "--name", "demo", "--back")
    assert back.code == 0, back
    assert len(unseal(folder / "terraform.tfstate.sops")["resources"]) == 4
    unshare(alice, place.block)
    assert "nothing to change" in spawned(alice).err
    share(alice, place.block)
    there = alice("state.migrate", "--name", "demo")
    assert there.code == 0 and f"in {kind} now: 4 resources" in there.err, there
    assert "nothing to change" in spawned(alice).err + spawned(bob).err
    assert log(alice) == ["provider", "dns", "binderhub"] and log(bob) == []
    gone = bob("teardown", "--name", "demo", "--yes")
    assert gone.code == 0 and "did not let the lock go" not in gone.err, gone
    state = json.loads(alice("terraform", "--name", "demo", "--", "show", "-json").out or "{}")
    assert "values" not in state
    for secret in (place.secret, TOKEN):
        assert holding(secret, alice.root, bob.root, Path(os.environ["XDG_RUNTIME_DIR"])) == []


def test_who_comes_second_is_told_the_truth_and_a_dead_lock_is_let_go(
    alice: Cli, bob: Cli, kind: str
) -> None:
    run = at_work(alice)
    told = bob(*SPAWN)
    assert told.code == 1, told
    if kind == "http":
        person = Lock(_lock(alice)).holder().person
        assert f"another command has the state of demo in http: {person}, since 20" in told.err
    else:
        assert f"demo is in use by 'spawn' of {Lock(_lock(alice)).holder().person}" in told.err
        assert f"(process {run.pid}, since" in told.err
        refused = bob("unlock", "--name", "demo", "--yes")
        assert refused.code == 1 and f"kill -INT {run.pid}" in refused.err, refused
    dying = {pid for pid, _ in [*Lock(_lock(alice)).keepers(), *children(run.pid)]}
    for number in (signal.SIGSTOP, signal.SIGKILL):  # all at once, as a machine dies
        for pid in dying:
            with contextlib.suppress(ProcessLookupError):  # a `sleep` that has ended
                os.kill(pid, number)
    run.communicate(timeout=20)
    assert all(ended(pid) for pid in dying)
    go_on(alice)
    stale = bob("plan", "--name", "demo")
    assert stale.code == 1, stale
    assert "in use by" in stale.err or "another command has the state" in stale.err
    unlocked = bob("unlock", "--name", "demo", "--yes")
    assert unlocked.code == 0, unlocked
    assert "let go" in unlocked.err
    assert bob("plan", "--name", "demo").code == 0
    spawned(alice, "--recover")
    assert "nothing to change" in spawned(bob).err


def _lock(cli: Cli) -> Path:
    return cli.instance("demo") / ".lock"
