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
from .working_hub import CANARY, Hub, hub

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


ATTACK = (
    b"\x1b]0;title\x07 \x1b[31mred\x1b[0m \xe2\x80\xae \xff ##[error]x\r\n"
    b"  ::set-output name=x::y\n"
    b"CANARY-\x1b[1mday-two-token\n"
)


def _write(log: Path, content: bytes) -> None:
    with log.open("ab") as file:
        file.write(content)


def test_it_shows_no_secret_and_nothing_that_is_obeyed(hub: Hub, log: Path) -> None:
    hub.cli.env["GITHUB_ACTIONS"] = "true"
    run = hub.cli.start(*FOLLOW)
    assert _read(run, 1) == ["line 1\n"]
    _write(log, ATTACK)
    assert _read(run, 3) == [
        "\\u001b]0;title\\u0007 red \\u202e \\xff #\\u0023[error]x\n",
        "  \\u003a:set-output name=x::y\n",
        "***\n",
    ]
    _write(log, f"a token: {CANARY[:11]}".encode())
    time.sleep(1)  # what was written so far is read by itself
    _write(log, f"{CANARY[11:]}, {CANARY.encode().hex()}\n".encode())
    assert _read(run, 1) == ["a token: ***, ***\n"]
    run.terminate()
    out, err = run.communicate(timeout=30)
    masked = f"::add-mask::{CANARY}\n"
    assert masked in err and CANARY not in out + err.replace(masked, "")


def test_it_goes_on_without_the_vault_and_says_once_what_that_means(hub: Hub, log: Path) -> None:
    hub.cli.env["BAREHUB_SSH_KEY"] = str(hub.key)
    (hub.cli.root / "secrets" / "shared.yaml").write_text("no: vault\n")
    (hub.cli.root / "secrets" / "demo.yaml").write_text("no: vault\n")
    _write(log, ATTACK[: ATTACK.index(b"CANARY")])
    shown = hub.cli("logs", "--name", "demo") if _is_here(hub) else None
    run = hub.cli.start(*FOLLOW)
    assert _read(run, 2)[1].startswith("\\u001b]0;title")
    run.terminate()
    _, err = run.communicate(timeout=30)
    for said in (err, *([shown.err] if shown else [])):
        assert said.count("warning: values of the vault are not hidden: ") == 1, said


def _is_here(hub: Hub) -> bool:
    return "ssh_port" not in (hub.folder / "modules" / "provider" / "main.tf").read_text()


def test_what_goes_wrong_there_is_fit_to_be_shown(hub: Hub, log: Path, tmp_path: Path) -> None:
    if _is_here(hub):
        pytest.skip("a log on this machine is read by no other program")
    kubectl = tmp_path / "programs" / "kubectl"
    kubectl.write_text(
        f"#!/bin/sh\nprintf '\\033]0;t\\007 error: {CANARY} ##[error]x\\n' >&2\nexit 3\n"
    )
    hub.cli.env["TF_BUILD"] = "true"
    done = hub.cli("logs", "--name", "demo")
    assert (done.code, done.out) == (3, ""), done
    assert done.err == "\\u001b]0;t\\u0007 error: *** #\\u0023[error]x\n"
