"""Judges what becomes of each file of a git-crypt repository, before anything is written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from barehub import reading
from barehub.errors import RecipeError, UsageError, VaultError
from barehub.migration import placement, plain_data, splitting
from barehub.migration.old_repository import Original
from barehub.migration.placement import Place
from barehub.migration.splitting import Split
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.vault import policy, sections
from barehub.vault.git import shown
from barehub.vault.store import SHARED, Vault

LONGEST_NAME = 240
"""Bytes of a file's name: the most that file systems take, less what we put around it."""


@dataclass(frozen=True)
class Wish:
    """What the person asked for."""

    repository: Path
    keys: Sequence[Path]
    instance: Instance | None
    replacing: bool
    as_json: bool


@dataclass
class Plan:
    """What is going to be written: ``values`` into ``file``, each of ``sealed`` into its target,
    and the ``recipe``, which was ``recipe_path``, into the instance's ``main.tf``."""

    file: Path
    places: list[Place]
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    sealed: dict[Path, Place] = field(default_factory=dict)
    recipe: Split | None = None
    recipe_path: str = ""


class Planning:
    """Judges what came out of the old repository, writing nothing."""

    def __init__(
        self, project: Project, vault: Vault, wish: Wish, interruptions: Interruptions
    ) -> None:
        self.project, self.vault, self.wish = project, vault, wish
        self.interruptions = interruptions
        self.name = wish.instance.name if wish.instance else None
        self.splits: dict[str, Split] = {}
        self.paths: set[str] = set()

    def plan(self, originals: Sequence[Original]) -> Plan:
        """:raises BarehubError: it cannot be done."""
        self.paths = {original.path for original in originals}
        recipe = self._recipe(originals)
        # what a recipe says counts before what another file says
        ordered = sorted(originals, key=lambda original: original.path != recipe)
        there, shared = self._there(self.name), self._there(None)
        placed = [self._place(original, recipe) for original in ordered]
        places = placement.settled(placed, there, replacing=self.wish.replacing)
        plan = Plan(self.vault.file(self.name), placement.unset(places, there, shared))
        for one in places:
            plan.values |= one.values
            if one.kept:
                plan.sealed[self._target(one.path)] = one
            elif one.path in self.splits:
                plan.recipe, plan.recipe_path = self.splits[one.path], one.path
        self._see_vault(plan, there)
        self._see_files(plan)
        return plan

    def names(self, path: str, content: bytes) -> Collection[str]:
        """The key paths of the secrets in an old version of a file; none of what is kept whole."""
        if path.endswith((".tf", ".tfvars")):
            return ()  # by hundreds, they would take minutes to parse
        return placement.place(path, content, shared=not self.name).values

    def _there(self, name: str | None) -> sections.Tree:
        file = self.vault.file(name)
        return self.vault.own(file) if self.vault.exists else {}

    def _place(self, original: Original, recipe: str) -> Place:
        path, content = original.path, original.content
        given = Place(path, content)
        if path == recipe:
            with self.interruptions.polled():
                split = splitting.split(content.decode(), shown(path))
            self.splits[path] = split
            values = {f"variables.{name}": value for name, value in split.values.items()}
            notes = tuple(_recipe_notes(split))
            return replace(given, values=values, notes=notes, comments=split.comments)
        if path.endswith(".tf") and content:
            return given.whole("it is another recipe" if self._is_recipe(content) else "")
        if path.endswith(".tfvars") and content:
            return self._assignments(given)
        return placement.place(
            path, content, shared=not self.name, key_beside=f"{path}.pub" in self.paths
        )

    def _assignments(self, given: Place) -> Place:
        if len(given.content) > plain_data.LARGEST:
            return given.whole()
        try:
            text = given.content.decode()
            given = given.commented(text, slashes=True)
            with self.interruptions.polled():
                tree = splitting.assignments(text, "it")
        except (UnicodeDecodeError, RecipeError) as error:
            reason = error.problem if isinstance(error, RecipeError) else "it is not text"
            return given.whole(reason.removeprefix("it "))
        return placement.variables(given, tree, shared=not self.name)

    def _recipe(self, originals: Sequence[Original]) -> str:
        """The path of the recipe for our instance; empty when there is none.

        :raises UsageError: it is not said which instance it is, or which recipe is meant.
        """
        files = [original for original in originals if original.path.endswith(".tf")]
        found = [original.path for original in files if self._is_recipe(original.content)]
        if not found:
            return ""
        if not self.name:
            raise UsageError(
                f"{shown(found[0])} is a recipe: it needs the name of its instance",
                f"{self._command()} --into NAME",
            )
        own = [path for path in found if self.name in _words(path)] if found[1:] else found
        if len(own) != 1:
            raise UsageError(
                f"there are several recipes, and which one is {self.name} cannot be told: "
                f"{', '.join(map(shown, found))}",
                f"{self._command()} --into NAME   # as the folder of one of them is called",
            )
        return own[0]

    def _command(self) -> str:
        words = ["--repo", self.wish.repository]
        words += [word for key in self.wish.keys for word in ("--key", key)]
        return f"invoke vault.import-git-crypt {shlex.join(map(str, words))}"

    def _is_recipe(self, content: bytes) -> bool:
        try:
            with self.interruptions.polled():
                return splitting.is_recipe(content.decode())
        except (UnicodeDecodeError, RecipeError):
            return False

    def _target(self, path: str) -> Path:
        parts = [_file_name(part) for part in path.split("/")]
        folder = self.project.root / "secrets" / "files" / (self.name or SHARED)
        return folder.joinpath(*parts[:-1], f"{parts[-1]}.sops")

    def _see_vault(self, plan: Plan, there: sections.Tree) -> None:
        """:raises VaultError: the vault has other values already, or may not hold these."""
        file = self.vault.file(self.name)
        relative = self.project.relative(file)
        taken = placement.conflicts(plan.values, there)
        if taken and not self.wish.replacing:
            raise VaultError(
                f"{relative} has another value already of {', '.join(taken)}",
                "--replace   # to take the imported ones",
                f"invoke vault.show{f' --name {self.name}' if self.name else ''} --reveal",
            )
        tree = there
        for key, value in plan.values.items():
            tree = sections.placed(tree, tuple(key.split(".")), value, relative)
        sections.check(tree, relative, shared=not self.name)

    def _see_files(self, plan: Plan) -> None:
        """:raises BarehubError: a file cannot be written, or holds something else."""
        made = self.vault.exists
        for target, one in plan.sealed.items():
            if made:
                policy.readers(self.project.root, target)
            if max(len(os.fsencode(part)) for part in target.parts) > LONGEST_NAME:
                raise VaultError(
                    f"{shown(one.path)} has too long a name to be kept",
                    f"git -C {shlex.quote(str(self.wish.repository))} mv "
                    f"{shlex.quote(one.path)} SHORTER   # and commit",
                )
            if not self.wish.replacing and target.exists() and self._differs(target, one.content):
                relative = self.project.relative(target)
                raise VaultError(
                    f"{relative} holds something else than {shown(one.path)}",
                    "--replace   # to take the imported one",
                )
        if plan.recipe and self.wish.instance:
            self._see_recipe(self.wish.instance.recipe, plan.recipe, plan.recipe_path)

    def _see_recipe(self, file: Path, split: Split, path: str) -> None:
        if file.exists() and reading.content(file, RecipeError) != split.text.encode():
            relative = self.project.relative(file)
            raise RecipeError(
                f"{relative} is there already, and differs from {shown(path)}",
                f"mv {relative} {relative}.mine   # import again, and compare them",
            )

    def _differs(self, target: Path, content: bytes) -> bool:
        return self.vault.unseal(target) != content


def _words(path: str) -> set[str]:
    """What an instance may be called after, in ``path``."""
    pure = PurePosixPath(path)
    return {part.lower().replace("_", "-") for part in (*pure.parent.parts, pure.stem)}


def _file_name(part: str) -> str:
    """A name for a file of ours: what could mean something else is written as in URLs."""
    if part in (".", ".."):
        return part.replace(".", "%2E")
    return "".join(c if c.isprintable() and c != "%" else _percent(c) for c in part)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in os.fsencode(char))


def _recipe_notes(split: Split) -> Iterator[str]:
    if split.comments:
        lines = ", ".join(map(str, split.comments))
        yield f"had what looks like a secret in comments (line {lines}): taken out, and not kept"
    if split.short:
        yield f"may still hold these, too short to be looked for: {', '.join(split.short)}"
