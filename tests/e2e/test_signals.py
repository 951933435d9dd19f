"""Interrupted, killed, left without a terminal: on the real terraform and the real vault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from barehub.lock import Lock

from . import slow_cloud
from .conftest import Cli, unseal

CANARY = "CANARY-signals-token"


@pytest.fixture
def ready(cli: Cli) -> Iterator[Cli]:
    slow_cloud.make(cli.instance("demo"), "sleep 3")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    yield cli
    assert sessions() == [], "a session is left"


def sessions() -> list[Path]:
    return [p for home in Path(os.environ["XDG_RUNTIME_DIR"]).iterdir() for p in home.iterdir()]


def _spawn(cli: Cli) -> subprocess.Popen[str]:
    """A spawn whose provider stage is being applied."""
    run = cli.start("spawn", "--name", "demo", "--timeout", "1")
    log = cli.instance("demo") / "log"
    deadline = time.monotonic() + 60
    while not log.exists():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return run


def _state(cli: Cli) -> dict[str, str]:
    """The resources in the sealed state, with their status."""
    resources = unseal(cli.instance("demo") / "terraform.tfstate.sops")["resources"]
    return {r["name"]: r["instances"][0].get("status", "ok") for r in resources}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_run_in_order(ready: Cli, number: signal.Signals) -> None:
    run = _spawn(ready)
    os.killpg(run.pid, number)  # as a terminal's Ctrl-C does: to the whole group
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert out == ""
    assert "terraform is asked to stop" in err
    assert "interrupted" in err
    assert _state(ready)["machine"] == "tainted"
    assert sessions() == []
    assert (ready.instance("demo") / "log").read_text() == "provider\n"
    assert not (ready.instance("demo") / ".lock").exists()


def test_the_second_interrupt_warns_and_the_third_abandons(cli: Cli) -> None:
    folder = cli.instance("demo")
    slow_cloud.make(folder, "test -e ${path.root}/mended || sleep 300")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    run = _spawn(cli)
    found = subprocess.run(["pgrep", "-P", str(run.pid), "terraform|tofu"], capture_output=True)
    terraform = int(found.stdout)
    os.kill(terraform, signal.SIGSTOP)  # it would end at the first interrupt, and too soon for us
    assert run.stderr
    for said in ("terraform is asked to stop", "one more abandons what is under way"):
        run.send_signal(signal.SIGINT)
        while said not in (line := run.stderr.readline()):
            assert line, run.wait()
    run.send_signal(signal.SIGINT)
    os.kill(terraform, signal.SIGCONT)
    _, err = run.communicate(timeout=15)
    assert run.returncode == 130, err
    assert sessions() == []
    left = subprocess.run(["pgrep", "-r", "RSDT", "-g", str(terraform)], capture_output=True)
    assert left.stdout == b"", "what the provisioner started is at work"
    (folder / "mended").touch()
    again = cli("spawn", "--name", "demo", "--timeout", "1", "--recover")
    assert again.code == 8, again
    assert "terraform_data.machine" in again.err  # tainted, or begun and never heard of again
    assert set(_state(cli).values()) == {"ok"}


def test_a_lost_terminal_stops_nothing(ready: Cli) -> None:
    run = _spawn(ready)
    os.killpg(run.pid, signal.SIGHUP)
    _, err = run.communicate(timeout=90)
    assert run.returncode == 8, err  # nothing listens at this recipe's endpoint: verify says so
    assert (ready.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"


def test_a_stage_that_hangs_ends_at_its_deadline_and_is_where_the_next_run_goes_on(
    cli: Cli,
) -> None:
    folder = cli.instance("demo")
    slow_cloud.make(folder)
    dns = folder / "modules" / "dns" / "main.tf"
    dns.write_text(dns.read_text().replace("/log", "/log; test -e ${path.root}/mended || sleep 60"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    hung = cli("spawn", "--name", "demo", "--timeout", "1", "--stage-timeout", "5")
    assert hung.code == 8, hung
    assert "error: stage dns: terraform apply did not end within 5 s" in hung.err
    assert "hint: invoke spawn --name demo   goes on from here" in hung.err
    assert sessions() == []
    (folder / "mended").touch()
    again = cli("spawn", "--name", "demo", "--timeout", "1")
    assert again.code == 8, again
    assert "the last run stopped in dns; on from dns; as they should be: provider" in again.err
    assert "replace: module.dns.terraform_data.record (tainted" in again.err
    assert (folder / "log").read_text() == "provider\ndns\ndns\nbinderhub\n"


def test_a_second_run_is_told_who_is_at_it(ready: Cli) -> None:
    run = _spawn(ready)
    second = ready("teardown", "--name", "demo", "--yes")
    assert second.code == 1, second
    assert "'spawn'" in second.err
    assert f"process {run.pid}" in second.err
    assert json.loads(ready("list", "--json").out)[0]["state"] == "busy"
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=60)


def _killed(cli: Cli) -> None:
    """barehub is killed while terraform works; terraform finishes its stage by itself."""
    run = _spawn(cli)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    _wait_for_the_orphan(cli)


def _wait_for_the_orphan(cli: Cli) -> None:
    """Terraform holds the instance's lock as long as it works."""
    deadline = time.monotonic() + 60
    while Lock(cli.instance("demo") / ".lock").held():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    "command", [("clean",), ("list",), ("vault.show",), ("spawn", "--name", "demo")]
)
def test_after_a_kill_the_next_command_recovers_the_newer_state(
    ready: Cli, command: tuple[str, ...]
) -> None:
    _killed(ready)
    assert len(sessions()) == 1
    result = ready(*command, *(("--timeout", "1") if command[0] == "spawn" else ()))
    assert "sealed the newer state of demo (2 resources)" in result.err, result
    assert "'spawn'" in result.err
    assert CANARY not in result.err
    if command[0] == "spawn":
        assert (ready.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"
    else:
        assert _state(ready) == {"ip": "ok", "machine": "ok"}
    journal = (ready.instance("demo") / "journal.jsonl").read_text().splitlines()
    done = [line for line in journal if "-done" in line and "terraform_data.machine" in line]
    assert len(done) == 1, done  # the log of the orphan told it, and it was written down once
    assert sessions() == []


LATER = """
resource "terraform_data" "later" {
  provisioner "local-exec" { command = "sleep 1" }
}
"""


def test_a_resource_that_was_never_finished_is_not_taken_for_whole(ready: Cli) -> None:
    """Terraform itself is killed, after another resource made it write its state."""
    folder = ready.instance("demo")
    module = folder / "modules" / "provider" / "main.tf"
    module.write_text(module.read_text().replace("sleep 3", "sleep 8; echo whole >> log") + LATER)
    run = _spawn(ready)
    terraform = _terraform_in(folder)
    deadline = time.monotonic() + 30
    done = '"resource-done", "address": "module.provider.terraform_data.later"'
    while done not in (folder / "journal.jsonl").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(terraform, signal.SIGKILL)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 5, err

    asked = ready("spawn", "--name", "demo", "--timeout", "1")
    assert asked.code == 1, asked
    assert "module.provider.terraform_data.machine was never finished" in asked.err
    assert "hint: invoke spawn --name demo --recover" in asked.err
    again = ready("spawn", "--name", "demo", "--timeout", "1", "--recover")
    assert "module.provider.terraform_data.machine was never finished" in again.err, again
    assert again.code == 8, again  # nothing listens at this recipe's endpoint
    log = (folder / "log").read_text()
    assert log.count("provider") == 2
    assert log.endswith("whole\ndns\nbinderhub\n")
    assert set(_state(ready).values()) == {"ok"}


def _terraform_in(folder: Path) -> int:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").samefile(folder) and b"apply" in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("terraform does not run")
