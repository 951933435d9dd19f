"""Looks for what is an instance's in its clouds, and removes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from barehub.cloud import cloudflare, inventory, openstack
from barehub.cloud.cloudflare import Cloudflare, Record, Zone
from barehub.cloud.openstack import Cloud
from barehub.cloud.things import Belongings, Thing, Traces, belongings, records
from barehub.cloud.web import Environment
from barehub.errors import CloudError

OPENSTACK, CLOUDFLARE = "OpenStack", "Cloudflare"

Look = Callable[[str], None]
"""Is told what is looked at next, or removed; it may raise to end the search."""


@dataclass
class Found:
    """What is an instance's in its clouds, in the order of removal, and what could not be seen.

    :param asked: the clouds that were looked at, or should have been
    :param doubtful: what may be another instance's, and that one's name
    :param adrift: floating IPs without a name or a mark that lead nowhere: anybody's
    :param others: instances whose servers are there, of which nothing is told
    """

    asked: Collection[str] = ()
    own: list[Thing] = field(default_factory=list)
    doubtful: dict[Thing, str] = field(default_factory=dict)
    adrift: list[Thing] = field(default_factory=list)
    others: frozenset[str] = frozenset()
    unseen: list[str] = field(default_factory=list)


def find(env: Environment, traces: Traces, asked: Collection[str], look: Look) -> Found:
    """Look for what ``traces`` lead to.

    :param asked: :data:`OPENSTACK`, :data:`CLOUDFLARE`, or both
    """
    found = Found(asked)
    held: set[str] | None = None
    if OPENSTACK in asked:
        held = _find_things(env, traces, found, look)
    if CLOUDFLARE in asked:
        own = {thing.address for thing in found.own if thing.kind == "floating ip"}
        # an address that nobody could be asked about may be somebody else's by now
        released = own | (traces.addresses - held if held is not None else set())
        try:
            found.own[:0] = _find_records(env, traces, released, look)
        except CloudError as error:
            found.unseen.append(f"{CLOUDFLARE}: {error.problem}")
    return found


def _find_things(env: Environment, traces: Traces, found: Found, look: Look) -> set[str] | None:
    """Add what is in OpenStack; the floating addresses that others have, if they could be seen."""
    if not openstack.has_credentials(env):
        found.unseen.append(f"{OPENSTACK}: the vault has no credentials for it, environment.OS_…")
        return None
    try:
        things, unseen = inventory.things(Cloud(env), look)
    except CloudError as error:
        found.unseen.append(f"{OPENSTACK}: {error.problem}")
        return None
    found.unseen += [f"{OPENSTACK}, {what}" for what in unseen]
    of: Belongings = belongings(things, traces)
    found.own, found.doubtful, found.others = of.own, of.doubtful, of.others
    if any(what.startswith("floating IPs") for what in unseen):
        return None
    own = {thing.id for thing in of.own}
    loose = (t for t in things if t.kind == "floating ip" and not (t.name or t.marks or t.on))
    found.adrift = [thing for thing in loose if thing.id not in own]
    return {t.address for t in things if t.kind == "floating ip" and t.id not in own}


def _find_records(
    env: Environment, traces: Traces, released: Collection[str], look: Look
) -> list[Thing]:
    if not cloudflare.has_credentials(env):
        raise CloudError("the vault has no credentials for it, environment.CLOUDFLARE_API_TOKEN")
    look("DNS records")
    service = Cloudflare(env)
    zones = _zones(service, traces)
    known = traces
    if not traces.domains:
        named = frozenset(f"{traces.name}.{zone.name}" for zone in zones)
        known = replace(traces, domains=named)
    there = [as_thing(record) for zone in zones for record in service.records(zone)]
    return records(there, known, released)


def _zones(service: Cloudflare, traces: Traces) -> list[Zone]:
    """The zones that may have the instance's records; all that the token sees, if none is known."""
    found = {zone.id: zone for zone in _each_zone(service, traces)}
    if not found and not traces.domains and not traces.zones:
        found = {zone.id: zone for zone in service.zones()}
    if not found:
        raise CloudError(f"the token sees no zone of {', '.join(sorted(traces.domains))}")
    return list(found.values())


def _each_zone(service: Cloudflare, traces: Traces) -> list[Zone]:
    found: list[Zone] = []
    for given in traces.zones:
        found += service.zones(given) if "." in given else filter(None, [service.zone(given)])
    for domain in traces.domains:
        if not any(domain == zone.name or domain.endswith(f".{zone.name}") for zone in found):
            found += filter(None, [service.zone_of(domain)])
    return found


def as_thing(record: Record) -> Thing:
    """A DNS record as a thing; it hangs on its zone."""
    mark = inventory.TAG.fullmatch(record.comment)
    return Thing(
        "dns record",
        record.id,
        record.name,
        address=record.content,
        marks=frozenset({mark[1]} if mark else ()),
        on=frozenset({record.zone.id}),
        zone=record.zone.name,
    )


def remove(
    env: Environment, things: Iterable[Thing], told: Callable[[Thing, str], None], look: Look
) -> None:
    """Remove ``things``, in the order in which :func:`find` gives them.

    What cannot be removed is told, and does not keep the rest from being removed.

    :param told: called with each thing and why it could not be removed, which is empty if it was
    """
    cloud, service = Cloud(env), Cloudflare(env)
    for thing in things:
        look(f"removing {thing}")
        try:
            if thing.kind == "dns record":
                service.delete(next(iter(thing.on)), thing.id)
            else:
                inventory.remove(cloud, thing, lambda: look(f"removing {thing}"))  # noqa: B023
            told(thing, "")
        except CloudError as error:
            told(thing, error.problem)
