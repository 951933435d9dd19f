"""Where a name leads, as DNS tells it: the dns rung."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

from barehub.verify import dial
from barehub.verify.finding import Findings
from barehub.verify.target import Target, is_address, is_local, join

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

SECONDS = 5.0
LOOK_SECONDS = 2.0
MOST_SERVERS = 4

ISSUER = "letsencrypt.org"

CLOUDFLARE = (
    "173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18",
    "108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22",
    "198.41.128.0/17", "162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13",
    "131.0.72.0/22", "2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32",
    "2405:8100::/32", "2a06:98c0::/29", "2c0f:f248::/32",
)  # fmt: skip
"""https://www.cloudflare.com/ips/ (2026)"""

_APPLY = "apply the dns stage, or wait until the record is known"


class _Silent(Exception):
    """No resolver answered; the text says how."""


class _Unknown(Exception):
    """The name does not exist (NXDOMAIN)."""


async def look_up(found: Findings, target: Target) -> list[str]:
    """The addresses of the target's name, IPv4 first; none when it leads nowhere."""
    host = target.host
    if is_address(host):
        found.skipped(["dns.missing"], "not asked: an address needs no name")
        return [host]
    if is_local(host):
        found.passed("dns.missing", f"{host} is this machine, by its name")
        return await dial.resolve(host)
    resolver = _resolver(target.resolver)
    addresses: list[str] = []
    answered = True
    try:
        addresses = await _addresses(resolver, host)
        said = f"{host} has neither an A nor an AAAA record"
    except _Unknown:
        said = f"DNS does not know {host} (NXDOMAIN)"
    except _Silent as error:
        answered, said = False, f"the resolver could not look up {host}: {error}"
    if addresses:
        found.passed("dns.missing", f"{host} is {', '.join(addresses)}")
        await _authority(found, resolver, host)
        return addresses
    if target.resolver is None and (known := await _known_here(host)):
        message = f"DNS does not know {host}, this machine's hosts file does: {', '.join(known)}"
        found.warned("dns.missing", message, _APPLY)
        return known
    if answered and target.resolver is None and (there := await _published(resolver, host)):
        said = f"the record is there ({', '.join(there)}), the resolver has not seen it yet"
        fix = "wait: it remembers for a while that there was none (negative cache)"
        found.failed("dns.missing", said, fix, permanent=False)
        return []
    found.failed("dns.missing", said, _APPLY, permanent=False)
    return []


def _resolver(server: tuple[str, int] | None) -> Resolver:
    import dns.asyncresolver
    import dns.resolver

    try:
        resolver = dns.asyncresolver.Resolver(configure=server is None)
    except dns.resolver.NoResolverConfiguration:
        resolver = dns.asyncresolver.Resolver(configure=False)
    if server:
        resolver.nameservers, resolver.port = [server[0]], server[1]
    resolver.timeout, resolver.lifetime = LOOK_SECONDS, SECONDS
    return resolver


async def _records(resolver: Resolver, name: str, kind: str) -> list[str]:
    """The records of one kind, as text; none when there are none.

    :raises _Unknown: there is no such name
    :raises _Silent: nobody answered, or with a failure
    """
    import dns.exception
    import dns.resolver

    try:
        answer = await resolver.resolve(name, kind, search=False)
    except dns.resolver.NXDOMAIN:
        raise _Unknown from None
    except dns.resolver.NoAnswer:
        return []
    except dns.resolver.NoNameservers:
        raise _Silent("it answers with a failure (SERVFAIL or REFUSED)") from None
    except dns.exception.Timeout:
        raise _Silent(f"no answer within {SECONDS:g} s") from None
    except (dns.exception.DNSException, OSError) as error:
        raise _Silent(str(error)) from None
    return [record.to_text() for record in answer]


async def _addresses(resolver: Resolver, host: str) -> list[str]:
    looks = (_records(resolver, host, "A"), _records(resolver, host, "AAAA"))
    four, six = await asyncio.gather(*looks, return_exceptions=True)
    found = [address for records in (four, six) if isinstance(records, list) for address in records]
    if not found and isinstance(four, BaseException):
        raise four
    return found


