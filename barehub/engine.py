"""docker and podman: which one is here, and the commands that barehub gives it.

What builds a command is pure: it returns an argument list and runs nothing.
"""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub import process
from barehub.errors import ToolError, UsageError

ENGINES = ("podman", "docker")
"""Podman first: its containers are the person's own processes, and need no daemon of root's."""

LABEL = "org.barehub"
"""What our labels begin with: ``.run``, ``.user``, ``.session``, ``.root``, ``.instance``."""

PRIVATE = "/run/barehub"
"""Where the session of a run is inside: on tmpfs, like all else that is written there."""

STOP_SECONDS = 600
"""How long an engine's ``stop`` waits for Terraform to finish what is under way, and a seal."""

ANSWER_SECONDS = 60.0
REMOVALS = 5


@dataclass(frozen=True)
class Box:
    """One container to run: its names, what it may see, and what it may change."""

    name: str
    image: str
    root: Path
    writable: Path | None
    """The folder of the instance; everything else below ``root`` is read-only."""

    labels: Mapping[str, str]
    id_file: Path
    """Where the engine writes the container's id, outside."""

    network: str = ""


@dataclass(frozen=True)
class Engine:
    """A program that runs containers; ``rootless`` when it does so without being root."""

    path: str
    kind: str
    rootless: bool

    def run(self, box: Box, inside: Sequence[str]) -> list[str]:
        """Run ``inside`` in ``box`` with our standard input; it removes itself at the end."""
        return [
            *(self.path, "run", "--rm", "--interactive", "--pull", "never"),
            *("--name", box.name, "--hostname", box.name, "--cidfile", str(box.id_file)),
            *(f"--label={LABEL}.{key}={value}" for key, value in box.labels.items()),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            # SELinux: the alternative is to relabel the person's own files
            *("--security-opt", "label=disable"),
            # what the run prints is the person's: no copy of it on a disk
            *("--log-driver", "none", "--stop-timeout", str(STOP_SECONDS)),
            *("--tmpfs", f"{PRIVATE}:rw,nosuid,nodev,noexec,size=256m,mode=1777"),
            *("--tmpfs", "/tmp:rw,nosuid,nodev,exec,mode=1777"),  # noqa: S108 - the box's own
            *self._mounts(box),
            *self._user(),
            *_limits(),
            *self._only_podman("--http-proxy=false"),  # it would put their passwords into `inspect`
            *(("--network", box.network) if box.network else ()),
            *("--workdir", str(box.root), "--entrypoint", "python"),
            *("--env", f"XDG_RUNTIME_DIR={PRIVATE}", "--env", "HOME=/tmp"),
            *(box.image, "-m", "barehub.inside", *inside),
        ]

    def build(
        self, image: str, context: Path, labels: Mapping[str, str], options: Sequence[str] = ()
    ) -> list[str]:
        return [
            *(self.path, "build", "--tag", image),
            *(f"--label={LABEL}.{key}={value}" for key, value in labels.items()),
            *options,
            str(context),
        ]

    def pull(self, image: str) -> list[str]:
        return [self.path, "pull", image]

    def has_image(self, image: str) -> list[str]:
        return [self.path, "image", "inspect", "--format", "{{json .Config.Volumes}}", image]

    def containers(self, **labels: str) -> list[str]:
        """List the ids of containers, running or not, that carry ``labels``."""
        chosen = [f"--filter=label={LABEL}.{key}={value}" for key, value in labels.items()]
        return [self.path, "ps", "--all", "--quiet", "--no-trunc", *chosen]

    def volumes(self, **labels: str) -> list[str]:
        chosen = [f"--filter=label={LABEL}.{key}={value}" for key, value in labels.items()]
        return [self.path, "volume", "ls", "--quiet", *chosen]

    def inspect(self, ids: Sequence[str]) -> list[str]:
        return [self.path, "container", "inspect", *ids]

    def remove(self, container: str, *, volumes: bool = True) -> list[str]:
        """:param volumes: also those without a name that the container has."""
        return [self.path, "rm", "--force", *(["--volumes"] if volumes else []), container]

    def take_away(self, container: str, *, volumes: bool = True) -> bool:
        """Remove it, in a few tries: podman cannot while it learns that the monitor was killed."""
        for _ in range(REMOVALS):
            self.ask(self.remove(container, volumes=volumes))
            if not self.described([container]):
                return True
            time.sleep(1)
        return False

    def ask(self, command: Sequence[str]) -> process.Finished:
        """:raises ToolError: it does not answer in time."""
        return process.run(command, timeout=ANSWER_SECONDS)

    def lines(self, command: Sequence[str]) -> list[str]:
        """The lines that a listing prints.

        :raises ToolError: the engine refuses.
        """
        done = self.ask(command)
        if done.code:
            raise ToolError(f"{self.path}: {_last_line(done)}", f"{self.path} info")
        return done.text.split()

    def described(self, ids: Sequence[str]) -> list[Container]:
        """Those of the containers ``ids`` that are there."""
        found = []
        for id in ids:  # one by one: a listed one may have gone meanwhile
            done = self.ask(self.inspect([id]))
            if done.code == 0:
                found += [Container.of(one) for one in json.loads(done.stdout)]
        return found

    def _mounts(self, box: Box) -> Iterator[str]:
        yield from ("--mount", _bind(box.root, readonly=True))
        if box.writable:
            yield from ("--mount", _bind(box.writable, readonly=False))

    def _user(self) -> tuple[str, ...]:
        """Whoever runs us, so that files belong to them as without a container."""
        me = f"{os.getuid()}:{os.getgid()}"
        if not self.rootless:
            return ("--user", me)
        if self.kind == "podman":
            return ("--userns", "keep-id", "--user", me)
        return ("--user", "0:0")  # that is the person themselves in docker's user namespace

    def _only_podman(self, *options: str) -> tuple[str, ...]:
        return options if self.kind == "podman" else ()


