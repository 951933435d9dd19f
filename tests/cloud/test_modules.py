"""The examples of our modules are valid; the modules' own tests are run by scripts/test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .modules import MODULES, Recipe
from .providers import Providers

NEEDED = {
    "provider/openstack/examples/cluster": "terraform-provider-openstack/openstack",
    "dns/cloudflare/examples/proxied": "cloudflare/cloudflare",
}


@pytest.mark.parametrize("name", NEEDED)
def test_an_example_is_valid(name: str, providers: Providers, tmp_path: Path) -> None:
    providers.need(NEEDED[name])
    module = Path(*Path(name).parts[:2])
    shutil.copytree(MODULES / module, tmp_path / module)
    recipe = Recipe.at(tmp_path / name, {})
    recipe.succeeds("init")
    recipe.succeeds("validate")
