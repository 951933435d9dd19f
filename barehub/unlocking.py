"""`invoke unlock`: who has an instance, on this machine or another, and letting a dead one go."""

from __future__ import annotations

from barehub import run as runs
from barehub import shared_turn, turn
from barehub.console import console
from barehub.errors import UsageError
from barehub.preparation import fetch_modules, read_recipe, read_secrets, start_agent
from barehub.process import Interruptions
from barehub.project import Project
from barehub.run import Run
from barehub.terraform import backend, encryption, shared_lock
from barehub.terraform.shared_lock import SharedLock

STATE = ""
"""The lock of the state itself, which Terraform has for each command."""


def unlock(project: Project, name: str, interruptions: Interruptions, *, agreed: bool) -> None:
    """Show who has ``name``, and let the lock of a dead machine go, after a question.

    :raises UsageError: the holder lives on this machine, or the backend lets nobody take it away.
    """
    instance = project.existing(name)
    turn.free(instance, agreed=agreed)
    if not instance.backend:
        return
    with runs.opened(project, instance, "unlock", interruptions) as run:
        for step in (read_recipe, read_secrets, start_agent, fetch_modules):
            interruptions.check()
            step(run)
        whole = shared_lock.locking(instance.folder, run.env) == shared_lock.RUN
        of_state = () if encryption.written(instance.folder) else (STATE,)
        for workspace in (*((shared_lock.WORKSPACE,) if whole else ()), *of_state):
            _free(run, shared_turn.of(run, workspace), workspace, agreed=agreed)


def _free(run: Run, lock: SharedLock, workspace: str, *, agreed: bool) -> None:
    name = run.instance.name
    what = name if workspace else f"the state of {name}"
    if lock.hold():
        lock.release()
        console.step("lock", f"nobody has {what} in {lock.kind}")
        return
    holder = lock.holder() if workspace else None
    if holder:
        who = shared_turn.told(holder)
    else:
        told = backend.holder(lock.kind, run.instance.folder, run.env, lock.refusal)
        who = told or "somebody: this backend does not say who"
    console.say(f"{what} is in use by {who}")
    if holder and holder.alive:
        raise UsageError(
            f"{name} is not unlocked: its process lives on this machine",
            f"kill -INT {holder.pid}   ends it in order",
        )
    if not lock.id:
        raise UsageError(
            f"{lock.kind} lets a lock go when the connection of its holder ends, and not before",
            *([backend.HOLDER, backend.CUT_OFF] if lock.kind == "pg" else []),
        )
    if not agreed:
        console.confirm(
            f"if that is not at work any more, type {name} to unlock it:",
            name,
            f"invoke unlock --name {name} --yes",
        )
    lock.break_()
    run.instance.journal.add("unlocked", holder=who)
    console.step("lock", f"let go; {who} must not go on now")
