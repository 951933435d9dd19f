"""Clones of a project in git, each on a person's own machine: another HOME, another identity."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from barehub.vault.hooks import Hooks
from barehub.vault.store import Vault

from .conftest import INVOKE, ROOT, Cli, Result

SCRIPT = f"""\
#!/bin/sh
# scripts/invoke without the setting up: the tests have an environment already
root=$(cd "$(dirname "$0")/.." && pwd -P)
exec '{INVOKE}' --search-root "$root" "$@"
"""


@dataclass
class Clone:
    """A work tree with the project in the folder ``inside`` of it."""

    top: Path
    env: dict[str, str] = field(repr=False)
    inside: str = "."
    """Where in the work tree the project is."""

    @property
    def root(self) -> Path:
        return self.top / self.inside

    def run(self, *argv: str, input: str = "", at: Path | None = None) -> Result:
        done = subprocess.run(
            argv,
            input=input,
            capture_output=True,
            text=True,
            env=self.env,
            cwd=at or self.root,
            timeout=100,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def git(self, *args: str, at: Path | None = None) -> str:
        """What git prints; it must go well."""
        result = self.run("git", *args, at=at)
        assert result.code == 0, result
        return result.out

    def invoke(self, *args: str, input: str = "") -> str:
        """What a task prints; it must go well."""
        result = self.task(*args, input=input)
        assert result.code == 0, result
        return result.out

    def task(self, *args: str, input: str = "") -> Result:
        return self.run("scripts/invoke", *args, input=input)

    def set(self, message: str, **values: object) -> None:
        """Store variables in secrets/shared.yaml and commit it, past the hooks."""
        vault = self.vault
        vault.update(vault.file(None), {f"variables.{key}": v for key, v in values.items()})
        self.git("commit", "-q", "--no-verify", "-m", message, "secrets/shared.yaml")

    @property
    def vault(self) -> Vault:
        """In this process, which is quicker, and has this person's HOME."""
        scratch = Path(self.env["XDG_RUNTIME_DIR"]) / "scratch"
        scratch.mkdir(mode=0o700, exist_ok=True)
        return Vault(self.root, scratch)

    def values(self) -> dict[str, object]:
        """The variables that the vault has now."""
        return self.vault.read(None).variables


def with_drivers(root: Path) -> None:
    """Put there what git's hooks and drivers start."""
    for folder in ("scripts", ".venv/bin"):
        (root / folder).mkdir(parents=True)
    (root / "scripts/invoke").write_text(SCRIPT)
    (root / "scripts/invoke").chmod(0o755)
    (root / ".venv/bin/invoke").symlink_to(INVOKE)
    shutil.copy(ROOT / "requirements.lock", root)


def made(cli: Cli, top: Path, inside: str = ".", *, install: bool = True) -> Clone:
    """The test's project as a repository in ``top`` with a vault, hooks and drivers; committed."""
    for role in ("AUTHOR", "COMMITTER"):
        cli.env |= {f"GIT_{role}_NAME": "A", f"GIT_{role}_EMAIL": "a@example.org"}
    clone = Clone(top, cli.env, inside)
    clone.root.parent.mkdir(parents=True, exist_ok=True)
    cli.root.rename(clone.root)
    cli.root = clone.root
    with_drivers(clone.root)
    clone.git("init", "-q", "-b", "main", str(top))
    clone.vault.init()
    if install:
        Hooks(clone.root).install()
    clone.git("add", "-A")
    clone.git("commit", "-q", "--no-verify", "-m", "a vault")
    return clone
