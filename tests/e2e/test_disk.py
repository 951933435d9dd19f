"""A disk that is full, and a state that cannot be sealed."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from . import slow_cloud
from .conftest import Cli


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-disk-token").code == 0
    return cli


@pytest.fixture
def small_disk(ready: Cli) -> Iterator[Path]:
    """A file system of 12 MiB where the instance is; needs root, as CI here has it."""
    folder = ready.instance("demo")
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        slow_cloud.make(folder, "head -c 20000000 /dev/zero > ${path.root}/full || true")
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_no_room_is_said_before_anything_starts(ready: Cli, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"\0" * 6_000_000)
    result = ready("spawn", "--name", "demo")
    assert result.code == 3, result
    assert "less than 8 MiB are free for instances/demo" in result.err
    assert "Traceback" not in result.err


def test_a_disk_that_fills_up_in_an_apply_loses_no_resource(ready: Cli, small_disk: Path) -> None:
    result = ready("spawn", "--name", "demo", "--timeout", "1")
    assert result.code == 4, result
    assert "Traceback" not in result.err, result
    assert "hint: " in result.err
    (small_disk / "full").unlink()
    again = ready("list")
    assert "sealed the newer state of demo" in again.err, again
    down = ready("teardown", "--name", "demo", "--yes")
    assert down.code == 0, down
    assert "destroyed" in down.err


def test_a_state_that_cannot_be_sealed_stays_for_the_next_command(cli: Cli) -> None:
    obstacle = cli.instance("demo") / "terraform.tfstate.sops" / "in-the-way"
    slow_cloud.make(cli.instance("demo"), f"mkdir -p {obstacle}")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-disk-token").code == 0
    result = cli("spawn", "--name", "demo", "--timeout", "1")
    assert result.code == 4, result
    assert "Traceback" not in result.err, result
    obstacle.rmdir()
    obstacle.parent.rmdir()
    again = cli("clean")
    assert "sealed the newer state of demo" in again.err, again


@pytest.mark.parametrize(
    "command",
    ["vault.show --reveal", "vault.show --json", "vault.recipients", "vault.remove-recipient bob"],
)
def test_an_answer_that_cannot_be_stored_is_an_error(cli: Cli, command: str) -> None:
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.token", input="CANARY-answer").code == 0
    key = str(pyrage.x25519.Identity.generate().to_public())
    assert cli("vault.add-recipient", "bob", key).code == 0
    before = {path: path.read_bytes() for path in (cli.root / "secrets").iterdir()}
    # opened as what it is: as root, a machine that has lost the device would get a file there
    with open(os.open("/dev/full", os.O_WRONLY), "w") as full:
        assert stat.S_ISCHR(os.fstat(full.fileno()).st_mode), "this machine has no /dev/full"
        done = subprocess.run(
            cli.argv(*command.split()),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=cli.env,
        )
    assert done.returncode == 1, done.stderr
    assert "error: standard output cannot be written: no space left on device" in done.stderr
    assert "Exception" not in done.stderr and "Traceback" not in done.stderr
    assert before == {path: path.read_bytes() for path in (cli.root / "secrets").iterdir()}


def test_a_reader_that_has_seen_enough_is_no_error(cli: Cli) -> None:
    assert cli("vault.init").code == 0
    for number in range(3):
        assert cli("vault.set", f"variables.of_{number}", input="CANARY" * 10_000).code == 0
    pipe = " ".join(map(shlex.quote, cli.argv("vault.show", "--reveal")))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{pipe} | head -c 10"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=cli.env,
    )
    assert (done.returncode, done.stderr) == (0, "")
