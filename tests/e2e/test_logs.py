"""`invoke logs --follow`: of a hub on this machine, and of one behind a real sshd.

No cluster is here: kubectl is played by a program that prints a file as it grows and, like kubectl,
does not see that nobody reads it as long as it has nothing to print.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import processes_holding

from .terminal import Terminal
from .working_hub import Hub, hub

__all__ = ["hub"]

KUBECTL = """#!/bin/sh
case $1 in get) echo binderhub; exit ;; esac
shown=0
while :; do
    now=$(wc -l < LOG)
    [ "$now" -eq "$shown" ] || tail -n +$((shown + 1)) LOG | head -n $((now - shown))
    shown=$now
    sleep 0.1
done
"""

FOLLOW = ("logs", "--name", "demo", "--follow")


@pytest.fixture(params=["here", "there"])
def log(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> Iterator[Path]:
    """The log of a hub that is up, with one line in it."""
    if request.param == "here":
        hub.edit(
            f'output "ssh_port" {{ value = {hub.sshd.port} }}\n', "", "modules/provider/main.tf"
        )
    hub.spawn()
    log = hub.folder / "hub" / "hub.log"
    log.parent.mkdir()
    log.write_text("line 1\n")
    (tmp_path / "programs" / "kubectl").write_text(KUBECTL.replace("LOG", str(log)))
    yield log
    # what sshd starts has this in its PATH; ssh itself is told where the known hosts are
    marks = [str(tmp_path / "programs"), str(hub.folder / "known_hosts")]
    deadline = time.monotonic() + 20
    while left := [pid for mark in marks for pid in processes_holding(mark)]:
        assert time.monotonic() < deadline, [
            Path("/proc", pid, "cmdline").read_bytes() for pid in left
        ]
        time.sleep(0.1)


def _append(log: Path) -> None:
    """Another process writes on."""
    writing = "for n in 2 3 4; do sleep 0.1; echo line $n; done"
    subprocess.run(f"({writing}) >> {shlex.quote(str(log))}", shell=True, check=True)


def _read(run: subprocess.Popen[str], lines: int) -> list[str]:
    assert run.stdout
    return [run.stdout.readline() for _ in range(lines)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_until_it_is_interrupted(hub: Hub, log: Path, number: signal.Signals) -> None:
    run = hub.cli.start(*FOLLOW)
    assert _read(run, 1) == ["line 1\n"]
    _append(log)
    assert _read(run, 3) == ["line 2\n", "line 3\n", "line 4\n"]
    os.kill(run.pid, number)
    out, err = run.communicate(timeout=30)
    killed = number == signal.SIGKILL
    assert (run.returncode, out) == (-9 if killed else 130, ""), err
    assert err == ("" if killed else "error: interrupted\n")


def test_it_ends_when_nobody_reads_it(hub: Hub, log: Path) -> None:
    line = f"{shlex.join(hub.cli.argv(*FOLLOW))} | head -n 1"
    done = subprocess.run(
        line, shell=True, env=hub.cli.env, cwd=hub.cli.root, capture_output=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"line 1\n", b""), done


def test_ctrl_c_on_a_terminal_ends_it(hub: Hub, log: Path) -> None:
    terminal = Terminal(hub.cli, *FOLLOW)
    terminal.expect("line 1")
    _append(log)
    terminal.expect("line 4")
    terminal.type("\x03")
    assert terminal.end() == 130, terminal.text


def test_a_lost_terminal_ends_it(hub: Hub, log: Path) -> None:
    terminal = Terminal(hub.cli, *FOLLOW)
    terminal.expect("line 1")
    terminal.hang_up()
    assert terminal.child.wait(timeout=30) != 0
