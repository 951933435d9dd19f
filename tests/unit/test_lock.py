"""The lock, between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from barehub.lock import Holder, Lock

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
