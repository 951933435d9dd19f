"""The provider plugins of the ring: the real ones, and what stands in for those that are not there.

``scripts/build-providers`` builds the real one that is a Go module. The others come from a registry
(``terraform providers mirror``); where none can be reached, a program of ours, ``standins/``,
stands in for them. ``python -m tests.cloud.providers FOLDER`` builds that, says for which, and
prints the path of a CLI configuration in FOLDER that has both.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import ROOT, Cli

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub"
FOLDER = Path(os.environ.get("BAREHUB_PROVIDERS") or CACHE / "providers")
TOFU = ROOT / ".tools" / "opentofu" / "tofu"
"""Where scripts/test --cloud puts the newest OpenTofu, whatever PATH has."""
REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")

STANDINS = CACHE / "standins"
SOURCES = Path(__file__).with_name("standins")
STAND_IN_FOR = (
    "cloudflare/cloudflare",
    "hashicorp/local",
    "hashicorp/random",
    "hashicorp/template",
)
VERSION = "4.99.0"
"""Of no release of theirs: no cache and no lock file ever takes a stand-in for a real one."""

MIRROR = """  filesystem_mirror {{
    path = "{folder}"{include}
  }}
"""


@dataclass(frozen=True)
class Providers:
    """Filesystem mirrors, laid out as Terraform and OpenTofu want it: ``real`` comes first."""

    real: Path
    standins: Path

    def stood_in_for(self) -> list[str]:
        """Those that are not there, of which ``standins`` has another."""
        return [name for name in STAND_IN_FOR if not _has(self.real, name)]

    def need(self, *providers: str) -> None:
        """Fail the test unless each of ``providers`` is there, or stood in for."""
        for name in providers:
            there = _has(self.real, name) or _has(self.standins, name)
            assert there, f"{name} is not there: run scripts/test --cloud"

    def configuration(self, folder: Path) -> Path:
        """A CLI configuration in ``folder`` that allows these and no registry."""
        text = MIRROR.format(folder=self.real, include="")
        if missing := self.stood_in_for():
            names = ", ".join(f'"{host}/{name}"' for host in REGISTRIES for name in missing)
            text += MIRROR.format(folder=self.standins, include=f"\n    include = [{names}]")
        path = folder / "providers.tfrc"
        path.write_text(f"provider_installation {{\n{text}}}\n")
        return path


def _has(mirror: Path, provider: str) -> bool:
    return (mirror / REGISTRIES[0] / provider).is_dir()


def built() -> Providers:
    """:raises pytest.fail.Exception: nothing was built yet."""
    if not FOLDER.is_dir():
        pytest.fail(f"{FOLDER} is not there: run scripts/build-providers, or scripts/test --cloud")
    return Providers(FOLDER, _standins())


def _standins() -> Path:
    """The folder of what these sources make."""
    digest = hashlib.sha256(VERSION.encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return STANDINS / digest.hexdigest()[:12]


def builder() -> Any:
    """scripts/build-providers, as a module of the caller's own."""
    path = str(ROOT / "scripts" / "build-providers")
    loader = importlib.machinery.SourceFileLoader("build_providers", path)
    spec = importlib.util.spec_from_loader("build_providers", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def build_standins(script: Any) -> None:
    """Builds what stands in, once, for both registries, and puts it in place in one step.

    :raises Unreachable: of ``script.tools``: there is no Go.
    :raises Problem: of the same: it does not build.
    """
    STANDINS.mkdir(parents=True, exist_ok=True)
    with script.tools.alone(STANDINS, "build"):
        if _standins().exists():
            return
        script.tools.say("building what stands in for them: a minute, once")
        with tempfile.TemporaryDirectory(prefix="new-", dir=STANDINS) as name:
            fresh, mirror = Path(name, "standin"), Path(name, "mirror")
            script.tools.compile_in(SOURCES, ".", fresh)
            for provider in STAND_IN_FOR:
                for registry in REGISTRIES:
                    about = script.Provider(provider, VERSION, "", "")
                    place = script.place(mirror, registry, about)
                    place.parent.mkdir(parents=True)
                    os.link(fresh, place)
            mirror.replace(_standins())


def main(folder: Path) -> int:
    script, failed = builder(), False
    providers = Providers(FOLDER, _standins())
    if missing := providers.stood_in_for():
        script.tools.say(f"not the real ones: tests/cloud/standins for {', '.join(missing)}")
        try:
            build_standins(script)
        except (script.tools.Unreachable, script.tools.Problem) as reason:
            script.tools.say(f"error: {reason}")
            failed = True
    print(providers.configuration(folder))
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))


def by_opentofu(cli: Cli, folder: Path) -> None:
    """Have barehub find the newest OpenTofu, and no Terraform that works."""
    assert TOFU.exists(), f"scripts/install-tools {TOFU.parent}"
    folder.mkdir()
    (folder / "tofu").symlink_to(TOFU)
    (folder / "terraform").write_text("#!/bin/sh\n")
    (folder / "terraform").chmod(0o755)
    cli.env["PATH"] = f"{folder}:{cli.env['PATH']}"
