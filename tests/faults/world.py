"""What a world has to be: where instances are made of things that exist outside of any state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .draw import Case
from .place import Place


@dataclass(frozen=True)
class Thing:
    """Something that exists, whoever knows of it.

    :param address: of the resource that it belongs to
    :param id: that the state has for it; empty where the world cannot tell
    :param keeper: the address of another resource that removes it with its own end, if any
    """

    address: str
    id: str = ""
    keeper: str = ""


@dataclass(frozen=True)
class Extent:
    """How long an undisturbed command is, for faults to fall anywhere in it: lines of the journal,
    lines of Terraform's output, seconds."""

    journal: int
    output: int
    seconds: float


class World(Protocol):
    """One for each worker; what it needs for long is made when it is first wanted."""

    name: str
    secrets: Sequence[str]
    """Values that must be nowhere in clear."""

    extents: Mapping[str, Extent]
    """By command."""

    def prepared(self, case: Case, folder: Path) -> AbstractContextManager[Place]:
        """A place in which the case's command can start; afterwards nothing of it is left."""

    def command(self, case: Case) -> Sequence[str]:
        """The arguments of the command that is disturbed."""

    def things(self, place: Place) -> list[Thing]:
        """All that exists of the instance, however often."""

    def wanted(self, case: Case, place: Place) -> set[str]:
        """The addresses of what shall exist at the end, once each: what the recipe says now."""

    def state(self, place: Place) -> dict[str, str]:
        """What the state at rest (sealed, or in a backend) knows: address to id."""

    def doubts(self, place: Place) -> list[str]:
        """What this world saw that must never be, such as two Terraforms at work at once."""

    def again(self, place: Place) -> list[str]:
        """The addresses of what was made a second time although the first was whole and there;
        that is right only where barehub said before that it was not sure of it."""

    def settle(self, case: Case, place: Place, named: Sequence[str], said: str) -> None:
        """Do what a person does about addresses that barehub said it could not settle: look them
        up, then import or forget them, by the commands that it ``said``."""

    def note(self, case: Case, place: Place) -> None:
        """Called between the fault and the next command, to remember what was so then."""
