"""``.sops.yaml``: who may read the vault (https://getsops.io/docs/#using-sops-yaml-conf).

sops reads it itself when it encrypts. It is read here as well because sops takes a mistyped field
for none at all, and then the rule holds for every file.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from barehub.errors import VaultError
from barehub.vault import files

NAME = ".sops.yaml"

TEMPLATE = """\
# Who can read the vault: the age public keys below. Only whoever has the private key of one of them
# can read it. After a change here run, for every file: sops updatekeys FILE
creation_rules:
  - path_regex: ^secrets/[^/]+\\.yaml$
    age: {readers}
  - path_regex: ^instances/[^/]+/terraform\\.tfstate(\\.torn)?\\.sops$
    age: {readers}
"""


def write(root: Path, readers: Sequence[str]) -> None:
    """Write a new policy: all that is sealed can be read by ``readers``."""
    text = TEMPLATE.format(readers=",".join(readers))
    files.replace(root / NAME, text.encode(), NAME)


def readers(root: Path, target: Path) -> tuple[str, ...]:
    """The recipients of ``target``, a path under ``root``: those of the first rule that fits.

    :raises VaultError: there is no policy, it is malformed, or no rule fits.
    """
    try:
        text = (root / NAME).read_text()
    except FileNotFoundError:
        raise VaultError(f"there is no vault: {NAME} does not exist", "invoke vault.init") from None
    except (OSError, UnicodeDecodeError):
        raise VaultError(f"{NAME} cannot be read", f"ls -l {NAME}") from None
    relative = target.relative_to(root).as_posix()
    for pattern, recipients in _rules(text):
        if pattern.search(relative):
            return recipients
    raise VaultError(f"{NAME} has no rule for {relative}", f"add one to {NAME}")


@functools.lru_cache(maxsize=8)
def _rules(text: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise VaultError(f"{NAME}{line} is not YAML") from None
    if "AGE-SECRET-KEY-" in text.upper():
        raise VaultError(
            f"{NAME} holds a PRIVATE key: consider it leaked",
            "put its public key (age1…) there, and make a new identity",
        )
    rules = content.get("creation_rules") if isinstance(content, dict) else None
    if not isinstance(rules, list):
        raise VaultError(f"{NAME} has no list of creation_rules")
    return tuple(_rule(rule, number) for number, rule in enumerate(rules, 1))


def _rule(rule: Any, number: int) -> tuple[re.Pattern[str], tuple[str, ...]]:
    where = f"{NAME} rule {number}"
    if not isinstance(rule, dict):
        raise VaultError(f"{where} is not a mapping")
    for name in rule:
        if str(name).endswith(("_regex", "_suffix")) and name != "path_regex":
            raise VaultError(f"{where}: {name} leaves a part in clear; remove it")
        if name not in ("path_regex", "age"):
            raise VaultError(f"{where}: unknown field {name!r}", "only path_regex and age are read")
    try:
        pattern = re.compile(str(rule.get("path_regex", "")))
    except re.error:
        raise VaultError(f"{where}: path_regex is not a regular expression") from None
    given = rule.get("age") or ""
    listed = given if isinstance(given, list) else str(given).split(",")
    recipients = tuple(name for name in (str(item).strip() for item in listed) if name)
    if not recipients:
        raise VaultError(f"{where} names no age recipient")
    if len(set(recipients)) < len(recipients):
        raise VaultError(f"{where} names a recipient twice")
    return pattern, recipients
