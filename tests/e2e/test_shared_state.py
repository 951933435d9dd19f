"""A team's state in a real PostgreSQL: a recipe with a backend of its own, from two clones."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import re
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PASSWORD, Postgres

from barehub.lock import Lock
from barehub.terraform.shared_lock import SURE_SECONDS
from tests.canary import Watch, holding
from tests.processes import children, ended, kill, until

from . import slow_cloud
from .conftest import Cli, unseal
from .team import PG, SPAWN, at_work, go_on, log, make, second, share, spawned, unshare

pytestmark = pytest.mark.cloud  # minutes, together

TOKEN = "CANARY-shared-token"
STATES = "select data from demo.states"
ROOM = 96  # MiB: what a new cluster is, and as much again
BLOB = """
resource "terraform_data" "blob" { input = file("${path.root}/blob") }
"""
"""More than fits into what PostgreSQL has of its disk, whatever it had before."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    server = Postgres(room=ROOM)
    server.start()
    yield server
    server.close()


@pytest.fixture
def server(cluster: Postgres) -> Postgres:
    cluster.query("drop schema if exists demo cascade")
    return cluster


@pytest.fixture
def sealed(cli: Cli, server: Postgres) -> Cli:
    """An instance whose state is sealed, with the credentials of a backend in the vault."""
    make(cli, TOKEN, {"PG_CONN_STR": server.url})
    return cli


@pytest.fixture
def alice(sealed: Cli) -> Cli:
    share(sealed)
    return sealed


@pytest.fixture
def bob(alice: Cli, tmp_path: Path) -> Cli:
    return second(alice, tmp_path)


def _log(*clis: Cli) -> list[str]:
    """What was made, by whomever."""
    return sorted(line for cli in clis for line in log(cli))


def _there(server: Postgres) -> dict[str, object]:
    state: dict[str, object] = json.loads(server.query(f"{STATES} where name = 'default'"))
    return state


