"""What a teardown must not leave on this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from barehub import process
from barehub.project import Instance

GENERATED = ("hub", ".terraform", "barehub*.tf.json", "*.tfstate*", "*.tfplan")
"""What a run makes in an instance's folder; the recipe and the journal are not among it."""


@dataclass(frozen=True)
class Leftover:
    """One thing that is still there, and the command that removes or shows it."""

    what: str
    remove: str


def of(instance: Instance, address: str | None) -> list[Leftover]:
    """Look for processes, files, and an open port: ``address``, if it is ``HOST:PORT`` here."""
    found = [
        Leftover(f"process {pid} runs from {instance.folder}", f"kill {pid}")
        for pid in processes_from(instance.folder)
    ]
    if address and _is_here(address) and _answers(address):
        port = address.rpartition(":")[2]
        found.append(Leftover(f"something still listens on {address}", f"lsof -i :{port}"))
    for pattern in GENERATED:
        for path in sorted(instance.folder.glob(pattern)):
            found.append(Leftover(f"{path} is still there", f"rm -r {path}"))
    return found


def processes_from(folder: Path) -> list[int]:
    """Processes whose program, as they were started, lies in ``folder``."""
    prefix = str(folder.resolve()) + os.sep
    return [pid for pid, program in _programs() if program.startswith(prefix)]


def _programs() -> list[tuple[int, str]]:
    """Process numbers and the programs that they were started as."""
    if not Path("/proc/self/cmdline").exists():
        listing = process.run(["ps", "-axo", "pid=,command="]).text
        rows = [line.split(None, 1) for line in listing.splitlines()]
        return [(int(row[0]), row[1]) for row in rows if len(row) == 2]
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program = (entry / "cmdline").read_bytes().split(b"\0")[0]
        except OSError:  # it ended meanwhile
            continue
        found.append((int(entry.name), os.fsdecode(program)))
    return found


def _is_here(address: str) -> bool:
    """Whether it is a port of this machine; where else a hub was, somebody else may be now."""
    host, _, port = address.rpartition(":")
    try:
        return port.isdigit() and ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except (OSError, ValueError, OverflowError):  # also what is no host and port
        return False
