"""`invoke ssh`: a login on a hub's machine, or a command there."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping, Sequence

from barehub import keys, process, session
from barehub.console import console
from barehub.errors import ToolError, UnreachableError
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.session import Session
from barehub.ssh import login
from barehub.ssh.login import Machine
from barehub.vault.store import Vault

OWN_FAILURE = 255
"""What ssh ends with when it is ssh that failed (ssh(1), EXIT STATUS)."""

POLL_SECONDS = 0.05
CHUNK = 64 * 1024

END_SECONDS = 3.0
"""How long what was printing on a machine may take to end there."""


def log_in(
    project: Project,
    instance: Instance,
    machine: Machine,
    words: Sequence[str],
    interruptions: Interruptions,
    *,
    listening: bool = False,
) -> int:
    """Run ``words`` on the machine, or a login without any, on our standard streams.

    With ``listening`` it has nothing to read, and the end of that tells it that we are gone.

    It needs neither Terraform nor the state, and the vault only when the key is there.

    :returns: the exit code of the remote command
    :raises UnreachableError: ssh did not get there.
    :raises ToolError: there is no key to use.
    """
    known_hosts = instance.known_hosts
    if step := login.unknown(machine, known_hosts):
        raise _unknown(project, instance, step)
    with interruptions.held():
        own = session.create(session.Purpose(str(project.root), None, "ssh"))
        try:
            with interruptions.allowed():
                held = _held(project, instance, own)
                log = own.folder / "ssh.log"
                terminal = not listening and os.isatty(0) and os.isatty(1)
                argv = login.command(machine, known_hosts, log, words, terminal=terminal)
                env = keys.environment(held, process.environment(), known_hosts)
                run = _listen if listening else process.run_on_terminal
                code = run(argv, env=env)
                said = log.read_text(errors="replace").strip() if log.exists() else ""
        finally:
            own.close()
    if code == OWN_FAILURE and said:
        why = login.refusal(machine, known_hosts, said)
        raise UnreachableError(why.problem, *why.fixes)
    return 128 - code if code < 0 else code


def _listen(argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Let a program print, until it ends or nobody reads that; return its exit code."""
    with process.ending_with_the_terminal():
        child = process.speak(argv, env=env)
        assert child.stdin and child.stdout and child.stderr
        shown = {child.stdout: console.foreign(), child.stderr: console.foreign(errors=True)}
        try:
            reading = list(shown)
            while reading and not process.unread():
                ready, _, _ = select.select(reading, [], [], POLL_SECONDS)
                for stream in ready:
                    chunk = os.read(stream.fileno(), CHUNK)
                    shown[stream].feed(chunk)
                    if not chunk:
                        reading.remove(stream)
                if child.poll() is not None and not ready:
                    break
            return 0 if reading and child.poll() is None else child.wait()
        finally:
            for one in shown.values():
                one.end()
            child.stdin.close()
            _end(child)
            child.stdout.close()
            child.stderr.close()


def _end(child: process.Child) -> None:
    """What runs there has been told by the end of its input; who does not answer is left."""
    deadline = time.monotonic() + END_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    child.kill()
    child.wait()


def _held(project: Project, instance: Instance, own: Session) -> keys.Held:
    private = ""
    if os.environ.get(keys.SETTING, "").strip() in ("", "vault"):
        vault = Vault(project.root, own.folder)
        private = str(vault.read(instance.name).ssh.get("private_key", "")) if vault.exists else ""
    choice = keys.choose(private)
    if choice is None:
        raise ToolError(
            "there is no SSH key to log in with: none in the vault, no ssh-agent that holds one",
            "invoke vault.set ssh.private_key < FILE",
            f"{keys.SETTING}=~/.ssh/FILE   uses a key of yours",
        )
    return keys.hold(choice, own)


def _unknown(project: Project, instance: Instance, machine: Machine) -> UnreachableError:
    file = project.relative(instance.known_hosts)
    at = f"-p {machine.port} {machine.address}" if machine.port != 22 else machine.address
    there = f"invoke ssh --name {instance.name} -- " if machine.via else ""
    return UnreachableError(
        f"the host key of {machine.shown} is not in {file}",
        f"{there}ssh-keyscan {at} > new_hosts",
        "ssh-keygen -lf new_hosts   compare with its console (openstack console log show …)",
        f"if it is the same: cat new_hosts >> {file}",
    )
