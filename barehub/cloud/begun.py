"""What a killed run began to make, found again among the things of its cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from barehub.cloud.things import TYPES, Thing


@dataclass(frozen=True)
class Begun:
    """What was to be made at ``address``; ``name`` as the plan has it, empty if it does not."""

    address: str
    type: str
    name: str = ""

    @property
    def kind(self) -> str:
        """A kind of :class:`Thing`; empty for what cannot be looked for."""
        return TYPES.get(self.type, "")

    def may_be(self, thing: Thing) -> bool:
        return thing.kind == self.kind and self.name in ("", thing.name)


def sighted(begun: Sequence[Begun], things: Collection[Thing]) -> Mapping[str, list[Thing]]:
    """By address the things that it may be.

    :param things: the instance's own, without those that the state or the journal knows
    """
    return {one.address: [thing for thing in things if one.may_be(thing)] for one in begun}


def certain(begun: Sequence[Begun], may_be: Mapping[str, Sequence[Thing]]) -> dict[str, Thing]:
    """Those of a known name that can only be one thing, which nothing else can be.

    Without a name it may be what a person has made beside ours.
    """
    claims = Counter(thing.id for things in may_be.values() for thing in things)
    named = (one.address for one in begun if one.name and len(may_be[one.address]) == 1)
    alone = {address: may_be[address][0] for address in named}
    return {address: thing for address, thing in alone.items() if claims[thing.id] == 1}


def import_id(thing: Thing) -> str:
    """What ``terraform import`` calls it, as each provider's documentation says."""
    if thing.kind == "dns record":
        return f"{next(iter(thing.on))}/{thing.id}"
    return thing.id
