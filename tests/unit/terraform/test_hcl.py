"""What others wrote, and the parser would take minutes for, or the system has no place for."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.errors import RecipeError
from barehub.terraform import hcl, module


def test_a_text_that_does_not_end_and_is_all_blank_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text("x = <<EOT\n" + "\n" * 200_000)
    with pytest.raises(RecipeError, match="line 5002: more than 5000 blank lines in a row"):
        hcl.parse(tmp_path / "main.tf")


def test_a_source_too_long_for_a_folder_is_one_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no folder"):
        module.read(tmp_path / ("a" * 5000))
