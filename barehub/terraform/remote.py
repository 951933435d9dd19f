"""Fetches the modules of a recipe that does not exist yet, to see what they ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from barehub import process
from barehub.console import console
from barehub.errors import ToolError
from barehub.project import Tool
from barehub.ssh.refusal import explain
from barehub.terraform.module import Module, read
from barehub.terraform.source import Source


def fetch(
    tool: Tool, sources: Mapping[str, Source], scratch: Path, env: Mapping[str, str]
) -> dict[str, Module]:
    """The modules of ``sources``, by stage; with a warning, none when they cannot be fetched."""
    folder = scratch / "modules"
    folder.mkdir()
    calls = {stage: {"source": s.text, "version": s.version} for stage, s in sources.items()}
    calls = {stage: {k: v for k, v in call.items() if v} for stage, call in calls.items()}
    (folder / "main.tf.json").write_text(json.dumps({"module": calls}))
    try:
        done = process.run([tool.path, "get", "-no-color"], env=env, cwd=folder)
    except ToolError as error:
        return _unseen(error.problem)
    if done.code:
        refusal = explain(done.stderr.decode(errors="replace"))
        return _unseen(refusal.problem if refusal else "")
    manifest = (folder / ".terraform" / "modules" / "modules.json").read_text()
    places = {entry["Key"]: entry["Dir"] for entry in json.loads(manifest)["Modules"]}
    return {stage: read(folder / places[stage]) for stage in sources}


def _unseen(reason: str) -> dict[str, Module]:
    console.warn(
        "the modules could not be fetched, so what they say of their arguments is not shown"
        + (f": {reason}" if reason else "")
    )
    return {}
