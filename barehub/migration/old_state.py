"""A Terraform state of the old procedure, brought to what today's Terraform reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from barehub import process, reading
from barehub.errors import TerraformError
from barehub.migration.git_crypt import quoted
from barehub.project import Tool
from barehub.terraform.state import parse

NEWEST = 4
"""The format of states since Terraform 0.12; OpenTofu writes the same."""

_NAMELESS = re.compile(rb'"(module\.[^"]*\.)?provider\.[\w-]+"|registry\.[\w.]{1,253}/-/')
"""Providers as Terraform before 0.13 names them: without who made them."""

_LEGACY = re.compile(r"(registry\.(?:terraform\.io|opentofu\.org))/-/([\w-]+)")
MAKERS = {
    "openstack": "terraform-provider-openstack",
    "cloudflare": "cloudflare",
    "newrelic": "newrelic",
    "opennebula": "opennebula",
}
"""Who makes the providers that NeuroLibre's modules use; HashiCorp makes the others
(https://developer.hashicorp.com/terraform/language/v1.1.x/upgrade-guides/0-13)."""


def read(path: Path, scratch: Path, tool: Tool) -> bytes | None:
    """The state in ``path`` in today's format; None if there is nothing in it.

    :param scratch: a private folder on tmpfs.
    :raises TerraformError: it is no state, or one that Terraform cannot bring up to date.
    """
    content = reading.content(path, TerraformError)
    if not content.strip():
        return None
    state = _parse(content)
    if state is None:
        raise TerraformError(
            f"{path} does not hold a Terraform state", f"head -c 300 {quoted(path)}"
        )
    if state["version"] > NEWEST:
        raise TerraformError(
            f"{path} is a state of format {state['version']}, and {tool.name} {tool.version} knows "
            f"{NEWEST}",
            f"{tool.name} version   # a newer one is needed",
        )
    if state["version"] < NEWEST or _NAMELESS.search(content):
        content = _LEGACY.sub(_named, _upgraded(path, content, scratch, tool)).encode()
        state = _parse(content) or {}
    return content if state.get("resources") or state.get("outputs") else None


def identity(content: bytes) -> tuple[str, int]:
    """The lineage and the serial of a state: whose it is, and how new."""
    state = _parse(content) or {}
    return str(state.get("lineage", "")), int(state.get("serial", 0))


def addresses(content: bytes) -> list[str]:
    """The managed resources in it, without those of the same name counted apart."""
    found = []
    for one in (_parse(content) or {}).get("resources", []):
        if one.get("mode") == "managed":
            parts = (one.get("module"), one["type"], one["name"])
            found.append(".".join(part for part in parts if part))
    return found


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        state = json.loads(content)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(state, dict) and isinstance(state.get("version"), int)
    if not whole or not isinstance(state.get("serial"), int):
        return None
    other = state["version"] != NEWEST
    return state if other or parse(content) is not None else None


def _upgraded(path: Path, content: bytes, scratch: Path, tool: Tool) -> str:
    """What Terraform makes of an older state: `state pull` writes the newest format."""
    folder = scratch / "old-state"
    folder.mkdir(mode=0o700)
    try:
        (folder / "terraform.tfstate").write_bytes(content)
        env = process.environment({"CHECKPOINT_DISABLE": "1"})
        done = process.run([tool.path, "state", "pull"], cwd=folder, env=env)
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()
    if done.code != 0 or _parse(done.stdout) is None:
        writer = (_parse(content) or {}).get("terraform_version", "of another time")
        raise TerraformError(
            f"{tool.name} {tool.version} cannot bring {path} up to date, which {writer} wrote",
            "apply it once with terraform 0.13, and import the folder then",
        )
    return done.text


def _named(found: re.Match[str]) -> str:
    registry, provider = found[1], found[2]
    if provider == "terraform":
        return "terraform.io/builtin/terraform"
    return f"{registry}/{MAKERS.get(provider, 'hashicorp')}/{provider}"
