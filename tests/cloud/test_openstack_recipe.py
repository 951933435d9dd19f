"""The recipe openstack, from `new` to `teardown`: our modules, real providers, real services.

What cannot be had on the machines stands in there, see kubernetes.py; nothing answers on port 443.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from barehub.terraform.hcl import parse
from tests.canary import Watch, holding
from tests.command_line import Cli, Result, unseal

from . import kubernetes
from .dns.cloudflare import ZONE, Cloudflare
from .openstack.layout import IMAGE
from .openstack.project import Project
from .providers import Providers, by_opentofu

PASSWORD = "CANARY-openstack-docker-71be"
HUB_TOKEN = "CANARY-openstack-hub-token-0c4d9f7a81"
SETS = {
    "os_flavor_master": "m1.small",
    "os_flavor_node": "m1.small",
    "image_name": IMAGE,
    "instance_volume_size": "10",
    "ssh_cidrs": "127.0.0.0/8",
    "domain": f"hub.{ZONE}",
    "binder_version": kubernetes.BINDERHUB,
    "k3s_version": kubernetes.K3S,
    "helm_version": kubernetes.HELM,
    "cert_manager_version": kubernetes.CERT_MANAGER,
}
NEW = ("new", "--name", "hub", "--recipe", "openstack")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def ready(
    providers: Providers, cli: Cli, project: Project, cloudflare: Cloudflare, key: Path
) -> Cli:
    """A project whose vault knows all that the recipe asks for."""
    providers.need("terraform-provider-openstack/openstack", "cloudflare/cloudflare")
    project.brings(kubernetes.image())
    cli.env["TF_CLI_CONFIG_FILE"] = os.environ["TF_CLI_CONFIG_FILE"]
    cli.env.pop("SSH_AUTH_SOCK", None)
    assert cli("vault.init").code == 0
    secrets = {
        "environment": {**project.env, **cloudflare.env},
        "ssh": {"private_key": key.read_text()},
        "variables": {
            "docker_id": "robot",
            "docker_password": PASSWORD,
            "hub_token": HUB_TOKEN,
            "TLS_email": f"ops@barehub.{ZONE}",
        },
    }
    (cli.root / "secrets" / "hub.yaml").write_text(json.dumps(secrets))
    assert cli("vault.encrypt", "secrets/hub.yaml").code == 0
    return cli


def _new(cli: Cli, **others: str) -> Result:
    chosen = (SETS | others).items()
    result = cli(*NEW, *(word for name, value in chosen for word in ("--set", f"{name}={value}")))
    assert result.code == 0, result
    return result


def _spawn(cli: Cli) -> Result:
    result = cli("spawn", "--name", "hub", "--yes", "--timeout", "1", timeout=280)
    assert result.code == 8, result  # all is applied, and nothing answers at the hub's address
    return result


def _steps(result: Result) -> dict[str, str]:
    lines = [line for line in result.err.splitlines() if line.startswith("✓")]
    return {line.split()[1]: line for line in lines}


@pytest.mark.timeout(600)
def test_a_hub_comes_is_left_alone_and_goes(
    tool: str,
    ready: Cli,
    project: Project,
    cloudflare: Cloudflare,
    key: Path,
    runtime_dir: Path,
) -> None:
    made = _new(ready)
    assert made.out == "instances/hub/main.tf\n"
    recipe = parse(ready.instance("hub") / "main.tf")
    assert recipe["module"][0]["provider"]["ssh_authorized_keys"] == ["<vault>"]
    checked = ready("check", "--name", "hub")
    assert checked.code == 0, checked
    assert f"/{tool})" in ready("doctor").out

    with Watch() as watch:
        first = _spawn(ready)
    assert [step for step in _steps(first) if step in ("provider", "dns", "binderhub")] == [
        "provider",
        "dns",
        "binderhub",
    ]
    things = project.things()
    servers = {server["name"]: server["id"] for server in things["server"]}
    assert sorted(servers) == ["hub-master", "hub-node1"]
    (address,) = project.names()["floating address"]
    (record,) = cloudflare.records.values()
    assert (record["name"], record["content"]) == (f"hub.{ZONE}", address)
    known = (ready.instance("hub") / "known_hosts").read_text().split()
    assert address in known, "the first connection was verified"
    assert (ready.instance("hub") / ".terraform.lock.hcl").exists()
    _the_machines_were_told_their_parts(project, servers)
    _no_secret_is_anywhere(ready, project, servers, key, runtime_dir, watch, first)

    second = _spawn(ready)
    assert "nothing to change" in second.err, second
    assert {s["id"] for s in project.things()["server"]} == set(servers.values())

    gone = ready("teardown", "--name", "hub", "--yes", timeout=280)
    assert gone.code == 0, gone
    assert "nothing in OpenStack, nothing in Cloudflare" in gone.err
    assert project.names() == {}
    assert cloudflare.names() == []
    assert ready("leftovers", "--name", "hub").code == 0


def test_opentofu_and_a_machine_that_no_host_can_hold(
    ready: Cli, project: Project, cloudflare: Cloudflare, tmp_path: Path
) -> None:
    """The provider only knows that it failed; what the cloud says is in the server."""
    by_opentofu(ready, tmp_path / "bin")
    assert f"({tmp_path}/bin/tofu)" in ready("doctor").out
    project.quota(ram=-1)
    _new(ready, os_flavor_node="m1.huge")
    failed = ready("spawn", "--name", "hub", "--yes", timeout=280)
    assert failed.code == 5, failed
    assert "(failed: No valid host was found" in failed.err, failed
    assert cloudflare.names() == []
    gone = ready("teardown", "--name", "hub", "--yes", timeout=280)
    assert gone.code == 0, gone
    assert project.names() == {}


def _the_machines_were_told_their_parts(project: Project, servers: dict[str, str]) -> None:
    places = {name: project.written(id) / kubernetes.PLACE for name, id in servers.items()}
    calls = {name: (place / "calls").read_text() for name, place in places.items()}
    assert "systemctl restart k3s\n" in calls["hub-master"].replace(" \n", "\n")
    assert "systemctl restart k3s-agent\n" in calls["hub-node1"].replace(" \n", "\n")
    assert "helm upgrade --install binderhub" in calls["hub-master"]
    values = json.loads((places["hub-master"] / kubernetes.VALUES).read_text())
    assert values["registry"]["password"] == PASSWORD
    assert HUB_TOKEN in json.dumps(values)
    config = project.written(servers["hub-node1"]) / "etc/rancher/k3s"
    assert (config / "token").read_text().strip() == kubernetes.JOIN_TOKEN


def _no_secret_is_anywhere(
    cli: Cli,
    project: Project,
    servers: dict[str, str],
    key: Path,
    runtime_dir: Path,
    watch: Watch,
    said: Result,
) -> None:
    """In no file, process, log or user data, nor in the state but where outputs carry it."""
    private = key.read_text().splitlines()[2]
    # each with the one variable of those processes' environments that may hold it
    secrets = {
        PASSWORD: b"HUB_SECRETS=",
        HUB_TOKEN: b"HUB_SECRETS=",
        project.password: b"OS_PASSWORD=",
        private: b"",
    }
    kept = [project.layout.folder / name for name in ("db", "log", "nova")]
    for secret, variable in secrets.items():
        assert secret not in said.out + said.err
        assert not [text for text in watch.holding(secret) if not variable or variable not in text]
        assert holding(secret, cli.root, runtime_dir, *kept) == []
        for server in servers.values():
            assert secret.encode() not in project.user_data(server)
            assert holding(secret, project.written(server), but=[kubernetes.VALUES]) == []
    state = unseal(cli.instance("hub") / "terraform.tfstate.sops")
    resources = json.dumps(state["resources"])
    assert [secret for secret in secrets if secret in resources] == []
