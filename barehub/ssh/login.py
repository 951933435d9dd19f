"""ssh to a hub's machines, as its modules go there: the session's agent, pinned host keys."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from barehub import process
from barehub.ssh.refusal import Refusal, explain

CONNECT_SECONDS = 15


@dataclass(frozen=True)
class Machine:
    """A machine, and the one through which it is reached, if it is not reached directly."""

    name: str
    address: str
    user: str
    port: int = 22
    via: Machine | None = None

    @property
    def host(self) -> str:
        """The machine as known_hosts calls it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"

    @property
    def shown(self) -> str:
        return f"{self.name} ({self.address})"

    @property
    def way(self) -> Iterator[Machine]:
        """The machines from here to it, itself last."""
        if self.via:
            yield from self.via.way
        yield self


def command(
    machine: Machine, known_hosts: Path, log: Path, words: Sequence[str], *, terminal: bool
) -> list[str]:
    """ssh's command line. A single one of ``words`` is a line for the shell there; several are a
    program and its arguments, which arrive as they are; without any it is a login.

    :param log: takes what ssh itself has to say, so that stderr is the remote command's alone
    :param terminal: give the remote command a terminal, so that Ctrl-C ends it, too
    """
    line = words[0] if len(words) == 1 else shlex.join(words)
    argv = [*_ssh(machine, known_hosts, log), *(["-t"] if terminal and words else [])]
    return [*argv, "--", _account(machine), *([line] if words else [])]


def unknown(machine: Machine, known_hosts: Path) -> Machine | None:
    """The first machine on the way whose host key is not known."""
    for step in machine.way:
        if process.run(["ssh-keygen", "-F", step.host, "-f", known_hosts]).code != 0:
            return step
    return None


def refusal(machine: Machine, known_hosts: Path, said: str) -> Refusal:
    """What ssh's own words mean that it ended with."""
    if changed := re.search(r"Host key for (\S+) has changed", said):
        return Refusal(
            f"{changed[1]} shows another host key than the one that is known",
            (
                "if the machine was made anew, and only then: "
                f"ssh-keygen -R '{changed[1]}' -f {known_hosts}",
                "else somebody may be in between",
            ),
        )
    if "Permission denied" in said:
        return Refusal(
            f"{machine.shown} does not let {machine.user} in with this key",
            ("BAREHUB_SSH_KEY=vault, agent, or ~/.ssh/FILE   uses another one",),
        )
    first = next(iter(said.splitlines()), "no word from ssh")
    return explain(said, machine.address, machine.port) or Refusal(
        f"{machine.shown} cannot be reached: {first}"
    )


def _ssh(machine: Machine, known_hosts: Path, log: Path) -> list[str]:
    options = [
        "BatchMode=yes",
        "IdentityAgent=SSH_AUTH_SOCK",
        "IdentityFile=none",
        "ForwardAgent=no",
        f"ConnectTimeout={CONNECT_SECONDS}",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        f'UserKnownHostsFile="{known_hosts}"',
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "LogLevel=ERROR",
    ]
    if machine.via:
        # ProxyJump would ask for the other machine's key by the person's own configuration
        jump = [*_ssh(machine.via, known_hosts, log), "-W", "[%h]:%p", _account(machine.via)]
        options.append(f"ProxyCommand={shlex.join(jump)}")
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-E", str(log), *words, "-p", str(machine.port)]


def _account(machine: Machine) -> str:
    return f"{machine.user}@{machine.address}"
