"""A vault for the tests of one file, and what they do with it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from barehub.vault import identity
from barehub.vault.sops import binary
from barehub.vault.store import Vault


def fresh(folder: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A new vault under ``folder``; its identity is in the key file of sops, in the test's HOME."""
    monkeypatch.setattr(identity, "_taken", "")
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    root = folder / "pro ject"
    root.mkdir()
    made = Vault(root, scratch)
    made.init()
    return made


def again(vault: Vault) -> Vault:
    """The same vault, for a later command."""
    return Vault(vault.root, vault.scratch)


def plain_sops(vault: Vault, *args: str) -> bytes:
    """What sops prints, called by hand in the vault's root."""
    env = {name: os.environ[name] for name in ("HOME", "PATH")}
    argv = [binary(), "--disable-version-check", *args]
    return subprocess.run(argv, cwd=vault.root, env=env, capture_output=True, check=True).stdout


def editor(home: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Make a Python script the editor; ``path`` is the file, ``text`` what stands in it."""
    script = home / "editor.py"
    script.write_text(
        f"import os, sys, pathlib\npath = pathlib.Path(sys.argv[1])\n"
        f"text = path.read_text()\n{code}\n"
    )
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(script)]))
