"""The lock of a whole run between machines, where the recipe's own backend has the state.

Terraform locks a state for one command, so that another machine could begin between two stages, and
``pg`` does not tell who has the lock. So a run holds the lock of a workspace of its own in the same
backend, and that workspace's state says who holds it.

``terraform console`` holds it for us, as long as its standard input is open: that is a pipe whose
other end we have, and each Terraform that we start inherits, as it does the lock on this machine.
When the last of us is dead the pipe ends, console ends in order, and the backend lets the lock go.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from barehub import process
from barehub.console import console
from barehub.errors import TerraformError
from barehub.lock import Holder
from barehub.process import Interruptions
from barehub.project import Tool
from barehub.terraform import backend, encryption

WORKSPACE = "barehub-lock"

POLL_SECONDS = 0.01
END_SECONDS = 30.0
"""How long a backend may take to let the lock go."""

SURE_SECONDS = 2.0
"""How long we believe that the lock is still ours without asking the backend."""

_PATH = re.compile(r"(path|file|bundle|credentials)s?$")
"""Arguments of backends that may be paths, which mean something from the recipe's folder only."""


RUN, COMMAND, NEVER = "a run", "a command", "never"


def locking(recipe: Path, env: Mapping[str, str]) -> str:
    """For how long the backend that Terraform last initialized in ``recipe``, a folder, can be
    locked: for :data:`RUN` it must have workspaces, and for :data:`COMMAND` lock at all."""
    kind, arguments = backend.initialized(recipe)
    asked = {
        "s3": arguments.get("use_lockfile") or arguments.get("dynamodb_table"),
        "consul": arguments.get("lock", True),
        "http": arguments.get("lock_address") or env.get("TF_HTTP_LOCK_ADDRESS"),
    }
    if not asked.get(kind, True):
        return NEVER
    return COMMAND if kind == "http" else RUN


