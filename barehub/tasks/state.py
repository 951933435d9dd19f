"""Where an instance's state is."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import NAME, WAIT, interruptions, only, project, verb


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "back": "out of the backend, into the sealed file",
        "wait": WAIT,
    }
)
def migrate(c: Context, name: str = "", back: bool = False, wait: bool = False) -> None:
    """Move the state out of the sealed file into the recipe's own backend, or --back.

    Example: invoke state.migrate --name demo
    """
    from barehub import moving

    name = name or only("state.migrate")
    moving.migrate(project(), name, interruptions(), back=back, wait=wait)
