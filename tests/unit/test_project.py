from __future__ import annotations

from pathlib import Path

import pytest

from barehub.errors import RecipeError, ToolError, UsageError
from barehub.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("demo", "prod"):
        (tmp_path / "instances" / name).mkdir(parents=True)
        (tmp_path / "instances" / name / "main.tf").touch()
    return Project(tmp_path)


@pytest.mark.parametrize(
    "name", ["", "Demo", "a_b", "-a", "a-", "a.b", "../x", "a" * 64, "é", "a\n"]
)
def test_a_name_that_is_no_dns_label_is_refused(project: Project, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be an instance's name"):
        project.instance(name)


def test_an_unknown_instance_is_answered_with_near_names(project: Project) -> None:
    with pytest.raises(RecipeError) as caught:
        project.existing("dmeo")
    assert "did you mean demo?" in caught.value.hints


def test_instances_are_the_folders_with_a_recipe(project: Project) -> None:
    (project.root / "instances" / "empty").mkdir()
    assert [instance.name for instance in project.instances()] == ["demo", "prod"]


def _program(folder: Path, name: str, version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}"}}\'\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "version"), [("terraform", "1.6.0"), ("terraform", "1.11.4"), ("tofu", "1.7.0-rc1")]
)
def test_a_good_tool_on_path_is_taken(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    _program(project.root / "bin", name, version)
    monkeypatch.setenv("PATH", f"{project.root / 'bin'}:/bin:/usr/bin")
    assert (project.terraform.name, project.terraform.version) == (name, version)


def test_one_that_is_too_old_is_named_and_the_installed_one_taken(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(project.root / "bin", "terraform", "1.5.7")
    monkeypatch.setenv("PATH", f"{project.root / 'bin'}:/bin:/usr/bin")
    with pytest.raises(ToolError, match=r"terraform is 1\.5\.7, 1\.6 or newer is needed"):
        Project(project.root).terraform  # noqa: B018
    _program(project.root / ".tools" / "bin", "tofu", "1.10.0")
    assert Project(project.root).terraform.path == project.root / ".tools" / "bin" / "tofu"


def test_without_any_tool_the_hint_installs_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(project.root))
    with pytest.raises(ToolError) as caught:
        project.terraform  # noqa: B018
    assert caught.value.hints == ("scripts/install-tools",)
