"""How long a program is waited for, on an idle machine and on a busy one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from barehub import conversation, patience, process
from barehub.errors import ToolError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has used")


@pytest.fixture
def busy() -> Iterator[None]:
    """A machine with four times as much to do as it has processors."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def test_a_program_that_hangs_is_ended_with_a_word_on_the_machine() -> None:
    with pytest.raises(ToolError, match=r"sleep did not end within \d+ s \(load [\d.]+ on \d+ c"):
        process.run(["sleep", "600"], timeout=0.2)


@LINUX
def test_a_busy_machine_is_given_longer(busy: None) -> None:
    one = patience.Patience(0.2)
    while not one.over():
        pass
    assert one._factor >= 2


@LINUX
def test_what_computes_is_given_longer_than_what_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_load", lambda: 0.0)
    script = (
        "import sys, time\nwhile not sys.stdin.read(1): pass\nwhile time.process_time() < 2: pass"
    )
    done = process.run([sys.executable, "-c", script], timeout=0.1, input=b"x")
    assert done.code == 0, "it was taken for one that hangs"


def test_a_program_that_is_stopped_for_a_while_is_waited_for(tmp_path: Path) -> None:
    script = "echo $$ > pid; until test -e go; do sleep 0.05; done; cat"
    pid, found = tmp_path / "pid", []

    def stop_and_go() -> None:
        while not (pid.exists() and pid.read_text().endswith("\n")):
            pass
        found.append(int(pid.read_text()))
        os.kill(found[0], signal.SIGSTOP)
        (tmp_path / "go").touch()
        threading.Event().wait(3)
        os.kill(found[0], signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    done = process.run(["sh", "-c", script], cwd=tmp_path, input=b"in" * 200_000)
    thread.join()
    assert (done.code, done.stdout) == (0, b"in" * 200_000)


def test_a_long_wait_shows_a_sign_of_life(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MOMENT_SECONDS", 0.1)
    monkeypatch.setattr("barehub.console.QUIET_SECONDS", 0.2)
    process.run(["sleep", "1"])
    assert "waiting for sleep" in capsys.readouterr().err
