"""`terraform validate` and `terraform test` of the modules and examples that need a provider."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .modules import MODULES, Recipe
from .providers import Providers

NEEDED = {
    "provider/openstack": "terraform-provider-openstack/openstack",
    "dns/cloudflare": "cloudflare/cloudflare",
}


def test_no_module_with_a_provider_is_forgotten() -> None:
    needing = {
        str(path.parent.relative_to(MODULES))
        for path in MODULES.glob("*/*/*.tf")
        if "required_providers" in path.read_text()
    }
    assert needing == set(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_a_module(name: str, providers: Providers, tmp_path: Path) -> None:
    providers.need(NEEDED[name])
    shutil.copytree(MODULES / name, tmp_path / "module")
    for folder in (tmp_path / "module", tmp_path / "module" / "example"):
        recipe = Recipe.at(folder, {})
        recipe.succeeds("init")
        recipe.succeeds("validate")
    module = Recipe.at(tmp_path / "module", {})
    said = module.run("test").stdout
    assert "Success!" in said and ", 0 failed" in said, said
