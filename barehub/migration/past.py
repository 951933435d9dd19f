"""What the history of a repository that git-crypt protects holds besides its last commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from barehub.migration import git_crypt
from barehub.migration.git_crypt import USERS, Key
from barehub.suspicion import SHORTEST
from barehub.vault import history
from barehub.vault.git import Entry, Repository
from barehub.vault.history import Version


@dataclass(frozen=True)
class Exposed:
    """A file that history holds in clear, from the version ``first`` on, in ``count`` versions.

    ``last`` is the newest of them. ``copy_of`` is the secret file whose content it is, if that has
    another name.
    """

    first: Version
    last: Version
    count: int
    copy_of: str = ""


@dataclass(frozen=True)
class Past:
    """What history has besides the last commit.

    ``deleted`` are files that git-crypt protected and that are gone; ``earlier`` has the newest
    version of a file (path) that had a secret of some name; ``exposed`` are files in clear, and
    ``users`` the GPG users who were given a key. ``unread`` versions are under keys that were not
    given, and an ``incomplete`` repository has not all.
    """

    deleted: Sequence[Version] = ()
    earlier: Mapping[tuple[str, str], Version] = field(default_factory=dict)
    exposed: Sequence[Exposed] = ()
    users: Sequence[str] = ()
    unread: int = 0
    incomplete: bool = False


class Look:
    """Goes through all blobs, each once.

    :param names: the names of the secrets in a file, by its path and content.
    :param secrets: path to content of what must not be found in clear anywhere.
    """

    def __init__(
        self,
        repository: Repository,
        keys: Sequence[Key],
        names: Callable[[str, bytes], Collection[str]],
        secrets: Mapping[str, bytes],
    ) -> None:
        self.repository, self.keys, self.names = repository, keys, names
        self.used: set[str] = set()
        """Where the keys that opened something come from."""
        self._versions = list(history.versions(repository))
        self._paths = {version.id: version.path for version in reversed(self._versions)}
        self._encrypted: set[str] = set()
        self._protected: set[str] = set()
        self._seen = self._unread = 0
        self._secret: dict[str, str] = {}
        """The ids of blobs that would be a secret in clear, and whose."""
        self._named: dict[str, Collection[str]] = {}
        for path, content in secrets.items():
            self._guard(content, path)

    def through(self, told: Callable[[str], None], marked: Collection[str]) -> None:
        """Look at every blob; ``marked`` are the paths that are to be encrypted now."""
        total = len(self._paths)
        for number, (id, blob) in enumerate(self.repository.blobs(self._paths)):
            told(f"looking through {total} versions of files: {10 * number // total}0%")
            self._at(id, blob)
        self._protected = {v.path for v in self._versions if v.id in self._encrypted} | set(marked)
        clear = {v.id for v in self._versions if self._in_clear(v)}
        for id, blob in self.repository.blobs(clear):
            self._named[id] = self.names(self._paths[id], blob)

    def past(self, head: Sequence[Entry]) -> Past:
        """What was found, besides what ``head`` has."""
        return Past(
            deleted=self._deleted(head),
            earlier=self._earlier(),
            exposed=self._exposed(),
            users=sorted({m[2] for v in self._versions if (m := USERS.fullmatch(v.path))}),
            unread=self._unread,
            incomplete=history.shallow(self.repository) or self._seen < len(self._paths),
        )

    def _at(self, id: str, blob: bytes) -> None:
        self._seen += 1
        if not git_crypt.encrypted(blob):
            return
        self._encrypted.add(id)
        if opened := git_crypt.opened(blob, self.keys):
            content, key = opened
            self.used.add(key.origin)
            self._guard(content, self._paths[id])
            self._named[id] = self.names(self._paths[id], content)
        else:
            self._unread += 1

    def _guard(self, content: bytes, path: str) -> None:
        if len(content.strip()) >= SHORTEST:  # less would not give anything away
            self._secret.setdefault(history.blob_id(content, next(iter(self._paths))), path)

    def _in_clear(self, version: Version) -> bool:
        """Whether it should be encrypted, and is not."""
        if version.id in self._encrypted or version.id == history.blob_id(b"", version.id):
            return False
        return version.path in self._protected and not git_crypt.stays_clear(version.path)

    def _deleted(self, head: Sequence[Entry]) -> list[Version]:
        """The newest version of each encrypted file that is gone, and was not just renamed."""
        there, kept = {entry.path for entry in head}, {entry.id for entry in head}
        newest: dict[str, Version] = {}
        for version in self._versions:
            if version.id in self._encrypted and version.path not in there:
                newest.setdefault(version.path, version)
        return [version for version in newest.values() if version.id not in kept]

    def _earlier(self) -> dict[tuple[str, str], Version]:
        found: dict[tuple[str, str], Version] = {}
        for version in self._versions:
            for name in self._named.get(version.id, ()):
                found.setdefault((version.path, name), version)
        return found

    def _exposed(self) -> list[Exposed]:
        """By path, the versions in clear of what is protected, and of what has its content."""
        found: dict[str, list[Version]] = {}
        for version in self._versions:
            if self._in_clear(version) or version.id in self._secret:
                found.setdefault(version.path, []).append(version)
        return [
            Exposed(all_[-1], all_[0], len(all_), self._copied(all_[0]))
            for _, all_ in sorted(found.items())
        ]

    def _copied(self, version: Version) -> str:
        return "" if version.path in self._protected else self._secret[version.id]
