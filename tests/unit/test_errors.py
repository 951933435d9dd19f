from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from barehub import errors


def test_an_error_is_one_problem_and_its_hints() -> None:
    error = errors.VaultError("secrets/x.yaml is not encrypted", "invoke vault.edit", "git log")
    assert str(error).splitlines() == [
        "error: secrets/x.yaml is not encrypted",
        "hint: invoke vault.edit",
        "hint: git log",
    ]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 1),
        (errors.RecipeError, 2),
        (errors.ToolError, 3),
        (errors.VaultError, 4),
        (errors.TerraformError, 5),
        (errors.CheckFailed, 6),
        (errors.LeftoverError, 7),
        (errors.NotReadyError, 8),
        (errors.Interrupted, 130),
    ],
)
def test_each_class_has_its_exit_code_and_invoke_understands_it(
    kind: type[errors.BarehubError], code: int
) -> None:
    error = kind("problem")
    assert isinstance(error, Exit)
    assert error.code == code
