"""The world `openstack`: the real provider and OpenStack's own services, behind doors.

What exists is what the services list of the run's own keystone project.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from endpoints import Servers, modern, routes

from tests.cloud.openstack import doors, shared
from tests.cloud.openstack.layout import IMAGE, PUBLIC_NETWORK
from tests.cloud.openstack.project import Project
from tests.cloud.providers import built

from .draw import Case
from .local import sealed_state
from .place import Place, copied, empty, until
from .world import Extent, Thing

RECIPE = """
module "provider" {
  source       = "./modules/provider"
  project_name = "demo"
}

module "dns" {
  source    = "./modules/dns"
  domain    = "demo.localhost"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "./modules/binderhub"
  domain = module.dns.domain
}
"""

PROVIDER = f"""
terraform {{
  required_providers {{
    openstack = {{
      source  = "terraform-provider-openstack/openstack"
      version = "3.4.0"
    }}
  }}
}}
variable "project_name" {{}}
resource "openstack_networking_network_v2" "net" {{
  name = "${{var.project_name}}-network"
}}
resource "openstack_networking_subnet_v2" "net" {{
  name       = "${{var.project_name}}-subnet"
  network_id = openstack_networking_network_v2.net.id
  cidr       = "10.9.0.0/24"
}}
resource "openstack_networking_secgroup_v2" "hub" {{
  name = "${{var.project_name}}-secgroup"
}}
resource "openstack_networking_secgroup_rule_v2" "ssh" {{
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = 22
  port_range_max    = 22
  security_group_id = openstack_networking_secgroup_v2.hub.id
}}
resource "openstack_networking_floatingip_v2" "hub" {{
  pool = "{PUBLIC_NETWORK}"
}}
resource "openstack_compute_instance_v2" "master" {{
  name            = "${{var.project_name}}-master"
  image_name      = "{IMAGE}"
  flavor_name     = "m1.disk"
  security_groups = [openstack_networking_secgroup_v2.hub.name]
  network {{
    uuid = openstack_networking_network_v2.net.id
  }}
  depends_on = [openstack_networking_subnet_v2.net]
}}
output "public_ip" {{ value = openstack_networking_floatingip_v2.hub.address }}
"""

DNS = """
variable "domain" {}
variable "public_ip" {}
resource "terraform_data" "record" { input = "${var.domain} ${var.public_ip}" }
output "domain" { value = var.domain }
"""

BINDERHUB = """
variable "domain" {}
output "endpoint" { value = "https://${var.domain}:PORT" }
output "connect_to" { value = "127.0.0.1" }
output "ca_file" { value = "ca.pem" }
"""

MODULES = {"provider": PROVIDER, "dns": DNS, "binderhub": BINDERHUB}
SERVICES = ("compute", "identity", "network")
"""What has a door of its own."""

TYPES = {
    "network": "networking_network_v2.net",
    "subnet": "networking_subnet_v2.net",
    "security group": "networking_secgroup_v2.hub",
    "floating address": "networking_floatingip_v2.hub",
    "server": "compute_instance_v2.master",
}
"""Of each kind of thing the one resource that makes it."""

RULE = "networking_secgroup_rule_v2.ssh"
IMPORT = r"^hint: .*?invoke (terraform .* import '{0}') "
FORGET = r"^hint: .*?invoke (forget .* '{0}')(?: |$)"
READY_SECONDS = 60.0
DEADLINE = ("--stage-timeout", "8")
"""For a run whose network hangs."""


class OpenStack:
    """One for each worker; the cloud is everybody's, and a case has a project in it."""

    name = "openstack"
    secrets: Sequence[str] = ()
    extents: Mapping[str, Extent] = {
        "spawn": Extent(27, 187, 12.0),
        "teardown": Extent(24, 78, 8.0),
    }

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._cloud = shared.cloud()
        self._configuration = {"TF_CLI_CONFIG_FILE": str(built().configuration(folder))}
        servers = stack.enter_context(Servers(folder))
        self._port, self._ca = servers.start(routes(modern())), servers.ca.read_bytes()
        self._template = stack.enter_context(self._new(folder / "new"))
        self._holder = Project.new(self._cloud)
        stack.callback(self._holder.purge)
        self._doors = stack.enter_context(doors.gates(self._holder, *SERVICES))

    @contextmanager
    def _new(self, folder: Path) -> Iterator[Place]:
        """An instance of which there is the recipe alone, in a project with a vault."""
        with empty(folder) as place:
            place.extra = dict(self._configuration)
            (place.instance / "ca.pem").write_bytes(self._ca)
            for name, text in MODULES.items():
                (place.instance / "modules" / name).mkdir(parents=True)
                module = place.instance / "modules" / name / "main.tf"
                module.write_text(text.replace("PORT", str(self._port)))
            place.recipe.write_text(RECIPE)
            made = place.cli("vault.init")
            assert made.code == 0, made
            yield place

    @contextmanager
    def prepared(self, case: Case, folder: Path) -> Iterator[Place]:
        project = Project.new(self._cloud)
        project.region, project.door = self._holder.region, self._holder.door
        self.secrets, self._project = (project.password,), project
        try:
            with copied(self._template, folder) as place:
                place.doors = self._doors
                _tell_vault(place, project.env)
                if case.command != "spawn":
                    done = place.cli(*self._spawn())
                    assert done.code == 0, done
                yield place
        finally:
            for door in self._doors.values():
                door.open()
            project.purge()

    def _spawn(self) -> tuple[str, ...]:
        return ("spawn", "--name", "demo", "--timeout", "60")

    def command(self, case: Case) -> Sequence[str]:
        if case.command == "teardown":
            return ("teardown", "--name", "demo", "--yes")
        return (*self._spawn(), *(DEADLINE if case.fault == "network-hang" else ()))

    def things(self, place: Place) -> list[Thing]:
        until(self._calm, READY_SECONDS, "a server does not come to rest")
        return [Thing(address, str(thing["id"])) for address, thing in self._listed()]

    def _calm(self) -> bool:
        """Whether the services are done with what they were asked for."""
        servers = [thing for address, thing in self._listed() if address == _address("server")]
        return all(server["status"] in ("ACTIVE", "ERROR") for server in servers)

    def _listed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind, found in self._project.things().items():
            for thing in found:
                if kind in TYPES:
                    yield _address(kind), thing
                for rule in thing.get("security_group_rules", ()):
                    if rule["port_range_min"] == 22:
                        yield f"module.provider.openstack_{RULE}", rule

    def wanted(self, case: Case, place: Place) -> set[str]:
        if case.command == "teardown":
            return set()
        return {f"module.provider.openstack_{RULE}", *map(_address, TYPES)}

    def state(self, place: Place) -> dict[str, str]:
        return sealed_state(place, place.instance / "terraform.tfstate.sops")

    def doubts(self, place: Place) -> list[str]:
        return []

    def again(self, place: Place) -> list[str]:
        return []  # what is there twice is no wanted state

    def settle(self, case: Case, place: Place, named: Sequence[str], said: str) -> None:
        """Import what is there, forget what is not."""
        known = set(self.state(place).values()) | set(place.journal.ledger().made.values())
        for address in named:
            there = [t.id for t in self.things(place) if t.address == address and t.id not in known]
            hinted = IMPORT if there else FORGET
            told = re.search(hinted.format(re.escape(address)), said, re.M)
            assert told, f"NO WAY ON: {address}, {there or 'which is not there'}\n{said}"
            done = place.cli(*shlex.split(told[1]), *there[:1])
            assert done.code == 0, f"THE WAY ON LEADS NOWHERE: {told[1]}\n{done}"

    def note(self, case: Case, place: Place) -> None:
        pass


def _address(kind: str) -> str:
    return f"module.provider.openstack_{TYPES[kind]}"


def _tell_vault(place: Place, environment: Mapping[str, str]) -> None:
    shared_by_all = place.project / "secrets" / "shared.yaml"
    lines = [f"  {name}: {json.dumps(value)}" for name, value in environment.items()]
    shared_by_all.write_text("\n".join(["environment:", *lines, ""]))
    done = place.cli("vault.encrypt", "secrets/shared.yaml")
    assert done.code == 0, done
