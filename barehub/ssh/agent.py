"""The ssh-agent of a run: a door that shows chosen keys alone, to a person's agent or its own.

Either is a child that ends with its standard input, the reading end of a pipe. The writing end is
ours, and Terraform's, which inherits it: no agent outlives the run, or the Terraform that a killed
run left behind.
"""

from __future__ import annotations

import os
import signal
import socket as sockets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from barehub import process
from barehub.console import console
from barehub.errors import ToolError, VaultError
from barehub.patience import Patience
from barehub.ssh import relay
from barehub.ssh.public_key import OWN_SECONDS, PublicKey, held


class Agent:
    """What both have: a socket, and descriptors that a child must inherit to keep it alive."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._reader, self._writer = os.pipe()
        self._child: process.Child

    @property
    def fds(self) -> tuple[int, ...]:
        return (self._writer,)

    @property
    def env(self) -> dict[str, str]:
        return {"SSH_AUTH_SOCK": str(self.socket)}

    def close(self) -> None:
        os.close(self._writer)
        self._child.kill()  # a provisioner's daemon may have inherited the writing end
        self._child.wait()
        self.socket.unlink(missing_ok=True)


class OwnAgent(Agent):
    """ssh-agent around ``cat``, which ends with the pipe. (ssh-agent(1): with a command, "the agent
    exits automatically when the command given on the command line terminates".)

    A run uses it by a :class:`Door` at ``socket``: whoever is connected to the agent itself can
    lock it, empty it, or have it load a library.
    """

    def __init__(self, socket: Path) -> None:
        super().__init__(socket.with_name(f"own-{socket.name}"))
        self._at = socket
        self._door: Door | None = None
        with tempfile.TemporaryFile(dir=socket.parent) as said:
            self._child = process.start(
                [
                    "ssh-agent",
                    "-a",
                    str(self.socket),
                    "sh",
                    "-c",
                    'echo "$SSH_AGENT_PID"; exec cat',
                ],
                env=process.environment(),
                stdin=self._reader,
                output=said,
            )
            os.close(self._reader)
            self.pid = self._read_pid(said.fileno())

    @property
    def fds(self) -> tuple[int, ...]:
        return super().fds + (self._door.fds if self._door else ())

    @property
    def env(self) -> dict[str, str]:
        return {"SSH_AUTH_SOCK": str(self._at), "SSH_AGENT_PID": str(self.pid)}

    def _read_pid(self, fd: int) -> int:
        patience = Patience()
        with console.working("ssh", "waiting for ssh-agent") as work:
            while self._child.poll() is None and not patience.over():
                if (text := os.pread(fd, 64, 0)).endswith(b"\n"):
                    return int(text)
                work.go_on()
                time.sleep(0.005)
        ended = self._child.poll() is not None
        how = f"it ended with exit code {self._child.returncode}" if ended else patience.had
        raise ToolError(f"ssh-agent did not start: {how}", "invoke doctor")

    def add(self, private_key: str) -> None:
        """Hold ``private_key`` and open the door to it.

        :raises VaultError: ssh-add refuses the key.
        """
        # ssh-add says "error in libcrypto" of a key with CRLF or without a last newline
        key = private_key.replace("\r\n", "\n").strip() + "\n"
        env = process.environment(super().env | {"SSH_ASKPASS_REQUIRE": "never"})
        if process.run(["ssh-add", "-q", "-"], env=env, input=key.encode()).code != 0:
            raise VaultError(
                "ssh.private_key is not a private key that ssh-add can read without a passphrase",
                "invoke vault.edit",
            )
        keys = held(env, seconds=OWN_SECONDS)
        if not keys:
            raise ToolError("ssh-agent does not list the key that it was given", "invoke doctor")
        self._door = Door(self._at, str(self.socket), keys)

    def close(self) -> None:
        if self._door:
            self._door.close()
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        super().close()


class Door(Agent):
    """The agent at ``behind``, of which nothing but ``keys`` can be seen, and only signed with.

    Terraform forwards its agent to every machine that it connects to, so root there could use
    whatever it holds (https://developer.hashicorp.com/terraform/language/resources/provisioners/connection).
    """

    def __init__(self, socket: Path, behind: str, keys: Sequence[PublicKey]) -> None:
        super().__init__(socket)
        with sockets.socket(sockets.AF_UNIX) as listening, open(os.devnull, "wb") as nowhere:
            listening.bind(str(socket))
            listening.listen()
            self._child = process.start(
                [sys.executable, "-I", "-S", relay.__file__, str(listening.fileno()), behind]
                + [key.blob for key in keys],
                env=process.environment(),
                stdin=self._reader,
                pass_fds=[listening.fileno()],
                output=nowhere,
            )
        os.close(self._reader)
