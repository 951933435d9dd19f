"""Tries values for a module's variables as Terraform will: by their type and their validations.

Only the variables are there, no provider and no resource, so nothing has to be installed.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from barehub import process
from barehub.project import Tool

REFUSED = ("Invalid value for variable", "Invalid value for input variable")


def refused(tool: Tool, blocks: Mapping[str, str], values: Mapping[str, str], scratch: Path) -> str:
    """Why Terraform takes ``values`` (in HCL, by variable) not; empty if it does.

    :param blocks: as :func:`barehub.terraform.template.variable_blocks` gives them; a validation
        that looks at a variable without a value is not made
    """
    known = {name: value for name, value in values.items() if name in blocks}
    if not known:
        return ""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        (folder / "variables.tf").write_text("\n".join(blocks[name] for name in known))
        lines = (f"{name} = {value}\n" for name, value in known.items())
        (folder / "values.tfvars").write_text("".join(lines))
        argv: list[str | Path] = [
            tool.path,
            "plan",
            "-json",
            "-input=false",
            "-var-file=values.tfvars",
        ]
        env = process.environment({"CHECKPOINT_DISABLE": "1"})
        said = process.run(argv, env=env, cwd=folder).text
    reasons = {reason for line in said.splitlines() if (reason := _reason(line))}
    return "; ".join(sorted(reasons))


def _reason(line: str) -> str:
    try:
        found = json.loads(line).get("diagnostic") or {}
    except (ValueError, AttributeError):
        return ""
    if found.get("severity") != "error" or found.get("summary") not in REFUSED:
        return ""
    text = re.sub(r"This was checked by the validation rule at .*", "", found.get("detail", ""))
    return " ".join(text.split()).removesuffix(".")
