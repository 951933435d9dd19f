"""The lock, between real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from barehub.lock import Holder, Lock, started_at

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who has a lock")

HOLD = """
import sys, pathlib
from barehub.lock import Holder, Lock
lock = Lock(pathlib.Path(sys.argv[1]))
assert lock.acquire(Holder.me("spawn")) is None
print("held", flush=True)
sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = _holder(path)
    lock = Lock(path)
    try:
        holder = lock.acquire(Holder.me("teardown"))
        assert holder is not None
        assert holder.pid == child.pid
        assert "'spawn'" in str(holder)
        assert lock.held()
    finally:
        child.kill()
        child.communicate()


def test_the_death_of_the_holder_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = _holder(path)
    child.kill()
    child.communicate()
    lock = Lock(path)
    assert not lock.held()
    assert lock.acquire(Holder.me("teardown")) is None
    lock.release(remove=True)
    assert not path.exists()


def test_a_child_that_inherits_it_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock(path)
    assert lock.acquire(Holder.me("spawn")) is None
    orphan = subprocess.Popen(["sleep", "60"], pass_fds=lock.fds)
    try:
        os.close(lock.fds[0])  # what our death does
        assert Lock(path).held()
    finally:
        orphan.kill()
        orphan.wait()
    assert not Lock(path).held()


def test_a_lock_that_was_removed_meanwhile_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock(path)
    assert first.acquire(Holder.me("one")) is None
    path.unlink()
    second = Lock(path)
    assert second.acquire(Holder.me("two")) is None
    assert path.exists()
    first.release()
    assert second.held()
    second.release(remove=True)


SURVIVE = """
import os, subprocess, sys, pathlib
from barehub.lock import Holder, Lock
lock = Lock(pathlib.Path(sys.argv[1]))
assert lock.acquire(Holder.me("spawn")) is None
child = subprocess.Popen([sys.argv[2], "1000"], pass_fds=lock.fds, start_new_session=True)
print(child.pid, flush=True)
sys.stdin.read()
"""


def _survivor(path: Path, program: Path) -> tuple[subprocess.Popen[str], int]:
    """A holder that was killed, and is not collected, and a program that inherited its lock."""
    shutil.copy("/bin/sleep", program)
    child = subprocess.Popen(
        [sys.executable, "-c", SURVIVE, str(path), str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    pid = int(child.stdout.readline())
    child.kill()
    while started_at(child.pid):
        time.sleep(0.01)
    return child, pid


@LINUX
def test_it_is_taken_over_from_what_merely_outlives_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child, pid = _survivor(path, tmp_path / "server")
    lock = Lock(path)
    assert lock.keepers() == [(pid, "server")]
    assert not lock.held()
    me = Holder.me("teardown")
    assert lock.acquire(me, create=False) is None
    assert (lock.survivors, lock.holder()) == ([pid], me)
    assert Lock(path).acquire(Holder.me("plan")) == me, "two have it"
    assert started_at(pid), "it is not ours to end"
    lock.release(remove=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["server"]
    os.kill(pid, 9)
    child.communicate()


@LINUX
@pytest.mark.parametrize("name", ["terraform", "tofu", "terraform_1.9.0"])
def test_it_is_never_taken_over_from_terraform(tmp_path: Path, name: str) -> None:
    path = tmp_path / "lock"
    child, pid = _survivor(path, tmp_path / name)
    lock = Lock(path)
    assert lock.held()
    holder = lock.acquire(Holder.me("teardown"))
    assert holder and holder.pid == child.pid and not holder.alive
    os.kill(pid, 9)
    child.communicate()
    assert lock.acquire(Holder.me("teardown")) is None
    lock.release()


@LINUX
def test_nor_from_whom_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child, pid = _survivor(path, tmp_path / "server")
    for text in ("", "{}", '{"user": "u", "host": "another", "pid": 7}'):
        path.write_text(text)
        assert Lock(path).held() and Lock(path).acquire(Holder.me("plan")) is not None
    os.kill(pid, 9)
    child.communicate()


@LINUX
def test_a_number_that_is_used_again_is_not_the_holder() -> None:
    me = Holder.me("spawn")
    assert me.alive and replace(me, started=0).alive
    assert not replace(me, started=me.started + 1).alive
