"""Where an instance's state is."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import NAME, NO_WAIT, WAIT, interruptions, only, project, verb


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "back": "out of the backend, into the sealed file",
        "wait": WAIT,
        "no-wait": NO_WAIT,
    }
)
def migrate(
    c: Context, name: str = "", back: bool = False, wait: bool = False, no_wait: bool = False
) -> None:
    """Move the state out of the sealed file into the recipe's own backend, or --back.

    Example: invoke state.migrate --name demo
    """
    from barehub import moving
    from barehub.run import Terms

    name = name or only("state.migrate")
    terms = Terms(wait=wait, no_wait=no_wait)
    moving.migrate(project(), name, interruptions(), terms, back=back)
