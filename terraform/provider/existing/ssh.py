"""Commands on machines, over ssh with verified host keys; a module's other scripts import it.

Each module that needs it has a copy of its own, so that a module's folder stands by itself.

The agent of SSH_AUTH_SOCK authenticates; the person's ssh configuration and known hosts are not
asked. Host keys are in `known_hosts` in the folder of the recipe, which belongs in git: a machine
that has none yet is learnt at the first contact, and from then on nothing else is accepted.
"""

# A program of its own, outside of the package: it starts processes and prints.
# ruff: noqa: T201, TID251

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

KNOWN_HOSTS = Path("known_hosts")
CONNECT_SECONDS = 15
# What a command may take beyond its own limit, which the machine itself holds it to.
SPARE_SECONDS = 45
LINES = 30

GONE = "BAREHUB_GONE"

# sudo also warns, of a host name that does not resolve for one, and goes on.
NO_SUDO = re.compile(
    r"^sudo: (a password|a terminal|sorry)|sudo: (command )?not found"
    r"|not in the sudoers file|may not run sudo",
    re.MULTILINE,
)


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


class Failed(Exception):
    """A machine could not be reached, or a command on it failed; `hint` is what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


def fail(*failures: Failed) -> NoReturn:
    """End with a line for each problem and each hint, on stderr."""
    lines = []
    for failure in failures:
        lines.append(f"error: {failure.problem}")
        if failure.hint:
            lines.append(f"hint: {failure.hint}")
    sys.exit("\n".join(dict.fromkeys(lines)))


def pin(lines: list[str]) -> None:
    """Make the given lines of known_hosts the only ones of their hosts."""
    given = [line.split() for line in lines]
    hosts = {words[0] for words in given}
    old = KNOWN_HOSTS.read_text(encoding="ascii").splitlines() if KNOWN_HOSTS.exists() else []
    kept = [line for line in old if line.split()[:1] and line.split()[0] not in hosts]
    new = [*kept, *(" ".join(words[:3]) for words in given)]
    if lines and new != old:
        unborn = KNOWN_HOSTS.with_name(".known_hosts.unfinished")
        unborn.write_text("".join(f"{line}\n" for line in new), encoding="ascii")
        unborn.replace(KNOWN_HOSTS)


def is_gone(machine: Machine) -> bool:
    """Whether the person has said that the machine does not exist any more."""
    return machine.address in os.environ.get(GONE, "").split()


def run(
    machine: Machine, script: str, *args: str, data: bytes = b"", seconds: int, root: bool = True
) -> str:
    """Run a bash script on the machine and return what it writes to stdout.

    What it says on stderr is shown while it runs. Secrets go into `data`, its standard input: the
    script and its arguments can be seen in the machine's list of processes.

    :raises Failed: it could not be reached, the script failed, or took longer than `seconds`.
    """
    command = ["timeout", "--kill-after=10", str(seconds), "bash", "-c", script, "barehub", *args]
    if root and machine.user != "root":
        command = ["sudo", "-n", *command]
    said: list[str] = []
    child = subprocess.Popen(
        [*_ssh(machine), shlex.join(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin and child.stderr
    listener = threading.Thread(target=_listen, args=(machine, child.stderr, said), daemon=True)
    listener.start()
    child.stderr = None  # communicate() leaves it to the listener
    try:
        output, _ = child.communicate(data, timeout=seconds + SPARE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise Failed(f"{machine.shown} does not answer any more") from None
    listener.join(5)
    if child.returncode:
        raise _failure(machine, child.returncode, said, seconds)
    return output.decode(errors="replace")


def _listen(machine: Machine, stream: IO[bytes], said: list[str]) -> None:
    for raw in stream:
        line = raw.decode(errors="replace").rstrip()
        said.append(line)
        if line and not line.startswith(("@", "error: ", "hint: ")):
            print(f"{machine.name}: {line}", flush=True)


def _ssh(machine: Machine) -> list[str]:
    return ["ssh", *_options(machine), "-p", str(machine.port), _account(machine)]


def _account(machine: Machine) -> str:
    return f"{machine.user}@{machine.address}"


def _options(machine: Machine) -> list[str]:
    options = [
        "BatchMode=yes",
        "IdentityFile=none",
        "ForwardAgent=no",
        f"ConnectTimeout={CONNECT_SECONDS}",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        f"UserKnownHostsFile={KNOWN_HOSTS}",
        "GlobalKnownHostsFile=/dev/null",
        f"StrictHostKeyChecking={'yes' if _is_known(machine) else 'accept-new'}",
        "HashKnownHosts=no",
        "UpdateHostKeys=no",
        "LogLevel=ERROR",
    ]
    if machine.via:
        # ProxyJump would ask for the other machine's key by the person's own configuration
        options.append(f"ProxyCommand={shlex.join(_jump(machine.via))}")
    return ["-F", "none", *(word for option in options for word in ("-o", option))]


def _jump(via: Machine) -> list[str]:
    return ["ssh", *_options(via), "-p", str(via.port), "-W", "%h:%p", _account(via)]


def _is_known(machine: Machine) -> bool:
    command = ["ssh-keygen", "-F", machine.host, "-f", str(KNOWN_HOSTS)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _failure(machine: Machine, code: int, said: list[str], seconds: int) -> Failed:
    text = "\n".join(said)
    changed = re.search(r"Host key for (\S+) has changed", text)
    if changed:
        return Failed(
            f"the host key of {machine.shown} is not the one in known_hosts",
            "if the machine was made anew, and only then: "
            f"ssh-keygen -R '{changed[1]}' -f {KNOWN_HOSTS.absolute()}",
        )
    if code == 255 and "Permission denied" in text:
        return Failed(
            f"{machine.shown} refuses the keys of the ssh-agent for {machine.user}",
            "ssh-add -l shows them; the vault's is ssh.private_key",
        )
    if code == 255:
        # the first: what the way to it said comes before what became of that
        why = next((line for line in said if line), "no word from ssh")
        return Failed(f"{machine.shown} cannot be reached: {why}", f"ssh {_account(machine)}")
    if code in (124, 137):
        return Failed(f"{machine.shown}: it took longer than {seconds} s\n{_end(said)}")
    if NO_SUDO.search(text):
        return Failed(
            f"{machine.shown}: {machine.user} cannot use sudo without a password",
            f"echo '{machine.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/barehub   (there)",
        )
    told = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
    problem = told[-1] if told else f"exit status {code}\n{_end(said)}"
    return Failed(f"{machine.shown}: {problem}", hints[-1] if hints else "")


def _end(said: list[str]) -> str:
    return "\n".join(said[-LINES:])