def test_a_recipes_own_backend_has_the_state_and_nobody_else_its_password(
    alice: Cli, bob: Cli, server: Postgres, tmp_path: Path
) -> None:
    with Watch() as watch:
        spawned(alice)
    assert [a for a in watch.seen if PASSWORD.encode() in a and b"PG_CONN_STR=" not in a] == []
    assert len(_there(server)["resources"]) == 4  # type: ignore[arg-type]
    assert not (alice.instance("demo") / "terraform.tfstate.sops").exists()
    assert (alice.instance("demo") / ".terraform" / "terraform.tfstate").exists()
    again = spawned(bob)
    assert "nothing to change" in again.err
    assert "terraform_data.machine" in bob("terraform", "--name", "demo", "--", "state", "list").out
    assert "module.dns.terraform_data.record" in bob("status", "--name", "demo", "--json").out
    assert _log(alice, bob) == ["binderhub", "dns", "provider"]
    gone = bob("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    assert _there(server)["resources"] == []
    assert len(server.query("select name from demo.states").split()) == 1  # none for the lock
    for secret in (PASSWORD, TOKEN):
        assert holding(secret, alice.root, bob.root, Path(os.environ["XDG_RUNTIME_DIR"])) == []
        assert secret not in again.err + gone.err


def test_a_password_in_the_block_is_refused_before_terraform_stores_it(
    alice: Cli, server: Postgres
) -> None:
    recipe = alice.instance("demo") / "main.tf"
    block = f'terraform {{\n  backend "pg" {{\n    conn_str = "{server.url}"\n  }}\n}}\n'
    recipe.write_text(recipe.read_text().replace(PG, block))
    refused = alice(*SPAWN)
    assert refused.code == 2, refused
    assert "main.tf has a secret in conn_str" in refused.err
    assert "invoke vault.set environment.PG_CONN_STR --name demo" in refused.err
    assert PASSWORD not in refused.err
    assert not (alice.instance("demo") / ".terraform").exists()


def test_a_second_machine_is_told_whom_it_waits_for(alice: Cli, bob: Cli) -> None:
    first = at_work(alice)
    told = bob(*SPAWN)
    assert told.code == 1, told
    who = rf"'spawn' of {getpass.getuser()}@{socket.gethostname()} \(process {first.pid}, since "
    assert re.search(f"error: demo is in use by {who}", told.err), told
    assert "--wait" in told.err
    shown = bob("unlock", "--name", "demo", "--yes")
    assert shown.code == 1 and re.search(who, shown.err), shown
    assert f"kill -INT {first.pid}" in shown.err
    second = bob.start(*SPAWN, "--wait")
    said = until(second, "waiting for")
    go_on(alice)
    first.communicate(timeout=60)
    said += second.communicate(timeout=60)[1]
    assert re.search(f"waiting for {who}", said), said
    assert second.returncode == 8 and "nothing to change" in said, said
    assert _log(bob) == [], "it began between two stages of the first"
    assert _log(alice) == ["binderhub", "dns", "provider"]
    assert "nobody has demo in pg" in bob("unlock", "--name", "demo").err


def test_of_two_that_begin_at_once_one_makes_everything(alice: Cli, bob: Cli) -> None:
    runs = [cli.start(*SPAWN, "--wait") for cli in (alice, bob)]
    said = [run.communicate(timeout=100)[1] for run in runs]
    assert [run.returncode for run in runs] == [8, 8], said
    assert sorted("nothing to change" in text for text in said) == [False, True], said
    assert sorted(map(len, (_log(alice), _log(bob)))) == [0, 3], said


def test_the_lock_outlives_a_killed_run_as_long_as_its_terraform(alice: Cli, bob: Cli) -> None:
    run = at_work(alice)
    run.kill()
    run.communicate(timeout=20)
    told = bob(*SPAWN)
    assert told.code == 1 and f"(process {run.pid}, since" in told.err, told
    assert "that run was killed; what it started may be at work still" in told.err
    unlocked = bob("unlock", "--name", "demo", "--yes")
    assert unlocked.code == 1, unlocked
    assert "pg lets a lock go when the connection of its holder ends" in unlocked.err
    assert "pg_stat_activity" in unlocked.err and "pg_terminate_backend" in unlocked.err
    kill(*(pid for pid, _ in Lock(alice.instance("demo") / ".lock").keepers()))
    assert bob("plan", "--name", "demo").code == 0


def test_a_run_that_lost_its_lock_begins_no_other_stage(alice: Cli, bob: Cli) -> None:
    run = at_work(alice)
    (keeper,) = [pid for pid, name in children(run.pid) if "console" in name]
    os.kill(keeper, signal.SIGKILL)
    go_on(alice)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 5, said
    assert "error: the lock in the pg backend is not ours any more" in said
    assert _log(alice) == ["provider"]
    assert spawned(bob) and _log(bob) == ["binderhub", "dns"]


def test_a_server_that_comes_back_has_forgotten_the_lock_and_the_run_sees_that(
    alice: Cli, bob: Cli, server: Postgres
) -> None:
    run = at_work(alice)
    server.kill()
    server.start()
    assert bob("plan", "--name", "demo").code == 0
    time.sleep(SURE_SECONDS)  # so long it would not have asked the server again
    go_on(alice)
    _, said = run.communicate(timeout=100)
    assert run.returncode == 5, said
    assert _log(alice) == ["provider"], said
    spawned(alice)
    assert "nothing to change" in spawned(bob).err
    assert _log(alice, bob) == ["binderhub", "dns", "provider"]


def test_a_server_that_dies_in_an_apply_loses_nothing(
    alice: Cli, bob: Cli, server: Postgres
) -> None:
    run = at_work(alice)
    folder = alice.instance("demo")
    # the one place where Terraform can leave what the backend does not take is in memory
    assert (folder / "errored.tfstate").readlink().is_relative_to(os.environ["XDG_RUNTIME_DIR"])
    server.kill()
    go_on(alice)
    _, said = run.communicate(timeout=100)
    try:
        assert run.returncode == 5, said
        assert "the backend did not take the newest state" in said
        assert not (folder / "errored.tfstate").is_symlink()
        names = [r["name"] for r in unseal(folder / "terraform.tfstate.errored.sops")["resources"]]
        assert names == ["ip", "machine"]
        dead = alice(*SPAWN)
        assert dead.code == 5 and "does not answer" in dead.err, dead
    finally:
        server.start()
    back = spawned(alice)
    assert "the pg backend took what it had not taken" in back.err
    assert not (folder / "terraform.tfstate.errored.sops").exists()
    assert _log(alice, bob) == ["binderhub", "dns", "provider"]
    assert "nothing to change" in spawned(bob).err
    for secret in (PASSWORD, TOKEN):
        assert holding(secret, alice.root, bob.root) == []


def test_a_disk_of_the_backend_that_is_full_in_an_apply_loses_nothing(
    alice: Cli, bob: Cli, server: Postgres
) -> None:
    if not server.has_disk:
        pytest.skip("this user may not mount a small file system")
    folder = alice.instance("demo")
    module = folder / "modules" / "provider" / "main.tf"
    module.write_text(module.read_text() + BLOB)
    (folder / "blob").write_text(secrets.token_hex(50_000))
    shutil.copytree(folder, bob.instance("demo"), dirs_exist_ok=True)
    run = at_work(alice)
    server.fill()
    try:
        go_on(alice)
        _, said = run.communicate(timeout=100)
        assert run.returncode == 5, said
        assert "No space left on device" in said
        assert "the backend did not take the newest state" in said
        untaken = folder / "terraform.tfstate.errored.sops"
        names = [r["name"] for r in unseal(untaken)["resources"]]
        assert names == ["blob", "ip", "machine"]
        # nothing more is made as long as it is so, and what is sealed stays
        full = alice(*SPAWN)
        assert full.code == 5 and "terraform state push failed" in full.err, full
        assert untaken.exists() and not (folder / "errored.tfstate").is_symlink()
    finally:
        server.make_room()
    back = spawned(alice)
    assert "the pg backend took what it had not taken" in back.err
    assert not untaken.exists()
    assert _log(alice, bob) == ["binderhub", "dns", "provider"]
    assert "nothing to change" in spawned(bob).err
    for secret in (PASSWORD, TOKEN):
        assert holding(secret, alice.root, bob.root) == []


def test_power_that_goes_before_the_backend_was_told_loses_nothing(
    alice: Cli, bob: Cli, server: Postgres
) -> None:
    run = at_work(alice)
    folder = alice.instance("demo")
    kill(*(pid for pid, _ in Lock(folder / ".lock").keepers()))
    run.communicate(timeout=20)
    for home in Path(os.environ["XDG_RUNTIME_DIR"]).iterdir():
        shutil.rmtree(home)
    go_on(alice)
    refused = alice(*SPAWN)
    assert refused.code == 5, refused
    assert "the backend pg has no state, but these were made" in refused.err
    said = spawned(alice, "--recover").err
    assert "imported module.provider.terraform_data.ip" in said
    assert _log(alice) == ["binderhub", "dns", "provider", "provider"]
    assert "nothing to change" in spawned(bob).err


def test_what_was_half_made_is_replaced_in_the_backend_too(alice: Cli, server: Postgres) -> None:
    spawned(alice)
    machine = "module.provider.terraform_data.machine"
    begun = {"at": time.time(), "event": "resource-start", "address": machine, "action": "create"}
    with (alice.instance("demo") / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(begun) + "\n")
    said = spawned(alice, "--recover").err
    assert f"{machine} was never finished" in said
    assert _log(alice) == ["binderhub", "dns", "provider", "provider"]
    assert "nothing to change" in spawned(alice).err


def test_terraform_that_a_killed_run_left_goes_on(alice: Cli, bob: Cli, server: Postgres) -> None:
    run = at_work(alice)
    keepers = Lock(alice.instance("demo") / ".lock").keepers()
    run.kill()
    run.communicate(timeout=20)
    go_on(alice)
    deadline = time.monotonic() + 30
    while any(Path("/proc", str(pid)).exists() for pid, _ in keepers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "was cut off in stage provider" in spawned(alice).err
    assert "nothing to change" in spawned(bob).err
    assert _log(alice, bob) == ["binderhub", "dns", "provider"]


def test_what_a_provisioner_left_running_does_not_keep_the_lock_of_a_killed_run(
    alice: Cli, bob: Cli, server: Postgres
) -> None:
    machine = alice.instance("demo") / "modules" / "provider" / "main.tf"
    left = "setsid sleep 1000 > /dev/null 2>&1 & echo $! > ${path.root}/pid; echo provider"
    machine.write_text(machine.read_text().replace("echo provider", left))
    run = at_work(alice)
    (terraform,) = (pid for pid, line in children(run.pid) if " apply " in line)
    (daemon,) = (int(p.read_text()) for p in [alice.instance("demo") / "pid"])
    run.kill()
    run.communicate(timeout=20)
    go_on(alice)
    assert ended(terraform, 60)
    assert not ended(daemon, 0.1)
    assert "was cut off in stage provider" in spawned(alice, "--no-wait").err
    os.kill(daemon, signal.SIGKILL)
    assert "nothing to change" in spawned(bob).err


def test_a_run_in_another_clone_waits_for_what_a_killed_one_left(
    alice: Cli, server: Postgres, tmp_path: Path
) -> None:
    other = tmp_path / "clone"
    shutil.copytree(alice.root, other)
    clone = dataclasses.replace(alice, root=other)
    run = at_work(alice)
    run.kill()
    run.communicate(timeout=20)
    waiting = clone.start(*SPAWN)
    said = until(waiting, "waiting for what 'spawn' of")
    assert "in another clone, left at work" in said
    go_on(alice)
    _, err = waiting.communicate(timeout=90)
    assert waiting.returncode == 8, said + err
    assert _log(alice, clone).count("provider") == 1, "it was made twice"


def test_a_state_moves_into_a_backend_and_back(sealed: Cli, server: Postgres) -> None:
    spawned(sealed)
    folder = sealed.instance("demo")
    file, backup = folder / "terraform.tfstate.sops", folder / "terraform.tfstate.backup.sops"
    before = unseal(file)
    share(sealed)
    unmoved = sealed(*SPAWN)
    assert unmoved.code == 5 and "hint: invoke state.migrate --name demo" in unmoved.err, unmoved
    for _ in range(2):
        moved = sealed("state.migrate", "--name", "demo")
        assert moved.code == 0, moved
        assert "in pg now: 4 resources" in moved.err
        there = _there(server)
        assert [there[k] for k in ("serial", "lineage", "resources")] == [
            before[k] for k in ("serial", "lineage", "resources")
        ]
        assert unseal(backup) == before and not file.exists()
        assert "nothing to change" in spawned(sealed).err
        back = sealed("state.migrate", "--name", "demo", "--back")
        assert back.code == 0, back
        assert _there(server)["resources"] == []
        assert unseal(file) == unseal(backup)
        before = unseal(file)
    unshare(sealed)
    assert "nothing to change" in spawned(sealed).err
    gone = sealed("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    for secret in (PASSWORD, TOKEN):
        assert holding(secret, sealed.root) == []
    assert _log(sealed) == ["binderhub", "dns", "provider"]


def test_nothing_is_moved_over_the_state_of_something_else(sealed: Cli, server: Postgres) -> None:
    spawned(sealed)
    share(sealed)
    assert sealed("state.migrate", "--name", "demo").code == 0
    other = sealed.instance("other")
    slow_cloud.make(other)
    recipe = other / "main.tf"
    assert sealed("spawn", "--name", "other", "--timeout", "1").code == 8
    recipe.write_text(PG + recipe.read_text())
    before = _there(server)
    refused = sealed("state.migrate", "--name", "other")
    assert refused.code == 5, refused
    assert "holds another state already, of 4 resources; nothing was moved" in refused.err
    assert _there(server) == before
    assert (other / "terraform.tfstate.sops").exists()
    assert sealed("state.migrate", "--name", "demo", "--back").code == 0
    unshare(sealed)
    lost = sealed.instance("demo") / "terraform.tfstate.sops"
    lost.unlink()
    told = sealed(*SPAWN)
    assert told.code == 5 and "has lost the backend that its state is in" in told.err, told
