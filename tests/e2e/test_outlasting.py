"""The command after a killed one: it waits for Terraform that works on, and for nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from barehub.lock import Lock
from tests.processes import descendants, ended, named, until

from .conftest import Cli
from .team import SPAWN, at_work, go_on, log, make

CANARY = "CANARY-outlasting-token"
MACHINE = "module.provider.terraform_data.machine"
DAEMON = "echo $$ > ${path.root}/pid; exec sleep 1000"
"""What a provisioner leaves running; a shell closes no descriptor, so it inherits the locks."""


def _waiting_for(terraform: int) -> str:
    return f"left at work: terraform (process {terraform}, since "


@pytest.fixture
def ready(cli: Cli) -> Cli:
    make(cli, CANARY, {})
    return cli


@pytest.fixture
def orphan(ready: Cli) -> Iterator[int]:
    """The Terraform that a killed barehub left at work, until :func:`go_on`."""
    run = at_work(ready)
    terraform = _terraform(run.pid)
    run.kill()
    # not collected yet: a zombie is dead, and must not be taken for a run that lives
    yield terraform
    go_on(ready)
    run.communicate()
    assert ended(terraform, 60)


def _terraform(parent: int) -> int:
    (pid,) = (pid for pid in descendants(parent) if named(pid) in ("terraform", "tofu"))
    return pid


def _provisioners(terraform: int) -> list[int]:
    found = descendants(terraform)
    assert found
    return found


@pytest.mark.parametrize(
    "args",
    [
        ("spawn", "--name", "demo", "--timeout", "1", "--recover"),
        ("teardown", "--name", "demo", "--yes"),
        ("plan", "--name", "demo"),
        ("check", "--name", "demo"),
        ("status", "--name", "demo"),
        ("terraform", "--name", "demo", "--", "state", "list"),
        ("forget", "--name", "demo", "--address", MACHINE),
        ("clean",),
    ],
    ids=lambda args: args[0],
)
def test_it_waits_for_terraform_and_says_for_what(
    ready: Cli, orphan: int, args: tuple[str, ...]
) -> None:
    run = ready.start(*args)
    said = until(run, _waiting_for(orphan))
    assert "apply of stage provider of demo" in said
    assert "'spawn' of" in said
    assert run.poll() is None and not ended(orphan, 0.1), "it did not wait"
    go_on(ready)
    out, err = run.communicate(timeout=90)
    code = {"spawn": 8, "forget": 1}.get(args[0], 0)  # nothing to forget: it was made
    assert run.returncode == code, (said, out, err)
    assert "what the killed run left at work has ended" in err
    assert ended(orphan)
    if args[0] == "spawn":
        assert log(ready) == ["provider", "dns", "binderhub"], "something was made twice"
    if args[0] == "status":
        assert "drift" in out and "in use" not in out


@pytest.mark.parametrize(
    "args",
    [
        ("spawn", "--name", "demo"),
        ("plan", "--name", "demo"),
        ("forget", "--name", "demo", "--address", MACHINE),
        ("clean",),
    ],
    ids=lambda args: args[0],
)
def test_a_script_need_not_wait(ready: Cli, orphan: int, args: tuple[str, ...]) -> None:
    told = ready(*args, "--no-wait")
    assert told.code == (0 if args == ("clean",) else 1), told
    assert "still at work" in told.err
    assert not ended(orphan, 0.1)
    if args != ("clean",):
        assert f"hint: kill -INT {orphan} " in told.err


def test_to_wait_and_not_to_wait_is_nothing(ready: Cli) -> None:
    told = ready("plan", "--name", "demo", "--wait", "--no-wait")
    assert told.code == 1 and "--wait and --no-wait contradict one another" in told.err


def test_waiting_ends_with_an_interrupt_and_terraform_does_not(ready: Cli, orphan: int) -> None:
    run = ready.start("plan", "--name", "demo")
    until(run, _waiting_for(orphan))
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert not ended(orphan, 0.1)


def test_a_living_run_is_not_waited_for_unasked(ready: Cli) -> None:
    run = at_work(ready)
    told = ready("plan", "--name", "demo")
    assert told.code == 1 and f"(process {run.pid}, since" in told.err, told
    go_on(ready)
    run.communicate(timeout=60)


def _with_a_daemon(cli: Cli) -> Callable[[], int]:
    """Have the provider leave a server running, in a session of its own; its number, once it is."""
    recipe = cli.instance("demo") / "modules" / "provider" / "main.tf"
    script = f"setsid sh -c '{DAEMON}' > /dev/null 2>&1 &"
    text = 'resource "terraform_data" "server" {\n  provisioner "local-exec" {\n'
    text += f'    command = "{script}"\n  }}\n}}\n'
    text += recipe.read_text().replace(
        'resource "terraform_data" "machine" {',
        'resource "terraform_data" "machine" {\n  depends_on = [terraform_data.server]',
    )
    recipe.write_text(text)

    def pid() -> int:
        file = cli.instance("demo") / "pid"
        return int(file.read_text())

    return pid


def test_what_a_provisioner_left_running_holds_nothing(ready: Cli) -> None:
    daemon = _with_a_daemon(ready)
    run = at_work(ready)
    terraform = _terraform(run.pid)
    lock = Lock(ready.instance("demo") / ".lock")
    assert daemon() in [pid for pid, _ in lock.keepers()], "it did not inherit the lock"
    run.kill()
    run.communicate()
    go_on(ready)
    assert ended(terraform, 60)
    assert not lock.held()
    again = ready(*SPAWN, "--no-wait")
    assert again.code == 8, again
    assert log(ready) == ["provider", "dns", "binderhub"]
    assert not ended(daemon(), 0.1), "it was to stay"
    os.kill(daemon(), signal.SIGKILL)


def test_a_provisioner_whose_terraform_was_killed_too_is_ended(ready: Cli) -> None:
    run = at_work(ready)
    terraform = _terraform(run.pid)
    left = _provisioners(terraform)
    for pid in (run.pid, terraform):
        os.kill(pid, signal.SIGKILL)
    run.communicate()
    (ready.instance("demo") / "quick").touch()
    again = ready(*SPAWN, "--recover", "--no-wait")
    assert again.code == 8, again
    assert "that terraform, which was killed, had started" in again.err
    assert all(ended(pid) for pid in left)
    assert log(ready) == ["provider", "provider", "dns", "binderhub"]


def test_a_provisioner_ends_with_its_terraform_while_the_run_lives(ready: Cli) -> None:
    run = at_work(ready)
    terraform = _terraform(run.pid)
    left = _provisioners(terraform)
    os.kill(terraform, signal.SIGKILL)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 5, err
    assert all(ended(pid) for pid in left)
    (ready.instance("demo") / "quick").touch()
    assert ready(*SPAWN, "--recover").code == 8


@pytest.mark.timeout(400)
@pytest.mark.parametrize("moment", ["install", "start", "wait", "verify"])
def test_a_local_hub_comes_up_after_a_kill(cli: Cli, moment: str) -> None:
    """All that runs is killed but what Terraform started; what that is, depends on the moment."""
    assert cli("vault.init").code == 0
    run = cli.start("spawn", "--name", "demo", "--recipe", "local")
    sign: dict[str, Callable[[], bool]] = {
        "install": lambda: _seen(run.pid, ("uv", "pip")) or _seen(run.pid, ("install.py",)),
        "start": lambda: _seen(run.pid, ("hub.py", "start")),
        "wait": lambda: _seen(run.pid, ("hub.py", "wait")),
        "verify": lambda: _journal_says(cli, "endpoint"),
    }
    deadline = time.monotonic() + 200
    while not sign[moment]():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    terraform = [pid for pid in descendants(run.pid) if named(pid) in ("terraform", "tofu")]
    for pid in (run.pid, *terraform):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.communicate()
    again = cli("spawn", "--name", "demo", "--recover", "--no-wait", timeout=300)
    assert again.code == 0, again
    assert again.out.startswith("https://demo.localhost:")
    assert cli("teardown", "--name", "demo", "--yes").code == 0


def _seen(parent: int, words: tuple[str, ...]) -> bool:
    """Whether a process below ``parent`` has ``words`` in its command line."""
    for pid in descendants(parent):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if all(word in line for word in words):
                return True
    return False


def _journal_says(cli: Cli, event: str) -> bool:
    try:
        lines = (cli.instance("demo") / "journal.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return False
    return any(json.loads(line)["event"] == event for line in lines)
