"""Looks at an endpoint once, from each of its vantages."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from datetime import UTC, datetime

from barehub.verify import dial, names
from barehub.verify.climb import Climb
from barehub.verify.finding import Findings
from barehub.verify.report import Report
from barehub.verify.target import Target

SECONDS = 300.0
"""For one look; every check has a bound of its own, and their sum is less."""


async def probe(target: Target) -> Report:
    """One climb from each vantage, within :data:`SECONDS`; raises nothing of its own."""
    started, clock = datetime.now(UTC), time.monotonic()
    climbs: dict[str, Climb] = {}
    late = Findings(target.vantages[0])
    with late.catching():
        climbs.update({vantage: Climb(target.at(vantage)) for vantage in target.vantages})
        try:
            async with asyncio.timeout(SECONDS):
                await _climbed(target, climbs)
        except TimeoutError:
            late.unjudged(f"a check did not end within {SECONDS:g} s")
    found = [finding for climb in climbs.values() for finding in climb.found]
    chains = {vantage: climb.chain for vantage, climb in climbs.items()}
    took = round((time.monotonic() - clock) * 1000)
    with late.catching():
        report = Report(target, [*found, *late], chains, started, took)
        _ = report.certificate, report.validity  # here, where a certificate may be an odd one
        return report
    return Report(target, [*found, *late], {}, started, took)


async def _climbed(target: Target, climbs: dict[str, Climb]) -> None:
    try:
        if len(climbs) == 2:
            await _both(target, climbs)
        else:
            await next(iter(climbs.values())).run()
    finally:
        for climb in climbs.values():
            await climb.client.close()


async def _both(target: Target, climbs: dict[str, Climb]) -> None:
    """Climb both ways, unless the name leads straight to the machine."""
    edge, origin = climbs["edge"], climbs["origin"]
    await edge.dns()
    try:
        machine = await dial.resolve(target.connect_to[0]) if target.connect_to else []
    except dial.Unresolved:
        machine = []
    port = target.connect_to[1] if target.connect_to else 0
    straight = port == target.port and bool(set(machine) & set(edge.addresses))
    if straight:
        await edge.run()
        origin.found.skipped(["net.connect"], f"{target.host} is that machine: nothing differs")
    else:
        await asyncio.gather(edge.run(), origin.run())
    if edge.addresses and machine:
        found = Findings("edge")
        names.mismatch(found, target.host, edge.addresses, machine, edge.proxied)
        if found.broken:  # what is wrong with another machine heals when the name leads to ours
            edge.found[:] = [dataclasses.replace(f, permanent=False) for f in edge.found]
        edge.found[1:1] = found
