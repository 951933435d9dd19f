"""Where Terraform gets a recipe's providers from: a folder, a cache, a registry.

A folder of providers, a filesystem mirror, is for machines that reach no registry: what is in it is
taken from there, all else from its registry, as Terraform does with the mirrors that it knows
itself (https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories).
A person's own CLI configuration holds: ours, in the session, begins with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.errors import RecipeError, ToolError
from barehub.project import Tool

SETTING = "BAREHUB_PROVIDERS"
HOW_TO = "docs/how-to/closed-networks.md"

PLATFORMS = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64")
"""What the lock file of a recipe has hashes for: the machines of a team, and its CI."""

LOCK_FILE = ".terraform.lock.hcl"

OVERRIDES = ("TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG")
"""Variables that name the CLI configuration; the second is the first's old name."""

JSON_ENDINGS = (".json", ".tfrc.json")


@dataclass(frozen=True)
class Mirror:
    """A folder laid out HOST/NAMESPACE/TYPE/VERSION/PLATFORM, or with packed versions
    (https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror)."""

    folder: Path

    def providers(self) -> list[str]:
        """The addresses that it has, as ``registry.terraform.io/hashicorp/null``."""
        found = (path for path in self.folder.glob("*/*/*") if path.is_dir())
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def platforms(self, address: str, version: str) -> set[str]:
        """Those that it has one version of a provider for."""
        place = self.folder / address
        packed = place.glob(f"terraform-provider-*_{version}_*.zip")
        return {path.name for path in (place / version).glob("*_*") if path.is_dir()} | {
            path.stem.partition(f"_{version}_")[2] for path in packed
        }


def cache() -> Path:
    """The person's folder for what can be fetched again."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "barehub"


def mirror() -> Mirror | None:
    """The folder of providers that the setting names, or the usual one if it is there.

    :raises ToolError: the setting names none.
    """
    if named := os.environ.get(SETTING):
        folder = Path(named).expanduser().absolute()
        if not folder.is_dir():
            raise ToolError(f"{SETTING}: {named} is no folder", f"{HOW_TO} shows what is in one")
        return Mirror(folder)
    usual = Mirror(cache() / "providers")
    return usual if usual.providers() else None


def locked(folder: Path) -> dict[str, str]:
    """The versions in the lock file of a recipe's folder, by address."""
    try:
        text = reading.lenient(folder / LOCK_FILE, RecipeError)
    except FileNotFoundError:
        return {}
    pairs = re.findall(r'^provider "([^"]+)" \{\s*version\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return dict(pairs)


def hashes(folder: Path) -> int:
    """How many packages of one provider, each for one platform, a recipe's lock file knows at most
    (https://developer.hashicorp.com/terraform/language/files/dependency-lock#checksum-verification).
    """
    text = reading.lenient(folder / LOCK_FILE, RecipeError)
    blocks = text.split('\nprovider "')
    return max(block.count('"h1:') for block in blocks)


@dataclass(frozen=True)
class Configuration:
    """``env`` is what a Terraform needs of it; ``mirror`` is used, ``notice`` is to be told."""

    env: dict[str, str]
    mirror: Mirror | None = None
    notice: str = ""


def configure(tool: Tool, scratch: Path, env: Mapping[str, str]) -> Configuration:
    """Have a Terraform with ``env`` use a cache of plugins, and the mirror if there is one.

    :param scratch: the session's folder: a person's configuration may hold tokens.
    :raises ToolError: the setting names no folder.
    """
    given, text = mirror(), "\n".join(_theirs(tool, env))
    made: dict[str, str] = {}
    if "TF_PLUGIN_CACHE_DIR" not in env and not _sets(text, "plugin_cache_dir"):
        place = cache() / "plugins"
        place.mkdir(parents=True, exist_ok=True)
        made["TF_PLUGIN_CACHE_DIR"] = str(place)
    if given is None:
        return Configuration(made)
    if _sets(text, "provider_installation"):
        ours = f"{SETTING} is not used: " if os.environ.get(SETTING) else ""
        notice = "your own CLI configuration says where providers are installed from"
        return Configuration(made, notice=ours + notice if ours else "")
    file = scratch / "terraform.tfrc"
    file.write_text(f"{text}\n{_installation(given)}")
    return Configuration({**made, OVERRIDES[0]: str(file)}, given)


def _installation(mirror: Mirror) -> str:
    names = json.dumps(mirror.providers())
    return (
        "provider_installation {\n"
        f"  filesystem_mirror {{\n    path    = {json.dumps(str(mirror.folder))}\n"
        f"    include = {names}\n  }}\n"
        f"  direct {{\n    exclude = {names}\n  }}\n}}\n"
    )


def _sets(text: str, name: str) -> bool:
    return bool(re.search(rf"^[ \t]*{name}\b", text, re.MULTILINE))


def _theirs(tool: Tool, env: Mapping[str, str]) -> Iterator[str]:
    """The texts of the person's CLI configuration that Terraform would load."""
    for path in _files(tool, env):
        try:
            text = reading.text(path, ToolError)
            yield _native(json.loads(text)) if path.name.endswith(JSON_ENDINGS) else text
        except (OSError, ValueError, RecursionError, ToolError):
            continue  # Terraform warns of it, and goes on without


def _files(tool: Tool, env: Mapping[str, str]) -> list[Path]:
    """In the order of `terraform` and `tofu`, which read no folder where a file is named."""
    named = next((env[name] for name in OVERRIDES if env.get(name)), "")
    if named:
        return [Path(named)]
    home = Path(env.get("HOME") or Path.home())
    mains, folder = [home / ".terraformrc"], home / ".terraform.d"
    if tool.name == "tofu":
        settings = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "opentofu"
        mains = [home / ".tofurc", *mains, settings / "tofurc"]
        folder = folder if folder.is_dir() else settings
    main = next((path for path in mains if path.exists()), None)
    more = sorted([*folder.glob("*.tfrc"), *folder.glob("*.tfrc.json")])
    return [*([main] if main else []), *more]


def _native(content: dict[str, Any]) -> str:
    """A configuration in JSON, such as what `terraform login` stores, in the native syntax."""
    lines = []
    for name, value in content.items():
        if isinstance(value, dict):
            lines += [f"{name} {json.dumps(k)} {_body(v)}" for k, v in value.items()]
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines)


def _body(value: dict[str, Any]) -> str:
    return "{\n" + "".join(f"  {k} = {json.dumps(v)}\n" for k, v in value.items()) + "}"


def hints(said: str, folder: Path) -> list[str]:
    """What to do when an init in ``folder`` found no provider, or another one than is locked."""
    text = re.sub(r"[\s│|]+", " ", said)
    if re.search(r"match(?:es)? any of the checksums|previously recorded in the lock", text):
        told = "the lock has the hashes of other builds; if yours are to be trusted"
        return [f"{told}: rm {folder / LOCK_FILE}"]
    if re.search(r"[Ff]ailed to (query available|install|resolve) provider|registry service", text):
        return [f"without the registry: {SETTING}=FOLDER of providers ({HOW_TO})", "invoke doctor"]
    return []