async def _published(resolver: Resolver, host: str) -> list[str]:
    """What the servers of the name's own zone say, which no cache delays (RFC 2308, 5)."""
    import dns.asyncresolver
    import dns.exception

    try:
        async with asyncio.timeout(SECONDS):
            zone = await dns.asyncresolver.zone_for_name(host, resolver=resolver)
            names = await _records(resolver, zone.to_text(), "NS")
            looks = (_records(resolver, name, "A") for name in names[:MOST_SERVERS])
            answers = await asyncio.gather(*looks, return_exceptions=True)
            own = dns.asyncresolver.Resolver(configure=False)
            own.nameservers = [a for some in answers if isinstance(some, list) for a in some]
            own.port, own.timeout, own.lifetime = resolver.port, LOOK_SECONDS, SECONDS
            own.flags = 0  # no recursion: what they know themselves
            return await _addresses(own, host) if own.nameservers else []
    except (_Silent, _Unknown, OSError, dns.exception.DNSException):
        return []


async def _known_here(host: str) -> list[str]:
    try:
        return await dial.resolve(host)
    except dial.Unresolved:
        return []


async def _authority(found: Findings, resolver: Resolver, host: str) -> None:
    """Which authorities may issue for the name: the nearest CAA records count (RFC 8659, 3)."""
    labels = host.split(".")
    try:
        async with asyncio.timeout(SECONDS):
            for start in range(len(labels)):
                name = ".".join(labels[start:])
                with contextlib.suppress(_Unknown):
                    if records := await _records(resolver, name, "CAA"):
                        return _judge(found, name, records)
    except (_Silent, TimeoutError):
        # an authority would refuse to issue; that is not ours to find out
        found.skipped(["dns.caa"], "not known: the resolver does not answer for CAA records")
    else:
        found.passed("dns.caa", "no CAA record: any authority may issue")


def _judge(found: Findings, name: str, records: list[str]) -> None:
    allowed = []
    restricted = False
    for record in records:
        _, tag, value = record.split(None, 2)
        if tag.lower() == "issue":
            restricted = True
            allowed.append(value.strip('"').partition(";")[0].strip())
    if not restricted or ISSUER in allowed:
        found.passed("dns.caa", f"the CAA records of {name} let {ISSUER} issue")
        return
    who = ", ".join(filter(None, allowed)) or "nobody"
    found.failed(
        "dns.caa",
        f"the CAA records of {name} let only {who} issue: Let's Encrypt will refuse to renew",
        f'add to {name}: CAA 0 issue "{ISSUER}"; right as it is if another authority issues here',
        permanent=False,
    )


def mismatch(
    found: Findings, host: str, addresses: list[str], machine: list[str], proxied: bool
) -> None:
    """Whether the name leads to the machine, or to a proxy that may lead there."""
    leads = f"{host} is {', '.join(addresses)}, the machine is {', '.join(machine)}"
    if set(addresses) & set(machine):
        found.passed("dns.mismatch", f"{host} leads to the machine")
    elif proxied or all(_cloudflare(address) for address in addresses):
        found.informed(
            "dns.mismatch", f"proxied by Cloudflare; the origin is looked at, too: {leads}"
        )
    else:
        found.failed("dns.mismatch", leads, "apply the dns stage; old records live for their TTL",
                     permanent=False)  # fmt: skip


def _cloudflare(address: str) -> bool:
    at = ipaddress.ip_address(address)
    return any(at in net for net in map(ipaddress.ip_network, CLOUDFLARE))


async def ipv6(found: Findings, target: Target, addresses: list[str]) -> None:
    """Whether those whose network has IPv6 get through, and ACME servers: they prefer it."""
    if target.connect_to or is_local(target.host):
        return
    sixes = [address for address in addresses if ":" in address]
    if not sixes or sixes == addresses:
        return
    if not _has_route(sixes[0]):
        found.skipped(["dns.ipv6"], f"not checked: this machine has no IPv6 route to {sixes[0]}")
        return
    try:
        sock, address = await dial.connect(sixes, target.port)
    except dial.Unconnected as error:
        message = f"the AAAA record leads nowhere: {error} ({join(sixes[0], target.port)})"
        found.warned("dns.ipv6", message, "mend or delete it: users with IPv6 do not get through")
    else:
        sock.close()
        found.passed("dns.ipv6", f"{join(address, target.port)} answers, too")


def _has_route(address: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.connect((address, 53))  # a datagram socket: nothing is sent
        return True
    return False
