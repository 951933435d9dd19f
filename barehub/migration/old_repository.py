"""A repository whose secrets git-crypt protects: its last commit, its keys, its history.

Only blobs are read, by `git cat-file`: it may be bare, locked, unlocked or in the middle of work,
and nothing of it is decrypted onto a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from barehub.errors import UsageError, VaultError
from barehub.migration import git_crypt
from barehub.migration.git_crypt import USERS, Key, quoted
from barehub.migration.past import Look, Past
from barehub.vault.git import Entry, Repository, shown

FILTER = "git-crypt"
"""The filter in ``.gitattributes``, with ``-NAME`` behind it for a key with a name."""

PARTIAL = r"^(remote\..*\.promisor|extensions\.partialclone)$"
"""git fetches what such a clone lacks while it reads, by programs that the configuration names."""


@dataclass(frozen=True)
class Original:
    """A file of the last commit that is to be a secret; ``clear`` when it is none there."""

    path: str
    content: bytes = field(repr=False)
    clear: bool = False


class OldRepository:
    """The repository around ``folder``; ``scratch`` is a private folder on tmpfs."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        """:raises UsageError: it is no repository, has no commit, or is a partial clone."""
        self.folder, self.scratch = folder, scratch
        self._git = Repository(folder)
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", "--repo PATH   # a clone on this machine")
        try:
            self._git.ask("rev-parse", "--git-dir")
        except VaultError as error:
            if "not a git repository" not in error.problem:
                raise
            raise UsageError(
                f"{folder} is not a git repository", f"ls -a {quoted(folder)}"
            ) from None
        if not self._git.says("rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
            raise UsageError(f"{folder} has no commit", f"git -C {quoted(folder)} log --all")
        if self._git.says("config", "--get-regexp", PARTIAL):
            raise UsageError(
                f"{folder} is a partial clone, and barehub fetches nothing",
                "git clone URL   # without --filter",
            )

    def keys(self, files: Iterable[Path]) -> list[Key]:
        """Those in ``files``, or else the repository's own, by our GPG key.

        :raises UsageError: a file cannot be read.
        :raises VaultError: one is no key file, gpg opens none, or there is none at all.
        """
        if keys := [git_crypt.read_key(path) for path in files]:
            return keys
        entries = {e.id: e.path for e in self._head if USERS.fullmatch(e.path)}
        if not entries:
            inside = self.folder / ".git" / "git-crypt" / "keys" / git_crypt.DEFAULT
            raise VaultError(
                f"{self.folder} has no key for GPG users in it: --key is needed",
                f"--key {quoted(inside)}"
                if inside.exists()
                else f"git -C {quoted(self.folder)} crypt export-key FILE   # where it is unlocked",
            )
        found = {entries[id]: content for id, content in self._git.blobs(entries)}
        return git_crypt.gpg_keys(dict(sorted(found.items())))

    def originals(self, keys: Sequence[Key]) -> list[Original]:
        """The files of the last commit that are to be secrets, decrypted.

        :raises VaultError: one cannot be, or there are none; names the file.
        """
        blobs = self._secret_blobs
        found: dict[str, tuple[bytes, Key]] = {}
        for path, blob in blobs.items():
            if git_crypt.encrypted(blob) and (opened := git_crypt.opened(blob, keys)):
                found[path] = opened
        opening = {key.name for _, key in found.values()}
        closed = [p for p, b in blobs.items() if git_crypt.encrypted(b) and p not in found]
        if closed and not opening:
            raise self._wrong_keys(closed, keys)
        for path in closed:
            self._see_other_key(path, blobs[path], opening)
        if not blobs:
            raise VaultError(
                f"no file in the last commit of {self.folder} is git-crypt's",
                f"git -C {quoted(self.folder)} log --oneline   # is this the right branch?",
            )
        return [
            Original(
                path, found[path][0] if path in found else blob, path not in found and bool(blob)
            )
            for path, blob in blobs.items()
            if path not in closed
        ]

    def closed(self, originals: Sequence[Original]) -> list[str]:
        """The files that are under a key that was not given."""
        opened = {original.path for original in originals}
        return [path for path in self._secret_blobs if path not in opened]

    def past(
        self,
        originals: Sequence[Original],
        keys: Sequence[Key],
        names: Callable[[str, bytes], Collection[str]],
        told: Callable[[str], None],
    ) -> Past:
        """What all commits of all refs hold besides.

        :param names: the names of the secrets in a file, by its path and content.
        :param told: hears how far that is.
        :raises VaultError: one of ``keys`` opens nothing at all.
        """
        secrets = {original.path: original.content for original in originals}
        told("listing all versions of all files")
        look = Look(self._git, keys, names, secrets)
        look.through(told, self._marked)
        given = (key.origin for key in keys if not USERS.fullmatch(key.origin))
        if unused := [origin for origin in given if origin not in look.used]:
            raise VaultError(
                f"{unused[0]} opens nothing in {self.folder}, now or in its history",
                f"git -C {quoted(self.folder)} log -- .git-crypt   # or leave it out",
            )
        return look.past(self._head)

    @cached_property
    def _head(self) -> list[Entry]:
        return self._git.files("HEAD")

    @cached_property
    def _marked(self) -> dict[str, str]:
        """What ``.gitattributes`` give to git-crypt, and the name of the key."""
        found = self._git.attribute("filter", "HEAD", self.scratch)
        return {
            path: value.removeprefix(FILTER).removeprefix("-") or git_crypt.DEFAULT
            for path, value in found.items()
            if (value == FILTER or value.startswith(f"{FILTER}-"))
            and not git_crypt.stays_clear(path)
        }

    @cached_property
    def _secret_blobs(self) -> dict[str, bytes]:
        """Path to blob of what is encrypted, or should be."""
        contents: dict[str, bytes] = {}
        wanted = {entry.id for entry in self._head if entry.path in self._marked}
        for id, blob in self._git.blobs(entry.id for entry in self._head):
            if id in wanted or git_crypt.encrypted(blob):
                contents[id] = blob
        for entry in self._head:
            if entry.id in wanted and entry.id not in contents:
                raise VaultError(
                    f"{shown(entry.path)} is missing in {self.folder}: it is damaged",
                    f"git -C {quoted(self.folder)} fsck",
                )
        return {
            entry.path: contents[entry.id]
            for entry in self._head
            if entry.path in self._marked or git_crypt.encrypted(contents.get(entry.id, b""))
        }

    def _wrong_keys(self, closed: Sequence[str], keys: Sequence[Key]) -> VaultError:
        given = ", ".join(key.origin for key in keys)
        wanted = {self._marked.get(path, git_crypt.DEFAULT) for path in closed}
        wanted -= {key.name for key in keys}
        why = "it is another repository's key, or the files are damaged"
        if wanted:
            why = f"they are under the key {' and '.join(sorted(wanted))}"
        count = f"any of the {len(closed)} encrypted files" if closed[1:] else "the encrypted file"
        return VaultError(
            f"{given} does not open {count} of {self.folder} ({shown(closed[0])}): {why}",
            f"git -C {quoted(self.folder)} crypt export-key FILE   # in a clone that is unlocked",
        )

    def _see_other_key(self, path: str, blob: bytes, opening: set[str]) -> None:
        """:raises VaultError: ``path`` is damaged, and not just under a key that was not given."""
        name = self._marked.get(path)
        if name is not None and name not in opening:
            return
        problem = "was tampered with: its authentication fails"
        if len(blob) < git_crypt.SMALLEST:
            problem = f"is truncated: {len(blob)} bytes are less than git-crypt's header"
        raise VaultError(
            f"{shown(path)} in {self.folder} {problem} under the key that opens other files",
            f"git -C {quoted(self.folder)} log -- {quoted(shown(path))}",
        )
