"""What all of our modules keep to, read from their files; what they do is tested with terraform."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from barehub.terraform.hcl import parse

MODULES = Path(__file__).resolve().parents[3] / "terraform"
FOLDERS = sorted(path.parent for path in MODULES.glob("*/*/variables.tf"))
PROVIDERS = [folder for folder in FOLDERS if folder.parent.name == "provider"]
DNS = [folder for folder in FOLDERS if folder.parent.name == "dns"]
TESTED = [folder for folder in FOLDERS if (folder / "tests").is_dir()]

PROVIDER_OUTPUTS = {
    "project_name", "public_ip", "admin_user", "nodes", "docker_registry", "docker_id",
    "docker_password",
}  # fmt: skip


@cache
def blocks(folder: Path, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.tf")):
        if re.search(rf"^{kind}\b", path.read_text(), re.MULTILINE):
            for block in parse(path).get(kind, []):
                found |= block
    return found


def name_of(folder: Path) -> str:
    return str(folder.relative_to(MODULES))


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_variables_and_outputs_are_typed_and_described(folder: Path) -> None:
    lacking = [
        f"{kind} {name}: {key}"
        for kind, keys in (("variable", ("type", "description")), ("output", ("description",)))
        for name, block in blocks(folder, kind).items()
        for key in keys
        if not block.get(key)
    ]
    assert lacking == []


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_the_readme_names_every_input_and_output(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    names = [*blocks(folder, "variable"), *blocks(folder, "output")]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("folder", PROVIDERS, ids=name_of)
def test_every_provider_has_the_same_outputs(folder: Path) -> None:
    outputs = blocks(folder, "output")
    assert set(outputs) >= PROVIDER_OUTPUTS
    assert outputs["docker_password"].get("sensitive") is True


@pytest.mark.parametrize("folder", DNS, ids=name_of)
def test_every_dns_module_takes_and_gives_the_same(folder: Path) -> None:
    required = {n for n, block in blocks(folder, "variable").items() if "default" not in block}
    assert required == {"domain", "public_ip"}
    assert set(blocks(folder, "output")) >= {"domain", "public_ip"}


@pytest.mark.parametrize("folder", TESTED, ids=name_of)
def test_every_validation_has_a_run_that_it_fails(folder: Path) -> None:
    validations = Counter(
        {n: len(block.get("validation", [])) for n, block in blocks(folder, "variable").items()}
    )
    runs: Counter[str] = Counter()
    for path in sorted((folder / "tests").glob("*.tftest.hcl")):
        runs.update(re.findall(r"expect_failures\s*=\s*\[[^]]*?\bvar\.(\w+)", path.read_text()))
    assert +(validations - runs) == Counter()
