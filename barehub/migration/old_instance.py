"""An instance's folder of the old procedure: what is in it, read and judged; it stays as it is.

Scripts are parsed, never run; nothing of the folder is written to.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from barehub import reading
from barehub.errors import RecipeError, TerraformError, UsageError, VaultError
from barehub.migration import git_crypt, old_state, shell
from barehub.migration.git_crypt import quoted
from barehub.migration.old_repository import Original
from barehub.project import NAME, Instance, Project

LARGEST = 8 * 1024 * 1024
"""Bytes of a file that may be a recipe, a script or a key."""

RECIPE, STATE = "main.tf", "terraform.tfstate"
PINS = ".terraform.lock.hcl"
"""Holds the versions and checksums of providers, and no secret."""

_SCRIPT = re.compile(r".*openrc.*\.sh|keys_cc\.sh", re.IGNORECASE)
_ASSIGNMENTS = re.compile(r".+\.tfvars(\.json)?|(.*\.)?env(\..+)?")
_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_RELATIVE = re.compile(r'(?m)^([ \t]*source[ \t]*=[ \t]*")(\.{1,2}/[^"\n]*)(?=")')


@dataclass(frozen=True)
class OldInstance:
    """The folder, and perhaps a second one with keys; ``instance`` is what it becomes."""

    folder: Path
    keys: Path | None
    instance: Instance = field(repr=False)

    def see(self) -> None:
        """:raises BarehubError: it cannot be imported at all."""
        for folder in (self.folder, self.keys):
            if folder and not folder.is_dir():
                raise UsageError(f"{folder} is not a folder", f"ls -ld {quoted(folder)}")
        if self.folder.resolve() == self.instance.folder.resolve():
            raise UsageError(f"{self.folder} is an instance of barehub's already", "invoke list")
        others = sorted(p.name for p in self.folder.glob("*.tf*") if _is_code(p) and p.is_file())
        if RECIPE not in others:
            raise RecipeError(
                f"{self.folder} has no {RECIPE}", f"ls -a {quoted(self.folder)}   # which is it?"
            )
        if len(others) > 1:
            raise RecipeError(
                f"{self.folder} has more than one Terraform file: {', '.join(others)}",
                f"put all into {RECIPE}: here a recipe is that file alone",
            )
        if (self.folder / "errored.tfstate").exists():
            raise TerraformError(
                f"{self.folder} has an errored.tfstate, which terraform could not bring home",
                f"cd {quoted(self.folder)} && terraform state push errored.tfstate",
            )

    @cached_property
    def originals(self) -> list[Original]:
        """The recipe, scripts, assignments and keys.

        :raises BarehubError: one cannot be read, or git-crypt still encrypts it.
        """
        found = []
        for path in self._files:
            content = self._content(path)
            if content is not None:
                found.append(Original(self._shown(path), content))
        return found

    @property
    def sensitive(self) -> list[Path]:
        """What must not stay on a disk: all files that were imported, states, and output."""
        taken = {original.path for original in self.originals}
        return [
            path
            for path in self._files
            if self._shown(path) in taken
            or ".tfstate" in path.name
            or path.name in ("gitcrypt-key", "logs")
            or path.suffix == ".log"
        ]

    @property
    def unused(self) -> list[Path]:
        """What has no place here: neither imported nor told of elsewhere."""
        known = {*self.sensitive, self.folder / PINS}
        return [path for path in self._files if path not in known and path.suffix != ".pub"]

    def state(self, scratch: Path, project: Project) -> bytes | None:
        """The state as today's Terraform reads it; None when nothing is known to be there.

        :raises TerraformError: it cannot be used.
        """
        path = self.folder / STATE
        if not path.exists():
            return None
        return old_state.read(path, scratch, project.terraform)

    @cached_property
    def _files(self) -> list[Path]:
        folders = [self.folder, *([self.keys] if self.keys else [])]
        return [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]

    def _shown(self, path: Path) -> str:
        return path.name if path.parent == self.folder else f"{path.parent.name}/{path.name}"

    def _content(self, path: Path) -> bytes | None:
        """What is in the file, if it is of a kind that is imported."""
        try:
            if path.stat().st_size > LARGEST or ".tfstate" in path.name:
                return None
            content = reading.content(path, UsageError)
        except FileNotFoundError:
            return None  # it went away at this moment
        recipe = path == self.folder / RECIPE
        script = bool(_SCRIPT.fullmatch(path.name)) or (
            path.suffix == ".sh" and shell.exports(content.decode(errors="replace"))
        )
        named = recipe or script or bool(_ASSIGNMENTS.fullmatch(path.name))
        if git_crypt.encrypted(content) and (named or path.name.startswith("id_")):
            raise VaultError(
                f"{path} is encrypted by git-crypt",
                "invoke vault.import-git-crypt --repo REPOSITORY --into "
                f"{self.instance.name}   # opens it",
            )
        if recipe:
            return self._moved(content)
        return content if named or _PRIVATE.match(content) else None

    def _moved(self, content: bytes) -> bytes:
        """The recipe with the sources of local modules as they are found from its new place."""
        text = reading.decoded(content, RecipeError, str(self.folder / RECIPE))

        def moved(found: re.Match[str]) -> str:
            place = os.path.normpath(self.folder.resolve() / found[2])
            return f"{found[1]}{os.path.relpath(place, self.instance.folder.resolve())}"

        return _RELATIVE.sub(moved, text).encode()

    @property
    def local_modules(self) -> list[str]:
        """The recipe's modules on this disk, as it writes their sources."""
        text = reading.lenient(self.folder / RECIPE, RecipeError)
        return list(dict.fromkeys(found[2] for found in _RELATIVE.finditer(text)))


def name_for(folder: Path, name: str) -> str:
    """What the instance will be called: ``name``, or else as the folder is.

    :raises UsageError: the folder's name cannot be one.
    """
    if name:
        return name
    own = folder.resolve().name.lower().replace("_", "-").replace(".", "-")
    if not NAME.fullmatch(own):
        raise UsageError(f"{folder.name!r} cannot be an instance's name", "--name NAME")
    return own


def _is_code(path: Path) -> bool:
    return path.name.endswith((".tf", ".tf.json"))
