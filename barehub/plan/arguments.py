"""Whether an argument of the recipe is what it was, without keeping what it was.

The journal holds a fingerprint of each argument with which a stage was last applied. The key is
the lineage of the instance's state, a random UUID that is nowhere in clear: whoever cannot unseal
the state learns from a fingerprint only that a value is another one.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

LENGTH = 12
"""Hexadecimal digits of a fingerprint: enough for a handful of values."""

VARIABLE = re.compile(r"\bvar\.([\w-]+)")
LOCAL = re.compile(r"\blocal\.([\w-]+)")


def fingerprints(
    key: str, arguments: Mapping[str, Any], values: Mapping[str, Any], named: Mapping[str, Any]
) -> dict[str, str]:
    """A fingerprint by argument.

    :param arguments: as the recipe writes them, or as the vault fills them
    :param values: of the root's variables
    :param named: the root's locals, as they are written
    """
    return {
        # its name goes in, so that two arguments of one value do not show that they are equal
        name: hmac.digest(
            key.encode(), name.encode() + b"\0" + _resolved(value, values, named), "sha256"
        ).hex()[:LENGTH]
        for name, value in arguments.items()
    }


def changed(before: Mapping[str, str] | None, now: Mapping[str, str]) -> set[str]:
    """What is not as it was; nothing where it is not known how it was."""
    if before is None:
        return set()
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


def _resolved(value: Any, values: Mapping[str, Any], named: Mapping[str, Any]) -> bytes:
    """An expression with all that it names of the root, as far as the root is where that stands."""
    text = json.dumps(value, sort_keys=True, default=str)
    parts, seen = [text], set()
    waiting = [text]
    while waiting:
        written = waiting.pop()
        for name in LOCAL.findall(written):
            if name not in seen:
                seen.add(name)
                waiting.append(json.dumps(named.get(name), sort_keys=True, default=str))
                parts.append(waiting[-1])
        for name in VARIABLE.findall(written):
            parts.append(json.dumps(values.get(name), sort_keys=True, default=str))
    return "\0".join(parts).encode()
