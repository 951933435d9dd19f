"""The recipes to start from fit the modules that they call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from barehub.terraform.hcl import Block, parse

TERRAFORM = Path(__file__).resolve().parents[3] / "terraform"

CALLS = [
    pytest.param(path, name, call, id=f"{path.stem}-{name}")
    for path in sorted((TERRAFORM / "recipes").glob("*.tf"))
    for block in parse(path)["module"]
    for name, call in block.items()
    if str(call["source"]).startswith("../../terraform/")
]


def _declared(folder: Path, kind: str) -> dict[str, Block]:
    found: dict[str, Block] = {}
    for path in sorted(folder.glob("*.tf")):
        if re.search(rf"^{kind}\b", path.read_text(), re.MULTILINE):
            for block in parse(path)[kind]:
                found |= block
    return found


@pytest.mark.parametrize(("path", "name", "call"), CALLS)
def test_a_recipe_gives_what_its_modules_ask_for(path: Path, name: str, call: Any) -> None:
    folder = (TERRAFORM / "recipes" / call["source"]).resolve()
    variables = _declared(folder, "variable")
    given = set(call) - {"source", "providers"}
    required = {n for n, block in variables.items() if "default" not in block}
    assert given - set(variables) == set(), f"{path.name}: {name} has no such arguments"
    assert required - given == set(), f"{path.name}: {name} needs these"


@pytest.mark.parametrize(("path", "name", "call"), CALLS)
def test_a_recipe_takes_what_its_modules_give(path: Path, name: str, call: Any) -> None:
    sources = {n: c["source"] for block in parse(path)["module"] for n, c in block.items()}
    for text in map(str, call.values()):
        for module, output in re.findall(r"module\.(\w+)\.(\w+)", text):
            folder = (TERRAFORM / "recipes" / sources[module]).resolve()
            assert output in _declared(folder, "output"), f"{path.name}: {module}.{output}"
