"""All things of an OpenStack project that a hub may be made of, and how to remove one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from barehub.cloud.openstack import Cloud
from barehub.cloud.things import Thing
from barehub.errors import CloudError

if TYPE_CHECKING:
    from openstack.connection import Connection

GONE_SECONDS = 120.0
"""How long a server or a volume may take to be really gone."""

TAG = re.compile(r"barehub:(\S+)")
"""A tag of our modules, and the comment of their DNS records."""

DESCRIPTION = re.compile(r"barehub ([a-z0-9-]+):.*")
"""The description of our modules' floating IPs, which have no name."""

METADATA = "barehub"
"""The key of our modules' metadata on servers and volumes."""

Look = Callable[[str], None]


def things(cloud: Cloud, look: Look) -> tuple[list[Thing], list[str]]:
    """What the project has, and why some of it could not be looked at.

    :param look: called with the kind that is looked at next
    :raises CloudError: nothing can be looked at: the cloud does not answer, or refuses
    """
    project = cloud.project
    found: list[Thing] = []
    unseen: list[str] = []
    for what, listed in _LISTS.items():
        look(what)
        try:
            with cloud.asking(f"the {what}") as connection:
                found += listed(connection, project)
        except CloudError as error:
            unseen.append(f"{what}: {error.problem}")
    return found, unseen


def _servers(cloud: Connection, project: str) -> Iterator[Thing]:
    for server in cloud.compute.servers():
        yield Thing("server", server.id, server.name or "", marks=_metadata(server))


def _floating_ips(cloud: Connection, project: str) -> Iterator[Thing]:
    for ip in cloud.network.ips(project_id=project):
        told = DESCRIPTION.fullmatch(ip.description or "")
        yield Thing(
            "floating ip",
            ip.id,
            ip.description or "",
            address=ip.floating_ip_address,
            marks=_tags(ip) | ({told[1]} if told else frozenset()),
            on=_ids(ip.port_id),
        )


def _ports(cloud: Connection, project: str) -> Iterator[Thing]:
    for port in cloud.network.ports(project_id=project):
        owner = port.device_owner or ""
        if owner.startswith("network:router_") and not owner.endswith("_gateway"):
            yield Thing("router interface", port.id, port.name or "", on=_ids(port.device_id))
        elif not owner.startswith("network:"):
            on = _ids(port.device_id, port.network_id)
            yield Thing("port", port.id, port.name or "", marks=_tags(port), on=on)


def _routers(cloud: Connection, project: str) -> Iterator[Thing]:
    for router in cloud.network.routers(project_id=project):
        yield Thing("router", router.id, router.name or "", marks=_tags(router))


def _subnets(cloud: Connection, project: str) -> Iterator[Thing]:
    for subnet in cloud.network.subnets(project_id=project):
        on = _ids(subnet.network_id)
        yield Thing("subnet", subnet.id, subnet.name or "", marks=_tags(subnet), on=on)


def _networks(cloud: Connection, project: str) -> Iterator[Thing]:
    for network in cloud.network.networks(project_id=project):
        yield Thing("network", network.id, network.name or "", marks=_tags(network))


def _groups(cloud: Connection, project: str) -> Iterator[Thing]:
    for group in cloud.network.security_groups(project_id=project):
        if group.name != "default":  # every project has it, and it cannot be removed
            yield Thing("security group", group.id, group.name or "", marks=_tags(group))


def _volumes(cloud: Connection, project: str) -> Iterator[Thing]:
    for volume in cloud.block_storage.volumes():
        on = _ids(*(attachment.get("server_id") for attachment in volume.attachments or ()))
        yield Thing("volume", volume.id, volume.name or "", marks=_metadata(volume), on=on)


def _keypairs(cloud: Connection, project: str) -> Iterator[Thing]:
    for keypair in cloud.compute.keypairs():
        yield Thing("key pair", keypair.name, keypair.name)


_LISTS: dict[str, Callable[[Connection, str], Iterator[Thing]]] = {
    "servers": _servers,
    "floating IPs": _floating_ips,
    "ports": _ports,
    "routers": _routers,
    "subnets": _subnets,
    "networks": _networks,
    "security groups": _groups,
    "volumes": _volumes,
    "key pairs": _keypairs,
}


def _tags(item: Any) -> frozenset[str]:
    return frozenset(told[1] for tag in item.tags or () if (told := TAG.fullmatch(tag)))


def _metadata(item: Any) -> frozenset[str]:
    mark = (item.metadata or {}).get(METADATA)
    return frozenset({str(mark)} if mark else ())


def _ids(*ids: str | None) -> frozenset[str]:
    return frozenset(id for id in ids if id)


def remove(cloud: Cloud, thing: Thing, stop: Callable[[], None]) -> None:
    """Remove one thing, and wait until it is gone; it is no error when it is gone already.

    :param stop: called again and again while it is waited for; may raise
    :raises CloudError: it cannot be removed, or is not gone in time
    """
    from openstack.exceptions import NotFoundException

    with cloud.asking(f"to remove {thing}") as connection, suppress(NotFoundException):
        _removers(connection)[thing.kind](thing)
        if thing.kind in _SLOW:
            _wait(lambda: _SLOW[thing.kind](connection, thing.id), thing, stop)


def _removers(cloud: Connection) -> dict[str, Callable[[Thing], object]]:
    network = cloud.network
    return {
        "server": lambda t: cloud.compute.delete_server(t.id),
        "floating ip": lambda t: network.delete_ip(t.id),
        "port": lambda t: network.delete_port(t.id),
        "router interface": lambda t: _unplug(cloud, t),
        "router": lambda t: network.delete_router(t.id),
        "subnet": lambda t: network.delete_subnet(t.id),
        "network": lambda t: network.delete_network(t.id),
        "security group": lambda t: network.delete_security_group(t.id),
        "volume": lambda t: cloud.block_storage.delete_volume(t.id),
        "key pair": lambda t: cloud.compute.delete_keypair(t.id),
    }


def _unplug(cloud: Connection, interface: Thing) -> None:
    for router in interface.on:
        cloud.network.remove_interface_from_router(router, None, interface.id)


_SLOW: dict[str, Callable[[Connection, str], Any]] = {
    "server": lambda cloud, id: cloud.compute.get_server(id),
    "volume": lambda cloud, id: cloud.block_storage.get_volume(id),
}
"""What a cloud only begins to remove when it is asked to, and how to see whether it is there."""


def _wait(there: Callable[[], Any], thing: Thing, stop: Callable[[], None]) -> None:
    """Until ``there`` finds nothing, which raises."""
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        item = there()
        if item.status == "error_deleting":
            raise CloudError(f"{thing} cannot be removed: its cloud failed at it")
        if time.monotonic() > deadline:
            raise CloudError(f"{thing} is not gone after {GONE_SECONDS:.0f} s: {item.status}")
        stop()
        time.sleep(0.5)
