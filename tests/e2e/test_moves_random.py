"""Random edits, spawns and kills with the real Terraform: nothing is lost, nothing is there twice.

The cloud is a folder: a provisioner makes a file for each resource, named by its id, and another
one removes it with the resource.
"""

from __future__ import annotations

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest

from barehub import reconcile
from barehub.journal import Journal
from barehub.terraform.state import Object

from . import slow_cloud
from .conftest import Cli, unseal

SPAWN = ("spawn", "--name", "demo", "--timeout", "1", "--yes", "--recover", "--wait")

RESOURCE = """
resource "terraform_data" "NAME" {
  COUNT
  input = "INPUT"
  provisioner "local-exec" { command = "touch ${path.root}/cloud/${self.id}" }
  provisioner "local-exec" {
    when    = destroy
    command = "rm ${path.root}/cloud/${self.id}"
  }
}
"""


class Recipe:
    """Resources by name, with ``count`` or none, and the blocks that a spawn has to carry out."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.counts: dict[str, int | None] = {"a": None, "b": None}
        self.blocks = ""

    def write(self) -> None:
        text = slow_cloud.PROVIDER.replace("SLOW", "true")
        for name, count in self.counts.items():
            how = "" if count is None else f"count = {count}"
            text += RESOURCE.replace("NAME", name).replace("COUNT", how).replace("INPUT", "one")
        (self.folder / "modules" / "provider" / "main.tf").write_text(text + self.blocks)

    def edit(self) -> str:
        """Change something; the blocks of the edit before are taken out."""
        self.blocks = ""
        free = [name for name in "abcd" if name not in self.counts]
        there = [name for name, count in self.counts.items() if count != 0]
        kind = self.random.choice(["new", "move", "keep", "count", "destroy"])
        name = self.random.choice(there) if there else ""
        if kind == "new" or not name:
            if free:
                self.counts[free[0]] = None
        elif kind == "move" and free:
            self.counts[free[-1]] = self.counts.pop(name)
            ends = f"from = terraform_data.{name}\n  to = terraform_data.{free[-1]}"
            self.blocks = f"moved {{\n  {ends}\n}}\n"
        elif kind == "keep":
            del self.counts[name]
            keeping = "lifecycle {\n    destroy = false\n  }"
            self.blocks = f"removed {{\n  from = terraform_data.{name}\n  {keeping}\n}}\n"
        elif kind == "count":
            self.counts[name] = 1 if self.counts[name] is None else None
        elif kind == "destroy":
            self.counts[name] = 0
        self.write()
        return f"{kind} {name}"


def _objects(folder: Path) -> list[Object]:
    return [
        Object(f"module.provider.terraform_data.{resource['name']}[{n}]", one["attributes"]["id"])
        for resource in unseal(folder / "terraform.tfstate.sops")["resources"]
        for n, one in enumerate(resource["instances"])
    ]


@pytest.mark.parametrize("seed", [5, 8, 9])
def test_random_edits_and_kills(cli: Cli, seed: int) -> None:
    folder = cli.instance("demo")
    slow_cloud.make(folder)
    (folder / "cloud").mkdir()
    recipe = Recipe(folder, seed)
    recipe.write()
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-random").code == 0
    edits = []
    for step in range(5):
        edits.append(recipe.edit() if step else "first")
        if recipe.random.random() < 0.5:
            run = cli.start(*SPAWN)
            time.sleep(recipe.random.uniform(0.5, 5))
            run.send_signal(signal.SIGKILL)
            run.communicate()
            edits.append("kill")
        result = cli(*SPAWN)
        assert result.code == 8, (edits, result)  # nothing listens at this recipe's endpoint
        objects = _objects(folder)
        ids = [one.id for one in objects]
        assert len(ids) == len({*ids}), (edits, objects)
        released = reconcile.released(Journal(folder / "journal.jsonl"), objects)
        cloud = {path.name for path in (folder / "cloud").iterdir()}
        assert cloud <= {*ids, *(id for _, id in released)}, (edits, cloud, objects, released)
        again = cli("plan", "--name", "demo")
        assert again.out == "demo: nothing to change\n", (edits, again)
    left = {path.name for path in (folder / "cloud").iterdir()}
    torn_down = cli("teardown", "--name", "demo", "--yes")
    assert torn_down.code == 0, (edits, torn_down)
    kept = {path.name for path in (folder / "cloud").iterdir()}
    assert kept <= left
    told = re.findall(r"\(terraform_data ([0-9a-f-]{36})\)", torn_down.err)
    assert kept == {*told}, (edits, torn_down)
    assert "CANARY" not in json.dumps([edits, torn_down.err])
