"""The same run inside a container, which ends with it; and the proof that it has ended.

All that writes outside of the instance's folder is done before, here: the recipe, the vault, a
hub's own values. The identity is written to the container's standard input, which stays open as
long as we live: when it ends, the command inside ends in order, and the engine removes the
container.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets as randomness
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit

from barehub import creation, image, process, session, system_errors
from barehub import engine as engines
from barehub.awake import awake
from barehub.console import console
from barehub.engine import Box, Engine
from barehub.errors import BarehubError, LeftoverError, ToolError, UsageError
from barehub.inside import Letter
from barehub.lock import Lock
from barehub.preparation import begin_vault, make_values
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.session import Session
from barehub.streams import GONE
from barehub.terraform import hcl
from barehub.terraform.recipe import Recipe
from barehub.vault import credentials, identity, services
from barehub.vault import files as vault_files
from barehub.vault.store import Vault

NETWORK = "BAREHUB_NETWORK"
"""The network of the container, as the engine names it; the engine's own default without."""

PATHS = ("file", "ca_file")
"""The options that name a file to read."""

GONE_SECONDS = 5.0
"""How long an engine may take to remove a container by itself when nothing is at work in it."""

LOOK_SECONDS = 0.1


@dataclass
class Wish:
    """A command to run inside: its options as a person gave them, without ``--container``."""

    command: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.options.get("name") or "")

    @property
    def recipe(self) -> str | None:
        """What an instance is made from, outside, if there is none yet."""
        return self.options.get("recipe") or None

    @property
    def listens(self) -> bool:
        """Whether it reads standard input that is no terminal."""
        return self.options.get("file") == "-"

    def argv(self) -> list[str]:
        """The command line inside, where paths are not meant from where the person stands."""
        words = [self.command]
        for name, value in self.options.items():
            if name in PATHS and value and value != "-":
                value = str(Path(value).absolute())
            option = "--" + name.strip("_").replace("_", "-")
            if isinstance(value, bool) or not value:
                words += [option] if value else []
            else:
                for one in [value] if isinstance(value, str) else value:
                    words += [option, one]
        return words


def run(project: Project, wish: Wish, interruptions: Interruptions) -> None:
    """Run the command in a container, and see afterwards that nothing of it is left.

    :raises ToolError: there is no engine, or it cannot run the container.
    :raises LeftoverError: something of the container is left.
    :raises Exit: with the exit code of the command inside, which has said why.
    """
    engine = engines.find()
    _see_places(project, wish)
    with interruptions.held():
        own = session.create(
            session.Purpose(str(project.root), None, f"{wish.command} --container")
        )
        try:
            with interruptions.allowed():
                letter, instance = _prepared(project, wish, own, interruptions)
                made = image.ready(engine, project, own.folder, interruptions)
            box = _box(project, wish, instance, made, own)
            with awake(wish.name or wish.command):
                code = _Outside(engine, box, own, instance).run(wish, letter)
        finally:
            own.close()
    if code:
        raise Exit(code=code)


def _see_places(project: Project, wish: Wish) -> None:
    """:raises UsageError: an option names a file that a container cannot see, or not write."""
    for option in ("junit", "prometheus", "html"):
        if wish.options.get(option):
            raise UsageError(
                f"--{option} writes a file, and a container may write nowhere but in an instance",
                f"invoke {wish.command} --{option} …   without --container",
            )
    for option in PATHS:
        given = str(wish.options.get(option) or "")
        if given not in ("", "-") and not Path(given).resolve().is_relative_to(project.root):
            raise UsageError(
                f"--{option.replace('_', '-')} {given}: the container sees only {project.root}",
                f"copy it there, or leave out --container: {given}",
            )


def _prepared(
    project: Project, wish: Wish, own: Session, interruptions: Interruptions
) -> tuple[Letter, Instance | None]:
    """What may only be done outside, and what the command inside must be told."""
    vault = Vault(project.root, own.folder)
    if wish.command == "spawn":
        instance = creation.instance(project, wish.name, wish.recipe, interruptions)
        begin_vault(vault)
        recipe = Recipe(instance, hcl.parse(instance.recipe))
        make_values(project, vault, recipe, vault.read(instance.name))
    elif wish.name:
        instance = project.existing(wish.name)
    else:
        return _letter("", ""), None
    if wish.command == "verify":  # it needs no vault
        return _letter("", ""), instance
    return _letter(*_identity(vault, instance)), instance


