"""The machines of a hub, as its provider tells of them: `ssh` finds them without Terraform."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from barehub.errors import RecipeError, UsageError
from barehub.project import Instance
from barehub.ssh.login import Machine

if TYPE_CHECKING:
    from barehub.run import Run

FACTS = {"address": "public_ip", "user": "admin_user", "port": "ssh_port"}
"""What the journal has of the master, by the outputs of the provider."""

HOST = re.compile(r"[0-9A-Za-z:][\w.:-]*")
USER = re.compile(r"[A-Za-z_][\w.-]*")
"""What may stand in a command of ssh's: a journal comes from git, and others write there, too."""


def record(run: Run) -> None:
    """Write into the journal where the machines are, if that is news.

    To be called when any stage was applied, or failed. What is not made of the provider's resources
    (a constant, or without ``depends_on``) is only told with the last stage.
    """
    told = run.state.outputs()
    found = {fact: told.get(f"barehub_provider_{name}") for fact, name in FACTS.items()}
    facts: dict[str, Any] = {fact: str(value) for fact, value in found.items() if value}
    if "address" not in facts:
        return
    nodes = told.get("barehub_provider_nodes")
    facts["nodes"] = _nodes(nodes) if isinstance(nodes, list) else None
    last = run.instance.journal.last("machines") or {}
    if {k: v for k, v in last.items() if k not in ("at", "event")} != facts:
        run.instance.journal.add("machines", **facts)


def _nodes(told: list[Any]) -> list[dict[str, str]]:
    """Names and addresses, and nothing else that a module may tell of its nodes."""
    return [
        {"name": str(node["name"]), "ip": str(node["ip"])}
        for node in told
        if isinstance(node, dict) and {"name", "ip"} <= node.keys()
    ]


def of(instance: Instance) -> list[Machine]:
    """The master, and the nodes behind it.

    :raises UsageError: there is none, or none but this one.
    :raises RecipeError: the modules do not tell who may log in.
    """
    event = instance.journal.last("machines")
    if event is None or not instance.living:
        raise UsageError(
            f"{instance.name} has no machine that barehub knows of",
            f"invoke spawn --name {instance.name}",
        )
    if runs_here(instance):
        raise UsageError(
            f"{instance.name} runs on this machine: there is nothing to log in to",
            f"invoke logs --name {instance.name}",
        )
    if "user" not in event:
        raise RecipeError(
            f'module "provider" of {instance.name} has told no admin_user: who may log in?',
            f"invoke spawn --name {instance.name}   if the last one did not come to its end",
            "terraform/provider/existing/outputs.tf shows that output",
        )
    name, port = f"{instance.name}-master", str(event.get("port", 22))
    number = int(port) if port.isdecimal() else 0
    master = Machine(name, str(event["address"]), str(event["user"]), number)
    nodes = event.get("nodes") or []
    behind = (Machine(n["name"], n["ip"], master.user, master.port, master) for n in nodes)
    return [_checked(instance, machine) for machine in (master, *behind)]


def runs_here(instance: Instance) -> bool:
    """Whether the hub has no machine but this one."""
    event = instance.journal.last("machines")
    return bool(event and "port" not in event and _is_loopback(str(event["address"])))


def choose(instance: Instance, node: str) -> Machine:
    """The machine that ``node`` means: a number from 1, a name; the master when it is empty.

    :raises UsageError: there is none of that name.
    """
    master, *nodes = of(instance)
    if not node:
        return master
    if node.isdecimal() and 1 <= int(node) <= len(nodes):
        return nodes[int(node) - 1]
    for machine in (master, *nodes):
        if machine.name == node:
            return machine
    if (instance.journal.last("machines") or {}).get("nodes") is None:
        raise UsageError(
            f'module "provider" of {instance.name} has told no nodes: only its master is known',
            f"invoke ssh --name {instance.name}",
        )
    told = ", ".join(f"{number} ({one.name})" for number, one in enumerate(nodes, 1))
    raise UsageError(f"{instance.name} has no node {node!r}", f"its nodes: {told or 'none'}")


def _checked(instance: Instance, machine: Machine) -> Machine:
    if HOST.fullmatch(machine.address) and USER.fullmatch(machine.user) and machine.port:
        return machine
    raise RecipeError(
        f"what the journal has for {machine.name} is no account on a machine",
        f"git log -p {instance.journal.path}   shows who wrote it",
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