@dataclass(frozen=True)
class Container:
    """What an engine tells of a container."""

    id: str
    name: str
    image: str
    running: bool
    labels: Mapping[str, str]
    mounted: frozenset[str]
    """Where folders of the host are mounted."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Container:
        labels = told["Config"].get("Labels") or {}
        binds = {m["Destination"] for m in told.get("Mounts") or () if m.get("Type") == "bind"}
        return cls(
            id=told["Id"],
            name=told["Name"].lstrip("/"),
            image=told.get("ImageName") or told["Config"]["Image"],
            running=told["State"]["Status"] in ("running", "paused", "restarting", "stopping"),
            labels={
                key.removeprefix(f"{LABEL}."): value
                for key, value in labels.items()
                if key.startswith(f"{LABEL}.")
            },
            mounted=frozenset(binds),
        )


def find() -> Engine:
    """The engine that BAREHUB_ENGINE names, else the first that answers.

    :raises ToolError: there is none; says what to install, and that nobody has to.
    """
    chosen = os.environ.get("BAREHUB_ENGINE", "")
    problems = []
    for name in (chosen,) if chosen else ENGINES:
        if not shutil.which(name):
            problems.append(f"{name} was not found")
            continue
        try:
            return _opened(name)
        except ToolError as error:
            problems.append(error.problem)
    raise ToolError(
        f"--container needs podman or docker: {'; '.join(problems)}",
        "apt install podman   (macOS: brew install podman, podman machine init --now)",
        "or leave out --container: it is optional, the run is the same without",
    )


def all_here() -> Iterator[Engine | ToolError]:
    """Each engine on PATH, or why it does not answer."""
    for name in dict.fromkeys(filter(None, (os.environ.get("BAREHUB_ENGINE"), *ENGINES))):
        if shutil.which(name):
            try:
                yield _opened(name)
            except ToolError as error:
                yield error


def _opened(name: str) -> Engine:
    """:raises ToolError: it does not answer, or is no engine that we know."""
    kind = next((kind for kind in ENGINES if kind in Path(name).name), "")
    if not kind:
        raise ToolError(f"{name} is neither podman nor docker", "export BAREHUB_ENGINE=podman")
    about = {"podman": ".Host.Security.Rootless", "docker": ".SecurityOptions"}
    done = process.run([name, "info", "--format", f"{{{{json {about[kind]}}}}}"], timeout=30)
    if done.code:
        raise ToolError(f"{name} does not work: {_last_line(done)}", f"{name} info")
    return Engine(name, kind, rootless="true" in done.text or "name=rootless" in done.text)


def _last_line(done: process.Finished) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return lines[-1].removeprefix("Error: ").removeprefix("ERROR: ")


def _limits() -> Iterator[str]:
    """Our own: an engine's default may be above what this machine allows.

    No more processes than there can be numbers for them (proc(5), pid_max): podman lowers its own
    limit to that, and cannot give what it does not have.
    """
    if sys.platform != "linux":  # there it runs in a machine of its own
        return
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    processes = resource.getrlimit(resource.RLIMIT_NPROC)
    soft, hard = (most if n == resource.RLIM_INFINITY else min(n, most) for n in processes)
    yield from ("--ulimit", f"nproc={soft}:{hard}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard):
        yield from ("--ulimit", f"nofile={soft}:{hard}")


def _bind(folder: Path, *, readonly: bool) -> str:
    """:raises UsageError: the folder's name cannot be given to an engine."""
    if any(ord(char) < 32 for char in str(folder)):
        raise UsageError(f"{folder} cannot be mounted: its name has a control character")
    fields = ["type=bind", f"source={folder}", f"target={folder}"]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([*fields, "readonly"] if readonly else fields)
    return text.getvalue()
