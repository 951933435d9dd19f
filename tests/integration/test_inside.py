"""What runs first in a container: here without one, as a process that a pipe talks to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from barehub.inside import Letter
from tests.canary import processes_holding

ROOT = Path(__file__).resolve().parents[2]

CANARY = "CANARY-inside-identity"

TASKS = """
import os, signal, sys, time
from pathlib import Path
from invoke.tasks import task

@task
def tell(c, code=0):
    key = os.environ.get("SOPS_AGE_KEY", "")
    ssh = os.environ.get("SOPS_AGE_SSH_PRIVATE_KEY_FILE")
    print("age", len(key), "ssh", len(open(ssh).read()) if ssh else 0)
    print("terminals", sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty())
    print("color", os.environ.get("COLOR"), "read", repr(sys.stdin.read()))
    sys.exit(code)

@task
def wait(c):
    def end(number, frame):
        print("signal", number, flush=True)
        sys.exit(130)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if os.fork() == 0:
        os._exit(0)  # an orphan that somebody has to collect
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def _start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "barehub.inside", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SOPS_AGE_KEY": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _letter(**what: str) -> bytes:
    return Letter({"COLOR": "green"}, [True, False, True], **what).line()


def _say(child: subprocess.Popen[bytes], **message: object) -> None:
    assert child.stdin
    child.stdin.write(json.dumps(message).encode() + b"\n")
    child.stdin.flush()


def test_the_command_gets_the_identity_and_what_is_typed(folder: Path) -> None:
    child = _start(folder, "tell", "--code", "6")
    assert child.stdin
    child.stdin.write(_letter(age=CANARY, ssh="an SSH key"))
    _say(child, input="déjà \udcff")
    _say(child, input="vu\n")
    _say(child, input="")
    # its standard input stays open: it ends all the same
    assert child.stdout and child.stderr
    out = child.stdout.read().decode("utf-8", "surrogateescape")
    assert child.wait(timeout=30) == 6, child.stderr.read()
    assert f"age {len(CANARY)} ssh 10" in out
    assert "terminals True False True" in out
    assert "color green" in out and "vu\\n" in out
    assert processes_holding(CANARY) == []


def test_much_that_nobody_reads_keeps_no_signal_waiting(folder: Path) -> None:
    child = _start(folder, "wait")
    assert child.stdin and child.stdout
    child.stdin.write(_letter())
    child.stdin.flush()
    assert child.stdout.readline() == b"ready\n"
    for _ in range(4):
        _say(child, input="x" * 60_000)
    _say(child, signal=int(signal.SIGINT))
    assert child.stdout.readline() == b"signal 2\n"
    assert child.wait(timeout=30) == 130


def test_the_end_of_its_input_ends_the_command_in_order(folder: Path) -> None:
    child = _start(folder, "wait")
    assert child.stdin and child.stdout
    child.stdin.write(_letter())
    child.stdin.flush()
    assert child.stdout.readline() == b"ready\n"
    child.stdin.close()
    assert child.stdout.readline() == b"signal 15\n"
    assert child.wait(timeout=30) == 130


def test_a_signal_of_the_engine_reaches_the_command(folder: Path) -> None:
    child = _start(folder, "wait")
    assert child.stdin and child.stdout
    child.stdin.write(_letter())
    child.stdin.flush()
    assert child.stdout.readline() == b"ready\n"
    child.terminate()
    assert child.stdout.readline() == b"signal 15\n"
    assert child.wait(timeout=30) == 130


def test_without_a_letter_nothing_runs(folder: Path) -> None:
    child = _start(folder, "tell")
    started = time.monotonic()
    out, err = child.communicate(timeout=30)
    assert child.returncode == 143 or b"nobody told this container" in err, (out, err)
    assert child.returncode != 0
    assert out == b"" and time.monotonic() - started < 20
