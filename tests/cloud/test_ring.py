"""The ring itself: real providers on a real cloud, and what the fixtures promise.

Cloudflare's provider is a stand-in where the real one cannot be had (tests/cloud/standins).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .dns.cloudflare import EDGE, ZONE_ID, Cloudflare, Refused
from .openstack.gate import Gate
from .openstack.layout import IMAGE, LOGIN, PUBLIC_NETWORK
from .openstack.project import Project
from .providers import TOFU, Providers
from .root import Root

OPENSTACK = """
terraform {
  required_providers {
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = "~> 3.0"
    }
  }
}
"""

NETWORK = (
    OPENSTACK
    + """
resource "openstack_networking_network_v2" "this" {
  name = "tiny"
}
resource "openstack_networking_subnet_v2" "this" {
  network_id = openstack_networking_network_v2.this.id
  cidr       = "10.9.0.0/24"
}
"""
)

SERVER = (
    NETWORK
    + f"""
variable "public_key" {{ type = string }}
variable "flavor" {{ default = "m1.disk" }}
data "openstack_images_image_v2" "this" {{
  name = "{IMAGE}"
}}
data "openstack_networking_network_v2" "public" {{
  name = "{PUBLIC_NETWORK}"
}}
resource "openstack_compute_keypair_v2" "this" {{
  name       = "tiny"
  public_key = var.public_key
}}
resource "openstack_networking_router_v2" "this" {{
  external_network_id = data.openstack_networking_network_v2.public.id
}}
resource "openstack_networking_router_interface_v2" "this" {{
  router_id = openstack_networking_router_v2.this.id
  subnet_id = openstack_networking_subnet_v2.this.id
}}
resource "openstack_networking_port_v2" "this" {{
  network_id = openstack_networking_network_v2.this.id
  fixed_ip {{
    subnet_id = openstack_networking_subnet_v2.this.id
  }}
}}
resource "openstack_compute_instance_v2" "this" {{
  name        = "tiny"
  image_id    = data.openstack_images_image_v2.this.id
  flavor_name = var.flavor
  key_pair    = openstack_compute_keypair_v2.this.name
  user_data   = "#cloud-config\\n"
  network {{
    port = openstack_networking_port_v2.this.id
  }}
}}
resource "openstack_networking_floatingip_v2" "this" {{
  pool       = "{PUBLIC_NETWORK}"
  port_id    = openstack_networking_port_v2.this.id
  depends_on = [openstack_networking_router_interface_v2.this]
}}
output "server" {{ value = openstack_compute_instance_v2.this.id }}
output "address" {{ value = openstack_networking_floatingip_v2.this.address }}
"""
)


RECORD = f"""
terraform {{
  required_providers {{
    cloudflare = {{
      source  = "cloudflare/cloudflare"
      version = "~> 4.40"
    }}
  }}
}}
variable "proxied" {{ default = false }}
resource "cloudflare_record" "this" {{
  zone_id = "{ZONE_ID}"
  name    = "hub"
  type    = "A"
  content = "127.77.0.9"
  proxied = var.proxied
}}
"""


@pytest.fixture
def root(tmp_path: Path, project: Project, providers: Providers) -> Root:
    return Root(tmp_path / "root", project.env)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private SSH key; the public one is beside it."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def _ssh(key: Path, address: str, command: str) -> subprocess.CompletedProcess[str]:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    return subprocess.run(
        ["ssh", "-i", key, *(f"-o{o}" for o in options), f"{LOGIN}@{address}", command],
        capture_output=True,
        text=True,
        timeout=60,
    )


def _until_ssh(key: Path, address: str, command: str) -> str:
    deadline = time.monotonic() + 60
    while (done := _ssh(key, address, command)).returncode != 0:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.3)
    return done.stdout


def test_a_server_is_made_reached_and_destroyed(root: Root, project: Project, key: Path) -> None:
    root.write(SERVER)
    applied = root.apply(public_key=_public(key))
    assert applied.returncode == 0, applied.stdout
    made = root.outputs()
    said = _until_ssh(key, made["address"], "hostname; sudo id -u; sudo touch /etc/was-here")
    assert said.split() == ["tiny", "0"]
    assert project.user_data(made["server"]) == b"#cloud-config\n"
    assert (project.written(made["server"]) / "etc" / "was-here").exists()
    assert not Path("/etc/was-here").exists()

    destroyed = root.destroy(public_key=_public(key))
    assert destroyed.returncode == 0, destroyed.stdout
    assert project.names() == {}
    assert _ssh(key, made["address"], "true").returncode == 255


def test_a_quota_is_a_limit(root: Root, project: Project, key: Path) -> None:
    project.quota(instances=0)
    root.write(SERVER)
    applied = root.apply(public_key=_public(key))
    assert applied.returncode == 1
    assert "Quota exceeded for instances" in applied.stdout
    assert root.destroy(public_key=_public(key)).returncode == 0


def test_a_flavor_can_be_too_large_for_every_host(root: Root, project: Project, key: Path) -> None:
    project.quota(ram=-1)
    root.write(SERVER)
    applied = root.apply(public_key=_public(key), flavor="m1.huge")
    assert applied.returncode == 1
    assert "unexpected state 'ERROR'" in applied.stdout  # the provider does not say why
    (server,) = project.things()["server"]
    shown = project.call("compute", "GET", f"/servers/{server['id']}")["server"]
    assert "No valid host was found" in str(shown.get("fault")), shown
    assert root.destroy(public_key=_public(key)).returncode == 0


def test_a_network_in_use_is_not_destroyed(root: Root, project: Project) -> None:
    # the provider asks again for ten minutes unless it is told otherwise
    patient = 'cidr       = "10.9.0.0/24"'
    root.write(NETWORK.replace(patient, patient + '\n  timeouts {\n    delete = "3s"\n  }'))
    assert root.apply().returncode == 0
    (network,) = project.things()["network"]
    body = {"port": {"network_id": network["id"], "name": "somebody's"}}
    port = project.call("network", "POST", "/v2.0/ports", body)["port"]["id"]
    destroyed = root.destroy()
    assert destroyed.returncode == 1, destroyed.stdout
    assert "network" in project.names()
    project.call("network", "DELETE", f"/v2.0/ports/{port}")
    assert root.destroy().returncode == 0


def test_a_wrong_password_is_refused(root: Root) -> None:
    wrong = Root(root.folder, {**root.env, "OS_PASSWORD": "wrong"})
    wrong.write(NETWORK)
    applied = wrong.apply()
    assert applied.returncode == 1
    assert "401" in applied.stdout or "Authentication failed" in applied.stdout


def test_an_api_that_dies_leaves_a_server_that_terraform_does_not_know(
    root: Root, project: Project, gates: Callable[..., dict[str, Gate]], key: Path
) -> None:
    project.may_leave = True
    compute = gates("compute")["compute"]
    compute.shut_at("POST /v2.1/servers", done=True)
    gated = Root(root.folder, project.env)
    gated.write(SERVER)
    applied = gated.apply(public_key=_public(key))
    assert applied.returncode == 1, applied.stdout
    assert compute.is_shut
    assert project.names()["server"] == ["tiny"]
    assert "openstack_compute_instance_v2.this" not in gated.resources()
    compute.open()
    destroyed = gated.destroy(public_key=_public(key))
    assert destroyed.returncode == 0, destroyed.stdout  # "Destroy complete!"
    assert project.names() == {"server": ["tiny"]}


def test_a_record_is_made_changed_and_destroyed(
    tmp_path: Path, providers: Providers, cloudflare: Cloudflare
) -> None:
    providers.need("cloudflare/cloudflare")
    root = Root(tmp_path / "root", cloudflare.env).write(RECORD)
    applied = root.apply()
    assert applied.returncode == 0, applied.stdout
    assert cloudflare.dns.ask("hub.example.org") == ["127.77.0.9"]
    applied = root.apply(proxied="true")
    assert applied.returncode == 0, applied.stdout
    assert cloudflare.dns.ask("hub.example.org") == [EDGE]
    assert root.destroy().returncode == 0
    assert cloudflare.dns.ask("hub.example.org") == []


def test_cloudflare_refuses(tmp_path: Path, providers: Providers, cloudflare: Cloudflare) -> None:
    providers.need("cloudflare/cloudflare")
    root = Root(tmp_path / "root", {**cloudflare.env, "CLOUDFLARE_API_TOKEN": "w" * 40})
    applied = root.write(RECORD).apply()
    assert applied.returncode == 1 and "9109" in applied.stdout, applied.stdout
    assert cloudflare.token not in applied.stdout

    cloudflare.refusals.append(("POST /zones", Refused(400, 81058, "An identical record exists.")))
    root = Root(root.folder, cloudflare.env)
    applied = root.apply()
    assert applied.returncode == 1 and "identical record" in applied.stdout, applied.stdout


def test_opentofu_does_the_same(
    tmp_path: Path, project: Project, cloudflare: Cloudflare, providers: Providers
) -> None:
    assert TOFU.exists(), f"scripts/install-tools {TOFU.parent}"
    providers.need("cloudflare/cloudflare")
    clouds = {"network": (project.env, NETWORK), "record": (cloudflare.env, RECORD)}
    for name, (env, text) in clouds.items():
        root = Root(tmp_path / name, env, TOFU).write(text)
        applied = root.apply()
        assert applied.returncode == 0, applied.stdout
        assert "OpenTofu" in root.run("plan").stdout
        assert root.resources() != []
        destroyed = root.destroy()
        assert destroyed.returncode == 0, destroyed.stdout
