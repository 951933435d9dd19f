"""Merges an encrypted file for git: by key, in memory, on the ciphertext of one side.

Git gives a merge driver three files (gitattributes(5)): the common base, ours, which is to become
the result, and theirs. What did not change keeps its ciphertext. Whoever lost their access on one
side has none to the result, and a data key that one side has given up does not come back.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub import process
from barehub.console import console
from barehub.errors import BarehubError, ToolError, VaultError
from barehub.vault import anatomy, editor, files, merge, policy, strictness
from barehub.vault.document import Document
from barehub.vault.merge import MISSING, Conflict
from barehub.vault.sops import Kind, Sops, kind_of


@dataclass(frozen=True)
class Version:
    """One side's ciphertext, what it says, and the data key's block for each of its readers."""

    side: str
    sealed: bytes
    tree: Any
    blocks: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """The merged ciphertext, what is ours in it for want of a decision, and a warning."""

    sealed: bytes
    conflicts: tuple[Conflict, ...]
    warning: str


def drive(
    sops: Sops, name: str, base: Path, ours: Path, theirs: Path, *, virtual: bool = False
) -> None:
    """Merge the file ``name`` of the vault into the file ``ours``.

    :param virtual: the result is only a base for another merge (criss-cross): nothing is told, and
        a conflict becomes a value that neither side has.
    :raises VaultError: there are conflicts, or the file cannot be merged and is still ours.
    """
    try:
        given = [files.content(path, name) for path in (base, ours, theirs)]
        result = Merge(sops, name, virtual=virtual).run(*given)
        files.replace(ours, result.sealed, name)
    except BarehubError as error:
        raise VaultError(
            f"{name} is still ours, with NOTHING of theirs in it: {error.problem}",
            *error.hints,
            f"and then: git checkout -m {name}",
        ) from None
    if result.warning and not virtual:
        console.warn(result.warning)
    if result.conflicts and not virtual:
        for conflict in result.conflicts:
            console.say(f"CONFLICT (vault): {name}: {conflict}")
        raise _undecided(name, result.conflicts)


def _undecided(name: str, conflicts: Sequence[Conflict]) -> VaultError:
    see = f"git checkout --theirs {name}"
    if kind_of(name) == "binary":
        return VaultError(
            f"{name} was changed on both sides, and is whole: it is still ours",
            f"to take theirs: {see}",
            f"then: git add {name}",
        )
    stem = Path(name).stem
    own = "" if stem == "shared" else f" --name {stem}"
    first = ".".join(conflicts[0].path)
    return VaultError(
        f"{name} has ours where both sides differ, and is merged but for that",
        f"to see theirs: {see} && invoke vault.show{own} --reveal",
        f"and back: git checkout -m {name}",
        f"to take theirs: invoke vault.set {first}{own}",
        f"then: git add {name}",
    )


class Merge:
    """One file's merge."""

    def __init__(self, sops: Sops, name: str, *, virtual: bool = False) -> None:
        self._sops, self._name, self._virtual = sops, name, virtual
        self._file, self._kind = sops.root / name, kind_of(name)

    def run(self, base: bytes, ours: bytes, theirs: bytes) -> Result:
        """The three versions as git has them; ``base`` is empty when both sides added the file.

        :raises VaultError: one of them cannot be decrypted, or the result cannot be encrypted.
        """
        old, mine, other = (
            self._version(side, sealed)
            for side, sealed in (("base", base), ("ours", ours), ("theirs", theirs))
        )
        merged = merge.three_way(old.tree, mine.tree, other.tree, self._undecided)
        readers = self._readers(old, mine, other)
        kept, left = self._sides(old, mine, other, merged.tree)
        # both have another data key: a reader whom one side removed may know that of the other
        renewed = left.blocks not in (old.blocks, kept.blocks)
        with editor.private_folder(self._sops.scratch) as folder:
            warning = self._write(folder, (old, kept, left), merged.tree)
            sealed = self._with_readers(folder, kept, readers, renewed)
        made = self._version("the result", sealed)
        if not merge.same(made.tree, merged.tree) or set(made.blocks) != set(readers):
            raise VaultError("sops would store something else")
        return Result(sealed, merged.conflicts, warning)

    def _version(self, side: str, sealed: bytes) -> Version:
        if not sealed:
            return Version(side, sealed, MISSING, {})
        made: Kind = "binary" if self._kind == "binary" else "json"
        try:
            content = self._sops.decrypt(sealed, self._file, self._kind, made)
        except VaultError as error:
            raise VaultError(f"{side}: {error.problem}", *error.hints) from None
        blocks = strictness.judge(sealed).blocks
        # a binary file is one value: a text, whatever its bytes are
        tree = content.decode("latin-1") if self._kind == "binary" else json.loads(content)
        return Version(side, sealed, tree, blocks)

    def _undecided(self, ours: Any) -> Any:
        return f"in conflict: {secrets.token_hex()}" if self._virtual else ours

    def _readers(self, base: Version, ours: Version, theirs: Version) -> list[str]:
        """Who reads the result: whom one side added does, whom one side removed does not.

        Of two files that began their lives apart, nobody knows whom one of them left out on
        purpose: who reads only one does not read the result. A base for another merge has them all
        instead, so that a side without one of them counts as having removed them.
        """

        def reads(key: str) -> bool:
            if (key in ours.blocks) == (key in theirs.blocks):
                return True
            return key not in base.blocks if base.sealed else self._virtual

        readers = [key for key in {**ours.blocks, **theirs.blocks} if reads(key)]
        if not readers:
            raise VaultError("ours and theirs have no reader in common")
        return readers

    def _sides(
        self, base: Version, ours: Version, theirs: Version, wanted: Any
    ) -> tuple[Version, Version]:
        """The side whose ciphertext is kept, and the other."""
        sides = [ours, theirs]
        if ours.blocks == base.blocks != theirs.blocks:  # theirs has the new data key
            sides.reverse()
        if self._kind == "binary":
            sides.sort(key=lambda side: not merge.same(side.tree, wanted))
        return sides[0], sides[1]

    def _copy(self, folder: Path) -> Path:
        """Where the ciphertext is changed: a name that our policies have a rule for."""
        suffix = Path(self._name).suffix or ".sops"
        return folder / "secrets" / f"merged{suffix}"

    def _write(self, folder: Path, versions: tuple[Version, Version, Version], wanted: Any) -> str:
        """Make a copy of what is kept say ``wanted``; a warning of what it cannot say."""
        base, kept, left = versions
        copy = self._copy(folder)
        copy.parent.mkdir()
        copy.write_bytes(kept.sealed)
        if self._kind == "binary":
            if not merge.same(kept.tree, wanted):
                self._write_binary(copy, wanted)
            return ""
        spoken = self._kind == "yaml" and self._comments(left) != self._comments(base)
        if spoken and self._write_text(folder, versions, wanted):
            return ""
        for path, value in merge.edits(kept.tree, wanted):
            if value is MISSING:
                self._sops.unset(copy, path)
            else:
                self._sops.put(copy, path, value)
        return f"{self._name}: comments changed in {left.side} are not in it" if spoken else ""

    def _write_binary(self, copy: Path, wanted: Any) -> None:
        """A binary file is a JSON one with a single key; only by its name sops knows which."""
        as_json = copy.rename(copy.with_suffix(".json"))
        self._sops.put(as_json, ["data"], wanted)
        as_json.rename(copy)

    def _comments(self, version: Version) -> list[str]:
        if not version.sealed:
            return []
        text = self._sops.decrypt(version.sealed, self._file, "yaml", "yaml").decode()
        return [comment for _, comment in anatomy.comments(text)]

    def _write_text(
        self, folder: Path, versions: tuple[Version, Version, Version], wanted: Any
    ) -> bool:
        """Merge as text, which keeps comments, if what comes out says ``wanted``."""
        names = ("base", "kept", "left")
        for name, version in zip(names, versions, strict=True):
            text = b""
            if version.sealed:
                text = self._sops.decrypt(version.sealed, self._file, "yaml", "yaml")
            (folder / name).write_bytes(text)
        argv = ["git", "merge-file", "-p", "-q", "kept", "base", "left"]
        done = process.run(argv, cwd=folder)
        copy, good = self._copy(folder), folder / "good.yaml"
        before = copy.read_bytes()
        try:
            if done.code:
                return False
            Document(done.stdout.decode(), self._name)
            good.write_bytes(done.stdout)
            self._sops.rewrite(copy, good)
            if merge.same(self._version("", copy.read_bytes()).tree, wanted):
                return True
        except (VaultError, ToolError):  # a key is there twice, or sops reads it otherwise
            pass
        copy.write_bytes(before)
        return False

    def _with_readers(
        self, folder: Path, kept: Version, readers: Sequence[str], renewed: bool
    ) -> bytes:
        copy = self._copy(folder)
        if set(readers) != set(kept.blocks):
            rules = folder / policy.NAME
            rules.write_text(policy.new(dict.fromkeys(readers, "")))
            self._sops.update_readers(copy, rules)
        if renewed:
            self._sops.rotate(copy)
        return copy.read_bytes()
