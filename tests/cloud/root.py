"""A Terraform root module in a folder of its own, driven as a person would."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub.project import Project
from tests.command_line import ROOT

TIMEOUT_SECONDS = 200


@dataclass(frozen=True)
class Root:
    """``folder`` gets ``main.tf``; ``env`` is what the provider needs besides this environment."""

    folder: Path
    env: Mapping[str, str]
    program: Path | None = None
    """Terraform or OpenTofu; what barehub would use unless given."""

    def write(self, text: str) -> Root:
        """Make ``text`` the module, and initialise it."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "main.tf").write_text(text)
        done = self.run("init")
        assert done.returncode == 0, done.stdout
        return self

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Its exit code, and all that it said in ``stdout``."""
        return subprocess.run(
            [self.program or Project(ROOT).terraform.path, *args, "-no-color"],
            cwd=self.folder,
            env={**os.environ, "TF_INPUT": "0", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )

    def apply(self, **variables: str) -> subprocess.CompletedProcess[str]:
        given = [f"-var={name}={value}" for name, value in variables.items()]
        return self.run("apply", "-auto-approve", *given)

    def destroy(self, **variables: str) -> subprocess.CompletedProcess[str]:
        given = [f"-var={name}={value}" for name, value in variables.items()]
        return self.run("destroy", "-auto-approve", *given)

    def outputs(self) -> dict[str, Any]:
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        return {name: output["value"] for name, output in state["outputs"].items()}

    def resources(self) -> list[str]:
        """The addresses that the state holds, sorted."""
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        return sorted(
            f"{resource['type']}.{resource['name']}"
            for resource in state["resources"]
            if resource["mode"] == "managed"
        )
