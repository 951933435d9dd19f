"""Reads YAML and JSON so that nothing in it changes silently (see `numerals`)."""

from __future__ import annotations

import json
from typing import Any

from barehub import suspicion
from barehub.migration.numerals import number
from barehub.vault.document import UNPROTECTED

LARGEST = 1024 * 1024
"""Bytes from which a file is data and no configuration."""

DEEPEST = 200
"""Levels of YAML. libyaml takes minutes for 50,000, and composing them ends the whole process."""

_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOTHING = ("", "~", "null", "Null", "NULL")


class Unfit(Exception):
    """What the vault cannot hold, and why; names the line or the key path, never a value."""


def from_json(text: str) -> dict[str, Any]:
    """:raises Unfit: it is not a JSON object, or the vault cannot hold it."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            _add(made, key, value)
        return made

    try:
        tree = json.loads(
            text,
            object_pairs_hook=members,
            parse_int=number,
            parse_float=number,
            parse_constant=_no_json,
        )
    except json.JSONDecodeError as error:
        raise Unfit(f"line {error.lineno} is not JSON") from None
    except RecursionError:
        raise Unfit("it is nested too deeply") from None
    return _whole(tree)


def _no_json(text: str) -> Any:
    raise Unfit(f"it has {text}, which is not JSON")


def from_yaml(text: str) -> dict[str, Any]:
    """:raises Unfit: it is not one YAML mapping, or the vault cannot hold it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise Unfit("it is nested too deeply")
            line = event.start_mark.line + 1 if event.start_mark else 0
            if getattr(event, "anchor", None) is not None:
                raise Unfit(f"line {line} has an anchor or an alias")
            if getattr(event, "tag", None) is not None:
                raise Unfit(f"line {line} has a tag")
        documents = list(yaml.compose_all(text, Loader=loader))
        if len(documents) > 1:
            raise Unfit("it has several documents")
        return _whole(_plain(documents[0]) if documents else None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unfit(f"line {mark.line + 1} is not YAML" if mark else "it is not YAML") from None
    except RecursionError:
        raise Unfit("it is nested too deeply") from None


def _plain(node: Any) -> Any:
    if node.id == "mapping":
        made: dict[str, Any] = {}
        for key, value in node.value:
            where = f"line {key.start_mark.line + 1}"
            if key.id != "scalar" or not (key.style or isinstance(_scalar(key.value), str)):
                raise Unfit(f"{where} has a key that is no text")
            _add(made, key.value, _plain(value), where)
        return made
    if node.id == "sequence":
        return [_plain(item) for item in node.value]
    return node.value if node.style else _scalar(node.value)


def _scalar(text: str) -> Any:
    if text in _NOTHING:
        return None
    return _TRUTH[text] if text in _TRUTH else number(text)


def _add(made: dict[str, Any], key: str, value: Any, where: str = "it") -> None:
    if key in made:
        raise Unfit(f"{where} has a key for the second time")
    if not key or key == "<<":
        raise Unfit(f"{where} has a key that is no name")
    if key.endswith(UNPROTECTED):
        raise Unfit(f"{where} has a key that ends in {UNPROTECTED}: SOPS would not encrypt it")
    if suspicion.formed(key) or suspicion.random(key):
        raise Unfit(f"{where} has a key that looks like a secret: SOPS does not encrypt keys")
    made[key] = value


def _whole(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise Unfit("it is not a mapping")
    if "sops" in tree:
        raise Unfit("it is encrypted by SOPS")
    return tree
