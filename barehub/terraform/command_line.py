"""Terraform's command lines, which python-terraform builds.

Its runner is not used: it leaves variable files behind, logs their values and does not stream.
"""

from __future__ import annotations

from pathlib import Path

import python_terraform

FLAG = python_terraform.IsFlagged


class CommandLine(python_terraform.Terraform):  # type: ignore[misc]
    """``generate_cmd_string`` and nothing else: the constructor would read the state file."""

    def __init__(self, program: Path) -> None:
        self.terraform_bin_path = str(program)

    def __getattr__(self, name: str) -> object:
        raise AttributeError(name)

    def build(self, command: str, *args: str, **options: object) -> list[str]:
        if any(isinstance(value, dict) for value in options.values()):
            raise TypeError("a dict would be written to a file in clear")
        built = super().generate_cmd_string(command, *args, **options)
        return [str(part) for part in built]
