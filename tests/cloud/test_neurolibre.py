"""Today's NeuroLibre modules, restated, by `spawn` and `teardown`: real providers, real services.

Of the providers only openstack is real everywhere; tests/cloud/standins says what stands in.

The servers have no cloud-init, and neither helm nor a cluster: the script that the module runs on
the master by ssh goes on without them, as upstream's does, so that nothing answers at the end.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests import neurolibre
from tests.canary import holding
from tests.command_line import Cli, Result, unseal

from .dns.cloudflare import ZONE, ZONE_ID, Cloudflare
from .openstack.layout import IMAGE, PUBLIC_NETWORK
from .openstack.project import Project
from .providers import Providers

NEEDED = (
    "terraform-provider-openstack/openstack",
    "cloudflare/cloudflare",
    "hashicorp/template",
    "hashicorp/random",
    "hashicorp/local",
)
CANARY = "CANARY-neurolibre-7d20"
PRIVATE, SFTP = "private", "sftp"


class Site:
    """What a NeuroLibre site has before the first hub: a network, a file server's group, keys."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        create = project.call
        network = create("network", "POST", "/v2.0/networks", {"network": {"name": PRIVATE}})
        subnet = {
            "network_id": network["network"]["id"],
            "cidr": "10.83.0.0/24",
            "ip_version": 4,
            "name": PRIVATE,
        }
        made = create("network", "POST", "/v2.0/subnets", {"subnet": subnet})
        gateway = {"network_id": project.public_network()}
        router = {"name": PRIVATE, "external_gateway_info": gateway}
        way = create("network", "POST", "/v2.0/routers", {"router": router})["router"]["id"]
        plug = f"/v2.0/routers/{way}/add_router_interface"
        create("network", "PUT", plug, {"subnet_id": made["subnet"]["id"]})
        group = {"security_group": {"name": SFTP}}
        create("network", "POST", "/v2.0/security-groups", group)
        project.may_leave = True  # all of the above
        self.before = project.names()
        self.key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def secrets(self, cloudflare: Cloudflare) -> dict[str, Any]:
        """The vault of an instance."""
        return {
            "environment": {**self.project.env, **cloudflare.env},
            "ssh": {"private_key": self.key.read_text()},
            "variables": {
                "cloudflare_zone_id": ZONE_ID,
                "cloudflare_token": cloudflare.token,
                "cc_private_network": PRIVATE,
                "ssh_authorized_keys": [self.key.with_suffix(".pub").read_text().strip()],
                "ssh_private_key_path": str(self.key.parent),
                "ssh_private_key_name": self.key.name,
                "sftp_secgroup_name": SFTP,
                "sftp_ip_address": "10.83.0.9",
                "docker_id": "robot",
                "docker_password": f"{CANARY}-docker",
                "TLS_email": "me@example.org",
                "grafana_admin_user": "grafana-admin",
                "grafana_admin_password": f"{CANARY}-grafana",
            },
        }

    def ssh(self, address: str, command: str) -> str:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        argv = ["ssh", "-q", "-i", str(self.key), *options, f"ubuntu@{address}", command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def site(project: Project, tmp_path: Path) -> Site:
    keys = tmp_path / "keys"
    keys.mkdir()
    return Site(project, keys)


@pytest.fixture
def ready(
    providers: Providers, cli: Cli, site: Site, cloudflare: Cloudflare, tmp_path: Path
) -> Cli:
    """A project with the recipe, and its vault."""
    providers.need(*NEEDED)
    cli.env["TF_CLI_CONFIG_FILE"] = os.environ["TF_CLI_CONFIG_FILE"]
    source, commit = neurolibre.repository(tmp_path / "modules")
    text = neurolibre.recipe("hub", source, commit)
    text = re.sub(r'os_flavor_(master|node)( *)= ".*"', r'os_flavor_\1\2= "m1.small"', text)
    text = re.sub(r'image_name( *)= ".*"', rf'image_name\1= "{IMAGE}"', text)
    text = text.replace("instance_volume_size = 100", "instance_volume_size = 1")
    text = text.replace("conp.cloud", ZONE)
    assert PUBLIC_NETWORK in text
    cli.instance("hub").mkdir(parents=True)
    (cli.instance("hub") / "main.tf").write_text(text)
    assert cli("vault.init").code == 0
    (cli.root / "secrets" / "hub.yaml").write_text(json.dumps(site.secrets(cloudflare)))
    assert cli("vault.encrypt", "secrets/hub.yaml").code == 0
    return cli


def _spawn(cli: Cli) -> Result:
    result = cli("spawn", "--name", "hub", "--timeout", "1", timeout=280)
    assert CANARY not in result.out + result.err
    return result


def _user_data(project: Project) -> list[Message]:
    """What cloud-init would make of the master's user data."""
    (master,) = (s for s in project.things()["server"] if s["name"] == "hub-master")
    document = message_from_bytes(gzip.decompress(project.user_data(master["id"])))
    return [part for part in document.walk() if not part.is_multipart()]


@pytest.mark.timeout(600)
def test_they_are_applied_in_stages_and_destroyed(
    tool: str, ready: Cli, site: Site, project: Project, cloudflare: Cloudflare, runtime_dir: Path
) -> None:
    assert f"/{tool})" in ready("doctor").out
    checked = ready("check", "--name", "hub")
    assert checked.code == 0, checked
    assert "its module makes nothing of mem_alloc_gb" in checked.err

    result = _spawn(ready)
    assert result.code == 8, result  # all is applied, and nothing answers at the hub's address
    order = [line.split()[1] for line in result.err.splitlines() if line.startswith("✓")]
    assert [step for step in order if step in ("provider", "dns", "binderhub")] == [
        "provider",
        "dns",
        "binderhub",
    ]
    made = project.names()
    assert made["server"] == ["hub-master", "hub-node1"]
    assert made["volume"] == ["master-volume", "node-01-volume"]
    assert "hub-secgroup-new" in made["security group"]
    address = made["floating address"][0]
    hosts = [f"{name}.{ZONE}" for name in ("grafana-hub", "hub", "hub-machine", "prometheus-hub")]
    assert cloudflare.names() == sorted(hosts)
    assert "of hub" in site.ssh(address, "cat installed")
    parts = _user_data(project)
    assert [part.get_filename() for part in parts] == ["common.yaml", "master.yaml"]
    assert "touch /shared/k8s-initialized" in str(parts[1].get_payload())
    assert f"{CANARY}-docker" in site.ssh(address, "cat secrets.yaml"), "where upstream puts it"
    assert holding(CANARY, ready.root, runtime_dir) == []
    state = unseal(ready.instance("hub") / "terraform.tfstate.sops")
    assert state["outputs"]["binderhub_endpoint"]["value"] == f"https://hub.{ZONE}"

    result = ready("teardown", "--name", "hub", "--yes", timeout=280)
    assert result.code == 0, result
    assert project.names() == site.before
    assert cloudflare.names() == []


def test_a_quota_that_is_too_small_is_told_before_anything_is_made(
    ready: Cli, site: Site, project: Project, cloudflare: Cloudflare
) -> None:
    project.quota(instances=1)
    result = _spawn(ready)
    assert result.code == 2, result
    assert "0 of 1 are used" in result.err
    assert project.names() == site.before
    assert cloudflare.names() == []


def test_a_quota_that_only_the_apply_meets_fails_and_a_teardown_leaves_nothing(
    ready: Cli, site: Site, project: Project, cloudflare: Cloudflare
) -> None:
    project.quota(security_group_rule=8)  # preflight does not count rules
    result = _spawn(ready)
    assert result.code == 5, result
    assert "Quota exceeded" in result.err
    assert project.names() != site.before
    assert cloudflare.names() == [], "dns comes after the provider"
    result = ready("teardown", "--name", "hub", "--yes", timeout=280)
    assert result.code == 0, result
    assert project.names() == site.before
