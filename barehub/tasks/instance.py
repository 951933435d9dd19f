"""The verbs of an instance, beside the three commands."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import (
    NAME,
    NO_WAIT,
    WAIT,
    behind_dashes,
    interruptions,
    only,
    project,
    verb,
)


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "json": "one JSON document on stdout",
        "markdown": "a comment for a pull request on stdout",
        "destroy": "what a teardown would destroy",
        "wait": WAIT,
        "no-wait": NO_WAIT,
    }
)
def plan(
    c: Context,
    name: str = "",
    json: bool = False,
    markdown: bool = False,
    wait: bool = False,
    no_wait: bool = False,
    destroy: bool = False,
) -> None:
    """Show what the next spawn would change, what it would lose, and why.

    Example: invoke plan --name demo
    Example: invoke plan --name demo --markdown > comment.md
    Example: invoke plan --name demo --destroy
    """
    from barehub import foresight
    from barehub.errors import UsageError
    from barehub.run import Terms

    if json and markdown:
        raise UsageError("--json and --markdown are two things", "choose one of them")
    form = "json" if json else "markdown" if markdown else ""
    name, terms = name or only("plan"), Terms(wait=wait, no_wait=no_wait)
    foresight.foresee(project(), name, interruptions(), terms, form=form, destroy=destroy)


@verb(
    help={"name": f"{NAME} (default: the only one)", "yes": "do not ask for the name to be typed"}
)
def unlock(c: Context, name: str = "", yes: bool = False) -> None:
    """Show who has an instance, and let the lock of a machine that died go.

    A run that is at work on this machine is never unlocked.

    Example: invoke unlock --name demo
    """
    from barehub import unlocking

    unlocking.unlock(
        project(), name or only("unlock", "--yes" if yes else ""), interruptions(), agreed=yes
    )


@verb(
    help={
        "name": NAME,
        "address": "what Terraform calls the resource",
        "no-wait": NO_WAIT,
    }
)
def forget(c: Context, address: str, name: str = "", no_wait: bool = False) -> None:
    """Take a resource out of the journal: it was begun, and you have seen that it is not there.

    Example: invoke forget --name demo --address module.provider.openstack_compute_instance_v2.x
    """
    from barehub import recovery

    name = name or only("forget", "forget")
    recovery.forget(project(), name, address, interruptions(), no_wait=no_wait)


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "all": "also what happened before the last teardown",
        "json": "one JSON document on stdout",
    }
)
def history(c: Context, name: str = "", all: bool = False, json: bool = False) -> None:
    """Show what happened to an instance: runs, stages, resources, with their times.

    Example: invoke history --name demo
    """
    from barehub import chronicle

    chronicle.show(project().existing(name or only("history")), whole=all, as_json=json)


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "recover": "even if the state was lost: begin an empty one, to import into",
        "wait": WAIT,
        "no-wait": NO_WAIT,
    }
)
def terraform(
    c: Context,
    name: str = "",
    recover: bool = False,
    wait: bool = False,
    no_wait: bool = False,
) -> None:
    """Run a command of Terraform's own, given behind --; the state is unsealed for it alone.

    Example: invoke terraform --name demo -- state list
    """
    from barehub import by_hand
    from barehub.run import Terms

    terms = Terms(recover=recover, wait=wait, no_wait=no_wait)
    name = name or only("terraform", by_hand.unasked(behind_dashes()))
    by_hand.terraform(project(), name, behind_dashes(), interruptions(), terms)
