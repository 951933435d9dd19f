"""Values tried by the real terraform, without any provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.project import Project, Tool
from barehub.terraform import template, trial

MODULE = """
terraform {
  required_providers {
    thing = { source = "example.org/no/such" }
  }
}

variable "count_" {
  type = number
  validation {
    condition     = var.count_ < 10
    error_message = "count_ must be under 10."
  }
}

variable "names" { type = list(string) }

variable "both" {
  type    = string
  default = "x"
  validation {
    condition     = var.both != var.other
    error_message = "both must differ from other."
  }
}

variable "other" { type = string }

resource "thing_thing" "x" {}
"""


@pytest.fixture
def blocks(tmp_path: Path, own_home: Path) -> dict[str, str]:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "main.tf").write_text(MODULE)
    return template.variable_blocks(folder)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"count_": "9", "names": '["a"]'}, ""),
        ({"count_": "10"}, "count_ must be under 10"),
        ({"names": "3"}, "list of string required"),
        ({"both": '"y"'}, ""),  # other has no value: what depends on it is not tried
        ({"both": '"y"', "other": '"y"'}, "both must differ from other"),
        ({"unknown": "1"}, ""),
    ],
)
def test_what_terraform_would_refuse_is_told(
    blocks: dict[str, str], tmp_path: Path, values: dict[str, str], problem: str
) -> None:
    said = trial.refused(_tool(), blocks, values, tmp_path)
    assert (problem in said) if problem else (said == "")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")] == []


def test_all_reasons_are_told_at_once(blocks: dict[str, str], tmp_path: Path) -> None:
    values = {"count_": "10", "both": '"y"', "other": '"y"'}
    said = trial.refused(_tool(), blocks, values, tmp_path)
    assert said == "both must differ from other; count_ must be under 10"


def _tool() -> Tool:
    return Project(Path(__file__).parents[2]).terraform
