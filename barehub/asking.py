"""Asks a person for a recipe's values, one after the other, on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from barehub.console import BOLD, DIM, console
from barehub.errors import UsageError
from barehub.terraform.template import Argument


@dataclass(frozen=True)
class Offer:
    """A value that an argument may have, and what a person wants to know of it."""

    value: str
    about: str = ""


SHOWN = 20
"""Offers that are listed at once; a part of the name finds the others."""


def ask(argument: Argument, offers: Sequence[Offer], accept: Callable[[str], str]) -> str:
    """What ``accept`` makes of the answer: the value in HCL.

    ``accept`` raises UsageError for what cannot be, and the person is asked again.

    :raises UsageError: the terminal was closed.
    """
    _introduce(argument)
    _list(offers)
    default = argument.default
    prompt = f"{argument.name} [{default}]:" if default else f"{argument.name}:"
    while True:
        answer = console.line(prompt) or default
        try:
            if not answer:
                raise UsageError("it has to have a value")
            if (value := _chosen(answer, offers)) is not None:
                return accept(value)
        except UsageError as error:
            console.say(f"  {error.problem}")


def ask_secret(argument: Argument) -> str:
    """A secret, typed without an echo.

    :raises UsageError: the terminal was closed.
    """
    _introduce(argument)
    console.say(console.paint("  it is stored in the vault, encrypted", DIM))
    while not (value := console.hidden(f"{argument.name}: ")):
        console.say("  it has to have a value")
    return value


def _introduce(argument: Argument) -> None:
    console.say()
    told = argument.description or argument.hint
    if argument.description and argument.hint:
        told = f"{argument.description} ({argument.hint})"
    if argument.type.startswith(("list", "set")):
        told += " Several with a comma between them."
    console.say(f"{console.paint(argument.name, BOLD)}  {told}")


def _list(offers: Sequence[Offer]) -> None:
    width = max((len(offer.value) for offer in offers[:SHOWN]), default=0)
    for number, offer in enumerate(offers[:SHOWN], 1):
        console.say(f"  {number:>3}  {offer.value:<{width}}  {offer.about}".rstrip())
    if (more := len(offers) - SHOWN) > 0:
        console.say(f"  and {more} more: type a part of a name to see those that have it")


def _chosen(answer: str, offers: Sequence[Offer]) -> str | None:
    """The value that ``answer`` means; nothing when it has only made the list shorter.

    :raises UsageError: the cloud has no such thing.
    """
    names = [offer.value for offer in offers]
    if not offers or answer in names:
        return answer
    if answer.isascii() and answer.isdigit() and 0 < int(answer) <= len(offers[:SHOWN]):
        return names[int(answer) - 1]
    like = [o for o in offers if answer.lower() in f"{o.value} {o.about}".lower()]
    if len(like) == 1:
        return like[0].value
    if not like:
        raise UsageError(f"the cloud has no {answer!r}")
    for offer in like[:SHOWN]:
        console.say(f"       {offer.value}  {offer.about}".rstrip())
    return None