def _identity(vault: Vault, instance: Instance) -> tuple[str, str]:
    """Our age identities that read what the instance needs, and else an SSH key.

    :raises VaultError: there is none.
    """
    files = (vault.file(None), vault.file(instance.name), instance.sealed_state)
    readers = {
        one
        for file in files
        if file.exists()
        for one in services.readers(vault_files.content(file, file.name))
    }
    if not readers:
        return "", ""
    mine = [one for one in identity.find(readers) if one.key and one.recipient in readers]
    age = "\n".join(one.key for one in mine if not one.ssh)
    return age, next((one.key for one in mine if one.ssh and not age), "")


def _letter(age: str, ssh: str) -> Letter:
    streams = (sys.stdin, sys.stdout, sys.stderr)
    terminals = [bool(stream and stream.isatty()) for stream in streams]
    environment = {
        name: value
        for name, value in [*os.environ.items(), *credentials.taken().items()]
        if not name.startswith((*process.IDENTITY_VARIABLES, "BAREHUB_", "PYTHON"))
        and not _names_a_place(value)
    }
    size = shutil.get_terminal_size()
    environment |= {"COLUMNS": str(size.columns), "LINES": str(size.lines)}
    return Letter(environment, terminals, age, ssh)


def _names_a_place(value: str) -> bool:
    """Whether it is a path on this machine, or a list of some: the container has others."""
    return any(part.startswith("/") and part[:2] != "//" for part in value.split(":"))


def _box(project: Project, wish: Wish, instance: Instance | None, made: str, own: Session) -> Box:
    run = randomness.token_hex(4)
    labels = {
        "run": run,
        "user": str(os.getuid()),
        "session": str(own.folder),
        "root": str(project.root),
        "instance": instance.name if instance else "",
    }
    name = f"barehub-{run}-{instance.name if instance else wish.command}"
    writable = instance.folder if instance and wish.command != "verify" else None
    return Box(
        name=name[:63].rstrip("-"),  # a host name inside, too
        image=made,
        root=project.root,
        writable=writable,
        labels=labels,
        id_file=own.folder / "container",
        network=os.environ.get(NETWORK, ""),
    )


