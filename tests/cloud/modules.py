"""A root module that calls modules of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from barehub.project import Project
from tests.command_line import ROOT

from .root import Root

MODULES = Path(__file__).resolve().parents[2] / "terraform"


class Recipe(Root):
    """``Root`` whose text is made of module calls."""

    @classmethod
    def at(cls, folder: Path, env: Mapping[str, str]) -> Recipe:
        """With the programs on PATH that barehub gives to modules."""
        return cls(folder, {**env, "PATH": Project(ROOT).tools_path()})

    def calls(self, **modules: Mapping[str, Any]) -> None:
        """Call each module by its arguments, JSON values or expressions, and show its outputs.

        ``source`` is a folder of ``terraform/``, such as ``dns/manual``, or a path.
        """
        content = {
            "module": {
                name: {**arguments, "source": str(MODULES / arguments["source"])}
                for name, arguments in modules.items()
            },
            "output": {
                name: {"value": f"${{module.{name}}}", "sensitive": True} for name in modules
            },
        }
        first = not (self.folder / ".terraform").exists()
        self.folder.mkdir(exist_ok=True)
        (self.folder / "main.tf.json").write_text(json.dumps(content))
        if first:
            self.succeeds("init")

    def succeeds(self, *args: str) -> None:
        done = self.run(*args)
        assert done.returncode == 0, done.stdout

    def fails(self, *args: str) -> str:
        """What it said."""
        done = self.run(*args)
        assert done.returncode == 1, done.stdout
        return done.stdout

    def settles(self, *options: str) -> None:
        """An apply succeeds, and a plan then has nothing to do."""
        self.succeeds("apply", "-auto-approve", *options)
        self.succeeds("plan", "-detailed-exitcode")

    def goes(self) -> None:
        self.succeeds("destroy", "-auto-approve")

    def planned(self) -> dict[str, list[str]]:
        """What a plan would do, by address; not what it leaves alone."""
        self.succeeds("plan", "-out=planned")
        plan = json.loads(self.run("show", "-json", "planned").stdout)
        return {
            change["address"]: change["change"]["actions"]
            for change in plan.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def attributes(self) -> dict[str, dict[str, Any]]:
        """Of all that is in the state, by address."""
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        return {
            f"{resource['type']}.{resource['name']}[{instance.get('index_key')}]": instance[
                "attributes"
            ]
            for resource in state["resources"]
            for instance in resource["instances"]
        }
