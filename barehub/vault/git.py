"""Reads what a git repository holds, without a work tree and without its configured programs."""

from __future__ import annotations

import copy
import os
import re
import shlex
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from barehub import process, system_errors
from barehub.errors import VaultError

AT_ONCE = 64 * 1024 * 1024
"""Bytes of blobs to hold in memory at a time; a larger one comes alone."""

SECONDS = 600.0

QUIET = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "core.pager=cat")
"""A foreign repository's configuration may name programs to start; none is wanted here."""

HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
"""What git tells a hook of the repository (githooks(5))."""

REGULAR = ("100644", "100755")
"""Modes of files; links and submodules have others (git-fast-import(1))."""


@dataclass(frozen=True)
class Entry:
    """A file in a tree or an index: ``mode`` as git writes it, ``id`` of its blob, and its path.

    ``stage`` is 0 unless a merge has not ended: then 1, 2 and 3 are the base, ours and theirs.
    """

    mode: str
    id: str
    path: str
    stage: int = 0


def shown(path: str) -> str:
    """``path`` on one line, whatever is in it."""
    return path if path.isprintable() else ascii(path)


def quoted(path: str) -> str:
    """``path`` as an argument to type: on one line, and no option."""
    path = f"./{path}" if path.startswith(("-", ":")) else path
    if path.isprintable():
        return shlex.quote(path)
    letters = string.ascii_letters + string.digits + "/._-"
    said = (chr(byte) if chr(byte) in letters else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f"$'{''.join(said)}'"


def pathspec(path: str) -> str:
    """As :func:`quoted`, for git, to which ``*`` would stand for other files as well."""
    return quoted(re.sub(r"([*?\[\\])", r"\\\1", path))


class Repository:
    """The repository around ``folder``.

    ``ours`` is the project's own one: the variables that git gives to a hook (GIT_INDEX_FILE,
    GIT_DIR) then say which index is meant, and otherwise they do not count.
    """

    def __init__(self, folder: Path, *, ours: bool = False) -> None:
        self.folder = folder.absolute()
        self._env = {
            **{k: v for k, v in process.environment().items() if not k.startswith("GIT_")},
            **(_of_hook(self.folder) if ours else {}),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "none",  # a partial clone fetches what it lacks, by programs
            "LC_ALL": "C",
        }

    @property
    def exists(self) -> bool:
        """Whether ``folder`` is in a repository."""
        return self.folder.is_dir() and self._run(("rev-parse", "--git-dir")).code == 0

    @property
    def top(self) -> Path | None:
        """The folder of the work tree; None when ``folder`` is in no repository.

        :raises VaultError: git refuses for another reason: the repository is another user's.
        """
        try:
            said = self.ask("rev-parse", "--show-toplevel")
        except VaultError as error:
            if "not a git repository" in error.problem:
                return None
            raise
        return Path(os.fsdecode(said.removesuffix(b"\n")))

    def ask(self, *argv: str, input: bytes = b"") -> bytes:
        """What git prints.

        :raises VaultError: git refuses; in its own words.
        """
        done = self._run(argv, input)
        if done.code:
            text = done.stderr.decode(errors="replace").strip()
            said = (text.splitlines() or ["no reason given"])[0].removeprefix("fatal: ")
            fix = f"git -C {self.folder} status"
            if refused := system_errors.heard(text, self.folder):
                reason, fix = refused
                said += "" if reason in said.lower() else f" ({reason})"
            raise VaultError(f"git {argv[0]} failed in {self.folder}: {said}", fix)
        return done.stdout

    def says(self, *argv: str, at: Path | None = None) -> str:
        """What git prints, as a text without its last line break; nothing if it refuses.

        :param at: the folder to ask in, instead of the repository's.
        """
        done = self._run(argv, at=at)
        return "" if done.code else os.fsdecode(done.stdout).removesuffix("\n")

    def files(self, tree: str) -> list[Entry]:
        """All files of ``tree`` (``HEAD``), links and submodules left out."""
        found = _entries(self.ask("ls-tree", "-r", "-z", "--full-tree", tree), id=2)
        return [entry for entry in found if entry.mode in REGULAR]

    def staged(self) -> list[Entry]:
        """All of the index, by paths from the top: links and submodules, too, and conflicts."""
        return _entries(self.ask("ls-files", "-s", "-z", "--full-name", ":/"), id=1, stage=2)

    def attribute(self, name: str, tree: str, scratch: Path) -> dict[str, str]:
        """What ``.gitattributes`` of ``tree`` say that ``name`` is, by path, where they do.

        git reads them from an index: one in ``scratch``, so that no work tree is needed.
        """
        index = {
            "GIT_DIR": self.says("rev-parse", "--absolute-git-dir"),  # paths are from the top then
            "GIT_INDEX_FILE": str(scratch / "index"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.hooksPath",  # one is run after an index was written
            "GIT_CONFIG_VALUE_0": os.devnull,
        }
        other = copy.copy(self)
        other._env = self._env | index
        other.ask("read-tree", tree)
        paths = b"".join(os.fsencode(entry.path) + b"\0" for entry in self.files(tree))
        said = other.ask("check-attr", "--cached", "-z", "--stdin", name, input=paths).split(b"\0")
        (scratch / "index").unlink()
        found = zip(said[0::3], said[2::3], strict=False)
        return {
            os.fsdecode(path): value.decode(errors="replace")
            for path, value in found
            if value != b"unspecified"
        }

    def blobs(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The content of each blob, once; those that are missing are left out."""
        batch: list[str] = []
        total = 0
        for id, size in self.sizes(ids).items():
            if batch and total + size > AT_ONCE:
                yield from self._batch(batch)
                batch, total = [], 0
            batch.append(id)
            total += size
        if batch:
            yield from self._batch(batch)

    def sizes(self, ids: Iterable[str]) -> dict[str, int]:
        """Blob to bytes, of those that are there; in order, each once."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        said = self.ask("cat-file", "--batch-check", input=_lines(wanted)).decode()
        found = (line.split() for line in said.splitlines())
        return {words[0]: int(words[2]) for words in found if words[1:2] == ["blob"]}

    def _batch(self, ids: list[str]) -> Iterator[tuple[str, bytes]]:
        said = memoryview(self.ask("cat-file", "--batch", input=_lines(ids)))
        at = 0
        for id in ids:
            head = bytes(said[at : at + 200]).split(b"\n", 1)[0]
            at += len(head) + 1
            size = int(head.split()[2])
            yield id, bytes(said[at : at + size])
            at += size + 1

    def _run(
        self, argv: Iterable[str], input: bytes = b"", at: Path | None = None
    ) -> process.Finished:
        command = ["git", *QUIET, *argv]
        return process.run(
            command, env=self._env, input=input, cwd=at or self.folder, timeout=SECONDS
        )


def _lines(ids: list[str]) -> bytes:
    return "".join(f"{id}\n" for id in ids).encode()


def _entries(listing: bytes, *, id: int, stage: int | None = None) -> list[Entry]:
    """What git lists: words (which is which differs), a tab, and the path."""
    found = []
    for line in listing.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        words = about.decode().split()
        at = 0 if stage is None else int(words[stage])
        found.append(Entry(words[0], words[id], os.fsdecode(path), at))
    return found


def _of_hook(folder: Path) -> dict[str, str]:
    """Git's variables as they must be for a git that runs in ``folder``, where they are about it.

    With GIT_DIR alone, git takes the folder that it runs in for the top of the work tree
    (git(1)): for a hook that is ours. A relative GIT_INDEX_FILE counts from the top.
    """
    given = {k: v for k, v in os.environ.items() if k in HOOK or k.startswith("GIT_CONFIG")}
    here = Path(given.get("GIT_WORK_TREE", "")).absolute()
    if not (folder.is_relative_to(here) or here.is_relative_to(folder)):
        return {}
    if "GIT_DIR" in given:
        given |= {"GIT_DIR": str(Path(given["GIT_DIR"]).absolute()), "GIT_WORK_TREE": str(here)}
    return given
