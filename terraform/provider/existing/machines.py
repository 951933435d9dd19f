"""Checks machines that are already there, and lets keys in; Terraform runs it.

    MACHINES='{…}' python3 machines.py check|forget

It runs in the folder of the recipe and needs Python 3.9 or later and ssh, nothing else. All faults
of all machines are told at once.
"""

# A program of its own, outside of the package: it prints.
# ruff: noqa: T201

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ssh import GONE, Failed, Machine, fail, is_gone, pin, run

REMOTE = Path(__file__).with_name("remote")
SECONDS = 60

# The first version of each. Others run k3s as well, but with a firewall or SELinux in its way.
SYSTEMS = {"debian": 11, "ubuntu": 20.04}
ARCHITECTURES = ("x86_64", "aarch64")
CLOCK_SECONDS = 60
KIB_IN_GB = 1e9 / 1024


def machines_of(settings: dict[str, Any]) -> list[Machine]:
    """The master, then the nodes, which are reached through it."""
    project, user, port = settings["project_name"], settings["admin_user"], settings["ssh_port"]
    master = Machine(f"{project}-master", settings["master"], user, port)
    nodes = [
        Machine(f"{project}-node{number}", address, user, port, master)
        for number, address in enumerate(settings["nodes"], start=1)
    ]
    return [master, *nodes]


def faults(
    machine: Machine, facts: dict[str, list[str]], settings: dict[str, Any]
) -> Iterator[Failed]:
    """Everything for which the machine cannot be part of a hub."""

    def one(name: str, default: str = "") -> str:
        return facts.get(name, [default])[0]

    name, _, version = one("system", "unknown 0").partition(" ")
    least = SYSTEMS.get(name)
    if least is None or _number(version) < least:
        known = ", ".join(f"{system} {number:g}" for system, number in SYSTEMS.items())
        yield Failed(f"{machine.shown} runs {name} {version}", f"these will do, or later: {known}")
    if one("architecture") not in ARCHITECTURES:
        yield Failed(
            f"{machine.shown} is a {one('architecture')} machine",
            f"these will do: {', '.join(ARCHITECTURES)}",
        )
    if "root" not in facts:
        yield Failed(
            f"{machine.shown}: {machine.user} cannot use sudo without a password",
            f"echo '{machine.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/barehub   (there)",
        )
    if "systemd" not in facts:
        yield Failed(f"{machine.shown} does not run systemd")
    for what in ("memory", "disk"):
        have, wanted = _number(one(what)) / KIB_IN_GB, settings[f"min_{what}_gb"]
        if have < wanted * 0.93:  # what is sold as 4 GB shows less
            yield Failed(
                f"{machine.shown} has {have:.1f} GB of {what}, and needs {wanted:g}",
                f"a larger machine, or a smaller min_{what}_gb",
            )
    skew = _number(one("clock")) - time.time()
    if abs(skew) > CLOCK_SECONDS:
        way = "ahead" if skew > 0 else "behind"
        yield Failed(
            f"the clock of {machine.shown} is {abs(skew):.0f} s {way}",
            "timedatectl set-ntp true   (there)",
        )
    if lacking := facts.get("lacks"):
        yield Failed(f"{machine.shown} lacks {', '.join(lacking)}", "install them there")
    taken = facts.get("taken", []) if machine.via is None else []
    if taken:
        yield Failed(
            f"something else listens on port {', '.join(taken)} of {machine.shown}",
            "ss -ltnp   (there) shows what; stop it",
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def inspect(machine: Machine, settings: dict[str, Any]) -> list[Failed]:
    """Ask the machine, and judge; what is wrong with it."""
    try:
        said = run(machine, (REMOTE / "facts.sh").read_text(), seconds=SECONDS, root=False)
    except Failed as failure:
        return [failure]
    facts: dict[str, list[str]] = {}
    for line in said.splitlines():
        name, _, value = line.partition(" ")
        facts.setdefault(name, []).append(value)
    return list(faults(machine, facts, settings))


def each(machines: list[Machine], act: Callable[[Machine], list[Failed]]) -> None:
    """Act on the master, then on all others at once; ends with everything that failed."""
    master, *others = machines
    failures = act(master)
    with ThreadPoolExecutor(max_workers=8) as pool:
        for found in pool.map(act, others):
            failures += found
    if failures:
        fail(*failures)


def keep_keys(machine: Machine, settings: dict[str, Any], keys: list[str]) -> list[Failed]:
    """Make `keys` the ones that we let in."""
    try:
        script, mark = (REMOTE / "keys.sh").read_text(), f"barehub {settings['project_name']}"
        data = "".join(f"{key.strip()}\n" for key in keys).encode()
        run(machine, script, mark, data=data, seconds=SECONDS, root=False)
    except Failed as failure:
        return [failure]
    return []


def check(settings: dict[str, Any]) -> None:
    """See that every machine will do, and let the keys in."""
    pin(settings["host_keys"])
    machines = machines_of(settings)
    each(machines, lambda machine: inspect(machine, settings))
    each(machines, lambda machine: keep_keys(machine, settings, settings["keys"]))
    print(f"{len(machines)} machines will do")


def forget(settings: dict[str, Any]) -> None:
    """Take away the keys that we let in; the machines stay as they are."""
    machines = [machine for machine in machines_of(settings) if not is_gone(machine)]
    if not settings["keys"] or not machines:
        return

    def act(machine: Machine) -> list[Failed]:
        failures = keep_keys(machine, settings, [])
        for failure in failures:
            failure.hint += f"   (if it does not exist any more: export {GONE}='{machine.address}')"
        return failures

    each(machines, act)


if __name__ == "__main__":
    {"check": check, "forget": forget}[sys.argv[1]](json.loads(os.environ["MACHINES"]))
