"""A closed lid: the machine is kept awake while Terraform works, and one that slept all the same
finds its run as it was.

No logind runs here, so `systemd-inhibit` is played by a script that does as its manual says: it
runs a command, holds its lock as long as that runs (here: a file that names who has it), and ends
with its exit code. Sleep is played by SIGSTOP to every process of the run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from barehub.lock import Lock

from . import slow_cloud
from .conftest import Cli

pytestmark = pytest.mark.cloud  # minutes, together

INHIBIT = """#!/bin/sh
echo "$@" >> FOLDER/asked
while case $1 in --*) true ;; *) false ;; esac; do shift; done
echo $$ > FOLDER/held
"$@"
code=$?
rm FOLDER/held
exit $code
"""

SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
HELD = "until test -e ${path.root}/go; do sleep 0.1; done"


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"), HELD)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-awake-token").code == 0
    return cli


@pytest.fixture
def inhibitor(ready: Cli, tmp_path: Path) -> Path:
    """A folder that says whether the machine is kept awake."""
    folder = tmp_path / "logind"
    folder.mkdir()
    program = folder / "systemd-inhibit"
    program.write_text(INHIBIT.replace("FOLDER", str(folder)))
    program.chmod(0o755)
    ready.env["PATH"] = f"{folder}{os.pathsep}{ready.env['PATH']}"
    return folder


def _wait(until: Callable[[], bool], run: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline and (run is None or run.poll() is None)
        time.sleep(0.05)


def _applying(cli: Cli, *args: str) -> subprocess.Popen[str]:
    """A spawn whose machine is being made until there is a file `go`."""
    run = cli.start(*SPAWN, *args)
    _wait((cli.instance("demo") / "log").exists, run)
    return run


def _ended(pid: int) -> bool:
    return not Path("/proc", str(pid)).exists()


def test_the_machine_is_kept_awake_as_long_as_terraform_works(ready: Cli, inhibitor: Path) -> None:
    run = _applying(ready)
    _wait((inhibitor / "held").exists, run)
    asked = (inhibitor / "asked").read_text()
    assert asked.startswith("--what=sleep:handle-lid-switch --mode=block --who=barehub"), asked
    assert "terraform works on demo" in asked
    holder = int((inhibitor / "held").read_text())
    (ready.instance("demo") / "go").touch()
    _, err = run.communicate(timeout=90)
    assert run.returncode == 8, err  # nothing listens at this recipe's endpoint
    assert _ended(holder)
    assert len((inhibitor / "asked").read_text().splitlines()) == 3  # one for each stage


def test_it_outlives_barehub_and_not_terraform(ready: Cli, inhibitor: Path) -> None:
    run = _applying(ready)
    _wait((inhibitor / "held").exists, run)
    holder = int((inhibitor / "held").read_text())
    run.kill()
    run.communicate(timeout=20)
    time.sleep(0.5)
    assert (inhibitor / "held").exists() and not _ended(holder)
    (ready.instance("demo") / "go").touch()
    _wait(lambda: not Lock(ready.instance("demo") / ".lock").held())
    _wait(lambda: not (inhibitor / "held").exists() and _ended(holder))


@pytest.mark.parametrize("inhibitor_says", ["exit 1", "exec sleep 600", None])
def test_without_one_a_run_is_as_ever(
    ready: Cli, inhibitor: Path, inhibitor_says: str | None
) -> None:
    """It refuses, it hangs, or it is nothing that can be run."""
    (ready.instance("demo") / "go").touch()
    program = inhibitor / "systemd-inhibit"
    program.write_text(f"#!/bin/sh\necho no >&2\n{inhibitor_says}\n" if inhibitor_says else "")
    done = ready(*SPAWN)
    assert done.code == 8, done
    assert (
        "inhibit" not in done.err and (ready.instance("demo") / "log").read_text().count("\n") == 3
    )


def _processes(pid: int) -> list[int]:
    """A process and all below it."""
    told = [path.read_text() for path in Path("/proc", str(pid), "task").glob("*/children")]
    children = [int(child) for line in told for child in line.split()]
    return [pid, *(below for child in children for below in _processes(child))]


def test_a_run_that_was_asleep_goes_on(ready: Cli) -> None:
    """Longer than a stage may take, and than another command waits before it sweeps."""
    folder = ready.instance("demo")
    run = _applying(ready, "--stage-timeout", "12")
    asleep = _processes(run.pid)
    assert len(asleep) > 3  # terraform, its shell
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    told = ready(*SPAWN)
    assert told.code == 1 and f"process {run.pid}" in told.err, told
    assert ready("clean").code == 0
    assert '"busy"' in ready("list", "--json").out
    time.sleep(max(0.0, began + 14 - time.monotonic()))
    for pid in reversed(asleep):
        os.kill(pid, signal.SIGCONT)
    (folder / "go").touch()
    _, err = run.communicate(timeout=90)
    assert run.returncode == 8, err
    assert "have gone by" not in err and "did not end within" not in err
    assert (folder / "log").read_text() == "provider\ndns\nbinderhub\n"
    assert "nothing to change" in ready(*SPAWN).err
