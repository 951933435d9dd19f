"""One run at a time on an instance: taking its lock, waiting for it, and letting a dead one go."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from barehub.console import Working, console
from barehub.errors import UsageError
from barehub.lock import Holder, Keeper, Lock, clock, moment, started_at
from barehub.process import Interruptions
from barehub.project import STAGES, Instance

POLL_SECONDS = 0.2


WAITING = ("spawn", "teardown", "plan")
"""Commands that are whole with a name and ``--wait``."""


def take(
    instance: Instance,
    command: str,
    interruptions: Interruptions,
    *,
    wait: bool = False,
    no_wait: bool = False,
    again: str = "",
) -> Lock:
    """The instance's lock, for ``command``; ``again`` is that as it was typed, if it is longer.

    To be called where interruptions are held; waiting for it can be interrupted. What a killed run
    left at work is waited for: nobody is at it who could be asked.

    :param wait: wait for a living run as well
    :param no_wait: wait for nothing
    :raises UsageError: the instance is in use, and is not waited for.
    """
    lock = Lock(instance.lock)
    while holder := lock.acquire(Holder.me(command)):
        if left_over(holder) and not no_wait:
            outlast(instance, interruptions)
        elif wait:
            with console.working("lock", f"waiting for {_who(holder)}") as work:
                _while_held(lock, holder, work, interruptions)
        else:
            hints = _advice(instance, lock, holder, waiting(instance.name, command, again))
            raise UsageError(f"{instance.name} is in use by {_who(holder)}", *hints)
    return lock


def outlast(instance: Instance, interruptions: Interruptions) -> bool:
    """Wait until what a killed run left at work on ``instance`` has ended, and say for what.

    Return whether there was any.

    A living run, or one of another machine, is not waited for.
    """
    lock = Lock(instance.lock)
    if not lock.held() or not left_over(holder := lock.holder()):
        return False
    workers = [keeper for keeper in lock.keepers() if keeper.works]
    what = _work(instance, workers)
    console.say(f"{holder} was killed; waiting for what it left at work: {what}")
    for keeper in workers[:1]:
        console.hint(f"kill -INT {keeper.pid}   asks it to stop in order; Ctrl-C stops waiting")
    with console.working("lock", f"waiting for {what}") as work:
        _while_held(lock, holder, work, interruptions)
    console.step("lock", "what the killed run left at work has ended", work.seconds)
    return True


def left_over(holder: Holder) -> bool:
    """Whether its run was on this machine and is dead."""
    return holder.here and holder.pid > 0 and not holder.alive


def _while_held(lock: Lock, holder: Holder, work: Working, interruptions: Interruptions) -> None:
    """Wait as long as ``holder``'s run, or what is left of it, has the lock."""
    while lock.held() and lock.holder() == holder:
        work.go_on()
        with interruptions.allowed():
            time.sleep(POLL_SECONDS)


def _work(instance: Instance, workers: Sequence[Keeper]) -> str:
    """What each of ``workers`` is, does and since when, in words."""
    told = [
        f"{one.name} (process {one.pid}, since {clock(moment(started_at(one.pid)))}), "
        + _doing(one.pid, instance.name)
        for one in workers
    ]
    return ", ".join(told) or f"a program that works on {instance.name}"


def _doing(pid: int, name: str) -> str:
    """Terraform's command, and the stage where its plan is named after one; no other argument."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"at work on {name}"
    command = next((word for word in argv[1:] if re.fullmatch("[a-z][a-z-]*", word)), "at work")
    named = {stage for stage in STAGES for word in argv if f"/{stage}-" in word}
    return (
        f"{command} of stage {named.pop()} of {name}" if len(named) == 1 else f"{command} on {name}"
    )


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
    workers = [keeper for keeper in lock.keepers() if keeper.works]
    return [
        f"that run was killed; what it started is still at work: {_work(instance, workers)}",
        *(f"kill -INT {one.pid}   asks it to stop in order" for one in workers[:1]),
    ]
