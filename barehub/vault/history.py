"""Every version of every file that a git repository has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from barehub.vault.git import REGULAR, Repository


@dataclass(frozen=True)
class Version:
    """A file as a commit made it: the ``id`` of its blob; ``date`` is YYYY-MM-DD."""

    path: str
    id: str
    commit: str
    date: str


def versions(repository: Repository, *paths: str) -> Iterator[Version]:
    """Every version of every file in any commit of any ref, the newest first.

    Of a merge only what differs from all its parents: the rest is the parents'.

    :param paths: patterns, from the repository's folder, of the files that matter; all if none.
    """
    commits = repository.ask("rev-list", "--all", "--full-history", "--", *paths)
    form = ("-r", "-c", "--root", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=%H %cs")
    said = repository.ask("diff-tree", "--stdin", *form, "--", *paths, input=commits)
    commit = date = ""
    tokens = iter(said.split(b"\0"))
    for token in tokens:
        token = token.removeprefix(b"\n")
        if token.startswith(b":"):
            path = os.fsdecode(next(tokens))
            mode, id = _made(token.decode())
            if mode in REGULAR:
                yield Version(path, id, commit, date)
        elif token:
            commit, date = token.decode().split()


def _made(entry: str) -> tuple[str, str]:
    """Mode and id of what a commit made, in git's raw format (git-diff-tree(1)): a colon, a mode
    and an id for each parent, and the last mode and id for the result."""
    parents = len(entry) - len(entry.lstrip(":"))
    words = entry[parents:].split()
    return words[parents], words[2 * parents + 1]


def shallow(repository: Repository) -> bool:
    """Whether the repository holds only a part of the history."""
    return repository.ask("rev-parse", "--is-shallow-repository").strip() == b"true"


def blob_id(content: bytes, like: str) -> str:
    """The id that git gives ``content``, by the hash of the id ``like`` (SHA-1, or SHA-256)."""
    made = hashlib.sha256() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
    made.update(b"blob %d\0" % len(content) + content)
    return made.hexdigest()
