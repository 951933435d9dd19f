"""The vault of a project: reads, changes, seals.

Nothing is written in place: a change is made on a copy of the ciphertext in scratch, decrypted
again to see that it says what it must, and only then put in the file's place.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.console import console
from barehub.errors import UsageError, VaultError
from barehub.vault import credentials, editor, files, identity, policy, sections
from barehub.vault.ciphertext import recipients
from barehub.vault.document import UNPROTECTED
from barehub.vault.draft import Draft
from barehub.vault.identity import Identity
from barehub.vault.sections import Secrets, Tree
from barehub.vault.sops import Kind, Sops

__all__ = ["Secrets", "Vault"]

NEW = """\
# Exported to terraform's process, and to no other: NAME: "text"
environment: {}
# Terraform variables, and module arguments that the recipe leaves out
variables: {}
# A private key for this run's own agent
ssh: {}
"""
"""What a new file holds; sops encrypts the comments, too."""

SHARED = "shared"
KEY = re.compile(r"[A-Za-z0-9_-]+")


class Vault:
    """The files under ``root``/secrets.

    ``scratch`` is a private folder of this run on tmpfs: ciphertext is changed there, and what a
    person edits is there in clear as long as the editor is open. ``ask`` tells whether a person may
    be asked for a passphrase.
    """

    def __init__(self, root: Path, scratch: Path, *, ask: bool = True) -> None:
        self.root, self.scratch = root, scratch
        self._sops = Sops(root, scratch, ask=ask)
        self._read: dict[bytes, Tree] = {}
        self._told: set[Path] = set()

    @property
    def exists(self) -> bool:
        return (self.root / policy.NAME).exists() and self.file(None).exists()

    def file(self, name: str | None) -> Path:
        """Where the secrets of the instance ``name`` are, or those of all instances.

        :raises UsageError: ``name`` is the word for all instances.
        """
        if name == SHARED:
            raise UsageError(
                f"no instance can be named {SHARED!r}: the vault has a file of that name"
            )
        return self.root / "secrets" / f"{name or SHARED}.yaml"

    def init(self) -> Identity:
        """Make a vault that we can read, of what is missing; our identity.

        :raises VaultError: ``.sops.yaml`` is there and does not list us.
        """
        shared, rules = self.file(None), self.root / policy.NAME
        with files.alone(shared.parent):
            if rules.exists() and not shared.exists():
                raise VaultError(
                    f"{policy.NAME} is there, but {self._shown(shared)} is missing",
                    f"git checkout {self._shown(shared)}",
                    f"if there never was one: rm {policy.NAME} && invoke vault.init",
                )
            if rules.exists():
                me = self._admitted(policy.readers(self.root, shared))
            elif shared.exists():
                readers = recipients(self._content(shared))
                me = self._admitted(readers)
                names = dict.fromkeys(readers, "") | {me.recipient: policy.own_name()}
                policy.write(self.root, policy.new(names))
            else:
                me = identity.for_new_vault()
                rules_text = policy.new({me.recipient: policy.own_name()})
                # the rules last: what a kill cuts short before is completed by the next init
                self._write_first(shared, rules_text)
                policy.write(self.root, rules_text)
        return me

    def read(self, name: str | None) -> Secrets:
        """What the instance ``name`` sees: its own secrets over the shared ones.

        :raises VaultError: no vault, no identity, not for us, changed by other means, or something
            that the vault may not hold; names the file and the key path.
        """
        shared = self.file(None)
        if not shared.exists():
            raise VaultError(
                f"there is no vault: {self._shown(shared)} does not exist", "invoke vault.init"
            )
        tree = self._tree(shared)
        own = self.file(name)
        if name is not None and own.exists():
            tree = sections.over(tree, self._tree(own))
        return Secrets.of(copy.deepcopy(tree))

    def own(self, file: Path) -> Tree:
        """What ``file`` alone holds; nothing when there is none.

        :raises VaultError: as :meth:`read`.
        """
        return copy.deepcopy(self._tree(file)) if file.exists() else {}

    def check_key(self, name: str) -> None:
        """:raises UsageError: ``name`` is no key path of the vault."""
        _path(name)

    def update(self, file: Path, values: Mapping[str, Any]) -> None:
        """Set ``values`` (key path, as ``variables.hub_token``, to value) in one write.

        :raises UsageError: a key path cannot be one.
        :raises VaultError: the vault may not hold it, or the file cannot be read or written.
        """
        shown = self._shown(file)
        paths = {_path(name): _sound(name, value) for name, value in values.items()}
        with files.alone(file.parent):
            old = self._content(file) if file.exists() else b""
            before = self._tree(file) if old else {}
            wanted = before
            for path, value in paths.items():
                wanted = sections.placed(wanted, path, value, shown)
            sections.check(wanted, shown, shared=file == self.file(None))
            if old and _same(wanted, before):
                return
            if old:
                self._change(file, old, _grouped(paths, before, wanted), wanted)
            else:
                self._write_new(file, json.dumps(wanted).encode(), "json", wanted)

    def edit(self, file: Path) -> bool:
        """Let a person edit ``file``; whether it changed. See :class:`~barehub.vault.draft.Draft`.

        :raises UsageError: there is no terminal and no editor, or no terminal to mend a fault on.
        :raises VaultError: as :meth:`update`, and the file was changed by another meanwhile.
        """
        old = self._content(file) if file.exists() else b""
        draft = Draft(self._sops, file, shared=file == self.file(None))
        sealed = draft.edited(old, NEW)
        if sealed is None:
            return False
        with files.alone(file.parent):
            if (self._content(file) if file.exists() else b"") != old:
                raise VaultError(
                    f"{self._shown(file)} was changed by another command: yours is dropped",
                    "invoke vault.edit",
                )
            files.replace(file, sealed, self._shown(file))
        return True

    def encrypt(self, file: Path) -> None:
        """Encrypt a secrets file that stands there in clear, in its place.

        :raises UsageError: it is none of the vault's, or encrypted already.
        :raises VaultError: it cannot be read, or the vault may not hold what is in it.
        """
        shown = self._shown(file)
        if file.parent != self.root / "secrets" or file.suffix != ".yaml":
            raise UsageError(f"{shown} is no secrets file: secrets/NAME.yaml is one")
        with files.alone(file.parent):
            content = reading.decoded(self._content(file), VaultError, shown)
            if recipients(content.encode()):
                raise UsageError(f"{shown} is encrypted already", f"invoke vault.check   # {shown}")
            draft = Draft(self._sops, file, shared=file == self.file(None))
            files.replace(file, draft.sealed(content), shown)

    def seal(self, content: bytes, target: Path) -> None:
        """Encrypt ``content`` as it is into ``target``, for the readers of ``.sops.yaml``.

        Needs no identity. The old file stays whole until the new one is on the disk. Where a key
        service does not encrypt, the age readers alone can read it, and that is told.

        :raises VaultError: no rule fits ``target``, or it cannot be written.
        """
        try:
            sealed = self._sops.encrypt(content, target, "binary", "binary")
        except credentials.Unavailable as error:  # what cannot be made again must not be lost
            sealed = self._sops.encrypt_for_people(content, target, "binary", "binary")
            if target not in self._told:
                self._told.add(target)
                console.warn(f"{self._shown(target)} is sealed for people alone: {error.problem}")
                console.hint("invoke vault.sync   # once the service can be asked")
        files.replace(target, sealed, self._shown(target))

    def unseal(self, path: Path) -> bytes:
        """What was sealed into ``path``.

        :raises VaultError: it is missing, not for us, or was changed by other means.
        """
        return self._sops.decrypt(self._content(path), path, "binary", "binary")

    def _tree(self, file: Path) -> Tree:
        return self._tree_of(self._content(file), file)

    def _content(self, file: Path) -> bytes:
        """:raises VaultError: it is not there, too."""
        try:
            return files.content(file, self._shown(file))
        except FileNotFoundError:
            missing = "no such file or directory"
            raise VaultError(f"{self._shown(file)} cannot be read: {missing}") from None

    def _tree_of(self, content: bytes, file: Path) -> Tree:
        key = hashlib.sha256(content).digest() + file.name.encode()
        if key not in self._read:
            said = self._sops.decrypt(content, file, "yaml", "json")
            shared = file == self.file(None)
            try:
                tree = json.loads(said)
                self._read[key] = sections.check(tree, self._shown(file), shared=shared)
            except RecursionError:
                raise VaultError(f"{self._shown(file)} is nested too deeply") from None
        return self._read[key]

    def _change(
        self, file: Path, old: bytes, paths: Mapping[tuple[str, ...], Any], wanted: Tree
    ) -> None:
        with editor.private_folder(self.scratch) as folder:
            work = folder / file.name
            work.write_bytes(old)
            for path, value in paths.items():
                self._sops.put(work, path, value)
            changed = work.read_bytes()
        self._verify(changed, file, wanted)
        files.replace(file, changed, self._shown(file))

    def _write_new(
        self, file: Path, content: bytes, given: Kind, wanted: Tree | None = None
    ) -> None:
        sealed = self._sops.encrypt(content, file, given, "yaml")
        self._verify(sealed, file, wanted)
        files.replace(file, sealed, self._shown(file))

    def _write_first(self, shared: Path, rules: str) -> None:
        with editor.private_folder(self.scratch) as folder:
            (folder / policy.NAME).write_text(rules)
            sops = Sops(folder, self.scratch)
            sealed = sops.encrypt(NEW.encode(), folder / "secrets" / shared.name, "yaml", "yaml")
        self._verify(sealed, shared, None)
        files.replace(shared, sealed, self._shown(shared))

    def _verify(self, sealed: bytes, file: Path, wanted: Tree | None) -> None:
        """See that ``sealed`` says ``wanted``: sops can write what it cannot read back."""
        if wanted is not None and not _same(self._tree_of(sealed, file), wanted):
            raise VaultError(f"{self._shown(file)}: sops would store another value than was given")
        self._tree_of(sealed, file)

    def _admitted(self, readers: Sequence[str]) -> Identity:
        try:
            found = self._sops.identities(readers)
        except identity.NoIdentity:
            identity.create()
            found = self._sops.identities(readers)
        for one in found:
            if one.recipient in readers:
                return one
        raise self._sops.stranger(f"{policy.NAME} does not list you", readers)

    def _shown(self, path: Path) -> str:
        return self._sops.shown(path)


def _path(name: str) -> tuple[str, ...]:
    path = tuple(name.split("."))
    if len(path) < 2 or not all(KEY.fullmatch(part) for part in path):
        raise UsageError(f"{name!r} is not a key of the vault", "for instance variables.hub_token")
    if path[0] not in sections.SECTIONS:
        raise UsageError(f"{name!r}: the vault has no section {path[0]!r}", "variables.… is one")
    if path[0] == "ssh" and path != ("ssh", "private_key"):
        raise UsageError(f"{name!r}: ssh has only private_key", "ssh.private_key")
    if path[0] == "environment" and len(path) > 2:
        raise UsageError(f"{name!r}: environment holds no mappings", "environment.OS_PASSWORD")
    if any(part.endswith(UNPROTECTED) for part in path):
        raise UsageError(f"{name!r} would not be encrypted: keys may not end in {UNPROTECTED}")
    return path


def _grouped(
    paths: Iterable[tuple[str, ...]], before: Tree, wanted: Tree
) -> dict[tuple[str, ...], Any]:
    """What to set so that ``before`` becomes ``wanted`` at ``paths``: what is new in one piece with
    the first mapping above it that holds nothing yet, because each piece is a process of sops."""
    made = {}
    for path in paths:
        known: Any = before
        new: Any = wanted
        length = 0
        while length == 0 or (known and length < len(path)):
            known, new = known.get(path[length]), new[path[length]]
            length += 1
        made[path[:length]] = new
    return made


def _sound(name: str, value: Any) -> Any:
    for _, leaf in sections.leaves(value):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise VaultError(f"{name} is not a number that JSON knows")
    return value


def _same(one: Tree, other: Tree) -> bool:
    """Equal as JSON: 1, 1.0 and true are three values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
