"""terraform/provider/existing, applied by the real terraform over real ssh to real sshds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_machines import LACKING, TERRAFORM, Machines, agent

from barehub.project import Project

pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOVG6oT0lXbpXJZ4gLxHPSqkzjmNPbkXvtNYEHwWjcZb ops"
THEIRS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx1bmNoIGlzIGF0IG5vb24sIGRvbid0IGJlIGxh them"

Done = subprocess.CompletedProcess[str]


class Bench:
    """A recipe that calls the module alone, and terraform in its folder."""

    def __init__(self, folder: Path, machines: Machines, environment: dict[str, str]) -> None:
        self.folder, self.machines = folder, machines
        self.env = {**os.environ, **environment, "CHECKPOINT_DISABLE": "1"}
        self.terraform = str(Project(folder).terraform.path)

    def __call__(self, *arguments: str) -> Done:
        return subprocess.run(
            [self.terraform, *arguments, "-no-color"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def apply(self, **changes: Any) -> Done:
        master, *nodes = self.machines.addresses
        arguments = {
            "source": os.path.relpath(TERRAFORM / "provider" / "existing", self.folder),
            "project_name": "demo",
            "master": master,
            "nodes": nodes,
            "admin_user": self.machines.user,
            "ssh_port": self.machines.port,
            "min_memory_gb": 0.1,
            "min_disk_gb": 0.1,
            **changes,
        }
        output = {name: {"value": f"${{module.provider.{name}}}"} for name in ("nodes", "ssh_port")}
        recipe = {"module": {"provider": arguments}, "output": output}
        (self.folder / "main.tf.json").write_text(json.dumps(recipe))
        if not (self.folder / ".terraform").exists():
            assert self("init", "-input=false").returncode == 0
        return self("apply", "-auto-approve", "-input=false")

    def refused(self, **changes: Any) -> str:
        done = self.apply(**changes)
        assert done.returncode == 1, done.stdout
        return " ".join(done.stderr.replace("│", " ").split())


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with Machines(tmp_path / "machines", helm=None) as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path, machines: Machines) -> Iterator[Bench]:
    folder = tmp_path / "instance"
    folder.mkdir()
    with agent(machines.folder / "key", tmp_path) as environment:
        yield Bench(folder, machines, environment)


def test_keys_are_let_in_and_taken_away_again_and_nothing_else(
    bench: Bench, machines: Machines
) -> None:
    homes = [machines.at(address) / "home" for address in machines.addresses]
    (homes[0] / ".ssh").mkdir()
    (homes[0] / ".ssh/authorized_keys").write_text(f"{THEIRS}\n")

    done = bench.apply(ssh_authorized_keys=[KEY])
    assert done.returncode == 0, done.stderr
    assert "2 machines will do" in done.stdout
    for home in homes:
        assert (home / ".ssh/authorized_keys").read_text().splitlines().count(KEY) == 1
        assert (home / ".ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert THEIRS in (homes[0] / ".ssh/authorized_keys").read_text()
    outputs = json.loads(bench("output", "-json").stdout)
    assert outputs["nodes"]["value"] == [{"name": "demo-node1", "ip": machines.addresses[1]}]
    assert bench("plan", "-detailed-exitcode").returncode == 0

    # a key that was there already stays when ours go
    assert bench.apply(ssh_authorized_keys=[KEY, THEIRS]).returncode == 0
    assert bench("destroy", "-auto-approve").returncode == 0
    assert (homes[0] / ".ssh/authorized_keys").read_text() == f"{THEIRS}\n"
    assert (homes[1] / ".ssh/authorized_keys").read_text() == ""


def test_all_faults_of_all_machines_are_told_at_once(bench: Bench, machines: Machines) -> None:
    first, second = map(machines.at, machines.addresses)
    (first / "etc/os-release").unlink()
    (first / "etc/os-release").write_text('ID=ubuntu\nVERSION_ID="18.04"\n')
    (second / "run/systemd/system").rmdir()
    _stand_in(second, "date", "echo 1000000000")
    _stand_in(second, "uname", "echo riscv64")
    said = bench.refused(min_memory_gb=5000, min_disk_gb=900000)
    for told in (
        f"demo-master ({machines.addresses[0]}) runs ubuntu 18.04",
        "debian 11, ubuntu 20.04",
        f"demo-master ({machines.addresses[0]}) has",
        "GB of memory, and needs 5000",
        "GB of disk, and needs 900000",
        f"demo-node1 ({machines.addresses[1]}) is a riscv64 machine",
        f"demo-node1 ({machines.addresses[1]}) does not run systemd",
        f"the clock of demo-node1 ({machines.addresses[1]}) is",
        "s behind",
    ):
        assert told in said, told


def test_what_listens_on_the_hubs_ports_is_told(bench: Bench, machines: Machines) -> None:
    listening = "LISTEN 0 128 127.0.0.1:443 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:80 0.0.0.0:*\n"
    (machines.at(machines.addresses[0]) / "listening").write_text(listening)
    said = bench.refused()
    assert f"something else listens on port 80 of demo-master ({machines.addresses[0]})" in said


def test_machines_that_do_not_answer_are_told_at_once(bench: Bench, machines: Machines) -> None:
    for address in machines.addresses:
        machines.stop(address)
    said = bench.refused()
    for name in ("demo-master", "demo-node1"):
        assert f"{name} (127." in said
    assert said.count("cannot be reached") == 2


def test_a_changed_host_key_is_refused(bench: Bench, machines: Machines) -> None:
    assert bench.apply().returncode == 0
    machines.new_host_key(machines.addresses[0])
    said = bench.refused(min_memory_gb=0.2)
    assert "the host key of demo-master" in said and "ssh-keygen -R" in said


def test_an_account_that_is_not_root_uses_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here `ssh` stands in: the tests can log in only as whoever runs them."""
    for name, text in {
        "ssh": '[ "$1" = -F ] || exit 1\nexec bash -c "${!#}"',
        "ssh-keygen": "exit 1",
        "sudo": 'echo "sudo $*" >sudo.log; echo "sudo: a password is required" >&2; exit 1',
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ssh import Failed, Machine, run\n"
        "try: run(Machine('m', '10.0.0.1', 'ubuntu'), 'true', seconds=5)\n"
        "except Failed as failure: print(failure.problem, failure.hint)\n"
    )
    module = str(TERRAFORM / "provider" / "existing")
    command = [sys.executable, "-B", "-c", code, module]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "m (10.0.0.1): ubuntu cannot use sudo without a password" in done.stdout
    assert (tmp_path / "sudo.log").read_text().startswith("sudo -n timeout --kill-after=10 5 bash")


def test_both_modules_go_to_machines_in_the_same_way() -> None:
    """A module's folder stands by itself, so each has a copy."""
    one, other = TERRAFORM / "provider/existing/ssh.py", TERRAFORM / "binderhub/kubernetes/ssh.py"
    assert one.read_bytes() == other.read_bytes()


def _stand_in(machine: Path, name: str, text: str) -> None:
    """A program of the machine's own, in front of the system's."""
    program = machine / "usr/local/bin" / name
    program.write_text(f"#!/bin/bash\n{text}\n")
    program.chmod(0o755)
