"""`invoke state.migrate`: an instance's state, out of the sealed file into a backend, and back.

Terraform's own ``init -migrate-state`` would write it onto the disk in clear. Nothing is removed
before both places were seen to hold the same; what is moved stays beside the recipe, sealed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from barehub import run as runs
from barehub import shared_turn
from barehub.console import console
from barehub.errors import RecipeError, TerraformError, UsageError
from barehub.preparation import (
    encrypt_state,
    fetch_modules,
    read_recipe,
    read_secrets,
    start_agent,
    terraform_of,
)
from barehub.process import Interruptions
from barehub.project import Project
from barehub.run import Run, Terms
from barehub.terraform.remote_state import RemoteState
from barehub.terraform.state import parse

SAME = ("serial", "lineage", "resources", "outputs")
"""What must be the same in both places."""


def migrate(
    project: Project, name: str, interruptions: Interruptions, terms: Terms, *, back: bool
) -> None:
    """Move the state of ``name`` into the backend of its recipe, or ``back`` into the sealed file.

    :raises RecipeError: the recipe has no backend.
    :raises UsageError: there is nothing to move.
    :raises TerraformError: the two do not hold the same; then both stay.
    """
    instance = project.existing(name)
    if not instance.backend:
        raise RecipeError(
            f"{project.relative(instance.recipe)} has no backend",
            "docs/how-to/share-state.md   # how to write it",
        )
    with runs.opened(project, instance, "state.migrate", interruptions, terms) as run:
        for step in (read_recipe, read_secrets, encrypt_state, start_agent, fetch_modules):
            interruptions.check()
            step(run)
        state = run.state
        assert isinstance(state, RemoteState), "the recipe has a backend"
        shared_turn.take(run, state)
        state.reach(terraform_of(run), run.vault.unseal)
        (_back if back else _there)(run, state)


def _there(run: Run, state: RemoteState) -> None:
    sealed = run.instance.sealed_state
    shown = run.project.relative(sealed)
    if not sealed.exists():
        raise UsageError(
            f"{shown} does not exist: there is nothing to move into the backend",
            f"invoke state.migrate --name {run.instance.name} --back   # the other way",
        )
    content = run.vault.unseal(sealed)
    if not _same(content, state.plain):
        _see_that_it_is_free(run, state, content)
        put = state.overwrite if state.lineage else state.put
        put(content)
        if not _same(content, state.plain):
            raise TerraformError(
                f"the backend {state.backend} does not hold what {shown} holds, which stays",
                f"invoke state.migrate --name {run.instance.name}",
            )
    sealed.rename(run.instance.moved_state)
    run.instance.journal.add("state-moved", to=state.backend)
    _tell(run, state, f"in {state.backend} now")
    console.say(f"  as it was: {run.project.relative(run.instance.moved_state)}")


def _back(run: Run, state: RemoteState) -> None:
    sealed = run.instance.sealed_state
    shown, content = run.project.relative(sealed), state.plain.read_bytes()
    if not state.resources() and not state.outputs():
        raise UsageError(f"the backend {state.backend} holds nothing of {run.instance.name}")
    if sealed.exists() and not _same(run.vault.unseal(sealed), state.plain):
        raise TerraformError(
            f"{shown} and the backend {state.backend} hold two different states",
            f"remove the one that is not true: sops decrypt {shown}   shows the one",
        )
    for target in (run.instance.moved_state, sealed):
        run.vault.seal(content, target)
    if not _same(run.vault.unseal(sealed), state.plain):
        raise TerraformError(f"{shown} does not hold what the backend {state.backend} holds")
    told = f"sealed in {shown} now"
    _tell(run, state, told)
    # so that nobody whose recipe still has the backend goes on with what is there
    empty = json.loads(content) | {"serial": state.serial + 1, "outputs": {}, "resources": []}
    state.put(json.dumps(empty).encode())
    if run.shared:
        run.shared.release(remove=True)
    run.instance.journal.add("state-moved", to=sealed.name)
    recipe = run.project.relative(run.instance.recipe)
    console.say(f"  now take the backend out of {recipe}, and commit both")


def _see_that_it_is_free(run: Run, state: RemoteState, content: bytes) -> None:
    """:raises TerraformError: the backend has a state of something else."""
    ours: dict[str, Any] = json.loads(content)
    theirs: dict[str, Any] = json.loads(state.plain.read_bytes())
    if theirs["resources"] and theirs["resources"] != ours["resources"]:
        raise TerraformError(
            f"the backend {state.backend} holds another state already, of "
            f"{len(state.resources())} resources; nothing was moved",
            f"give {run.instance.name} a place of its own in the backend "
            "(pg: schema_name, s3: key, http: address)",
        )


def _same(content: bytes, copy: Path) -> bool:
    here, there = parse(content), parse(copy.read_bytes())
    return bool(here and there) and all(here.get(k) == there.get(k) for k in SAME)  # type: ignore[union-attr]


def _tell(run: Run, state: RemoteState, where: str) -> None:
    console.step(
        "state",
        f"{where}: {len(state.resources())} resources, serial {state.serial}, the same in both",
    )
