"""A folder with a recipe of our modules, and the real terraform in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULES = Path(__file__).resolve().parents[2] / "terraform"
SECONDS = 240.0


@dataclass
class Done:
    """A terraform that has ended."""

    code: int
    said: str


class Recipe:
    """Calls modules of ours; ``arguments`` of each are JSON values or Terraform's expressions."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "OS_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.env = {**kept, "PATH": path, "CHECKPOINT_DISABLE": "1", **env}

    def write(self, **calls: Mapping[str, Any]) -> None:
        """Have the recipe call the modules named in each call's ``source``, such as dns/manual."""
        modules = {
            name: {**arguments, "source": str(MODULES / arguments["source"])}
            for name, arguments in calls.items()
        }
        outputs = {name: {"value": f"${{module.{name}}}", "sensitive": True} for name in calls}
        content = {"module": modules, "output": outputs}
        (self.folder / "main.tf.json").write_text(json.dumps(content))
        if not (self.folder / ".terraform").exists():
            done = self("init")
            assert done.code == 0, done.said

    def __call__(self, command: str, *options: str) -> Done:
        done = subprocess.run(
            ["terraform", command, "-input=false", "-no-color", *options],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def apply(self, *options: str) -> Done:
        return self("apply", "-auto-approve", *options)

    def destroy(self, *options: str) -> Done:
        return self("destroy", "-auto-approve", *options)

    def applied(self) -> None:
        done = self.apply()
        assert done.code == 0, done.said
        self.is_settled()

    def is_settled(self) -> None:
        """A plan has nothing to do."""
        done = self("plan", "-detailed-exitcode")
        assert done.code == 0, done.said

    def planned(self) -> dict[str, list[str]]:
        """What a plan would do to which address; nothing about what it leaves alone."""
        done = self("plan", "-out=planned")
        assert done.code == 0, done.said
        plan = json.loads(self._json("show", "-json", "planned"))
        (self.folder / "planned").unlink()
        return {
            change["address"]: change["change"]["actions"]
            for change in plan.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def output(self, name: str) -> Any:
        return json.loads(self._json("output", "-json", name))

    def state(self) -> dict[str, dict[str, Any]]:
        """The attributes of all that is there, by address."""
        root = json.loads(self._json("show", "-json")).get("values", {}).get("root_module", {})
        return {
            resource["address"]: resource["values"]
            for module in root.get("child_modules", [])
            for resource in module["resources"]
        }

    def _json(self, *arguments: str) -> str:
        return subprocess.run(
            ["terraform", *arguments], cwd=self.folder, env=self.env, capture_output=True,
            text=True, timeout=SECONDS, check=True,
        ).stdout  # fmt: skip
