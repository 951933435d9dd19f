"""Providers that are not built any more, and so not for every machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from barehub import reading
from barehub.errors import ToolError
from barehub.finding import ERROR, Finding
from barehub.terraform.module import Module
from barehub.terraform.recipe import Recipe

ARCHIVED = {"hashicorp/template": ("darwin_arm64", "windows_arm64")}
"""Providers whose last release is older than some platforms, which it therefore was never built
for (https://github.com/hashicorp/terraform/issues/33388)."""

_MIRROR = re.compile(r'^[ \t]*path[ \t]*=[ \t]*"([^"\n]+)"', re.MULTILINE)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def machine() -> str:
    """This machine as Terraform names it: ``linux_amd64``."""
    architecture = platform.machine().lower()
    return f"{platform.system().lower()}_{_ARCHITECTURES.get(architecture, architecture)}"


def unbuilt(recipe: Recipe, name: str, module: Module, machine: str) -> Iterator[Finding]:
    """The providers that the module called ``name`` needs and that nobody built for ``machine``."""
    for provider, lacking in ARCHIVED.items():
        if machine not in lacking or not _needs(module, provider) or _mirrored(provider, machine):
            continue
        yield Finding(
            "provider.no-build",
            ERROR,
            f"{name}: its module needs the provider {provider}, which is archived and has no build "
            f"for {machine}",
            recipe.where(name, "source"),
            (
                "run it on Linux, or use a version of the module that uses templatefile() instead",
                f"build it from source into ~/.terraform.d/plugins/registry.terraform.io/"
                f"{provider}/2.2.0/{machine}/",
            ),
        )


def _needs(module: Module, provider: str) -> bool:
    """Whether the module asks for it, by name or by the type of a resource."""
    kind = provider.rpartition("/")[2]
    text = "\n".join(module.files.values())
    if chosen := re.search(rf'source\s*=\s*"([\w.-]+/)?([\w-]+/{kind})"', text):
        return chosen[2] == provider
    return bool(re.search(rf'^[ \t]*(data|resource)[ \t]+"?{kind}_', text, re.MULTILINE))


def _mirrored(provider: str, machine: str) -> bool:
    """Whether somebody built it, and put it where Terraform looks."""
    config = Path(os.environ.get("TF_CLI_CONFIG_FILE") or Path.home() / ".terraformrc")
    places = [Path.home() / ".terraform.d" / "plugins"]
    if config.is_file():
        text = reading.lenient(config, ToolError)
        places += [Path(path).expanduser() for path in _MIRROR.findall(text)]
    forms = (f"*/{provider}/*/{machine}", f"*/{provider}/*_{machine}.zip")
    return any(any(place.glob(form)) for place in places for form in forms)
