"""Runs a job of our GitHub workflows as its runner does: each step in bash, with files for what it
tells GitHub. Its actions are played: a checkout is a shallow clone, an artifact is not stored."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .conftest import ROOT, Result

WORKFLOWS = ROOT / "docs" / "how-to" / "ci" / "github"

EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")


def workflow(name: str) -> Any:
    return yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())


@dataclass
class Job:
    """A job in the clone ``root``; ``context`` are the values of its expressions."""

    workflow: str
    name: str
    root: Path
    env: dict[str, str] = field(repr=False)
    context: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    def _evaluated(self, given: dict[str, str]) -> dict[str, str]:
        def value(match: re.Match[str]) -> str:
            return self.context[match[1]]

        return {key: EXPRESSION.sub(value, str(text)) for key, text in given.items()}

    def argv(self, step: str) -> tuple[list[str], dict[str, str]]:
        """What the runner starts for a step, and in which environment."""
        job = workflow(self.workflow)["jobs"][self.name]
        (found,) = [one for one in job["steps"] if one.get("name") == step]
        assert "${{" not in found["run"], "a value of others would be run"
        folder = self.root.parent / "runner"
        folder.mkdir(exist_ok=True)
        script = folder / f"{step}.sh"
        script.write_text(found["run"])
        env = {**self.env, **self._evaluated(job.get("env", {}) | found.get("env", {}))}
        for name in ("OUTPUT", "STEP_SUMMARY"):
            (folder / name).write_text("")
            env[f"GITHUB_{name}"] = str(folder / name)
        env |= {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "owner/hubs"}
        return ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], env

    def start(self, step: str) -> subprocess.Popen[str]:
        argv, env = self.argv(step)
        return subprocess.Popen(
            argv,
            cwd=self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Result:
        """What became of a step: its log is in ``out``."""
        log, _ = process.communicate(timeout=200)
        folder = self.root.parent / "runner"
        self.summary = (folder / "STEP_SUMMARY").read_text()
        told = (folder / "OUTPUT").read_text().splitlines()
        self.outputs |= dict(line.split("=", 1) for line in told)
        return Result(process.returncode, log, "")

    def step(self, step: str) -> Result:
        return self.ended(self.start(step))


def checkout(remote: Path, place: Path, env: dict[str, str]) -> Path:
    """What actions/checkout does with ``ref: main``."""
    place.mkdir(parents=True)
    root = place / "project"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", "--branch=main", f"file://{remote}", str(root)],
        env={**os.environ, **env},
        check=True,
    )
    return root
