"""Spawn and teardown, each a list of steps over one run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence

from barehub import clouds, creation, destruction, edits, leftovers, reconcile
from barehub import run as runs
from barehub.cloud.search import Found
from barehub.console import console
from barehub.endpoint import endpoint_of, record_endpoint, verify_endpoint
from barehub.errors import BarehubError, Interrupted, LeftoverError, NotReadyError, UsageError
from barehub.inside import sealed
from barehub.lock import Holder
from barehub.preflight import preflight
from barehub.preparation import (
    complete_recipe,
    encrypt_state,
    fetch_modules,
    make_vault,
    open_state,
    reach_state,
    read_recipe,
    read_secrets,
    start_agent,
)
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.recovery import Account, recover, tell_cut_off
from barehub.run import NOTHING, Run, Terms
from barehub.stages import (
    apply_stages,
    destroy_and_look,
    forget_instance,
    restart_if_dead,
    stop_hub,
)
from barehub.terraform import hcl

Step = Callable[[Run], None]

PREPARATION: Sequence[Step] = (
    read_recipe,
    make_vault,
    read_secrets,
    encrypt_state,
    open_state,
    start_agent,
    preflight,
    fetch_modules,
    reach_state,
    complete_recipe,
)
"""What comes before Terraform plans. A state that cannot be unsealed stops all of it."""


def making(seconds: float) -> Sequence[Step]:
    """What makes the hub of a prepared run, and says that it is up when that is so."""
    return (
        recover,
        apply_stages,
        record_endpoint,
        restart_if_dead,
        lambda run: verify_endpoint(run, seconds),
        _settle,
    )


def spawn(
    project: Project,
    name: str,
    *,
    recipe: str | None,
    interruptions: Interruptions,
    terms: Terms,
    seconds: float,
) -> str:
    """Make the instance what its recipe says, verify it, and return its endpoint.

    A hub that runs on this machine cannot outlive a container: there it is stopped again when it
    has been verified, and there is no endpoint to return.

    :param terms: what may be lost without a question, and what the guard lets go
    :param seconds: how long the endpoint may take to become ready
    :raises BarehubError: the class tells the part that failed
    """
    # no daemon: the interpreter aborts when it ends one in the middle of a library in Rust
    threading.Thread(target=_warm_up).start()
    project.terraform  # noqa: B018 - a missing tool is said before anything is made
    instance = creation.instance(project, name, recipe, interruptions)
    steps = (_tell_edit, *PREPARATION, *making(seconds))
    run_steps(project, instance, "spawn", steps, interruptions, terms)
    if not instance.journal.is_up():
        return ""
    return endpoint_of(instance)["url"]  # type: ignore[no-any-return]


def _tell_edit(run: Run) -> None:
    edits.tell(run.instance, run.project.relative(run.instance.recipe), going_on=True)


def _settle(run: Run) -> None:
    """Say in the journal that the hub is up, and stop it first if our container's end would."""
    run.instance.journal.add("stopped" if sealed() and stop_hub(run) else "up")


def _warm_up() -> None:
    """Load, while the first steps wait for other programs, what later ones need: half a second."""
    with contextlib.suppress(Exception):  # the step that needs it fails better
        hcl.warm_up()
        import ahocorasick_rs  # noqa: F401

        import barehub.verify.workers  # noqa: F401


def teardown(
    project: Project,
    name: str,
    *,
    interruptions: Interruptions,
    terms: Terms = NOTHING,
) -> None:
    """Destroy the instance in reverse order and prove that nothing of it is left.

    :raises LeftoverError: something is
    """
    instance = project.existing(name)
    if not terms.agreed and not console.interactive:
        raise UsageError(
            f"there is no terminal to ask on whether {name} may be destroyed",
            f"invoke plan --name {name} --destroy   shows what would be",
            f"invoke teardown --name {name} --yes",
        )
    found: Account | None = None
    seen = Found()

    def agree(run: Run) -> None:
        nonlocal found
        found = destruction.agree(run)

    def destroy(run: Run) -> None:
        nonlocal seen
        seen = destroy_and_look(run, found)

    steps: Sequence[Step] = (
        destroy,
        forget_instance,
        lambda run: run.instance.journal.add("destroyed"),
    )
    run_steps(project, instance, "teardown", steps, interruptions, terms, before=(agree,))
    prove_gone(instance, seen)


def run_steps(
    project: Project,
    instance: Instance,
    command: str,
    steps: Sequence[Step],
    interruptions: Interruptions,
    terms: Terms,
    before: Sequence[Step] = (),
) -> None:
    """One run of ``steps``, which the journal has from its beginning to its end.

    :param before: steps that change nothing, of which the journal has nothing either
    """
    with runs.opened(project, instance, command, interruptions, terms) as run:
        tell_cut_off(instance)
        edits.sweep(instance)
        started = False
        try:
            for step in before:
                interruptions.check()
                step(run)
            instance.journal.add(command, by=Holder.me(command).person)
            started = True
            for step in steps:
                interruptions.check()
                step(run)
        except BaseException as error:
            problem = error.problem if isinstance(error, BarehubError) else repr(error)
            with contextlib.suppress(BarehubError):  # what failed first is what is told
                if started:
                    instance.journal.add("failed", command=command, problem=problem)
            typed = terms.again or f"invoke {command} --name {instance.name}"
            again = f"{typed}   goes on from here"
            if isinstance(error, Interrupted):
                hints = error.hints or (again,)
                raise Interrupted(f"{command} was interrupted", *hints) from None
            if isinstance(error, NotReadyError) and not error.hints:
                raise NotReadyError(error.problem, again) from None
            raise


def prove_gone(instance: Instance, seen: Found) -> None:
    """Look for anything that the teardown should have removed.

    :param seen: what there was in the clouds after it
    :raises LeftoverError: names each thing and the command that removes or shows it
    """
    event = instance.journal.last("endpoint") or {}
    left = [
        *clouds.leftovers(seen, instance.name),
        *leftovers.of(instance, event.get("connect_to")),
    ]
    if left:
        whole = f"invoke leftovers --name {instance.name} --delete   # what is in a cloud"
        raise LeftoverError(
            f"{instance.name}: {'; '.join(item.what for item in left)}",
            *([whole] if seen.own else []),
            *dict.fromkeys(item.remove for item in left),
        )
    reconcile.tell(instance.name, reconcile.released(instance.journal, ()))
    instance.journal.add("gone")
    looked = "".join(f", nothing in {cloud}" for cloud in seen.asked)
    kept = ", ".join(sorted(path.name for path in instance.folder.iterdir()))
    console.step(
        "gone", f"no process, no port, no state{looked}; kept in {instance.folder.name}/: {kept}"
    )
