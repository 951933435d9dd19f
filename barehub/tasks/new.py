"""The verb that makes an instance: `invoke new`."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import NAME, interruptions, project, verb


@verb(
    iterable=["set"],
    help={
        "name": NAME,
        "recipe": "what to start from: terraform/recipes/RECIPE.tf",
        "set": "an argument of the recipe's modules, as name=value; as often as you like",
    },
)
def new(c: Context, name: str = "", recipe: str = "", set: list[str] | None = None) -> None:
    """Make an instance from a recipe, and ask for what that leaves open.

    Without a terminal, --set says it. Prints the path of the new instances/NAME/main.tf on stdout.

    Example: invoke new --name demo --recipe local
    Example: invoke new --name hub --recipe openstack --set nb_nodes=2 --set domain=hub.example.org
    """
    from barehub import creation
    from barehub.console import console

    here = project()
    name = name or _asked("name", "the hub's name, such as demo:")
    known = sorted(path.stem for path in here.recipes.glob("*.tf"))
    recipe = recipe or _asked("recipe", f"the recipe ({', '.join(known)}):")
    made = creation.create(here, name, recipe, interruptions(), given=set or ())
    console.place(here.relative(made.recipe))
    console.say(f"make the hub with: invoke spawn --name {name}")


def _asked(flag: str, question: str) -> str:
    from barehub.console import console
    from barehub.errors import UsageError

    if not console.interactive:
        raise UsageError(f"new needs --{flag}", "invoke new --name demo --recipe local")
    return console.line(question)
