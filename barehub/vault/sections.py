"""What the vault holds, once decrypted: sections, their rules, and one layer over another."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from barehub import process
from barehub.errors import VaultError

SECTIONS = ("environment", "variables", "ssh", "ca")

SHARED_ONLY = "ca"
"""The local CA is one for all instances, so that a browser has to trust it only once."""

ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""POSIX, Base Definitions 8.1."""

LONGEST_ENTRY = 128 * 1024
"""Bytes that ``NAME=value`` may not reach on Linux (execve(2), MAX_ARG_STRLEN)."""

_EDIT = "invoke vault.edit"

Tree = dict[str, Any]


@dataclass(frozen=True)
class Secrets:
    """The decrypted vault as one instance sees it.

    ``environment`` goes into Terraform's environment, ``variables`` are Terraform variables and
    missing module arguments, ``ssh`` is for the agent of the run, ``ca`` the local CA
    (``certificate`` and ``key``, PEM).
    """

    environment: dict[str, str]
    variables: dict[str, Any]
    ssh: dict[str, Any]
    ca: dict[str, str]

    def __repr__(self) -> str:
        return "Secrets(***)"

    def leaves(self) -> dict[str, str]:
        """Key path to text of every leaf."""
        tree = {name: getattr(self, name) for name in SECTIONS}
        return {name: _text(value) for name, value in leaves(tree) if value is not None}

    def private(self) -> dict[str, str]:
        """The leaves that must be hidden from all output: all but certificates, public as such.

        Each line of a value costs the redactor some patterns, and certificates have many.
        """
        return {name: text for name, text in self.leaves().items() if not _is_certificate(text)}

    @classmethod
    def of(cls, tree: Tree) -> Secrets:
        """``tree`` as :func:`check` lets it pass."""
        environment = {k: _text(v) for k, v in (tree.get("environment") or {}).items()}
        variables, ssh, ca = (tree.get(name) or {} for name in SECTIONS[1:])
        return cls(environment, variables, ssh, ca)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every leaf of ``tree`` with its key path, list indices included."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, str(index)))
    else:
        yield ".".join(path), tree


def check(tree: Any, file: str, *, shared: bool) -> Tree:
    """``tree``, when it is what the vault may hold.

    :raises VaultError: names ``file`` and the key path.
    """
    if not isinstance(tree, dict):
        raise VaultError(f"{file} is not a mapping of {', '.join(SECTIONS[:3])}", _EDIT)
    for name, section in tree.items():
        if name not in SECTIONS:
            raise VaultError(f"{file}: unknown section {name!r}", _section_hint(name))
        if name == SHARED_ONLY and not shared and section:
            raise VaultError(f"{file}: {name} belongs into secrets/shared.yaml only", _EDIT)
        if section is not None and not isinstance(section, dict):
            raise VaultError(f"{file}: {name} is not a mapping", _EDIT)
    for path, value in leaves({k: v for k, v in tree.items() if v is not None}):
        if value is None or value == "":
            raise VaultError(
                f"{file}: {path} is empty, which SOPS does not protect",
                f"fill or remove it: {_EDIT}",
            )
        if isinstance(value, str) and "\0" in value:
            raise VaultError(f"{file}: {path} has a zero byte in it", _EDIT)
    _check_names(tree, file)
    return tree


def _check_names(tree: Tree, file: str) -> None:
    for name, value in (tree.get("ssh") or {}).items():
        if name != "private_key":
            raise VaultError(f"{file}: ssh.{name} is not used: ssh has only private_key", _EDIT)
        if not isinstance(value, str):
            raise VaultError(f"{file}: ssh.{name} is not a text", _EDIT)
    for name, value in (tree.get("environment") or {}).items():
        if not ENVIRONMENT_NAME.fullmatch(name):
            raise VaultError(f"{file}: environment.{name} is no name of a variable", _EDIT)
        if isinstance(value, (dict, list)):
            raise VaultError(f"{file}: environment.{name} is not a text or a number", _EDIT)
        if name.startswith(process.IDENTITY_VARIABLES):
            raise VaultError(
                f"{file}: environment.{name} names a private key, which no child may inherit", _EDIT
            )
        if name.startswith(process.SCRUBBED):
            raise VaultError(
                f"{file}: environment.{name} would make terraform write secrets elsewhere", _EDIT
            )
        if len(f"{name}={_text(value)}".encode()) >= LONGEST_ENTRY:
            raise VaultError(
                f"{file}: environment.{name} is longer than an environment may hold, 128 KiB",
                "variables may be of any length",
            )
    for name, value in (tree.get("ca") or {}).items():
        if not isinstance(value, str):
            raise VaultError(f"{file}: ca.{name} is not a text", _EDIT)


def over(base: Tree, top: Tree) -> Tree:
    """``top`` laid over ``base``: mappings are merged, all else is replaced."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = over(below, value)
        merged[key] = value
    return {k: v for k, v in merged.items() if v is not None}


def placed(tree: Tree, path: tuple[str, ...], value: Any, file: str) -> Tree:
    """A copy of ``tree`` with ``value`` at ``path``.

    :raises VaultError: a value would have to become a mapping, or a mapping a value.
    """
    key, *rest = path
    below = tree.get(key)
    if rest:
        if below is not None and not isinstance(below, dict):
            raise VaultError(f"{file}: {key} holds a value, not a mapping", _EDIT)
        value = placed(below or {}, tuple(rest), value, f"{file}: {key}")
    elif isinstance(below, dict) and below and not isinstance(value, dict):
        raise VaultError(f"{file}: {key} holds a mapping, not a value", _EDIT)
    return {**tree, key: value}


def _section_hint(name: str) -> str:
    near = difflib.get_close_matches(str(name), SECTIONS)
    return f"did you mean {near[0]}?" if near else f"the sections are {', '.join(SECTIONS[:3])}"


def _is_certificate(text: str) -> bool:
    return text.startswith("-----BEGIN CERTIFICATE-----") and "PRIVATE" not in text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
