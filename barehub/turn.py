"""One run at a time on an instance: taking its lock, waiting for it, and letting a dead one go."""

from __future__ import annotations

import time

from barehub.console import console
from barehub.errors import UsageError
from barehub.lock import Holder, Lock
from barehub.process import Interruptions
from barehub.project import Instance

POLL_SECONDS = 0.2


WAITING = ("spawn", "teardown", "plan")
"""Commands that are whole with a name and ``--wait``."""


def take(
    instance: Instance,
    command: str,
    interruptions: Interruptions,
    *,
    wait: bool,
    again: str = "",
) -> Lock:
    """The instance's lock, for ``command``; ``again`` is that as it was typed, if it is longer.

    To be called where interruptions are held; waiting for it can be interrupted.

    :raises UsageError: somebody else has it, and nobody wants to wait.
    """
    lock = Lock(instance.lock)
    holder = lock.acquire(Holder.me(command))
    if holder is None:
        return lock
    if not wait:
        hints = _advice(instance, lock, holder, waiting(instance.name, command, again))
        raise UsageError(f"{instance.name} is in use by {holder}", *hints)
    with console.working("lock", f"waiting for {_who(holder)}") as work:
        while holder := lock.acquire(Holder.me(command)):
            work.now(f"waiting for {_who(holder)}")
            with interruptions.allowed():
                time.sleep(POLL_SECONDS)
    return lock


def waiting(name: str, command: str, again: str = "") -> list[str]:
    """How to wait with ``command``, if it can: a hint, or none; parameters as of :func:`take`."""
    if command in WAITING:
        again = again or f"invoke {command} --name {name}"
    return [f"{again} --wait"] if again else []


def free(instance: Instance, *, agreed: bool) -> None:
    """Show who has the instance, and let the lock of a dead machine go, after a question.

    :raises UsageError: the holder lives on this machine, or what it started does.
    """
    lock = Lock(instance.lock)
    if not lock.held():
        instance.lock.unlink(missing_ok=True)
        console.step("lock", f"nobody has {instance.name}")
        return
    holder = lock.holder()
    console.say(f"{instance.name} is in use by {_who(holder)}")
    if holder.here:
        raise UsageError(
            f"{instance.name} is not unlocked: the kernel of this machine sees it at work",
            *_advice(instance, lock, holder, []),
        )
    name = instance.name
    if not agreed:
        console.confirm(
            f"if nothing is at work on {holder.host} any more, type {name} to unlock it:",
            name,
            f"invoke unlock --name {name} --yes",
        )
    instance.lock.unlink(missing_ok=True)
    instance.journal.add("unlocked", holder=str(holder))
    console.step("lock", f"let go; {holder} must not go on now")


def _who(holder: Holder) -> str:
    return f"{holder}{'' if holder.here else ', on another machine'}"


def _advice(instance: Instance, lock: Lock, holder: Holder, waiting: list[str]) -> list[str]:
    """What a person can do about a lock that is held, besides ``waiting`` for it."""
    if not holder.here:
        return [*waiting, f"if {holder.host} is dead: invoke unlock --name {instance.name}"]
    if holder.alive:
        return [*waiting, f"kill -INT {holder.pid}   ends it in order"]
    keepers = lock.keepers()
    told = ", ".join(f"{name} (process {pid})" for pid, name in keepers) or "terraform"
    return [
        f"that run was killed; what it started is still at work, wait for it: {told}",
        *(f"kill -INT {pid}   asks it to stop in order" for pid, _ in keepers[:1]),
    ]
