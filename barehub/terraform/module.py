"""What a module takes and gives, read from its files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from barehub import reading
from barehub.errors import RecipeError
from barehub.terraform.hcl import Block, named, parse

_OVERRIDE = re.compile(r"(^|_)override\.tf(\.json)?$")
_DECLARES = re.compile(r"^[ \t]*(variable|output)\b", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """A module on this disk: the variables that it declares, the outputs that it has, and its
    files' texts by their names."""

    folder: Path
    variables: Mapping[str, Block]
    outputs: frozenset[str]
    files: Mapping[str, str] = field(default_factory=dict, repr=False)

    def required(self) -> list[str]:
        return [name for name, block in self.variables.items() if "default" not in block]


def read(folder: Path) -> Module:
    """The module in ``folder``.

    :raises RecipeError: it is not there, or a file of it is not HCL; names the file and the line.
    """
    if not os.path.isdir(folder):  # whose name a recipe may make too long for Path.is_dir
        raise RecipeError(f"there is no folder {folder}")
    variables: dict[str, Block] = {}
    outputs: set[str] = set()
    paths = reading.below(folder, "*.tf", "*.tf.json")
    files = {path.name: reading.lenient(path, RecipeError) for path in paths}
    for name, text in files.items():
        if name.endswith(".json"):
            content = _from_json(text)
        elif _DECLARES.search(text):
            content = parse(folder / name)
        else:
            continue  # a large main.tf takes a second to parse
        variables.update(named(content, "variable"))
        outputs.update(label for label, _ in named(content, "output"))
    return Module(folder, variables, frozenset(outputs), files)


def variables(folder: Path, mentioning: str) -> Iterator[tuple[str, Block]]:
    """The variable blocks of the files that have the word ``mentioning``, overrides last
    (https://developer.hashicorp.com/terraform/language/files/override); a file that is not HCL is
    Terraform's to refuse.
    """
    paths = reading.below(folder, "*.tf", "*.tf.json")
    for path in sorted(paths, key=lambda path: bool(_OVERRIDE.search(path.name))):
        text = reading.lenient(path, RecipeError)
        if mentioning not in text:
            continue
        with suppress(RecipeError):
            content = _from_json(text) if path.name.endswith(".json") else parse(path)
            yield from (pair for pair in named(content, "variable") if isinstance(pair[1], dict))


def is_true(value: object) -> bool:
    """Whether a literal of HCL or JSON is true; Terraform takes the text for the value as well."""
    return str(value).lower() == "true"


def _from_json(text: str) -> Block:
    """The blocks of a ``.tf.json`` as python-hcl2 gives those of a ``.tf``: lists of mappings."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}  # Terraform says it better
    if not isinstance(content, dict):
        return {}
    kinds = ("variable", "output")
    return {kind: list(_listed(content.get(kind))) for kind in kinds if kind in content}


def _listed(blocks: object) -> Iterable[object]:
    return blocks if isinstance(blocks, list) else [blocks or {}]
