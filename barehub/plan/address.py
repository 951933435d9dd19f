"""Terraform's addresses of resources, taken apart.

https://developer.hashicorp.com/terraform/cli/state/resource-addressing
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KEY = r'(?:\[(?:\d+|"(?:[^"\\]|\\.)*")\])'

MODULE = re.compile(rf"module\.([\w-]+){KEY}?\.")
RESOURCE = re.compile(rf"((?:data\.)?[\w-]+)\.([\w-]+)({KEY}?)")


@dataclass(frozen=True)
class Address:
    """``modules`` from the root inwards, without keys; ``key`` as it is written, in brackets."""

    modules: tuple[str, ...]
    type: str
    name: str
    key: str


def parse(text: str) -> Address | None:
    """Nothing when it is no address of a resource."""
    modules = []
    rest = text
    while found := MODULE.match(rest):
        modules.append(found[1])
        rest = rest[found.end() :]
    resource = RESOURCE.fullmatch(rest)
    return Address(tuple(modules), *resource.groups()) if resource else None
