"""Private keys in git's history: removed from the files, and still in every clone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from barehub.errors import VaultError
from barehub.vault import history, scanning
from barehub.vault.git import Repository, shown
from barehub.vault.policy import Policy


@dataclass(frozen=True)
class Leak:
    """A private key that a commit has and the index has not.

    ``reader`` is the name of the reader whose key it is; empty when it is no reader's, or when that
    cannot be told: of SSH and TLS keys.
    """

    file: str
    commit: str
    date: str
    what: str
    reader: str

    def __str__(self) -> str:
        return f"{shown(self.file)} in commit {self.commit[:10]} of {self.date}: {self.what}"


def find(root: Path) -> Iterator[Leak]:
    """Find the private keys in any commit of any ref, each once, in the newest commit that has it.

    :raises VaultError: git refuses.
    """
    repository = Repository(root, ours=True)
    if repository.top is None:
        return
    now = {entry.id for entry in repository.staged()}
    versions = {v.id: v for v in history.versions(repository) if v.id not in now}
    sizes = repository.sizes(versions)
    try:
        rules = Policy.read(root)
        names = {key: rules.called(key) for key in rules.everyone()}
    except VaultError:
        names = {}
    read = [id for id, size in sizes.items() if size <= scanning.LARGEST]
    for id, content in repository.blobs(read):
        for what in dict.fromkeys(flaw.text for flaw in scanning.private_keys(content)):
            one = versions[id]
            mine = scanning.recipients_in(content) if "age" in what else []
            reader = next((names[key] for key in mine if key in names), "")
            yield Leak(one.path, one.commit, one.date, what, reader)
