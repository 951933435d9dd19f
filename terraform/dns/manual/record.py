"""Says which record to make by hand, and waits until DNS shows it; Terraform runs it.

    RECORD_DOMAIN=… RECORD_ADDRESS=… RECORD_WAIT_SECONDS=… RECORD_RESOLVER=… python3 record.py await
    RECORD_DOMAIN=… RECORD_ADDRESS=… python3 record.py farewell

It needs Python 3.9 or later. With dnspython it asks the zone's own name servers, which no cache
delays; without it, the machine's resolver.
"""

# A program of its own, outside of the package: it prints.
# ruff: noqa: T201

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
import time
from typing import Any

LOOK_SECONDS = 5.0
ANSWER_SECONDS = 3.0
MOST_SERVERS = 4

Answers = dict[str, "list[str]"]
"""By who was asked, the addresses that it knows."""


class Silent(Exception):
    """Nobody could tell; the text says why."""


class Alias(Silent):
    """The name leads out of the zone (CNAME), and the zone's servers know no address."""


def look(domain: str, kind: str, only: str) -> Answers:
    """What DNS says of `domain`: its own name servers, or the server `only`.

    :raises Silent: nobody answers
    """
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        if only:
            raise Silent("dnspython is not installed: without it no server can be chosen") from None
        return {"the machine's resolver": addresses_here(domain, kind)}
    if only:
        address, port = place(only)
        chosen = dns.resolver.Resolver(configure=False)
        chosen.nameservers, chosen.port = [address], port
        return {only: ask(chosen, domain, kind)}
    try:
        system = dns.resolver.Resolver()
    except dns.exception.DNSException as error:
        raise Silent(f"this machine has no resolver: {error}") from None
    answers: Answers = {}
    for name, address in own_servers(system, domain).items():
        server = dns.resolver.Resolver(configure=False)
        server.nameservers, server.port, server.flags = [address], system.port, 0
        try:
            answers[name] = ask(server, domain, kind)
        except Alias:
            answers[name] = ask(system, domain, kind)
        except Silent:
            continue  # one of them may be out of reach from here
    return answers or {"the machine's resolver": ask(system, domain, kind)}


def place(server: str) -> tuple[str, int]:
    """Address and port of `192.0.2.53:5353`, `[2001:db8::53]:5353`, or either without a port."""
    found = re.fullmatch(r"\[(.*)\](?::(\d+))?|([^:]+)(?::(\d+))?|(.+)", server)
    assert found, server
    six, six_port, four, four_port, bare = found.groups()
    return six or four or bare, int(six_port or four_port or 53)


def own_servers(system: Any, domain: str) -> dict[str, str]:
    """The addresses of the name servers of the domain's zone, by their names; none if not known."""
    import dns.exception
    import dns.resolver

    servers = {}
    try:
        zone = dns.resolver.zone_for_name(domain, resolver=system, lifetime=ANSWER_SECONDS)
        names = [str(record.target) for record in system.resolve(zone, "NS", search=False)]
        for name in sorted(names)[:MOST_SERVERS]:
            if found := ask(system, name, "A"):
                servers[name.rstrip(".")] = found[0]
    except (dns.exception.DNSException, Silent):
        pass
    return servers


def ask(resolver: Any, domain: str, kind: str) -> list[str]:
    """The addresses that one server knows; none when there is no such name or record.

    :raises Alias: it knows an alias alone
    :raises Silent: it does not answer, or with a failure
    """
    import dns.exception
    import dns.resolver

    resolver.timeout = resolver.lifetime = ANSWER_SECONDS
    try:
        answer = resolver.resolve(domain, kind, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return []
    except dns.exception.DNSException as error:
        why = type(error).__name__
        raise Silent(f"{resolver.nameservers[0]} does not answer ({why})") from None
    if answer.rrset is None and answer.response.answer:
        raise Alias(f"{domain} is an alias, which {resolver.nameservers[0]} does not follow")
    return sorted(record.to_text() for record in answer.rrset or ())


def addresses_here(domain: str, kind: str) -> list[str]:
    """What this machine's resolver says."""
    family = socket.AF_INET6 if kind == "AAAA" else socket.AF_INET
    try:
        found = socket.getaddrinfo(domain, None, family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return []
        raise Silent(f"the machine's resolver fails: {error.strerror}") from None
    return sorted({str(entry[4][0]) for entry in found})


def await_record() -> None:
    """Say which record to make, and end when DNS shows it, or at the deadline."""
    domain = os.environ["RECORD_DOMAIN"]
    address = str(ipaddress.ip_address(os.environ["RECORD_ADDRESS"]))
    seconds, only = float(os.environ["RECORD_WAIT_SECONDS"]), os.environ["RECORD_RESOLVER"]
    kind, record = record_of(domain, address)
    print(f"make this record, and no other {kind} of that name:  {record}", flush=True)
    deadline = time.monotonic() + seconds
    while True:
        try:
            answers = look(domain, kind, only)
            wrong = {who: found for who, found in answers.items() if found != [address]}
            if not wrong:
                print(f"{domain} is {address}, say {', '.join(answers)}")
                return
            said = "; ".join(f"{w}: {', '.join(a) or 'no record yet'}" for w, a in wrong.items())
        except Silent as error:
            said = str(error)
        left = deadline - time.monotonic()
        if left <= 0:
            sys.exit(
                f"error: {domain} is not {address} after {seconds:.0f} s: {said}\n"
                f"hint: make the record  {record}  and no other {kind}, then run this again\n"
                'hint: wait_seconds in module "dns" gives you more time'
            )
        print(f"waiting for {record}: {said} ({left:.0f} s left)", flush=True)
        time.sleep(min(LOOK_SECONDS, left))


def record_of(domain: str, address: str) -> tuple[str, str]:
    """Type of the record, and its line in a zone file."""
    kind = "AAAA" if ":" in address else "A"
    return kind, f"{domain}. 300 IN {kind} {address}"


def farewell() -> None:
    """Say which record to remove: the address may be somebody else's soon."""
    domain, address = os.environ["RECORD_DOMAIN"], os.environ["RECORD_ADDRESS"]
    record = record_of(domain, address)[1]
    print(f"remove this record, before somebody else is given the address:  {record}")


if __name__ == "__main__":
    {"await": await_record, "farewell": farewell}[sys.argv[1]]()
