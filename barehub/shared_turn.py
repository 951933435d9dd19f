"""One run at a time on an instance whose state is in a backend, whatever machine it is on."""

from __future__ import annotations

import time

from barehub import run as runs
from barehub import session, turn
from barehub.console import console
from barehub.errors import UsageError
from barehub.lock import Holder
from barehub.run import Run
from barehub.terraform import backend, shared_lock
from barehub.terraform.remote_state import RemoteState
from barehub.terraform.shared_lock import SharedLock

PATIENCE_SECONDS = 4.0
"""How long a short command of somebody else is waited for; and so long that whoever has just taken
the lock has said so meanwhile."""

POLL_SECONDS = 1.0


def take(run: Run, state: RemoteState) -> None:
    """Have the lock of the instance between machines until the run ends, where there is one.

    :raises UsageError: somebody else has it, and nobody wants to wait.
    :raises TerraformError: the backend does not answer.
    """
    held = shared_lock.locking(run.instance.folder, run.env)
    if held == shared_lock.NEVER:
        console.warn(f"nothing locks the {state.backend} backend as the recipe has it")
    if held != shared_lock.RUN:
        return
    lock = of(run)
    me, patience = Holder.me(run.command), time.monotonic() + PATIENCE_SECONDS
    if not lock.acquire(me):
        with console.working("lock", f"looking who has {run.instance.name}") as work:
            while not lock.acquire(me):
                left = _left_over(lock) and not run.terms.no_wait
                if not (left or run.terms.wait) and time.monotonic() > patience:
                    raise _in_use(run, lock)
                if left or run.terms.wait:
                    who = told(lock.holder())
                    work.now(f"waiting for {f'what {who}, left at work' if left else who}")
                time.sleep(POLL_SECONDS)
                if left:
                    runs.swept()  # once nothing works there, its console is ended
    run.share(lock)
    state.lock = lock


def _left_over(lock: SharedLock) -> bool:
    """Whether a killed run of another clone here has it, and left Terraform at work."""
    holder = lock.holder()
    if holder is None or not turn.left_over(holder):
        return False
    return any((one.pid, one.started) == (holder.pid, holder.started) for one in session.living())


def of(run: Run, workspace: str = shared_lock.WORKSPACE) -> SharedLock:
    """The lock of the instance of ``run``, which we do not have yet."""
    return SharedLock(
        run.project.terraform,
        run.instance.folder,
        run.session.folder / (workspace or "state-lock"),
        run.env,
        run.interruptions,
        workspace,
    )


def told(holder: Holder | None) -> str:
    """Who has it, in words."""
    if holder is None:
        return "somebody who has just begun"
    return f"{holder}, {'in another clone' if holder.here else 'on another machine'}"


def _in_use(run: Run, lock: SharedLock) -> UsageError:
    name, holder = run.instance.name, lock.holder()
    if holder is None:
        return backend.locked(lock.kind, run.instance.folder, run.env, lock.refusal)
    hints = turn.waiting(name, run.command, run.terms.again)
    if holder.alive:
        hints.append(f"kill -INT {holder.pid}   ends it in order")
    elif holder.here:
        hints.append("that run was killed; what it started may be at work still")
        hints.append(f"if nothing of it is: invoke unlock --name {name}")
    else:
        hints.append(f"if {holder.host} is dead: invoke unlock --name {name}")
    return UsageError(f"{name} is in use by {told(holder)}", *hints)
