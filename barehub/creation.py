"""A new instance: a recipe to start from, with all that it leaves open chosen.

Nothing is written before everything is known, and never over an instance that is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from barehub import asking, keys, process, session, system_errors
from barehub.console import console
from barehub.draft import Draft
from barehub.errors import RecipeError, UsageError
from barehub.offers import Offers
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.session import Session
from barehub.terraform import remote, template
from barehub.terraform.template import Argument
from barehub.vault.store import Secrets, Vault

NOTHING = Secrets({}, {}, {}, {})


def instance(
    project: Project, name: str, recipe: str | None, interruptions: Interruptions
) -> Instance:
    """The instance ``name``; made as :func:`create` does if there is none, and a ``recipe``.

    :raises RecipeError: there is neither an instance nor a recipe to make it from.
    """
    found = project.instance(name)
    if recipe is None:
        return project.existing(name, f"invoke spawn --name {name} --recipe local")
    if found.recipe.exists():
        _see_that_it_is_known(project, recipe)
        return found
    return create(project, name, recipe, interruptions)


def create(
    project: Project,
    name: str,
    recipe: str,
    interruptions: Interruptions,
    *,
    given: Sequence[str] = (),
) -> Instance:
    """The new instance ``name``, made from ``recipe``.

    :param given: what has been chosen, each ``argument=value`` or ``stage.argument=value``
    :raises RecipeError: there is no such recipe, or an instance is in the way.
    :raises UsageError: something is missing and there is no terminal; all of it is named at once.
    """
    made = project.instance(name)
    _see_that_it_is_new(project, made)
    _see_that_it_is_known(project, recipe)
    draft = Draft(project, made, recipe)
    with interruptions.polled():
        open_ = draft.open_arguments(NOTHING, ())
    values: dict[Argument, str] = {}
    if open_ or given:
        with _session(project, interruptions) as own:
            values = _chosen(draft, own, given, interruptions)
    _write(draft, values)
    console.step("recipe", f"{project.relative(made.recipe)}, from the recipe {recipe!r}")
    return made


def _see_that_it_is_new(project: Project, instance: Instance) -> None:
    name = instance.name
    if instance.recipe.exists():
        raise RecipeError(
            f"{project.relative(instance.recipe)} is there already",
            f"invoke spawn --name {name}   brings the hub up to it",
        )
    if instance.living:
        raise RecipeError(
            f"{project.relative(instance.folder)} has a state, and has lost its recipe",
            f"git checkout {project.relative(instance.recipe)}",
        )


def _see_that_it_is_known(project: Project, recipe: str) -> None:
    """:raises RecipeError: there is no ``recipe`` to start from."""
    known = sorted(path.stem for path in project.recipes.glob("*.tf"))
    if recipe not in known:
        raise RecipeError(
            f"there is no recipe {recipe!r} in {project.relative(project.recipes)}",
            f"choose one of: {', '.join(known)}",
        )


@contextmanager
def _session(project: Project, interruptions: Interruptions) -> Iterator[Session]:
    with interruptions.held():
        own = session.create(session.Purpose(str(project.root), None, "new"))
        try:
            with interruptions.allowed():
                yield own
        finally:
            own.close()


def _chosen(
    draft: Draft, own: Session, given: Sequence[str], interruptions: Interruptions
) -> dict[Argument, str]:
    """A value in HCL for each argument that is to have another than the recipe's.

    What is secret of it is in the vault then.
    """
    vault = Vault(draft.project.root, own.folder)
    secrets = vault.read(draft.instance.name) if vault.exists else NOTHING
    held = keys.hold(keys.choose(str(secrets.ssh.get("private_key", ""))), own)
    if draft.remote:
        with interruptions.polled(), console.working("modules", "fetching modules"):
            env = keys.environment(held, process.environment(), draft.instance.known_hosts)
            draft.fetched = remote.fetch(draft.project.terraform, draft.remote, own.folder, env)
    values = draft.given(given)
    wanted = [a for a in draft.open_arguments(secrets, held.authorized()) if a not in values]
    if (wanted or not given) and console.interactive:
        offers = Offers(secrets.environment, interruptions.polled)
        typed = _asked(draft, own, offers, wanted, values)
    elif wanted:
        raise _missing(draft, wanted, bool(values), vault.exists)
    else:
        typed = {}
    draft.check(values, own.folder)
    if typed:
        if not vault.exists:
            vault.init()
        vault.update(vault.file(draft.instance.name), typed)
        console.step("vault", f"{', '.join(typed)}: stored encrypted")
    return values


def _asked(
    draft: Draft,
    own: Session,
    offers: Offers,
    wanted: Sequence[Argument],
    values: dict[Argument, str],
) -> dict[str, str]:
    """Ask for ``wanted``, and for what a cloud has a list of; adds to ``values``.

    An argument of several modules is asked for once.

    :returns: the secrets that were typed, by key path of the vault
    """
    typed: dict[str, str] = {}
    asked: dict[str, list[Argument]] = {}
    for argument in draft.arguments():
        chosen = argument in values or not argument.default
        if argument in wanted or (not chosen and offers.of(argument.name)):
            asked.setdefault(argument.name, []).append(argument)
    for name, arguments in asked.items():
        first = arguments[0]
        if first.secret:
            typed[f"variables.{name}"] = asking.ask_secret(first)
            continue

        def accept(text: str, arguments: Sequence[Argument] = arguments) -> str:
            value = arguments[0].expression(text)
            for argument in arguments:
                draft.check({argument: value}, own.folder)
            return value

        answer = asking.ask(first, offers.of(name), accept)
        values.update(dict.fromkeys(arguments, answer))
    return typed


def _missing(
    draft: Draft, wanted: Sequence[Argument], some_given: bool, vault_exists: bool
) -> UsageError:
    name = draft.instance.name
    told = dict.fromkeys(argument.path for argument in wanted)
    secret = dict.fromkeys(argument.name for argument in wanted if argument.secret)
    plain = dict.fromkeys(argument.name for argument in wanted if not argument.secret)
    flags = " ".join(f"--set {one}=…" for one in plain)
    hints = [f"invoke vault.set variables.{one} --name {name}" for one in secret]
    if keys.AUTHORIZED in plain:
        hints.append("invoke vault.set ssh.private_key   # its public half is ssh_authorized_keys")
    if hints and not vault_exists:
        hints.insert(0, "invoke vault.init")
    if flags:
        before = "… " if some_given else ""
        hints.append(f"invoke new --name {name} --recipe {draft.recipe} {before}{flags}")
    return UsageError(f"the recipe {draft.recipe!r} lacks a value for {', '.join(told)}", *hints)


def _write(draft: Draft, values: Mapping[Argument, str]) -> None:
    text = template.filled(draft.text, values)
    if values:
        argv: list[str | Path] = [draft.project.terraform.path, "fmt", "-no-color", "-"]
        # OpenTofu prints what it has to say of a person's configuration in front of the text
        env = process.environment({"TF_CLI_CONFIG_FILE": os.devnull})
        done = process.run(argv, input=text.encode(), env=env)
        if done.code:
            raise RecipeError(f"the recipe {draft.recipe!r} with these values is not valid HCL")
        text = done.text
    recipe = draft.instance.recipe
    try:
        recipe.parent.mkdir(parents=True, exist_ok=True)
        with recipe.open("x") as file:  # somebody may have been quicker
            file.write(text)
    except FileExistsError:
        raise RecipeError(f"{draft.project.relative(recipe)} is there already") from None
    except OSError as error:
        with suppress(OSError):
            recipe.unlink(missing_ok=True)
            recipe.parent.rmdir()
        raise system_errors.cannot(
            "written", recipe, error, shown=draft.project.relative(recipe)
        ) from None
