"""The things of a cloud that a hub is made of, and whose they are.

A thing is an instance's when the journal has its id, when it bears the instance's mark, when its
name is the project's name or begins with it and a hyphen, or when it hangs on such a thing: a
volume on a server, a port on a network. A name alone may deceive: ``demo-two-master`` is not of
``demo`` when there is an instance ``demo-two``, here or in the cloud.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

TYPES = {
    "cloudflare_record": "dns record",
    "cloudflare_dns_record": "dns record",
    "openstack_compute_instance_v2": "server",
    "openstack_networking_floatingip_v2": "floating ip",
    "openstack_networking_port_v2": "port",
    "openstack_networking_router_interface_v2": "router interface",
    "openstack_networking_router_v2": "router",
    "openstack_networking_subnet_v2": "subnet",
    "openstack_networking_network_v2": "network",
    "openstack_networking_secgroup_v2": "security group",
    "openstack_compute_secgroup_v2": "security group",
    "openstack_blockstorage_volume_v2": "volume",
    "openstack_blockstorage_volume_v3": "volume",
    "openstack_compute_keypair_v2": "key pair",
}
"""Terraform's types of resources, and the kind of thing that each makes; what only joins two
things (an association, an attachment) is none: its id may be that of a thing that nobody made."""

KINDS = tuple(dict.fromkeys(TYPES.values()))
"""In the order in which they can be removed: a name before its address, a user before what it
uses."""

_ROLE = re.compile(
    r"(.+)-(master|node-?\d+|(master|node-?\d+)-volume|network|subnet|router|cluster|key"
    r"|keypair(-\w+)?|secgroup(-\w+)?)"
)
"""How modules name what they make: ours, and NeuroLibre's; the first group is the project."""


@dataclass(frozen=True)
class Thing:
    """One thing of a cloud.

    ``marks`` are the projects that its tags, metadata or description name; ``on`` the ids of what
    it hangs on; ``address`` what a floating IP is, or a record points to.
    """

    kind: str
    id: str
    name: str
    address: str = ""
    marks: frozenset[str] = frozenset()
    on: frozenset[str] = frozenset()
    zone: str = ""

    @property
    def command(self) -> str:
        """What removes it without barehub."""
        if self.kind == "dns record":
            return f"flarectl dns delete --zone {self.zone} --id {self.id}"
        if self.kind == "router interface":
            return f"openstack router remove port {' '.join(sorted(self.on))} {self.id}"
        what = {"key pair": "keypair"}.get(self.kind, self.kind)
        return f"openstack {what} delete {self.id}"

    def __str__(self) -> str:
        named = " ".join(part for part in (self.name, self.address) if part)
        return f"{self.kind} {named or self.id}"

    def document(self) -> dict[str, str]:
        """The thing as JSON has it."""
        return {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "address": self.address,
            "remove": self.command,
        }


@dataclass(frozen=True)
class Traces:
    """By what an instance's things are known.

    :param name: the project's name, with which the names of its things begin
    :param ids: kind and id of what the journal says that runs made
    :param addresses: the floating IPs that it had
    :param domains: the DNS names that are its own
    :param zones: names or ids of the zones that they are in, where they are known
    :param others: the project's names of all other instances
    :param other_domains: theirs
    """

    name: str
    ids: frozenset[tuple[str, str]] = frozenset()
    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    other_domains: frozenset[str] = frozenset()


