"""One secrets file in the hands of a person: decrypted, edited, checked, encrypted again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from barehub.console import console
from barehub.errors import UsageError, VaultError
from barehub.vault import editor, sections
from barehub.vault.document import Document
from barehub.vault.sops import Kind, Sops


@dataclass(frozen=True)
class Draft:
    """``file`` of the vault while a person edits it; ``shared`` when it is for all instances."""

    sops: Sops
    file: Path
    shared: bool

    def edited(self, old: bytes, new: str) -> bytes | None:
        """The ciphertext that replaces ``old``, or None when nothing was changed.

        The person begins with ``new`` when ``old`` is empty. Ciphertext of what did not change
        stays as it was. A fault is told before anything is written; it can be mended on a terminal.

        :raises UsageError: no terminal and no editor, or none to mend a fault on.
        :raises VaultError: it cannot be decrypted or encrypted.
        """
        before = self._readable(old) if old else new.encode()
        with editor.private_folder(self.sops.scratch) as folder:
            path = folder / self.file.name
            path.touch(mode=0o600)
            path.write_bytes(before)
            while True:
                text = editor.edit(path)
                if text.encode() == before:
                    return None
                try:
                    return self._sealed(text, old, folder)
                except VaultError as error:
                    _ask_again(error)

    def sealed(self, text: str) -> bytes:
        """``text`` as a new file's ciphertext.

        :raises VaultError: the vault may not hold it, or sops would store something else.
        """
        return self._sealed(text, b"", self.sops.scratch)

    def _readable(self, old: bytes) -> bytes:
        """What ``old`` says, as YAML.

        :raises VaultError: sops does not write a value in YAML as it is: one that begins with a tab
            comes out as nothing.
        """
        import yaml

        text = self._decrypted(old, "yaml")
        tree = json.loads(self._decrypted(old, "json"))
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        spelled = dict(sections.leaves(yaml.load(text, Loader=loader)))  # noqa: S506
        for path, value in sections.leaves(tree):
            if isinstance(value, str) and spelled.get(path) != value:
                raise VaultError(
                    f"{self.shown}: {path} cannot be edited as text: sops would change it",
                    f"invoke vault.set {path}   # without the blanks before its first line",
                )
        return text

    def _sealed(self, text: str, old: bytes, folder: Path) -> bytes:
        document = Document(text, self.shown)
        if (
            document.empty
            and not text.lstrip().startswith("{")
            and old
            and json.loads(self._decrypted(old, "json"))
        ):
            raise VaultError(f"{self.shown}: the text is empty, and would remove every secret")
        if document.empty:
            text = "{}\n"  # sops panics when there is nothing but comments
        # what was there keeps its data key, so that nobody else needs to be asked
        encrypt = self.sops.encrypt_for_people if old else self.sops.encrypt
        sealed = encrypt(text.encode(), self.file, "yaml", "yaml")
        stored = self._decrypted(sealed, "json")
        sections.check(json.loads(stored), self.shown, shared=self.shared)
        document.refuse_losses(stored)
        if not old:
            return sealed
        kept = self._rewritten(old, text, folder)
        if json.loads(self._decrypted(kept, "json")) != json.loads(stored):
            raise VaultError(f"{self.shown}: sops would store something else than was written")
        return kept

    def _rewritten(self, old: bytes, text: str, folder: Path) -> bytes:
        work = folder / "sealed"
        work.mkdir(exist_ok=True)
        copy, good = work / self.file.name, work / "good.yaml"
        copy.write_bytes(old)
        good.write_text(text)
        self.sops.rewrite(copy, good)
        return copy.read_bytes()

    def _decrypted(self, content: bytes, made: Kind) -> bytes:
        return self.sops.decrypt(content, self.file, "yaml", made)

    @property
    def shown(self) -> str:
        return self.sops.shown(self.file)


def _ask_again(error: VaultError) -> None:
    """Tell what is wrong, and go on only if there is somebody who wants to mend it."""
    if not console.interactive:
        raise UsageError(f"{error.problem}: nothing was changed", *error.hints) from None
    console.say(f"error: {error.problem}")
    console.confirm("type yes to edit it again:", "yes", "invoke vault.edit")
