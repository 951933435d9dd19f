"""The provider plugins that ``scripts/build-providers`` has built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command_line import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub" / "providers"
FOLDER = Path(os.environ.get("BAREHUB_PROVIDERS") or CACHE)
TOFU = ROOT / ".tools" / "opentofu" / "tofu"
"""Where scripts/test --cloud puts the newest OpenTofu, whatever PATH has."""
REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")

CONFIGURATION = """
provider_installation {{
  filesystem_mirror {{
    path = "{folder}"
  }}
}}
"""


@dataclass(frozen=True)
class Providers:
    """A filesystem mirror, laid out as Terraform and OpenTofu want it."""

    folder: Path

    def versions(self, provider: str) -> list[str]:
        """The versions of a provider such as ``cloudflare/cloudflare`` that were built."""
        return sorted(path.name for path in (self.folder / REGISTRIES[0] / provider).glob("*"))

    def need(self, *providers: str) -> None:
        """Skip the test unless each of ``providers`` was built."""
        missing = [provider for provider in providers if not self.versions(provider)]
        if missing:
            pytest.skip(f"not built: {', '.join(missing)}; scripts/build-providers says why")

    def configuration(self, folder: Path) -> Path:
        """A CLI configuration in ``folder`` that allows what was built and no registry."""
        path = folder / "providers.tfrc"
        path.write_text(CONFIGURATION.format(folder=self.folder))
        return path


def built() -> Providers:
    """:raises pytest.fail.Exception: nothing was built yet."""
    if not FOLDER.is_dir():
        pytest.fail(f"{FOLDER} is not there: run scripts/build-providers, or scripts/test --cloud")
    return Providers(FOLDER)
