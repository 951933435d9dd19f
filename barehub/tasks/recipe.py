"""The verbs about recipes: `invoke check`."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import NAME, interruptions, project, verb


@verb(
    help={
        "name": NAME,
        "json": "one JSON document on stdout",
        "strict": "a warning is a failure",
    }
)
def check(c: Context, name: str, json: bool = False, strict: bool = False) -> None:
    """Say all that stands in the way of a recipe, before anything is made.

    Works without the vault's key, too, and says what it could not look at then.

    Example: invoke check --name demo
    """
    from barehub import preflight

    preflight.check(project(), name, interruptions(), as_json=json, strict=strict)
