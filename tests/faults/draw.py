"""From a seed and a number to a case: what is done to what, and when it goes wrong.

A case is a pure function of both, so a run can be had again from the seed that was printed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

ROUND = ("local",) * 22 + ("postgres",) * 5 + ("openstack",) * 3
"""The worlds of each thirty runs; which of them a run has is the seed's."""

COMMANDS = {
    "local": ("spawn", "spawn", "change", "teardown", "teardown", "scale", "upgrade"),
    "postgres": ("spawn", "change", "teardown"),
    "openstack": ("spawn", "spawn", "spawn", "teardown"),
}
"""What a world's runs do; what stands twice is done twice as often."""

KILLS = (
    "kill-barehub",
    "kill-terraform",
    "kill-both",
    "kill-tree",
    "kill-all",
    "power",
    "power-behind",
    "sigint-1",
    "sigint-2",
    "sigint-3",
    "sigterm",
    "sighup",
    "race",
)
NETWORK = ("network-break", "network-flap", "network-reset", "network-hang")
FAULTS = {
    "local": (*KILLS, "kill-provisioner", "disk-full", "memory-full"),
    "postgres": (
        *KILLS,
        "disk-full",
        *NETWORK,
        *("backend-killed", "backend-back") * 2,
        "backend-full",
    ),
    "openstack": (*KILLS, *("kill-plugin",) * 3, *NETWORK * 2),
}

ANCHORS = ("journal", "journal", "output", "output", "clock")

DELAY = 0.3
"""Seconds that a fault may come after its anchor."""

TWICE = 0.2
"""How many of the runs have the next command disturbed as well."""


@dataclass(frozen=True)
class Anchor:
    """A moment of a command that is ``part`` (0..1) through it, by what it writes or by the clock.

    ``journal``: so many lines of the instance's journal; ``output``: of Terraform's output;
    ``clock``: of the seconds that the command takes.
    """

    kind: str
    part: float


@dataclass(frozen=True)
class Case:
    """One run of the suite."""

    seed: int
    number: int
    world: str
    command: str
    """``spawn`` from nothing, ``change``: a spawn of what is there, with a changed recipe whose
    losses are agreed to; ``teardown``, ``scale``, ``upgrade`` of what is there."""

    fault: str
    anchor: Anchor
    delay: float
    """Seconds from the anchor to the fault."""

    again: Anchor | None = None
    """Where the next command is disturbed in the same way, if it is."""

    @property
    def name(self) -> str:
        twice = "-twice" if self.again else ""
        return f"run-{self.number:03}-{self.world}-{self.command}-{self.fault}{twice}"

    def chance(self, purpose: str) -> random.Random:
        """Chance of this case alone, for what else its fault or its world leaves open."""
        return random.Random(f"{self.seed} {self.number} {purpose}")


def draw(seed: int, number: int) -> Case:
    """The case ``number`` of ``seed``."""
    lap, place = divmod(number, len(ROUND))
    worlds = list(ROUND)
    random.Random(f"{seed} {lap} round").shuffle(worlds)
    world = worlds[place]
    if not FAULTS[world]:
        world = "local"
    chance = random.Random(f"{seed} {number}")
    return Case(
        seed,
        number,
        world,
        chance.choice(COMMANDS[world]),
        chance.choice(FAULTS[world]),
        _anchor(chance),
        chance.choice((0.0, chance.random() * DELAY)),
        _anchor(chance) if chance.random() < TWICE else None,
    )


def _anchor(chance: random.Random) -> Anchor:
    return Anchor(chance.choice(ANCHORS), chance.random())
