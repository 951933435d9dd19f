"""Nothing is lost, and nothing is left: states that vanish, daemons, endpoints that move."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from . import slow_cloud
from .conftest import Cli, unseal

CANARY = "CANARY-losses-token"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    return cli


def test_a_lost_state_is_not_taken_for_an_empty_one(ready: Cli, tmp_path: Path) -> None:
    assert ready(*SPAWN).code == 8  # nothing listens at this recipe's endpoint
    sealed = ready.instance("demo") / "terraform.tfstate.sops"
    sealed.rename(tmp_path / "sealed")
    assert json.loads(ready("list", "--json").out)[0]["state"] == "unfinished"
    for command in (SPAWN, ("teardown", "--name", "demo", "--yes")):
        result = ready(*command)
        assert result.code == 5, result
        assert "module.provider.terraform_data.machine" in result.err
        assert f"hint: git checkout instances/demo/{sealed.name}" in result.err
    assert (ready.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"
    (tmp_path / "sealed").rename(sealed)
    assert ready("teardown", "--name", "demo", "--yes").code == 0
    assert ready(*SPAWN).code == 8  # a new life, in which nothing was made yet


def test_what_terraform_left_in_errored_tfstate_is_sealed_and_removed(ready: Cli) -> None:
    assert ready(*SPAWN).code == 8
    folder = ready.instance("demo")
    state = unseal(folder / "terraform.tfstate.sops")
    state["serial"] += 1
    (folder / "errored.tfstate").write_text(json.dumps(state))
    assert CANARY in (folder / "errored.tfstate").read_text()
    result = ready(*SPAWN)
    assert "errored.tfstate: sealed, removed" in result.err, result
    assert not (folder / "errored.tfstate").exists()
    assert unseal(folder / "terraform.tfstate.sops")["serial"] == state["serial"]


def test_a_daemon_of_a_provisioner_gets_no_secret_and_holds_nothing_up(
    cli: Cli, tmp_path: Path
) -> None:
    folder = cli.instance("demo")
    daemon = "setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $! > ${path.root}/pid"
    slow_cloud.make(folder, daemon)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True
    )
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    assert cli("vault.set", "ssh.private_key", input=(tmp_path / "k").read_text()).code == 0
    result = cli(*SPAWN, timeout=50)
    pid = int((folder / "pid").read_text())
    try:
        assert result.code == 8, result
        assert "✓ keys       ed25519 SHA256:" in result.err
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            if "memfd" in os.readlink(descriptor):
                assert CANARY not in descriptor.read_text()
        assert cli("teardown", "--name", "demo", "--yes").code == 0
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_hub_that_moves_is_verified_where_it_is_now(ready: Cli) -> None:
    assert ready(*SPAWN).code == 8
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text().replace("demo.example.org", "moved.example.org"))
    result = ready(*SPAWN)
    assert "https://moved.example.org/ is not ready" in result.err, result
    assert json.loads(ready("list", "--json").out)[0]["endpoint"] == "https://moved.example.org"


def test_a_secret_with_the_hubs_own_name_does_not_blot_it_out(ready: Cli) -> None:
    assert ready("vault.set", "environment.OS_PROJECT_NAME", input="demo.example.org").code == 0
    result = ready(*SPAWN)
    assert "https://demo.example.org/ is not ready" in result.err, result
    assert "not hidden in output" in result.err
    assert json.loads(ready("list", "--json").out)[0]["endpoint"] == "https://demo.example.org"


def test_the_ca_of_a_hub_was_removed_by_hand(ready: Cli) -> None:
    module = ready.instance("demo") / "modules" / "binderhub" / "main.tf"
    module.write_text(module.read_text() + 'output "ca_file" { value = "hub/ca.pem" }\n')
    for command in (SPAWN, ("verify", "--name", "demo")):
        result = ready(*command)
        assert result.code == 6, result
        assert "demo: hub/ca.pem is missing" in result.err
        assert "hint: invoke teardown --name demo" in result.err


def _taint(cli: Cli) -> None:
    """What `terraform taint` does, on the sealed state."""
    sealed = cli.instance("demo") / "terraform.tfstate.sops"
    state = unseal(sealed)
    for resource in state["resources"]:
        if resource["name"] == "machine":
            resource["instances"][0]["status"] = "tainted"
    state["serial"] += 1
    (cli.instance("demo") / "errored.tfstate").write_text(json.dumps(state))


def test_a_whole_resource_that_somebody_tainted_is_not_replaced_unasked(ready: Cli) -> None:
    assert ready(*SPAWN).code == 8
    _taint(ready)
    refused = ready(*SPAWN)
    assert refused.code == 1, refused
    assert "replace: module.provider.terraform_data.machine" in refused.err
    assert ready(*SPAWN, "--yes").code == 8
    assert (ready.instance("demo") / "log").read_text().count("provider") == 2


def test_a_creation_that_failed_is_tried_again_unasked(cli: Cli) -> None:
    folder = cli.instance("demo")
    slow_cloud.make(folder, "test -e ${path.root}/mended")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    failed = cli(*SPAWN)
    assert failed.code == 5, failed
    (folder / "mended").touch()
    again = cli(*SPAWN)
    assert again.code == 8, again
    assert (folder / "log").read_text() == "provider\nprovider\ndns\nbinderhub\n"