@dataclass
class _Outside:
    """The run as its engine's client sees it."""

    engine: Engine
    box: Box
    own: Session
    instance: Instance | None
    signals: list[int] = field(default_factory=list)
    unstored: str = ""
    """Why standard output could not be written."""

    def run(self, wish: Wish, letter: Letter) -> int:
        """:returns: the exit code of the command inside."""
        # A signal is the command's inside, which prints what comes of it
        handler = {n: signal.signal(n, self._note) for n in Interruptions.SIGNALS}
        try:
            child = process.speak(self.engine.run(self.box, wish.argv()))
            try:
                self._talk(child, letter, wish.listens)
            finally:
                if child.stdin:
                    with contextlib.suppress(BrokenPipeError):
                        child.stdin.close()
            failure = self._failure(child.wait())
            try:
                self._prove_gone()
            except LeftoverError as error:
                if failure is None:
                    raise
                console.say(str(error))
            if failure:
                raise failure
            if self.unstored:
                problem = f"standard output cannot be written: {self.unstored}"
                raise UsageError(problem, "df -h .")
            return child.returncode
        finally:
            for number, before in handler.items():
                signal.signal(number, before)

    def _note(self, number: int, frame: object) -> None:
        self.signals.append(number)

    def _talk(self, child: subprocess.Popen[bytes], letter: Letter, listens: bool) -> None:
        """Tell it who reads the vault, then what is typed and which signals come, to the end."""
        assert child.stdin and child.stdout and child.stderr
        pipes = {child.stdout.fileno(): 1, child.stderr.fileno(): 2}
        typing = letter.terminals[0] or listens
        self._say(child, letter.line())
        if not typing:
            self._tell(child, input="")
        while True:
            over = child.poll() is not None
            while self.signals and not over:
                self._tell(child, signal=self.signals.pop(0))
            ours = typing and not over and (listens or _in_foreground())
            seconds = 0 if over else LOOK_SECONDS
            ready = select.select([*pipes, *([0] if ours else [])], [], [], seconds)[0]
            for fd in ready:
                chunk = _read(fd)
                if fd == 0:
                    typing = bool(chunk)
                    self._tell(child, input=chunk.decode("utf-8", "surrogateescape"))
                elif chunk:
                    self._pass_on(pipes[fd], chunk)
                else:
                    del pipes[fd]
            if over and not ready:
                return

    def _tell(self, child: subprocess.Popen[bytes], **message: object) -> None:
        self._say(child, json.dumps(message).encode() + b"\n")

    @staticmethod
    def _say(child: subprocess.Popen[bytes], line: bytes) -> None:
        assert child.stdin
        with contextlib.suppress(BrokenPipeError):  # it ends by itself, or has been ended
            child.stdin.write(line)
            child.stdin.flush()

    def _pass_on(self, fd: int, chunk: bytes) -> None:
        """Write what comes from inside, as long as anybody is there to read it."""
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(fd, view) :]
        except OSError as error:
            if fd == 1 and error.errno not in GONE:
                self.unstored = system_errors.reason(error)

    def _failure(self, code: int) -> BarehubError | None:
        """What the engine did to the command; nothing if the command itself ended."""
        program = self.engine.path
        if code in (125, 126, 127) and self._left():
            return BarehubError(f"{program} has lost sight of the container", self._again())
        if code in (125, 126, 127):
            return ToolError(f"{program} could not run the container: see above", f"{program} info")
        if code < 0:
            return BarehubError(f"{program} was killed (signal {-code})", self._again())
        if code == 128 + signal.SIGKILL:
            return BarehubError("the container was killed", self._again())
        return None

    def _again(self) -> str:
        command = self.own.lock.holder().command
        name = f" --name {self.instance.name}" if self.instance else ""
        return f"invoke {command.split()[0]}{name} --container   goes on from here"

    def _prove_gone(self) -> None:
        """Wait for the container to go, remove it if it does not, and see that nothing is left.

        :raises LeftoverError: something is, or nobody can tell.
        """
        try:
            self._wait()
            for one in self._left():
                self.engine.take_away(one)
            left = self._left()
            volumes = self.engine.lines(self.engine.volumes(run=self.box.labels["run"]))
        except ToolError as error:
            raise LeftoverError(
                f"nobody can tell whether {self.box.name} is gone: {error.problem}",
                " ".join(self.engine.remove(self.box.name)),
            ) from None
        mounts = self._mounts()
        if not left and not volumes and not mounts:
            console.step("container", f"{self.box.name} is gone")
            return
        raise LeftoverError(
            f"something of the container {self.box.name} is still there",
            *(" ".join(self.engine.remove(one[:12])) for one in left),
            *(f"{self.engine.path} volume rm {one}" for one in volumes),
            *(f"umount {one}" for one in mounts),
        )

    def _mounts(self) -> list[str]:
        """Where something of the container is still mounted, as far as this user can see."""
        try:
            id = self.box.id_file.read_text().strip()
            lines = Path("/proc/self/mountinfo").read_text().splitlines()
        except OSError:  # it never had one; or this is no Linux
            return []
        return [line.split()[4] for line in lines if id and id in line]

    def _left(self) -> list[str]:
        return self.engine.lines(self.engine.containers(run=self.box.labels["run"]))

    def _wait(self) -> None:
        """Let what is inside end in order: it may be Terraform, in the middle of something."""
        deadline = time.monotonic() + GONE_SECONDS
        with console.working("container", f"waiting for {self.box.name} to end") as work:
            while self._left():
                if len(self.signals) > 1:
                    return
                if not self._at_work() and time.monotonic() > deadline:
                    return
                work.go_on()
                time.sleep(LOOK_SECONDS)

    def _at_work(self) -> bool:
        return self.instance is not None and Lock(self.instance.lock).held()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # the terminal has gone away
        return b""


def _in_foreground() -> bool:
    """Whether the terminal's input is for us: reading it in the background would stop us."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True
