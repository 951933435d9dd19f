"""What stands in the way of a recipe in its clouds, seen before anything is made."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from barehub.cloud import cloudflare, openstack
from barehub.cloud.cloudflare import Cloudflare, Zone
from barehub.cloud.inventory import things
from barehub.cloud.openstack import Cloud, Flavor, Quota
from barehub.cloud.plan import NETWORKS, Plan
from barehub.cloud.search import as_thing
from barehub.cloud.things import Belongings, Traces, belongings
from barehub.cloud.web import Environment, Refused
from barehub.errors import CloudError
from barehub.finding import ERROR, UNSEEN, WARNING, Finding

SHOWN = 3
"""How many names near to one that does not exist are told."""

UNITS = {"ram": " MB", "gigabytes": " GB"}

Look = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the questions are about.

    :param made: kind and id of what the instance has, and the plan keeps; None when that is unknown
    :param where: the line of an argument, by its stage and name: ``instances/x/main.tf:12``
    """

    plan: Plan
    traces: Traces
    made: frozenset[tuple[str, str]] | None = frozenset()
    where: Callable[[str, str], str] = lambda stage, argument: ""

    def keeps(self, kind: str, id: str) -> bool:
        """Whether the instance has it, or may have it."""
        return self.made is None or (kind, id) in self.made


def findings(env: Environment, asked: Asked, look: Look) -> list[Finding]:
    """What the clouds say of a plan; nothing is asked of a cloud that it does not use.

    :param env: the vault's section ``environment``
    """
    found: list[Finding] = []
    if asked.plan.openstack and openstack.has_credentials(env):
        found += _guarded("cloud.unreachable", "OpenStack", _openstack(env, asked, look))
    elif asked.plan.openstack:
        found.append(_unasked("cloud.unasked", "OpenStack", openstack.ADDRESS))
    if asked.plan.cloudflare and cloudflare.has_credentials(env):
        look("DNS zones")
        found += _guarded("dns.unreachable", "Cloudflare", _cloudflare(env, asked))
    elif asked.plan.cloudflare:
        found.append(_unasked("dns.unasked", "Cloudflare", "CLOUDFLARE_API_TOKEN"))
    return found


def _unasked(id: str, cloud: str, name: str) -> Finding:
    message = f"whether {cloud} has all that the recipe wants: the vault has no credentials for it"
    fixes = (
        f"invoke vault.set environment.{name}   # and what else docs/how-to/openstack.md says",
    )
    return Finding(id, UNSEEN, message, "", fixes)


def _guarded(id: str, cloud: str, found: Iterator[Finding]) -> Iterator[Finding]:
    """``found`` to its end, or to where the cloud cannot be asked any more."""
    try:
        yield from found
    except Refused as error:
        area = id.partition(".")[0]
        yield Finding(f"{area}.credentials", ERROR, error.problem, "", error.hints)
    except CloudError as error:
        message = f"whether {cloud} has all that the recipe wants: {error.problem}"
        yield Finding(id, UNSEEN, message, "", error.hints)


def _openstack(env: Environment, asked: Asked, look: Look) -> Iterator[Finding]:
    cloud, plan = Cloud(env), asked.plan
    look("credentials")
    yield from _scope(cloud)
    look("flavors")
    flavors = {flavor.name: flavor for flavor in cloud.flavors()}
    for argument in plan.servers:
        if (name := plan.text(argument)) and name not in flavors:
            yield _unknown(asked, "flavor", argument, flavors)
    look("images")
    yield from _image(cloud, asked)
    look("networks")
    yield from _networks(cloud, asked)
    yield from _keypair(cloud, asked)
    own = Belongings()
    if asked.made != frozenset():
        there, _ = things(cloud, look)
        own = belongings(there, asked.traces)
    look("quotas")
    yield from _quotas(cloud.quotas(), _needed(asked, own, flavors))


def _unknown(asked: Asked, kind: str, argument: str, known: Collection[str]) -> Finding:
    """An argument of the provider names something that the cloud does not have."""
    name = asked.plan.text(argument) or ""
    near = difflib.get_close_matches(name, known, SHOWN)
    fixes = (f'{argument} = "{near[0]}"', *(f"or {other}" for other in near[1:])) if near else ()
    return Finding(
        f"cloud.{kind}",
        ERROR,
        f"{argument}: the cloud has no {kind} {name!r}",
        asked.where("provider", argument),
        (*fixes, f"openstack {kind} list"),
    )


def _image(cloud: Cloud, asked: Asked) -> Iterator[Finding]:
    name = asked.plan.text("image_name")
    if name is None:
        return
    images = cloud.images()
    image = next((image for image in images if image.name == name), None)
    if image is None:
        yield _unknown(asked, "image", "image_name", {image.name for image in images})
        return
    size = asked.plan.number("instance_volume_size")
    if size is not None and size < image.min_disk_gb:
        yield Finding(
            "cloud.volume-size",
            ERROR,
            f"instance_volume_size: {size} GB are less than the image needs, {image.min_disk_gb}",
            asked.where("provider", "instance_volume_size"),
            (f"instance_volume_size = {image.min_disk_gb}",),
        )


def _networks(cloud: Cloud, asked: Asked) -> Iterator[Finding]:
    networks = cloud.networks()
    for argument in NETWORKS:
        external = argument == "public_network"
        names = {network.name for network in networks if network.external or not external}
        if (name := asked.plan.text(argument)) and name not in names:
            yield _unknown(asked, "network", argument, names)


