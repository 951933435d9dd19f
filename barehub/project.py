"""The project: its recipes, its instances and its tools."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from barehub import process, reading
from barehub.errors import RecipeError, ToolError, UsageError
from barehub.journal import Journal

STAGES = ("provider", "dns", "binderhub")
"""The modules of a recipe, in the order in which they run."""

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123, 2.1), in lower case: it becomes part of host names and of cloud names."""

RESERVED = ("shared",)
"""``secrets/shared.yaml`` is for all instances."""

OLDEST = {"terraform": (1, 6), "tofu": (1, 7)}
"""The oldest versions that behave as barehub expects of saved plans and of ``terraform_data``;
scripts/install-tools, which runs before this can be imported, has the same."""


_BACKEND = re.compile(r'^[ \t]*(?:terraform[ \t]*\{[ \t]*)?backend[ \t]+"(\w+)"', re.MULTILINE)


@dataclass(frozen=True)
class Tool:
    """A program and its version."""

    name: str
    path: Path
    version: str


@dataclass(frozen=True)
class Instance:
    """One BinderHub: its folder under ``instances/`` and what is in there."""

    name: str
    folder: Path

    @property
    def recipe(self) -> Path:
        return self.folder / "main.tf"

    @property
    def sealed_state(self) -> Path:
        return self.folder / "terraform.tfstate.sops"

    @property
    def untaken_state(self) -> Path:
        """What the recipe's backend did not take of its state, sealed."""
        return self.folder / "terraform.tfstate.errored.sops"

    @property
    def moved_state(self) -> Path:
        """The sealed state as it was before it was moved into, or out of, a backend."""
        return self.folder / "terraform.tfstate.backup.sops"

    @property
    def known_hosts(self) -> Path:
        """Host keys that its team knows: those of its sources, and of its machines."""
        return self.folder / "known_hosts"

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal.jsonl")

    @property
    def backend(self) -> str:
        """The recipe's own backend, which then has the state; empty if it has none.

        Found without a parser, because `list` asks; a run holds the parsed recipe against it.
        """
        files = reading.below(self.folder, "*.tf")
        texts = (reading.lenient(path, RecipeError) for path in files)
        return next((found[1] for text in texts if (found := _BACKEND.search(text))), "")

    @property
    def living(self) -> bool:
        """Whether Terraform may know of resources; only a backend can tell what it has."""
        return self.sealed_state.exists() or bool(self.backend)


@dataclass(frozen=True)
class Project:
    """The folder that holds ``tasks.py``, the vault and the instances."""

    root: Path

    @property
    def recipes(self) -> Path:
        return self.root / "terraform" / "recipes"

    def relative(self, path: Path) -> str:
        """``path`` as a person in the root would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def instance(self, name: str) -> Instance:
        """:raises UsageError: ``name`` cannot be an instance's name."""
        if name in RESERVED:
            raise UsageError(f"{name!r} cannot be an instance's name: the vault has a file of it")
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be an instance's name",
                "use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or a digit",
            )
        return Instance(name, self.root / "instances" / name)

    def instances(self) -> list[Instance]:
        """All instances that have a recipe, by name."""
        found = (self.root / "instances").glob("*/main.tf")
        return [
            Instance(path.parent.name, path.parent)
            for path in sorted(found)
            if NAME.fullmatch(path.parent.name)
        ]

    def existing(self, name: str, *hints: str) -> Instance:
        """:raises RecipeError: there is no instance of that name; ``hints`` are added to ours."""
        instance = self.instance(name)
        if instance.recipe.exists():
            return instance
        known = [i.name for i in self.instances()]
        near = difflib.get_close_matches(name, known)
        raise RecipeError(
            f"there is no instance {name!r}: {self.relative(instance.recipe)} does not exist",
            f"did you mean {' or '.join(near)}?" if near else "invoke list",
            *hints,
        )

    @cached_property
    def terraform(self) -> Tool:
        """Terraform or OpenTofu: the first good one on PATH, else the one in ``.tools/bin``.

        :raises ToolError: none is there, or all are too old.
        """
        tried = []
        for name, oldest in OLDEST.items():
            for path in self._candidates(name):
                version = _version(path)
                if _numbers(version) >= oldest:
                    return Tool(name, path, version)
                wanted = ".".join(map(str, oldest))
                tried.append(f"{path} is {version or 'broken'}, {wanted} or newer is needed")
        problem = "; ".join(tried) or "neither terraform nor tofu was found"
        raise ToolError(problem, "scripts/install-tools")

    def tools_path(self) -> str:
        """A PATH with the programs that our modules use (python3, uv) before anything else."""
        return os.pathsep.join(
            [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
        )

    def _candidates(self, name: str) -> list[Path]:
        own = self.root / ".tools" / "bin"
        search = [shutil.which(name), shutil.which(name, path=str(own))]
        return list(dict.fromkeys(Path(found) for found in search if found))


def _version(path: Path) -> str:
    """What the program at ``path`` says that it is; empty when it does not say."""
    # no configuration of the person's, which may be a pipe that Terraform would wait for
    env = process.environment({"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull})
    try:
        said = process.run([path, "version", "-json"], env=env).text
        # OpenTofu prints warnings about its configuration in front of it
        return str(json.loads(said[said.index("{") :])["terraform_version"])
    except (ToolError, ValueError, KeyError, TypeError):
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])