class SharedLock:
    """One try after the other to have it, and then having it.

    :param recipe: the instance's folder, where Terraform has initialized the backend
    :param folder: a new one in the session
    :param env: with the backend's credentials
    :param workspace: whose lock; empty for that of the state itself, for one command
    """

    def __init__(
        self,
        tool: Tool,
        recipe: Path,
        folder: Path,
        env: Mapping[str, str],
        interruptions: Interruptions,
        workspace: str = WORKSPACE,
    ) -> None:
        self.tool, self.folder, self.interruptions = tool, folder, interruptions
        self.kind, arguments = backend.initialized(recipe)
        self.refusal = ""
        """What Terraform said when somebody else had it."""
        self._env = dict(env)
        if workspace:
            self._env["TF_WORKSPACE"] = workspace
            self._env.pop(encryption.VARIABLE, None)  # who has it is for all to see
        self._keeper: process.Child | None = None
        self._pipe: int | None = None
        self._mine = Holder()
        self._sure = 0.0
        folder.mkdir()
        block = {"terraform": {"backend": {self.kind: _written(arguments, recipe)}}}
        (folder / "main.tf.json").write_text(json.dumps(block))
        self._terraform("init", "-input=false")

    @property
    def fds(self) -> tuple[int, ...]:
        """What a child must inherit to keep the lock after our death."""
        return () if self._pipe is None else (self._pipe,)

    @property
    def id(self) -> str:
        """What the backend calls the lock that somebody else has; empty where it does not tell."""
        # what stands in the info below that is, of some, what we asked with
        others = self.kind in backend.OWN_INFO
        found = re.search(
            r"already locked: ID=(\S+)" if others else r"Lock Info: ID: (\S+)", self.refusal
        )
        return found[1] if found else ""

    def acquire(self, holder: Holder) -> bool:
        """Take it for ``holder``, without waiting; whether it is ours now.

        :raises TerraformError: the backend does not answer.
        """
        if not self.hold():
            return False
        said = {"value": json.dumps(asdict(holder)), "type": "string"}
        state = {
            "version": 4,
            "terraform_version": self.tool.version,
            "serial": 1,
            "lineage": WORKSPACE,
            "outputs": {"holder": said},
            "resources": [],
        }
        try:
            self._terraform("state", "push", "-force", "-lock=false", "-", state=state)
        except BaseException:
            self.release()
            raise
        self._mine, self._sure = holder, time.monotonic()
        return True

    def holder(self) -> Holder | None:
        """Who took it last; nothing where nobody wrote that down."""
        with suppress(ValueError, KeyError, TypeError):
            state = json.loads(self._terraform("state", "pull"))
            return Holder(**json.loads(state["outputs"]["holder"]["value"]))
        return None

    def ours(self) -> bool:
        """Whether we have it still, as far as can be told."""
        if self._keeper is None or self._keeper.poll() is not None:
            return False
        if time.monotonic() - self._sure > SURE_SECONDS:
            if self.holder() != self._mine:
                return False
            self._sure = time.monotonic()
        return True

    def hold(self) -> bool:
        """Have it, without writing down who does; whether nobody else has it.

        :raises TerraformError: the backend does not answer.
        """
        ready, log = self.folder / "ready", self.folder / "console.log"
        ready.unlink(missing_ok=True)
        os.mkfifo(ready, 0o600)
        with self.interruptions.held():
            theirs, self._pipe = os.pipe()
            try:
                with log.open("wb") as output:
                    self._keeper = process.start(
                        [self.tool.path, "console", "-no-color"],
                        env=self._env,
                        cwd=self.folder,
                        stdin=theirs,
                        output=output,
                    )
                os.close(theirs)
                # it reads this file once it has the lock, and not before
                with suppress(BrokenPipeError):  # it has ended: its log says why
                    os.write(self._pipe, f'file("{ready}")\n'.encode())
                while self._keeper.poll() is None:
                    if _is_read(ready):
                        return True
                    with self.interruptions.allowed():
                        time.sleep(POLL_SECONDS)
            except BaseException:
                self._end()
                raise
            self._end()
        said = console.redact(log.read_text(errors="replace"))
        if backend.LOCKED not in said:
            raise _failed(self.kind, "console", said)
        self.refusal = " ".join(said.replace("│", " ").split())  # it is broken into lines
        return False

    def release(self, *, remove: bool = False) -> None:
        """Let go; with ``remove`` take the workspace away, of what will not be used again."""
        if self._keeper is None:
            return
        gone = self.kind == "pg"  # whose lock ends with the connection, whatever is said
        if remove:
            env = {k: v for k, v in self._env.items() if k != "TF_WORKSPACE"}
            with suppress(TerraformError):  # an empty state is left, and nothing depends on that
                options = ("-force", "-lock=false", WORKSPACE)
                self._terraform("workspace", "delete", *options, env=env)
                gone = True  # of some the lock goes with the workspace, and is missed then
        self._end()
        said = (self.folder / "console.log").read_text(errors="replace")
        if "Error releasing the state lock" in said and not gone:
            console.warn(f"the backend {self.kind} did not let the lock go: invoke unlock")

    def break_(self) -> None:
        """Take the lock that refused us away from whoever has it (``terraform force-unlock``).

        :raises TerraformError: the backend does not do that.
        """
        self._terraform("force-unlock", "-force", self.id)

    def _end(self) -> None:
        """Have console end in order, also where a daemon has inherited our end of the pipe."""
        keeper, pipe, self._keeper, self._pipe = self._keeper, self._pipe, None, None
        if pipe is not None:
            with suppress(BrokenPipeError):
                os.write(pipe, b"exit\n")
            os.close(pipe)
        if keeper:
            for ending in (None, signal.SIGINT, signal.SIGKILL):
                if ending and keeper.poll() is None:
                    keeper.send_signal(ending)
                with suppress(subprocess.TimeoutExpired):
                    keeper.wait(END_SECONDS)
                    break

    def _terraform(
        self, *args: str, state: object = None, env: Mapping[str, str] | None = None
    ) -> bytes:
        content = json.dumps(state).encode() if state else b""
        done = process.run(
            [self.tool.path, *args], env=env or self._env, cwd=self.folder, input=content
        )
        if done.code:
            said = console.redact(done.stderr.decode(errors="replace"))
            raise _failed(self.kind, " ".join(args[:2]), said)
        return done.stdout


def _written(value: Any, recipe: Path, name: str = "") -> Any:
    """``value`` as JSON configuration says it from another folder than the recipe's."""
    if isinstance(value, dict):
        return {k: _written(v, recipe, k) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_written(one, recipe, name) for one in value]
    if not isinstance(value, str):
        return value
    if _PATH.search(name) and os.path.isfile(recipe / value):
        value = str(recipe / value)
    return value.replace("${", "$${").replace("%{", "%%{")


def _is_read(fifo: Path) -> bool:
    """Whether somebody waits for what is written into it: then there is nothing, and its end."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:  # ENXIO, fifo(7)
        return False
    return True


def _failed(kind: str, command: str, said: str) -> TerraformError:
    for line in said.splitlines()[-30:]:
        console.say(f"  {line}")
    return TerraformError(
        f"terraform {command} failed: the backend {kind} does not answer, or refuses it",
        "docs/how-to/share-state.md",
    )
