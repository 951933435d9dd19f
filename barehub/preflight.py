"""Preflight: all that is wrong is told at once, before anything is made.

It is the first step of a spawn that looks at more than the recipe, and what `check` does.
"""

from __future__ import annotations

import json

from barehub import clouds, finding, process
from barehub import run as runs
from barehub.console import RED, YELLOW, console
from barehub.errors import RecipeError, VaultError
from barehub.finding import ERROR, UNSEEN, WARNING, Finding
from barehub.preparation import made_here, read_recipe, read_secrets, start_agent, terraform_of
from barehub.process import Interruptions
from barehub.project import Project, Tool
from barehub.run import Run, Terms
from barehub.terraform import builds, fetching
from barehub.terraform import preflight as recipes
from barehub.terraform.recipe import Recipe

KINDS = {ERROR: ("error", RED), WARNING: ("warning", YELLOW), UNSEEN: ("not seen", YELLOW)}


def preflight(run: Run) -> None:
    """See that nothing stands in the way of what the recipe wants.

    :raises RecipeError: something does; all of it has been told then.
    """
    stop(run, look(run, vault_open=True))


def check(
    project: Project,
    name: str,
    interruptions: Interruptions,
    *,
    as_json: bool,
    strict: bool,
    no_wait: bool = False,
) -> None:
    """Tell all that preflight finds of an instance; nothing is made or changed.

    :param strict: a warning is a failure.
    :raises RecipeError: the recipe cannot be read, or something stands in its way.
    """
    instance = project.existing(name)
    with runs.opened(project, instance, "check", interruptions, Terms(no_wait=no_wait)) as run:
        read_recipe(run)
        unseen = _open_vault(run)
        found = [*unseen, *look(run, vault_open=not unseen)]
    failures = finding.errors(found, strict=strict)
    if as_json:
        document = {
            "instance": name,
            "verdict": "fail" if failures else "pass",
            "findings": [one.document() for one in found],
        }
        console.out(json.dumps(document, indent=2))
    if failures:
        _stop(name, found, failures, quiet=as_json)
    _tell(found, quiet=as_json)
    console.step("check", f"{name}: nothing stands in the way" if not found else name)


def look(run: Run, *, vault_open: bool) -> list[Finding]:
    """What there is to say of the recipe, its modules, providers and clouds; errors come first."""
    recipe = run.recipe
    assert recipe, "read_recipe comes first"
    said = terraform_of(run).get() if fetching.remote(recipe) else ""
    with run.interruptions.polled():  # the modules are parsed
        values = run.values if vault_open else None
        known = recipes.Known(values, made_here(run))
        found = recipes.findings(recipe, known, fetching.unfetched(recipe, said))
        found += _unbuilt(recipe, run.project.terraform)
    if vault_open:
        found += clouds.findings(run)
    return sorted(found, key=lambda one: list(KINDS).index(one.severity))


def _open_vault(run: Run) -> list[Finding]:
    """Read the secrets and start the agent; what is left unseen where that cannot be."""
    try:
        read_secrets(run)
    except VaultError as error:
        message = f"what the vault holds, and so which placeholders it fills: {error.problem}"
        return [Finding("vault.closed", UNSEEN, message, "", error.hints)]
    start_agent(run)
    return []


def _unbuilt(recipe: Recipe, tool: Tool) -> list[Finding]:
    found = _unbuilt_for(recipe, builds.machine())
    if found:  # Terraform may be built for another machine than Python, and run under emulation
        said = process.run([tool.path, "version", "-json"]).text
        found = _unbuilt_for(recipe, str(json.loads(said[said.index("{") :]).get("platform")))
    return found


def _unbuilt_for(recipe: Recipe, machine: str) -> list[Finding]:
    there = {name: module for name, module in recipe.known.items() if module.files}
    return [
        one
        for name, module in there.items()
        for one in builds.unbuilt(recipe, name, module, machine)
    ]


def stop(run: Run, found: list[Finding]) -> None:
    """Tell what was found.

    :raises RecipeError: something of it stands in the way.
    """
    if failures := finding.errors(found):
        _stop(run.instance.name, found, failures)
    _tell(found)


def _stop(name: str, found: list[Finding], failures: list[Finding], quiet: bool = False) -> None:
    """:raises RecipeError: the one failure with its fixes, or how many there are, told above."""
    if len(failures) == 1:
        only = failures[0]
        _tell([one for one in found if one is not only], quiet)
        _annotate(only)
        where = f"{only.where}: " if only.where else ""
        raise RecipeError(f"{where}{only.message}", *only.fixes)
    _tell(found, quiet)
    raise RecipeError(
        f"{len(failures)} things stand in the way of {name}: "
        f"{', '.join(dict.fromkeys(one.id for one in failures))}",
        f"invoke check --name {name}   # once they are mended",
    )


def _tell(found: list[Finding], quiet: bool = False) -> None:
    for one in found:
        _annotate(one)
        if quiet:
            continue
        word, color = KINDS[one.severity]
        where = f"{one.where}: " if one.where else ""
        console.say(f"{console.paint(f'{word}:', color)} {where}{one.message}")
        for fix in one.fixes:
            console.say(f"    fix: {fix}")


def _annotate(one: Finding) -> None:
    file, _, line = one.where.rpartition(":")
    text = "\n".join([f"{one.id}: {one.message}", *(f"fix: {fix}" for fix in one.fixes)])
    kind = "error" if one.severity == ERROR else "warning"
    console.annotate(kind, text, file, int(line) if line.isdigit() else 0)
