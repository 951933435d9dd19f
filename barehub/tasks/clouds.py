"""The verbs that look into clouds."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import NO_WAIT, interruptions, project, vault, verb


@verb(
    help={
        "name": "the instance, also one that is long gone (default: all that are not living)",
        "delete": "remove what is found, in the right order",
        "yes": "do not ask before it is removed",
        "json": "one JSON document on stdout",
        "no-wait": NO_WAIT,
    }
)
def leftovers(
    c: Context,
    name: str = "",
    delete: bool = False,
    yes: bool = False,
    json: bool = False,
    no_wait: bool = False,
) -> None:
    """Look in OpenStack and Cloudflare for what is left of an instance, and remove it.

    Example: invoke leftovers --name demo --delete
    """
    from barehub import clearing

    with vault() as store:
        clearing.clear(
            project(),
            store,
            name,
            interruptions(),
            delete=delete,
            agreed=yes,
            as_json=json,
            no_wait=no_wait,
        )
