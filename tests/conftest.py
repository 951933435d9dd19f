"""What all rings of tests share: the command line's option, and a home of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.faults.report"]

ROOT = Path(__file__).resolve().parent.parent
MEMORY = "/dev/shm"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cloud",
        action="store_true",
        help="also run the tests marked `cloud`: OpenStack's own services, containers of podman",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--cloud"):
        skip = pytest.mark.skip(reason="needs --cloud")
        for item in items:
            if item.get_closest_marker("cloud"):
                item.add_marker(skip)


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """An XDG_RUNTIME_DIR of this test alone: on tmpfs, as barehub demands."""
    path = Path(tempfile.mkdtemp(prefix="barehub-test-", dir=MEMORY))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def own_home(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process's HOME and its like, away from the person's own; no keyring, no identity."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("SOPS_", "TF_", "XDG_", "DBUS_", "GITHUB_", "AWS_", "VAULT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", _uv_cache())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_dir))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("CHECKPOINT_DISABLE", "1")
    return home


def _uv_cache() -> str:
    """The person's own cache of packages: what it holds is checked by hash."""
    given = os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    if os.environ.get("UV_CACHE_DIR"):
        return str(given)
    return str(Path(given or Path.home() / ".cache") / "uv")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat what failed before pytest began, where a person looks."""
    if failed := os.environ.get("BAREHUB_FAILED_CHECKS"):
        terminalreporter.write_line(f"checks that failed before the tests: {failed}", red=True)