def _scope(cloud: Cloud) -> Iterator[Finding]:
    """Credentials that may do more than a hub needs: whoever gets them may do it as well."""
    own = "openstack application credential create barehub"
    if "admin" in {role.lower() for role in cloud.access.role_names or ()}:
        yield Finding(
            "cloud.scope",
            WARNING,
            "the OpenStack credentials have the role admin: they reach far more than this project",
            "",
            (f"{own} --role member", "then put its id and secret into the vault"),
        )
    access = cloud.access
    if access.application_credential_id and not access.application_credential["restricted"]:
        yield Finding(
            "cloud.scope",
            WARNING,
            "the application credential is unrestricted: it can make others, which outlive it",
            "",
            (f"{own}   (without --unrestricted)",),
        )


def _keypair(cloud: Cloud, asked: Asked) -> Iterator[Finding]:
    project = asked.plan.project
    if project is None:
        return
    ours = re.compile(rf"{re.escape(project)}-key(pair(-\w+)?)?")
    for name in cloud.keypairs():
        if ours.fullmatch(name) and not asked.keeps("key pair", name):
            yield Finding(
                "cloud.keypair",
                ERROR,
                f"there is a key pair {name!r} already, which no run of this instance made",
                "",
                (f"openstack keypair delete {name}",),
            )


def _needed(asked: Asked, own: Belongings, flavors: dict[str, Flavor]) -> dict[str, int]:
    """How much of each kind the plan needs beside what the instance has."""
    plan = asked.plan
    counts = dict(plan.servers)
    have = {kind: sum(thing.kind == kind for thing in own.own) for kind in _COUNTED}
    if have["server"]:  # the master is the first of them
        counts["os_flavor_master"] = 0
        if "os_flavor_node" in counts:
            counts["os_flavor_node"] = max(0, counts["os_flavor_node"] - have["server"] + 1)
    servers = sum(counts.values())
    total = sum(plan.servers.values())
    used = [(flavors.get(plan.text(name) or ""), count) for name, count in counts.items()]
    needed = {
        "instances": servers,
        "cores": sum(flavor.vcpus * count for flavor, count in used if flavor),
        "ram": sum(flavor.ram_mb * count for flavor, count in used if flavor),
        "ports": max(0, total - have["port"]),
        "floating-ips": max(0, 1 - have["floating ip"]),
        "key-pairs": max(0, 1 - have["key pair"]),
        "secgroups": max(0, plan.security_groups - have["security group"]),
    }
    if (size := plan.number("instance_volume_size")) is not None:
        volumes = max(0, total - have["volume"])
        needed |= {"volumes": volumes, "gigabytes": volumes * size}
    if plan.own_network:
        needed |= {f"{kind}s": max(0, 1 - have[kind]) for kind in ("network", "subnet", "router")}
    return needed


_COUNTED = (
    "server",
    "port",
    "floating ip",
    "key pair",
    "security group",
    "volume",
    "network",
    "subnet",
    "router",
)


def _quotas(quotas: dict[str, Quota], needed: dict[str, int]) -> Iterator[Finding]:
    for of, count in needed.items():
        quota = quotas.get(of)
        if quota is None or quota.free is None or count <= quota.free:
            continue
        unit = UNITS.get(of, "")
        yield Finding(
            "cloud.quota",
            ERROR,
            f"quota of {of}: {count}{unit} are needed, {quota.free}{unit} are free "
            f"({quota.used} of {quota.limit} are used)",
            "",
            ("openstack quota show --usage", "free some, or ask the cloud's operators for more"),
        )


def _cloudflare(env: Environment, asked: Asked) -> Iterator[Finding]:
    service, plan = Cloudflare(env), asked.plan
    zones = service.zones()
    if reached := [*service.reaches(), *([f"{len(zones)} zones"] if len(zones) > 1 else [])]:
        yield Finding(
            "dns.scope",
            WARNING,
            f"the Cloudflare token reaches more than the hub's zone: {', '.join(reached)}",
            "",
            ("dash.cloudflare.com, API tokens: Zone: Read and DNS: Edit, for the one zone",),
        )
    for name in plan.zones:
        if name not in {zone.id for zone in zones} | {zone.name for zone in zones}:
            yield _foreign(f"the Cloudflare zone that the recipe gives ({name})")
    for domain in plan.domains:
        zone = _zone_of(domain, zones)
        if zone is None:
            yield _foreign(f"a zone of {domain}")
        else:
            yield from _name(service, zone, domain, asked)


def _zone_of(domain: str, zones: list[Zone]) -> Zone | None:
    fit = [zone for zone in zones if domain == zone.name or domain.endswith(f".{zone.name}")]
    return max(fit, key=lambda zone: len(zone.name), default=None)


def _foreign(what: str) -> Finding:
    return Finding(
        "dns.zone",
        ERROR,
        f"the Cloudflare token does not see {what}",
        "",
        ("dash.cloudflare.com, API tokens: give it Zone: Read and DNS: Edit of that zone",),
    )


def _name(service: Cloudflare, zone: Zone, domain: str, asked: Asked) -> Iterator[Finding]:
    for record in map(as_thing, service.records(zone, name=domain)):
        if asked.keeps(record.kind, record.id):
            continue
        yield Finding(
            "dns.name",
            ERROR,
            f"{domain} exists already and points to {record.address}",
            asked.where("dns", "domain"),
            (record.command, "or choose another domain"),
        )
