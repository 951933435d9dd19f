"""Makes a Kubernetes cluster of the machines with k3s, or takes it off them; Terraform runs it.

    HUB_CLUSTER='{…}' python3 cluster.py install|remove

It runs in the folder of the recipe and needs Python 3.9 or later and ssh, nothing else. The
machines are told no secret of ours. k3s makes those of the cluster itself on the master; a node
joins with a token of one hour, which reaches it over standard input.
"""

# A program of its own, outside of the package: it prints.
# ruff: noqa: T201

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import downloads
from ssh import GONE, Failed, Machine, fail, is_gone, pin, run

REMOTE = Path(__file__).with_name("remote")
QUICK_SECONDS = 120


def script(name: str) -> str:
    """A script of `remote/`, behind the functions that all of them use."""
    return (REMOTE / "prelude.sh").read_text() + (REMOTE / f"{name}.sh").read_text()


def master_of(settings: dict[str, Any]) -> Machine:
    """The machine with the public address; all others are reached through it."""
    name = f"{settings['project_name']}-master"
    return Machine(name, settings["ip"], settings["admin_user"], settings["ssh_port"])


def nodes_of(settings: dict[str, Any], master: Machine) -> list[Machine]:
    user, port = settings["admin_user"], settings["ssh_port"]
    return [Machine(node["name"], node["ip"], user, port, master) for node in settings["nodes"]]


def each(machines: list[Machine], act: Callable[[Machine], None]) -> None:
    """Act on all machines at once.

    Ends with the failures of all, if there are any.
    """
    failures = []
    with ThreadPoolExecutor(max_workers=8) as pool:
        for done in [pool.submit(act, machine) for machine in machines]:
            try:
                done.result()
            except Failed as failure:
                failures.append(failure)
    if failures:
        fail(*failures)


def install(settings: dict[str, Any]) -> None:
    """Bring k3s to every machine, and up to its version and configuration."""
    pin(settings["host_keys"])
    master = master_of(settings)
    nodes = nodes_of(settings, master)
    server = {
        "node-name": master.name,
        "write-kubeconfig-mode": "0600",
        "secrets-encryption": True,
        "disable": ["servicelb"],
    }
    start(settings, master, "server", server)
    if nodes:
        said = run(master, script("token"), master.name, seconds=QUICK_SECONDS)
        token, address = said.split()[:2]
        agent = {"server": f"https://{address}:6443", "token-file": "/etc/rancher/k3s/token"}
        each(
            nodes,
            lambda node: start(
                settings, node, "agent", {**agent, "node-name": node.name}, f"{token}\n".encode()
            ),
        )
    seconds = settings["wait_seconds"]
    names = [machine.name for machine in (master, *nodes)]
    said = run(master, script("nodes"), str(seconds), *names, seconds=seconds + QUICK_SECONDS)
    for line in said.splitlines():
        word, name, address = line.split()
        if word == "removed":
            retire(Machine(name, address, master.user, master.port, master))
    print(f"{len(names)} machines are ready")


def start(
    settings: dict[str, Any], machine: Machine, role: str, config: dict[str, Any], data: bytes = b""
) -> None:
    """Bring k3s to one machine, as a server or an agent."""
    said = run(machine, script("machine"), seconds=QUICK_SECONDS).split()
    architecture = downloads.ARCHITECTURES.get(said[1])
    if architecture is None:
        raise Failed(f"{machine.shown} is a {said[1]}: k3s is there for x86-64 and arm64")
    download = downloads.k3s(settings["k3s_version"], architecture, settings["mirror"])
    seconds = settings["wait_seconds"]
    told = run(
        machine,
        script("k3s"),
        role,
        *download.arguments()[1:],
        json.dumps(config, indent=2),
        str(seconds),
        data=data,
        seconds=seconds * 2 + 1000,
    )
    for line in downloads.learn(told, download):
        print(line)


def retire(machine: Machine) -> None:
    """Take k3s off a machine that is no more part of the hub, if it is still there."""
    try:
        run(machine, script("uninstall"), seconds=QUICK_SECONDS)
        print(f"{machine.name} has been taken off")
    except Failed as failure:
        print(f"k3s may still be on {machine.shown}: {failure.problem}")


def remove(settings: dict[str, Any]) -> None:
    """Take k3s, and the hub with it, off every machine that was not said to be gone."""
    if not settings["uninstall"]:
        print("the machines keep k3s: they are destroyed with it")
        return
    master = master_of(settings)

    def clean(machine: Machine) -> None:
        if is_gone(machine):
            print(f"{machine.shown} is gone, as {GONE} says")
            return
        try:
            run(machine, script("uninstall"), seconds=QUICK_SECONDS * 2)
        except Failed as failure:
            if "cannot be reached" in failure.problem:
                failure.hint = f"if it does not exist any more: export {GONE}='{machine.address}'"
            raise

    each(nodes_of(settings, master), clean)  # while the master still leads to them
    each([master], clean)


if __name__ == "__main__":
    try:
        {"install": install, "remove": remove}[sys.argv[1]](json.loads(os.environ["HUB_CLUSTER"]))
    except Failed as failure:
        fail(failure)
