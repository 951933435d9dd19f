"""A project whose commands run in containers of a real podman."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from barehub import image
from barehub.engine import Engine
from barehub.patience import Patience
from barehub.process import Interruptions
from barehub.project import Project
from tests import boxes

from .conftest import ROOT, Cli

PARTS = (*image.INGREDIENTS, "scripts/invoke")


@pytest.fixture
def boxed(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cli]:
    """The project of the test: its image is there, and no container of it is left at the end."""
    boxes.needed()
    for name, value in boxes.settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(image.OPTIONS, boxes.ingredients())
    cli.env = dict(os.environ)
    for part in PARTS:
        (cli.root / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, cli.root / part)
    with boxes.alone():
        podman = Engine("podman", "podman", rootless=False)
        image.ready(podman, Project(cli.root), tmp_path, Interruptions())
    yield cli
    left = mine(cli)
    for name in left:
        boxes.podman("rm", "--force", "--time", "0", name)
    assert left == [], "a container is left"


def mine(cli: Cli) -> list[str]:
    """The containers of this test's project."""
    return boxes.names("--filter", f"label=org.barehub.root={cli.root}")


def running(cli: Cli) -> str:
    """The name of the test's container, as soon as it runs."""
    return str(waited_for(lambda: mine(cli))[0])


def waited_for(look: Callable[[], Any], seconds: float = 60) -> Any:
    patience = Patience(seconds)
    while not (found := look()):
        assert not patience.over()
        time.sleep(0.02)
    return found


def inspected(name: str) -> dict[str, Any]:
    (told,) = json.loads(boxes.podman("container", "inspect", name))
    return dict(told)


def monitor(name: str) -> int:
    """The process of conmon, which watches over the container."""
    return int(Path(inspected(name)["ConmonPidFile"]).read_text())


def options() -> list[str]:
    """What the tests' image is built with."""
    return shlex.split(os.environ[image.OPTIONS])
