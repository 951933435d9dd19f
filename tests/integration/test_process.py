"""Children, their environment, private input and signals, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from barehub import process
from barehub.errors import ToolError


def test_a_child_gets_neither_identities_nor_what_changes_terraform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "TF_CLI_ARGS_plan", "TF_WORKSPACE", "TF_LOG"):
        monkeypatch.setenv(name, "CANARY-env")
    monkeypatch.setenv("HARMLESS", "1")
    said = process.run(["env"]).text
    assert "CANARY" not in said
    assert "HARMLESS=1" in said
    assert process.scrubbed_names() == ["TF_CLI_ARGS_plan", "TF_LOG", "TF_WORKSPACE"]


def test_what_a_child_writes_is_its_owners_alone(tmp_path: Path) -> None:
    process.run(["touch", tmp_path / "file"])
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_missing_program_is_a_tool_error() -> None:
    with pytest.raises(ToolError, match="no-such-program was not found"):
        process.run(["no-such-program"])


def test_a_hanging_program_is_ended() -> None:
    with pytest.raises(ToolError, match=r"sleep did not end within \d+ s \(load"):
        process.run(["sleep", "60"], timeout=0.2)


def test_a_private_file_can_be_read_again_and_again_and_has_no_name(tmp_path: Path) -> None:
    with process.private_file(b"CANARY-private" * 10_000, tmp_path) as private:
        twice = process.run(["cat", private.path, private.path], pass_fds=private.fds)
        if sys.platform == "linux":
            assert list(tmp_path.iterdir()) == []
    assert twice.stdout == b"CANARY-private" * 20_000
    assert list(tmp_path.iterdir()) == []


RUN = """
import subprocess, sys, time
from barehub import process
from barehub.errors import Interrupted

interruptions = process.Interruptions()
with interruptions.installed():
    child = process.start(
        [sys.executable, "-c", CHILD], env=process.environment(), output=open(sys.argv[1], "wb")
    )
    try:
        with interruptions.held(), interruptions.guarding(child):
            while child.poll() is None:
                if b"ready" in open(sys.argv[1], "rb").read():
                    print("ready", flush=True)
                time.sleep(0.05)
        interruptions.check()
        print("code", child.returncode)
    except Interrupted as error:
        print("interrupted", child.returncode)
        sys.exit(error.code)
"""

CHILD = """
import signal, sys, time
count = 0
def handle(number, frame):
    global count
    count += 1
signal.signal(signal.SIGINT, handle)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
print("ready", flush=True)
deadline = time.monotonic() + 1.0
while time.monotonic() < deadline:
    time.sleep(0.05)
print("signals", count)
sys.exit(count)
"""


def _interrupted_run(output: Path, signals: list[signal.Signals]) -> tuple[int, str, str]:
    program = textwrap.dedent(RUN).replace("CHILD", repr(CHILD))
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(output)], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout
    assert run.stdout.readline() == "ready\n"
    for number in signals:
        os.kill(run.pid, number)
        signal.sigtimedwait([], 0.1)
    said, _ = run.communicate(timeout=30)
    return run.returncode, said.splitlines()[-1], output.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_reaches_the_child_once_and_ends_the_run(
    tmp_path: Path, number: signal.Signals
) -> None:
    code, said, child = _interrupted_run(tmp_path / "out", [number])
    assert (code, said) == (130, "interrupted 1")
    assert "signals 1" in child


def test_a_second_signal_does_not_make_the_child_abandon_its_work(tmp_path: Path) -> None:
    code, _, child = _interrupted_run(tmp_path / "out", [signal.SIGINT, signal.SIGINT])
    assert code == 130
    assert "signals 1" in child


def test_a_lost_terminal_interrupts_nothing(tmp_path: Path) -> None:
    code, said, child = _interrupted_run(tmp_path / "out", [signal.SIGHUP])
    assert (code, said) == (0, "code 0")
    assert "signals 0" in child
