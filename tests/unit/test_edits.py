"""A recipe's one line, changed and put back, and what the journal makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barehub import edits
from barehub.edits import Edit
from barehub.errors import RecipeError
from barehub.project import Instance

RECIPE = (
    b'module "provider" {\r\n  nb_nodes = 1 # beside the master \xe9\r\n}\r\n'
    b'module "binderhub" {\r\n  binder_version = "1.0"\r\n}\r\n'
)
UPGRADE = Edit("upgrade", "binderhub", "binder_version", '"1.0"', '"2.0"')


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance("demo", tmp_path)
    instance.recipe.write_bytes(RECIPE)
    instance.journal.add("up")
    return instance


def test_one_line_is_changed_and_put_back_and_all_else_stays(instance: Instance) -> None:
    elsewhere = instance.folder / "kept" / "recipe.tf"
    elsewhere.parent.mkdir()
    instance.recipe.rename(elsewhere)
    elsewhere.chmod(0o640)
    instance.recipe.symlink_to(elsewhere)
    edits.begin(instance, UPGRADE)
    assert instance.recipe.read_bytes() == RECIPE.replace(b'"1.0"', b'"2.0"')
    edits.put_back(instance, UPGRADE)
    assert instance.recipe.is_symlink() and elsewhere.read_bytes() == RECIPE
    assert elsewhere.stat().st_mode & 0o777 == 0o640
    assert os.listdir(elsewhere.parent) == ["recipe.tf"]


@pytest.mark.parametrize("end", ["up", "stopped", "destroyed", "put-back"])
def test_a_change_is_unfinished_until_the_hub_was_verified_with_it(
    instance: Instance, end: str
) -> None:
    assert edits.unfinished(instance) is None
    edits.begin(instance, UPGRADE)
    for event in ("stage", "failed", "cut-off", "spawn"):
        instance.journal.add(event, stage="dns")
        assert edits.unfinished(instance) == UPGRADE
    instance.journal.add(end)
    assert edits.unfinished(instance) is None


def test_what_somebody_changed_meanwhile_is_theirs(instance: Instance) -> None:
    edits.begin(instance, UPGRADE)
    instance.recipe.write_bytes(RECIPE.replace(b'"1.0"', b'"3.0"'))
    assert edits.unfinished(instance) is None
    with pytest.raises(RecipeError, match="somebody changed it meanwhile"):
        edits.put_back(instance, UPGRADE)
    assert b'"3.0"' in instance.recipe.read_bytes()


def test_a_journal_that_was_written_before_the_recipe_claims_nothing(instance: Instance) -> None:
    edits.begin(instance, UPGRADE)
    instance.recipe.write_bytes(RECIPE)
    assert edits.unfinished(instance) is None
    edits.put_back(instance, UPGRADE)
    assert instance.recipe.read_bytes() == RECIPE


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"command": "rm", "stage": "binderhub", "argument": "binder_version", "now": '"1.0"'},
        {"command": "upgrade", "stage": "(", "argument": "binder_version", "now": '"1.0"'},
        {"command": "upgrade", "stage": "binderhub", "argument": "(", "now": ""},
    ],
)
def test_a_journal_that_others_wrote_is_not_believed(
    instance: Instance, facts: dict[str, str]
) -> None:
    instance.journal.add("revised", **facts)
    assert edits.unfinished(instance) is None


def test_the_way_back_is_a_command_whatever_the_line_was(instance: Instance) -> None:
    edits.begin(instance, Edit("upgrade", "binderhub", "binder_version", '"1; rm x"', '"2.0"'))
    edit = edits.unfinished(instance)
    assert edit
    told = "invoke upgrade --name demo --binder-version '1; rm x'   takes it back"
    assert edits.ways(instance, edit)[1] == told
