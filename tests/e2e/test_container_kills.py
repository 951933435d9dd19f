"""A container whose client, whose engine, whose monitor or which itself is killed: it is gone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from barehub.lock import Lock
from tests import boxes
from tests.canary import holding
from tests.processes import ended

from . import slow_cloud
from .boxed import boxed, inspected, mine, monitor, running, waited_for
from .conftest import Cli, unseal

__all__ = ["boxed"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

CANARY = "CANARY-killed-token"


@pytest.fixture
def slow(boxed: Cli) -> Cli:
    slow_cloud.make(boxed.instance("demo"), "sleep 2")
    assert boxed("vault.init").code == 0
    assert boxed("vault.set", "variables.api_token", input=CANARY).code == 0
    return boxed


def _spawn(cli: Cli) -> tuple[subprocess.Popen[str], str]:
    """A spawn in a container whose provider is being made, and the container's name."""
    run = cli.start("spawn", "--name", "demo", "--timeout", "1", "--container")
    name = running(cli)
    waited_for(lambda: run.poll() is not None or (cli.instance("demo") / "log").exists())
    return run, name


def _client(run: subprocess.Popen[str], name: str) -> int:
    return run.pid


def _engine(run: subprocess.Popen[str], name: str) -> int:
    """The podman that runs the container for barehub."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    return next(int(pid) for pid in children if _is_podman_run(pid))


def _is_podman_run(pid: str) -> bool:
    words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    return words[:2] == [b"podman", b"run"]


def _monitor(run: subprocess.Popen[str], name: str) -> int:
    return monitor(name)


def _container(run: subprocess.Popen[str], name: str) -> int:
    return int(inspected(name)["State"]["Pid"])


Victim = Callable[[subprocess.Popen[str], str], int]
VICTIMS: list[Victim] = [_client, _engine, _monitor, _container]


def _in_order(cli: Cli) -> None:
    """Terraform finished what it had begun, and its state was sealed."""
    state = unseal(cli.instance("demo") / "terraform.tfstate.sops")
    assert {r["name"] for r in state["resources"]} == {"ip", "machine"}
    assert not (cli.instance("demo") / ".lock").exists()


def _nothing_left(cli: Cli, tmp_path: Path) -> None:
    waited_for(lambda: mine(cli) == [], seconds=30)
    assert holding(CANARY, tmp_path, Path(os.environ["XDG_RUNTIME_DIR"])) == []
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(cli.root) not in mounts


def _goes_on(cli: Cli) -> None:
    """The next run takes over from what is known, and a teardown leaves nothing."""
    again = cli("spawn", "--name", "demo", "--timeout", "1", "--container")
    assert again.code == 8, again  # nothing listens at this recipe's endpoint
    down = cli("teardown", "--name", "demo", "--yes", "--container")
    assert down.code == 0, down


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(slow: Cli, tmp_path: Path, number: signal.Signals) -> None:
    run, name = _spawn(slow)
    os.killpg(run.pid, number)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, ""), err
    assert "terraform is asked to stop" in err and f"{name} is gone" in err
    assert mine(slow) == []
    _in_order(slow)
    _nothing_left(slow, tmp_path)


def test_the_engines_stop_ends_it_in_order(slow: Cli, tmp_path: Path) -> None:
    run, name = _spawn(slow)
    boxes.podman("stop", name)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "error: spawn was interrupted" in err
    _in_order(slow)
    _nothing_left(slow, tmp_path)


def test_a_lost_terminal_stops_nothing(slow: Cli) -> None:
    run, _ = _spawn(slow)
    os.killpg(run.pid, signal.SIGHUP)
    _, err = run.communicate(timeout=90)
    assert run.returncode == 8, err


@pytest.mark.parametrize("victim", VICTIMS[:2])
def test_a_client_that_is_killed_takes_its_container_along(
    slow: Cli, tmp_path: Path, victim: Victim
) -> None:
    run, name = _spawn(slow)
    os.kill(victim(run, name), signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode in (-9, 1)
    _nothing_left(slow, tmp_path)
    _in_order(slow)
    _goes_on(slow)


def test_a_monitor_that_is_killed_leaves_no_container(slow: Cli, tmp_path: Path) -> None:
    run, name = _spawn(slow)
    os.kill(monitor(name), signal.SIGKILL)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 1, err
    assert "has lost sight of the container" in err and f"{name} is gone" in err
    assert mine(slow) == []
    _in_order(slow)
    _nothing_left(slow, tmp_path)


def test_a_container_that_is_killed_is_told(slow: Cli, tmp_path: Path) -> None:
    run, name = _spawn(slow)
    time.sleep(1)  # its state is sealed as soon as Terraform has written it
    boxes.podman("kill", name)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1, err
    assert "error: the container was killed" in err
    assert "hint: invoke spawn --name demo --container   goes on from here" in err
    _nothing_left(slow, tmp_path)
    journal = (slow.instance("demo") / "journal.jsonl").read_text()
    assert '"address": "module.provider.terraform_data.ip"' in journal


def test_what_two_kills_leave_is_found_by_clean(slow: Cli) -> None:
    """Nobody is left to remove the container: neither barehub nor the engine's monitor."""
    run, name = _spawn(slow)
    watcher = monitor(name)
    inside = _container(run, name)
    os.kill(run.pid, signal.SIGKILL)
    os.kill(watcher, signal.SIGKILL)
    run.communicate(timeout=60)
    assert ended(inside, seconds=30)  # what it held is gone in any case
    waited_for(lambda: not Lock(slow.instance("demo") / ".lock").held())
    cleaned = slow("clean")
    assert cleaned.code == 0, cleaned
    if f"removed the container {name}" not in cleaned.err:
        assert mine(slow) == [], cleaned  # podman's own client saw it and was quicker


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_at_any_moment_leaves_nothing_behind(
    slow: Cli, tmp_path: Path, victim: Victim
) -> None:
    seed = random.randrange(2**32)
    delay = random.Random(seed).uniform(0, 5)
    print(f"seed {seed}: {victim.__name__} is killed after {delay:.3f} s")
    run = slow.start("spawn", "--name", "demo", "--timeout", "1", "--container")
    name = running(slow)
    time.sleep(delay)
    try:
        os.kill(victim(run, name), signal.SIGKILL)
    except (OSError, AssertionError, ValueError, StopIteration, KeyError):
        print("it was over before")
    _, err = run.communicate(timeout=120)
    waited_for(lambda: not Lock(slow.instance("demo") / ".lock").held())
    assert "Traceback" not in err, err
    assert CANARY not in err
    cleaned = slow("clean")
    assert cleaned.code == 0, cleaned
    _nothing_left(slow, tmp_path)
    known = _known(slow)
    made = _made(slow)
    assert made <= known, f"neither the state nor an error tells of {made - known}"


def _made(cli: Cli) -> set[str]:
    journal = cli.instance("demo") / "journal.jsonl"
    events = (
        [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    )
    return {e["address"] for e in events if e["event"] == "resource-done"}


def _known(cli: Cli) -> set[str]:
    """What the next run knows of, or names in its refusal to go on."""
    spawn = ("spawn", "--name", "demo", "--timeout", "1")
    again = cli(*spawn)
    if "hint: invoke spawn --name demo --recover" in again.err:  # something is half made
        assert again.code == 1 and "module." in again.err, again
        again = cli(*spawn, "--recover")
    assert again.code in (5, 8), again
    if again.code == 8:
        return _made(cli)
    assert "were made and not destroyed" in again.err, again
    return {word for word in again.err.split() if word.startswith("module.")}