@dataclass
class Belongings:
    """What is an instance's, in the order of removal, and what may be another's.

    ``doubtful`` maps a thing to the project that its name reads as; ``others`` are projects whose
    servers are there, so that nothing of theirs is the instance's.
    """

    own: list[Thing] = field(default_factory=list)
    doubtful: dict[Thing, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()


def resource_id(address: str, id: str) -> tuple[str, str] | None:
    """Kind and id of what Terraform made at ``address``; nothing when it is no thing of a cloud.

    A data source is what was there before: nothing of the instance's.
    """
    parts = re.sub(r"\[[^\]]*+(?:\]|\Z)", "", address).split(".")
    *before, type, _ = parts if len(parts) > 1 else ("", "")
    read = before[-1:] == ["data"] and before[-2:-1] != ["module"]
    return (TYPES[type], id) if type in TYPES and id and not read else None


def belongings(things: Collection[Thing], traces: Traces) -> Belongings:
    """Which of ``things`` are the instance's."""
    found = Belongings(others=frozenset(_seen_projects(things, traces)))
    others = traces.others | found.others
    own: dict[str, Thing] = {}
    for thing in things:
        if (thing.kind, thing.id) in traces.ids:
            own[thing.id] = thing
        elif thing.marks:
            if traces.name in thing.marks:
                own[thing.id] = thing
        elif _project(thing.name, {traces.name, *others}) == traces.name:
            _file(thing, traces, own, found.doubtful)
    rest = [thing for thing in things if thing not in found.doubtful]
    own |= {thing.id: thing for thing in _hanging(rest, own, others, traces.name)}
    found.own = sorted(own.values(), key=lambda thing: (KINDS.index(thing.kind), thing.name))
    return found


def records(things: Iterable[Thing], traces: Traces, released: Collection[str]) -> list[Thing]:
    """Which of ``things``, all of them DNS records, are the instance's.

    :param released: addresses that nobody else has: what points there is to go, by whomever made
    """
    own_marks = {traces.name, *traces.domains}  # a module that knows no project names the domain
    return [
        record
        for record in things
        if (record.kind, record.id) in traces.ids
        or record.marks & own_marks
        or (
            not record.marks
            and not _of(record, traces.other_domains)
            and (_of(record, traces.domains) or record.address in released)
        )
    ]


def beside(own: Collection[Thing], kept: Collection[tuple[str, str]]) -> list[Thing]:
    """``own`` without what is ``kept`` (kind and id), and without what hangs on that."""
    kept_things = {thing.id: thing for thing in own if (thing.kind, thing.id) in kept}
    hanging = {thing.id for thing in _hanging(own, kept_things, (), "")} if kept_things else set()
    return [thing for thing in own if thing.id not in kept_things and thing.id not in hanging]


def _of(record: Thing, domains: Collection[str]) -> bool:
    """Whether a record is of one of ``domains``, or a certificate authority's question about it."""
    name = record.name.lower().removeprefix("_acme-challenge.").removeprefix("*.")
    return name in domains


def _file(thing: Thing, traces: Traces, own: dict[str, Thing], doubtful: dict[Thing, str]) -> None:
    read = _ROLE.fullmatch(thing.name)
    if traces.name in traces.others:
        doubtful[thing] = traces.name
    elif read and read[1] != traces.name and read[1].startswith(f"{traces.name}-"):
        doubtful[thing] = read[1]
    else:
        own[thing.id] = thing


def _project(name: str, names: Iterable[str]) -> str | None:
    """The longest of ``names`` that ``name`` is, or begins with."""
    claims = [n for n in names if name == n or name.startswith(f"{n}-")]
    return max(claims, key=len, default=None)


def _seen_projects(things: Iterable[Thing], traces: Traces) -> set[str]:
    """Other projects, named longer than ours, whose masters are there."""
    return {
        thing.name.removesuffix("-master")
        for thing in things
        if thing.kind == "server"
        and thing.name.endswith("-master")
        and thing.name.startswith(f"{traces.name}-")
        and thing.name != f"{traces.name}-master"
        and (thing.kind, thing.id) not in traces.ids
        and traces.name not in thing.marks
    }


def _hanging(
    things: Collection[Thing], own: dict[str, Thing], others: Collection[str], name: str
) -> list[Thing]:
    """What hangs on ``own``, directly or by something else, and on nobody else's machine."""
    others_too = {t.id for t in things if t.kind in ("server", "router") and t.id not in own}
    free = [
        thing
        for thing in things
        if thing.id not in own
        and not thing.on & others_too
        and not thing.marks - {name}
        and _project(thing.name, {name, *others}) in (None, name)
    ]
    ids, found = set(own), []
    while more := [thing for thing in free if thing.on & ids and thing.id not in ids]:
        found += more
        ids |= {thing.id for thing in more}
    return found
