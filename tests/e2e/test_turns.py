"""One at a time: who has an instance, waiting for it, and unlocking it.

Another machine is played by a process that holds the real lock and says another host's name.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from barehub.lock import Holder, Lock

from . import slow_cloud
from .conftest import ROOT, Cli
from .terminal import Terminal

CANARY = "CANARY-turns-token"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")

ELSEWHERE = """
import sys, pathlib
from barehub.lock import Holder, Lock
lock = Lock(pathlib.Path(sys.argv[1]))
assert lock.acquire(Holder("alice", "another-host", 7, 1700000000.0, "spawn")) is None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"), "sleep 6")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    return cli


@pytest.fixture
def elsewhere(ready: Cli) -> Iterator[Path]:
    lock = ready.instance("demo") / ".lock"
    child = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    yield lock
    child.kill()
    child.communicate()


def _at_work(cli: Cli, *args: str) -> subprocess.Popen[str]:
    run = cli.start(*SPAWN, *args)
    deadline = time.monotonic() + 60
    while not (cli.instance("demo") / "log").exists():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return run


def test_a_second_run_waits_and_says_for_whom(ready: Cli) -> None:
    first = _at_work(ready)
    second = ready(*SPAWN, "--wait")
    first.communicate(timeout=60)
    assert first.returncode == 8
    assert second.code == 8, second
    waited = rf"lock +waiting for 'spawn' of \S+ \(process {first.pid}, since [\d:]+\)"
    assert re.search(waited, second.err), second
    assert "nothing to change" in second.err
    assert (ready.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"


def test_waiting_can_be_interrupted(ready: Cli) -> None:
    first = _at_work(ready)
    second = ready.start(*SPAWN, "--wait")
    assert second.stderr
    while "waiting for" not in (line := second.stderr.readline()):
        assert line, second.wait()
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=20)
    assert second.returncode == 130, err
    assert first.poll() is None, "the one that is at work was disturbed"
    first.communicate(timeout=60)
    assert first.returncode == 8


def test_who_is_told_to_wait_is_told_how_with_the_command_that_they_typed(ready: Cli) -> None:
    lock = Lock(ready.instance("demo") / ".lock")
    assert lock.acquire(Holder.me("spawn")) is None
    told = ready("plan", "--name", "demo")
    assert told.code == 1 and "hint: invoke plan --name demo --wait\n" in told.err, told
    by_hand = ready("terraform", "--name", "demo", "--", "state", "list")
    assert by_hand.code == 1 and "--wait" not in by_hand.err, by_hand  # it has no such option
    lock.release(remove=True)


def test_unlock_never_takes_a_lock_from_the_living(ready: Cli) -> None:
    assert "nobody has demo" in ready("unlock", "--name", "demo").err
    run = _at_work(ready)
    refused = ready("unlock", "--name", "demo", "--yes")
    assert refused.code == 1, refused
    assert f"process {run.pid}" in refused.err
    assert f"hint: kill -INT {run.pid}" in refused.err
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=20)
    orphan = ready("unlock", "--name", "demo", "--yes")  # terraform holds the lock on
    assert orphan.code == 1, orphan
    assert "is still at work: terraform (process" in orphan.err
    assert (ready.instance("demo") / ".lock").exists()


def test_a_lock_of_another_machine_is_shown_and_asked_about(ready: Cli, elsewhere: Path) -> None:
    busy = ready(*SPAWN)
    assert busy.code == 1, busy
    told = "'spawn' of alice@another-host (process 7, since 2023-11-14"
    assert told in busy.err
    assert "if another-host is dead: invoke unlock --name demo" in busy.err
    unasked = ready("unlock", "--name", "demo")
    assert unasked.code == 1 and "invoke unlock --name demo --yes" in unasked.err, unasked
    assert elsewhere.exists()
    terminal = Terminal(ready, "unlock", "--name", "demo")
    terminal.expect("if nothing is at work on another-host any more, type demo")
    assert told in terminal.text
    terminal.type("demo\n")
    assert terminal.end() == 0, terminal.text
    assert ready(*SPAWN).code == 8
    assert '"event": "unlocked"' in (ready.instance("demo") / "journal.jsonl").read_text()
