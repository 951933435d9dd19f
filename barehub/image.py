"""The image that containers run: built from the Dockerfile here, or one that has a name."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from barehub import process, reading
from barehub.console import console
from barehub.engine import Engine
from barehub.errors import ToolError
from barehub.process import Interruptions
from barehub.project import Project

NAMED = "BAREHUB_IMAGE"
"""An image to take, and to pull if it is missing, instead of building one."""

OPTIONS = "BAREHUB_BUILD_OPTIONS"
"""More options for the engine's build, such as ``--build-arg BASE=registry.example.org/debian``."""

INGREDIENTS = (
    "Dockerfile",
    ".dockerignore",
    "requirements.lock",
    "scripts/install-tools",
    "scripts/venv.sh",
    "scripts/enter",
)
"""What the image is made of; barehub itself is in there for the old way only, and does not count:
a run takes it from the project's own folder."""

STEP = re.compile(r"^(?:\[\d+/\d+\] )?(?:STEP|Step) .*|^#\d+ \[.*", re.MULTILINE)
"""How podman, docker and its buildkit say where they are."""

TOLD_LINES = 20


def ready(engine: Engine, project: Project, scratch: Path, interruptions: Interruptions) -> str:
    """The name of an image that is here; built or pulled if it was not.

    :param scratch: a folder of this run for what the build prints.
    :raises ToolError: it cannot be had, or would make volumes.
    """
    options = shlex.split(os.environ.get(OPTIONS, ""))
    image = os.environ.get(NAMED) or f"localhost/barehub:{_digest(project.root, options)}"
    found = engine.ask(engine.has_image(image))
    if found.code:
        if NAMED in os.environ:
            command, what = engine.pull(image), "pull"
        else:
            labels = {"image": "barehub"}
            command, what = engine.build(image, project.root, labels, options), "build"
        _follow(command, f"{what} {image}", scratch / "image.log", interruptions)
        found = engine.ask(engine.has_image(image))
    if found.text.strip() not in ("null", "{}", "map[]"):
        raise ToolError(
            f"the image {image} declares volumes, which would outlive its containers",
            f"take VOLUME out of its Dockerfile: {found.text.strip()}",
        )
    return image


def _digest(root: Path, options: Sequence[str]) -> str:
    """Of all that decides what is in the image."""
    sum = hashlib.sha256(repr(options).encode())
    for name in INGREDIENTS:
        sum.update(hashlib.sha256(reading.content(root / name, ToolError)).digest())
    return sum.hexdigest()[:16]


def _follow(command: Sequence[str], doing: str, log: Path, interruptions: Interruptions) -> None:
    """Run what takes minutes, showing its last line.

    :raises ToolError: it failed; the end of what it printed is shown.
    """
    started = time.monotonic()
    with log.open("wb") as output, console.working("image", doing) as work:
        child = process.start(command, env=process.environment(), output=output)
        try:
            while child.poll() is None:
                work.now(f"{doing}{_step(log)}")
                interruptions.check()
                time.sleep(0.2)
        except BaseException:
            child.terminate()
            child.wait()
            raise
    took = time.monotonic() - started
    if child.returncode:
        console.failed("image", doing, took)
        console.say(_end(log, TOLD_LINES))
        raise ToolError(
            f"the image could not be made: {shlex.join(command)}", "docs/how-to/container.md"
        )
    console.step("image", doing.replace("ing ", "t ", 1) if "build" in doing else doing, took)


def _step(log: Path) -> str:
    """The line of the Dockerfile that is being built; nothing for a pull."""
    steps = STEP.findall(log.read_text(errors="replace"))
    return f": {steps[-1]}" if steps else ""


def _end(log: Path, lines: int) -> str:
    text = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(text[-lines:])
