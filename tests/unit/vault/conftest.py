"""A vault of this test alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.console import Console
from barehub.vault import identity
from barehub.vault.identity import keychain, passphrase
from barehub.vault.store import Vault


@pytest.fixture
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without an identity, and nobody to ask."""
    monkeypatch.setattr(identity, "_taken", "")
    monkeypatch.setattr(keychain, "_silent", False)
    monkeypatch.setattr(passphrase, "_told", {})
    monkeypatch.setattr(Console, "terminal", False)
    return own_home


@pytest.fixture
def scratch(runtime_dir: Path) -> Path:
    path = runtime_dir / "scratch"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def vault(home: Path, tmp_path: Path, scratch: Path) -> Vault:
    """A new vault with an identity in the key file of sops."""
    root = tmp_path / "project"
    root.mkdir()
    made = Vault(root, scratch)
    made.init()
    return made
