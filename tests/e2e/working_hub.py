"""A hub that verifies: terraform_data for its cloud, a real TLS server for its BinderHub.

What BinderHub says is played, and depends on the version that Terraform brought last: the version
`sick` is one whose page is broken, as any is while there is a file `ill`; `bad` cannot be
installed.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from endpoints import HTML, Servers, modern, routes
from sshd import Sshd, keygen

from .conftest import Cli, Result

CANARY = "CANARY-day-two-token"

RECIPE = """
module "provider" {
  source   = "./modules/provider"
  nb_nodes = 1 # beside the master
}

module "dns" {
  source    = "./modules/dns"
  domain    = "demo.localhost"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source         = "./modules/binderhub"
  domain         = module.dns.domain
  binder_version = "1.0"
  api_token      = "<vault>"
}

output "seen" { value = file("${path.root}/seen") }
"""

PROVIDER = """
variable "nb_nodes" {}
variable "pinned" { default = "" }
resource "terraform_data" "ip" { input = "127.0.0.1" }
resource "terraform_data" "master" {
  triggers_replace = [fileexists("${path.root}/stern") ? var.nb_nodes : 0]
}
resource "terraform_data" "node" {
  count = var.nb_nodes
  provisioner "local-exec" { command = "test ! -e ${path.root}/no-machines" }
}
output "public_ip" { value = terraform_data.ip.output }
output "admin_user" { value = "USER" }
output "ssh_port" { value = SSH_PORT }
output "nodes" {
  value = [for n in range(var.nb_nodes) : { name = "demo-node${n + 1}", ip = "127.0.0.1", x = 1 }]
}
"""

DNS = """
variable "domain" {}
variable "public_ip" {}
resource "terraform_data" "record" { input = "${var.domain} ${var.public_ip}" }
output "domain" { value = var.domain }
"""

BINDERHUB = """
variable "domain" {}
variable "binder_version" {}
variable "api_token" {}
resource "terraform_data" "hub" {
  triggers_replace = [var.binder_version]
  input            = var.api_token
  provisioner "local-exec" {
    command = <<-EOT
      test ${var.binder_version} != bad || exit 1
      test ${var.binder_version} != slow || { touch ${path.root}/going; sleep 5; }
      echo ${var.binder_version} >> ${path.root}/log
    EOT
  }
}
output "endpoint" { value = "https://${var.domain}:PORT" }
output "connect_to" { value = "127.0.0.1:PORT" }
output "ca_file" { value = "ca.pem" }
"""


@dataclass
class Hub:
    """The instance demo, and a machine with a real sshd, which is its master and its node."""

    cli: Cli
    folder: Path
    sshd: Sshd
    key: Path

    def __call__(self, *args: str, input: str = "") -> Result:
        command, *rest = args
        return self.cli(command, "--name", "demo", *rest, input=input)

    @property
    def recipe(self) -> Path:
        return self.folder / "main.tf"

    @property
    def versions(self) -> list[str]:
        """What was installed, in order."""
        return (self.folder / "log").read_text().split()

    def edit(self, old: str, new: str, file: str = "main.tf") -> None:
        path = self.folder / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def spawn(self) -> str:
        """Bring it up; its endpoint."""
        done = self("spawn", "--timeout", "20")
        assert done.code == 0, done
        return done.out.strip()


def make(folder: Path, port: int, ssh_port: int) -> None:
    """Write the recipe and its modules."""
    modules = {"provider": PROVIDER, "dns": DNS, "binderhub": BINDERHUB}
    for name, text in modules.items():
        (folder / "modules" / name).mkdir(parents=True)
        text = text.replace("SSH_PORT", str(ssh_port)).replace("PORT", str(port))
        (folder / "modules" / name / "main.tf").write_text(text.replace("USER", getpass.getuser()))
    (folder / "main.tf").write_text(RECIPE)
    (folder / "seen").write_text("as it was")


@contextmanager
def served(folder: Path, scratch: Path) -> Iterator[Sshd]:
    """An instance's folder with the recipe, while what it needs is there; `scratch`/key logs in."""
    well, sick = routes(modern()), routes({"*": (500, HTML, "no")})

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        installed = (folder / "log").read_text().split()[-1]
        ill = installed == "sick" or (folder / "ill").exists()
        if ill:
            (folder / "looked-at").touch()
        await (sick if ill else well)(reader, writer)

    sshd = Sshd(scratch / "sshd", [keygen(scratch / "key")], path=_kubectl(scratch / "programs"))
    try:
        with Servers(scratch) as servers:
            make(folder, servers.start(answer), sshd.port)
            (folder / "ca.pem").write_bytes(servers.ca.read_bytes())
            (folder / "known_hosts").write_text(sshd.known_hosts_line)
            yield sshd
    finally:
        sshd.close()


def _kubectl(folder: Path) -> str:
    """A PATH for the machine on which a script plays kubectl, and writes down what it was asked."""
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\n'
        'case $1 in get) echo binderhub ;; logs) echo "a line of $2" ;; esac\n'
    )
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture
def hub(cli: Cli, tmp_path: Path) -> Iterator[Hub]:
    folder = cli.instance("demo")
    folder.mkdir(parents=True)
    with served(folder, tmp_path) as sshd:
        key = tmp_path / "key"
        assert cli("vault.init").code == 0
        assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
        assert cli("vault.set", "ssh.private_key", input=key.read_text()).code == 0
        yield Hub(cli, folder, sshd, key)
