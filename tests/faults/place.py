"""Where one run takes place: a project, a home, a folder in memory; and all its processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postgres import Postgres

from barehub.journal import Journal
from tests.cloud.openstack.gate import Gate
from tests.command_line import Cli, copy_barehub
from tests.conftest import MEMORY

MARK = "BAREHUB_FAULTS_RUN"
"""In the environment of all that a run starts: by it a fault finds them, wherever they went."""

POLL_SECONDS = 0.004
END_SECONDS = 120.0
"""For all that a run started to end by itself, on a machine that is busy."""


@dataclass
class Place:
    """One run's own folders; ``name`` is its instance."""

    folder: Path
    memory: Path
    """XDG_RUNTIME_DIR, on tmpfs."""

    extra: dict[str, str] = field(default_factory=dict)
    """What the world wants in the environment of commands."""

    name: str = "demo"
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    doors: dict[str, Gate] = field(default_factory=dict)
    """By which commands reach the services of the world, by name."""

    database: Postgres | None = None
    """What has the state, where that is a database."""

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def instance(self) -> Path:
        return self.project / "instances" / self.name

    @property
    def recipe(self) -> Path:
        return self.instance / "main.tf"

    @property
    def journal(self) -> Journal:
        return Journal(self.instance / "journal.jsonl")

    @property
    def env(self) -> dict[str, str]:
        foreign = ("SOPS_", "TF_", "XDG_", "DBUS_", "GITHUB_", "CI")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        return {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "XDG_RUNTIME_DIR": str(self.memory),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "CHECKPOINT_DISABLE": "1",
            MARK: self.mark,
            **self.extra,
        }

    @property
    def cli(self) -> Cli:
        return Cli(self.project, self.env)

    def sessions(self) -> list[Path]:
        """The folders of barehub's sessions that are there."""
        return sorted(self.memory.glob("barehub-*/*"))

    def living(self) -> list[int]:
        """The processes of this run, by number."""
        mark = f"{MARK}={self.mark}".encode()
        return [pid for pid in _processes() if mark in _environment(pid).split(b"\0")]

    def wait_for(self, command: subprocess.Popen[str]) -> str:
        """Until a command has ended; what it said on stderr."""
        return command.communicate(timeout=END_SECONDS)[1]

    def wait_for_all(self) -> None:
        """Until all that commands of this run started has ended."""
        until(lambda: not self.living(), END_SECONDS, "what a command started goes on")


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def until(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until something holds; after ``seconds`` it is an AssertionError."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(POLL_SECONDS)


@contextmanager
def empty(folder: Path) -> Iterator[Place]:
    """A place with barehub in it, and no vault or instance yet."""
    place = Place(folder, Path(tempfile.mkdtemp(prefix="barehub-test-", dir=MEMORY)))
    for made in (place.home, place.tmp, place.instance):
        made.mkdir(parents=True)
    copy_barehub(place.project)
    with _ended(place):
        yield place


@contextmanager
def copied(template: Place, folder: Path) -> Iterator[Place]:
    """A place like ``template``, which has ended."""
    shutil.copytree(template.folder, folder, symlinks=True)
    memory = Path(tempfile.mkdtemp(prefix="barehub-test-", dir=MEMORY))
    with _ended(Place(folder, memory, dict(template.extra), template.name)) as place:
        yield place


@contextmanager
def _ended(place: Place) -> Iterator[Place]:
    """End what is left of it, and remove its folders; after a failure what is on disk stays."""
    try:
        yield place
        shutil.rmtree(place.folder, ignore_errors=True)
    finally:
        while left := place.living():
            for pid in left:
                kill(pid)
            time.sleep(POLL_SECONDS)
        shutil.rmtree(place.memory, ignore_errors=True)
