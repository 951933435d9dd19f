"""Repositories made by the real git and the real git-crypt, for tests of moving away from it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ATTRIBUTES = """\
* filter=git-crypt diff=git-crypt
*.md !filter !diff
*.ops filter=git-crypt-ops diff=git-crypt-ops
.gitattributes !filter !diff
"""
"""All is encrypted but Markdown; ``*.ops`` by another key."""


class Old:
    """A repository in ``folder`` whose files git-crypt encrypts, as :data:`ATTRIBUTES` say."""

    def __init__(self, folder: Path, attributes: str = ATTRIBUTES, init: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", ".")
        if init:
            self.crypt("init")
            (folder / ".gitattributes").write_text(attributes)

    @property
    def env(self) -> dict[str, str]:
        """This process's environment, without the person's own settings of git."""
        person = {"NAME": "A", "EMAIL": "a@example.org"}
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        env |= {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in person.items()}
        return env | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(self, *argv: str, input: bytes = b"") -> bytes:
        return self._run(["git", *argv], input)

    def crypt(self, *argv: str) -> bytes:
        return self._run(["git-crypt", *argv])

    def key(self, path: Path, name: str = "") -> Path:
        """The key, exported to ``path``."""
        self.crypt("export-key", *(["-k", name] if name else []), str(path))
        return path

    def commit(self, files: Mapping[str, bytes | str], message: str = "Change") -> str:
        """Write and commit ``files``; the commit's id."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").decode().strip()

    def commit_blob(self, path: str, blob: bytes, message: str = "Tamper") -> None:
        """Commit ``blob`` as it is, past the filters."""
        id = self.git("hash-object", "-w", "--no-filters", "--stdin", input=blob).decode().strip()
        self.git("update-index", "--add", "--cacheinfo", f"100644,{id},{path}")
        self.git("commit", "-q", "-m", message)

    def blob(self, path: str, commit: str = "HEAD") -> bytes:
        """What is committed, encrypted."""
        return self.git("cat-file", "blob", f"{commit}:{path}")

    def _run(self, argv: list[str], input: bytes = b"") -> bytes:
        done = subprocess.run(
            argv, cwd=self.folder, env=self.env, input=input, capture_output=True, timeout=60
        )
        assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
        return done.stdout
