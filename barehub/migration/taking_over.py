"""What `import-recipe` does: an instance of the old procedure becomes one of ours.

All of it is read and judged, and only then is anything written; the state is in its place before
the recipe is, so that no run ever makes again what is there. At the end stands a plan.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from barehub import agreement, reading
from barehub import run as runs
from barehub.console import console
from barehub.errors import RecipeError, TerraformError
from barehub.migration import importing, old_state
from barehub.migration.git_crypt import quoted
from barehub.migration.importing import LABEL, Report, listed
from barehub.migration.old_instance import PINS, OldInstance
from barehub.migration.past import Past
from barehub.migration.placement import Place
from barehub.migration.plan import Plan, Planning, Wish
from barehub.pipeline import PREPARATION
from barehub.plan import showing
from barehub.preparation import terraform_of
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.run import Run
from barehub.vault import files
from barehub.vault.store import Vault


def run(
    project: Project,
    vault: Vault,
    old: OldInstance,
    interruptions: Interruptions,
    *,
    replacing: bool,
    as_json: bool,
) -> None:
    """Import, tell what became of what, and show that terraform would change nothing.

    :raises BarehubError: it cannot be imported; nothing was written then. Or the plan could not be
        made, or would change something: then all is imported, and nothing was applied.
    """
    instance = old.instance
    project.terraform  # noqa: B018 - a missing tool is said before anything is made
    old.see()
    wish = Wish(old.folder, (), instance, replacing, as_json)
    plan, state = _judged(project, vault, old, wish, interruptions)
    instance.folder.mkdir(parents=True, exist_ok=True)
    try:
        _import(project, old, wish, plan, state, interruptions)
    finally:
        with contextlib.suppress(OSError):  # it is empty when nothing came of it
            instance.folder.rmdir()


def _import(
    project: Project,
    old: OldInstance,
    wish: Wish,
    plan: Plan,
    state: bytes | None,
    interruptions: Interruptions,
) -> None:
    with runs.opened(project, old.instance, "import-recipe", interruptions) as own:
        with console.working(LABEL) as work:
            changed = importing.write(project, own.vault, wish, plan, work.now)
            _take_pins(project, old)
        if not changed:
            console.step(LABEL, "all of it was there already: nothing was written")
        report = Report(project, wish, plan, old.originals, Past())
        report.tell([])
        _tell(project, old, state)
        if wish.as_json:
            console.out(json.dumps(_document(report, old), indent=2))
        else:
            for line in _checklist(report, old):
                console.out(line)
        _prove(own)


def _judged(
    project: Project, vault: Vault, old: OldInstance, wish: Wish, interruptions: Interruptions
) -> tuple[Plan, bytes | None]:
    """What is to be written, and the state.

    :raises BarehubError: something of it cannot be.
    """
    instance = old.instance
    with console.working(LABEL, f"reading {old.folder}"):
        plan = Planning(project, vault, wish, interruptions).plan(old.originals)
        if plan.recipe is None:
            raise RecipeError(
                f'{old.folder}/main.tf is no recipe: it must call module "provider", "dns" and '
                '"binderhub"',
                "terraform/recipes/neurolibre.tf shows all three",
            )
        if kind := dataclasses.replace(instance, folder=old.folder).backend:
            raise RecipeError(
                f"{old.folder}/main.tf has a backend of its own, {kind}: only a file is taken over",
                f"cd {quoted(old.folder)}, take the backend out, terraform init -migrate-state",
                f"when it is imported, put it in again, and: invoke state.migrate --name "
                f"{instance.name}   # docs/how-to/share-state.md",
            )
        state = old.state(vault.scratch, project)
    _see_state(project, vault, instance, state)
    if state:
        plan.sealed[instance.sealed_state] = Place("terraform.tfstate", state, kept=True)
    return plan, state


def _see_state(project: Project, vault: Vault, instance: Instance, state: bytes | None) -> None:
    """:raises TerraformError: the instance has another state already."""
    if not instance.sealed_state.exists():
        return
    known = vault.unseal(instance.sealed_state)
    if state is None or old_state.identity(known) != old_state.identity(state):
        shown = project.relative(instance.sealed_state)
        raise TerraformError(
            f"{instance.name} has a state already, {shown}, and it is another one",
            "--name NAME   # import into another instance",
            f"invoke teardown --name {instance.name}   # if what it has made shall go",
        )


def _take_pins(project: Project, old: OldInstance) -> None:
    pins, target = old.folder / PINS, old.instance.folder / PINS
    if pins.is_file() and not target.exists():
        files.replace(target, reading.content(pins, RecipeError), project.relative(target))


def _tell(project: Project, old: OldInstance, state: bytes | None) -> None:
    instance = old.instance
    if state:
        made = old_state.addresses(state)
        lineage, serial = old_state.identity(state)
        console.step(
            "state",
            f"{len(made)} resources, sealed into {project.relative(instance.sealed_state)} "
            f"(serial {serial}, lineage {lineage})",
        )
    else:
        console.warn(f"{old.folder} has no terraform.tfstate: what it has made is not known here")
        console.hint(
            f"invoke leftovers --name {instance.name}   # the old procedure removed its state"
        )
    for module in old.local_modules:
        console.warn(f"the recipe uses {module} in {old.folder}: keep that, or move it in here")
    if old.unused:
        names = ", ".join(path.name for path in old.unused)
        console.say(f"not imported, and not needed here: {names}")


def _checklist(report: Report, old: OldInstance) -> Iterator[str]:
    """What is left to do, as Markdown."""
    yield f"# Delete what was imported from {old.folder}"
    yield ""
    yield "They hold secrets in clear, on a disk. They were only read, and are encrypted here."
    yield ""
    for path in old.sensitive:
        yield f"- [ ] rm {quoted(path)}"
    yield ""
    yield "## Reissue what others could read"
    yield ""
    yield "If the folder was shared, backed up, or mounted into a container that was not removed:"
    yield ""
    for item in report.imported(known=False):
        yield f"- [ ] {listed(item)}"


def _document(report: Report, old: OldInstance) -> dict[str, Any]:
    """The same for a script."""
    return {
        "instance": old.instance.name,
        "delete": [str(path) for path in old.sensitive],
        "reissue": list(report.imported(known=False)),
        "unused": [str(path) for path in old.unused],
    }


def _prove(own: Run) -> None:
    """Plan, and apply nothing.

    :raises TerraformError: the plan would change something that exists, or make something.
    """
    for step in PREPARATION:
        step(own)
    terraform = terraform_of(own)
    path, plan = terraform.plan("plan")
    marked = _marked_only(terraform.explain(path)) if plan.planned else set()
    changes = {address: act for address, act in plan.planned.items() if address not in marked}
    name = own.instance.name
    if not changes:
        about = f" (it will mark values of {len(marked)} as sensitive)" if marked else ""
        console.step("plan", f"terraform would change nothing that there is{about}")
        console.say(f"go on with: invoke spawn --name {name}")
        return
    meant = dataclasses.replace(plan, planned=changes)
    for line in showing.lines(agreement.describe(own, terraform, path, meant)):
        console.say(line)
    raise TerraformError(
        f"{name} is imported, and terraform would change it: {len(changes)} resources; "
        "nothing was applied",
        f"instances/{name}/main.tf   # mend it where that is not meant",
        f"invoke spawn --name {name}   # applies it, and asks before anything is lost",
    )


def _marked_only(document: dict[str, Any]) -> set[str]:
    """The addresses that a plan changes in nothing but that values become sensitive: what was a
    literal comes from the vault now. Terraform asks no provider to do that.
    """
    return {
        one["address"]
        for one in document.get("resource_changes", [])
        if one["change"]["actions"] == ["update"]
        and one["change"]["before"] == one["change"]["after"]
    }
