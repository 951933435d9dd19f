"""NeuroLibre's modules, restated (tests/cloud/neurolibre), as a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

MODULES = ROOT / "tests" / "cloud" / "neurolibre"
RECIPE = ROOT / "terraform" / "recipes" / "neurolibre.tf"

UPSTREAM = "git::https://github.com/neurolibre/terraform-binderhub.git"
COMMIT = "eb4571085c49c54490bdf488807ddbb342d9e280"

AUTHOR = {
    f"GIT_{role}_{what}": "a@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def repository(folder: Path) -> tuple[str, str]:
    """Make the repository in ``folder``: its source for Terraform, and its commit."""
    shutil.copytree(MODULES, folder)
    for args in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "Modules")):
        subprocess.run(["git", *args], cwd=folder, env={**os.environ, **AUTHOR}, check=True)
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True)
    return f"git::file://{folder}", said.stdout.strip()


def recipe(name: str, source: str, commit: str) -> str:
    """The recipe `neurolibre` for an instance, its modules taken from ``source``."""
    text = RECIPE.read_text().replace("instance-name", name)
    assert text.count(UPSTREAM) == text.count(COMMIT) == 3
    return text.replace(UPSTREAM, source).replace(COMMIT, commit)
