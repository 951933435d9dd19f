"""Whatever umask a person has, nobody else writes what Terraform is given; a stricter one stays."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import slow_cloud
from .clones import Clone, made
from .conftest import INVOKE, ROOT, Cli

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def under(umask: str, cli: Cli, *args: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *cli.argv(*args)],
        env={**cli.env, "PYTHONDONTWRITEBYTECODE": ""},
        cwd=cli.root,
        input=input,
        capture_output=True,
        text=True,
        timeout=110,
        start_new_session=True,
    )


class Watch(threading.Thread):
    """Looks at every file and folder below some places again and again, until it is stopped."""

    def __init__(self, *places: Path) -> None:
        super().__init__(daemon=True)
        self.modes: dict[Path, int] = {}
        """Of each path all bits that it ever had."""

        self._places, self._end = places, threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.02):
            self.look()

    def look(self) -> None:
        for path in self._paths():
            try:
                found = path.lstat().st_mode
            except OSError:
                continue
            if not stat.S_ISLNK(found) and not stat.S_ISSOCK(found):
                self.modes[path] = self.modes.get(path, 0) | found

    def _paths(self) -> Iterator[Path]:
        for place in self._places:
            for top, folders, names in os.walk(place):
                yield from (Path(top, name) for name in [*folders, *names])

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()
        self.look()


@pytest.mark.parametrize(("umask", "mode"), [("000", 0o644), ("002", 0o644), ("077", 0o600)])
def test_nobody_else_writes_while_terraform_runs(
    cli: Cli, runtime_dir: Path, umask: str, mode: int
) -> None:
    before = os.umask(0o022)
    slow_cloud.make(cli.instance("demo"), "ls -l ${path.root} > ${path.root}/seen; sleep 1")
    os.umask(before)
    old = {path for path in cli.root.rglob("*") if path.parent == cli.root}
    assert old
    with Watch(cli.root, Path(cli.env["HOME"]), runtime_dir) as watch:
        assert under(umask, cli, "vault.init").returncode == 0
        stored = under(umask, cli, "vault.set", "variables.api_token", input="a value")
        assert stored.returncode == 0, stored
        ran = under(umask, cli, "spawn", "--name", "demo", "--timeout", "1")
    assert ran.returncode == 8, ran  # there is no hub behind it
    open_to_others = [str(p) for p, bits in watch.modes.items() if bits & OTHERS_WRITE]
    assert open_to_others == []
    seen = (cli.instance("demo") / "seen").read_text()
    assert "barehub.tf.json" in seen and "barehub_override.tf.json" in seen, seen
    made = ["instances/demo/terraform.tfstate.sops", "instances/demo/journal.jsonl"]
    made += ["secrets/shared.yaml", ".sops.yaml", "instances/demo/barehub.tf.json"]
    assert {name: oct(stat.S_IMODE((cli.root / name).stat().st_mode)) for name in made} == (
        dict.fromkeys(made, oct(mode))
    )


@pytest.mark.parametrize("umask", ["000", "077"])
def test_a_new_recipe_and_what_git_runs(cli: Cli, tmp_path: Path, umask: str) -> None:
    clone: Clone = made(cli, tmp_path / "clone", install=False)
    assert under(umask, cli, "new", "--name", "demo", "--recipe", "local").returncode == 0
    assert under(umask, cli, "vault.install-hooks").returncode == 0
    hook, recipe = clone.top / ".git/hooks/pre-commit", cli.instance("demo") / "main.tf"
    wide = umask == "000"
    assert stat.S_IMODE(recipe.stat().st_mode) == (0o644 if wide else 0o600)
    assert stat.S_IMODE(hook.stat().st_mode) == (0o755 if wide else 0o700)
    copied = clone.top / ".git/barehub"
    assert stat.S_IMODE(copied.stat().st_mode) == 0o700
    commit = f"umask {umask}; git commit -q --allow-empty -m x"
    subprocess.run(["sh", "-c", commit], cwd=clone.root, check=True, env=clone.env)
    assert [p for p in copied.rglob("*") if p.lstat().st_mode & OTHERS_WRITE and p.is_dir()] == []


@pytest.mark.parametrize("umask", ["000", "077"])
def test_the_scripts_before_python(tmp_path: Path, umask: str) -> None:
    """What sets the environment up, what a container starts, what keeps a run in git."""
    said = subprocess.run(
        ["bash", "-c", f"umask {umask}; root=/nowhere; . {ROOT}/scripts/venv.sh; umask"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == ("0022" if umask == "000" else "0077")
    for script in ("scripts/keep", "scripts/install-tools"):
        text = (ROOT / script).read_text()
        assert text.index("os.umask(") < text.index("sys.exit(main(")
    assert "umask" in (ROOT / "scripts/enter").read_text().partition("exec ")[0]
    inside = "import barehub.inside, os; print(oct(os.umask(0)))"
    found = subprocess.run(
        ["sh", "-c", f'umask {umask}; exec "$@"', "sh", sys.executable, "-c", inside],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == ("0o22" if umask == "000" else "0o77")
    assert INVOKE.exists() and not list(tmp_path.iterdir())
