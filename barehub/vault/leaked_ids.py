"""Ids in journals that are secrets, as barehub wrote them before it left them out; needs no key.

A journal is only ever added to, so all its versions together tell one story: an id counts until the
journal says that what bore it was destroyed, replaced or forgotten.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from barehub.disclosure import tells_secret, type_of, without_keys
from barehub.errors import BarehubError, VaultError
from barehub.journal import LARGEST, Journal
from barehub.journal_schema import Event, Malformed, parse
from barehub.vault import history
from barehub.vault.git import Entry, Repository

JOURNALS = "instances/*/journal.jsonl"
_NAME = re.compile(r"instances/[^/]+/journal\.jsonl")


@dataclass(frozen=True)
class Leak:
    """The id of the resource at ``address`` in ``file``, from the project's root.

    ``line`` is 0, and ``commit`` tells where it is, when it is in git's history alone.
    """

    file: str
    line: int
    address: str
    staged: bool
    commit: str = ""

    @property
    def text(self) -> str:
        where = f", in git's history (commit {self.commit[:12]})" if self.commit else ""
        return f"the id of {without_keys(self.address)} may be a secret{where}"

    @property
    def fix(self) -> str:
        name, address = self.file.split("/")[1], without_keys(self.address)
        spawn = f"invoke spawn --name {name}"
        if type_of(self.address).startswith("random_"):
            return (
                f"invoke terraform --name {name} -- taint '{address}'   # makes a new one: {spawn}"
            )
        if type_of(self.address).startswith("local_"):
            return f"invoke vault.set   # a new value of what {address} holds; then: {spawn}"
        return f"make a new one of what {address} is, if its id is a secret; then: {spawn}"


@dataclass
class _Story:
    """All lines that a journal ever had: each with the commit where it is, or none."""

    lines: dict[bytes, str] = field(default_factory=dict)
    present: dict[bytes, int] = field(default_factory=dict)
    """Those of the index and the work tree, with their numbers."""

    staged: set[bytes] = field(default_factory=set)

    def add(self, content: bytes, commit: str = "", *, staged: bool = False) -> None:
        for number, line in enumerate(content.split(b"\n"), 1):
            if b"resource-" in line or b"gone" in line or b"destroyed" in line:
                self.lines.setdefault(line, commit)
                if not commit:
                    self.present.setdefault(line, number)
                if staged:
                    self.staged.add(line)

    def leaks(self, file: str) -> Iterator[Leak]:
        events = []
        for line in self.lines:
            try:
                events.append((parse(line), line))
            except Malformed:
                continue
        events.sort(key=lambda pair: float(pair[0]["at"]))
        for address, line in _living(events):
            staged = line in self.staged
            yield Leak(file, self.present.get(line, 0), address, staged, self.lines[line])


def of_project(root: Path, top: Path | None) -> Iterator[Leak]:
    """Yield the leaks in the journals of the work tree, the index and all commits.

    :param top: the top of the git work tree around ``root``, if there is one.
    """
    stories: dict[str, _Story] = defaultdict(_Story)
    for path in sorted(root.glob(JOURNALS)):
        with contextlib.suppress(BarehubError):  # a link, or too large: no command reads it either
            stories[path.relative_to(root).as_posix()].add(Journal(path).content())
    if top:
        git = _Git(root, top)
        for name, content in git.staged():
            stories[name].add(content, staged=True)
        for name, commit, content in git.past():
            stories[name].add(content, commit)
    for name, story in sorted(stories.items()):
        yield from story.leaks(name)


def to_be_committed(root: Path, top: Path) -> Iterator[Leak]:
    """Yield the leaks that the index adds to the last commit."""
    git, found = _Git(root, top), []
    for name, content in git.staged():
        story = _Story()
        story.add(content, staged=True)
        lines = content.split(b"\n")
        found += [(leak, lines[leak.line - 1]) for leak in story.leaks(name)]
    if found:
        known = {line for _, content in git.committed() for line in content.split(b"\n")}
        yield from (leak for leak, line in found if line not in known)


def _living(events: list[tuple[Event, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield the address and the line of each id whose bearer is there still, as far as is told."""
    living: dict[str, dict[str, bytes]] = {}
    going: dict[str, str] = {}
    for event, line in events:
        kind, address, id = event["event"], event.get("address", ""), event.get("id", "")
        if kind in ("gone", "destroyed"):
            living.clear()
        elif kind == "resource-forgotten":
            living.pop(address, None)
        elif not kind.startswith("resource-"):
            continue
        elif event.get("action") != "delete":
            if tells_secret(address, id):
                living.setdefault(address, {})[id] = line
        elif kind == "resource-start":
            going[address] = id
        elif kind == "resource-done":
            if gone := going.pop(address, ""):  # what replaced it may be there already
                living.get(address, {}).pop(gone, None)
            else:
                living.pop(address, None)
    for address, ids in living.items():
        for line in list(ids.values())[:1]:
            yield address, line


class _Git:
    """The journals in git of the project at ``root``, by names from there."""

    def __init__(self, root: Path, top: Path) -> None:
        self._repository = Repository(root, ours=True)
        inside = root.resolve().relative_to(top.resolve())
        self._inside = f"{inside.as_posix()}/" if inside.parts else ""

    def _name(self, path: str) -> str:
        """Return the name of the journal at ``path``, from the top; empty when it is none."""
        name = path.removeprefix(self._inside)
        return name if path.startswith(self._inside) and _NAME.fullmatch(name) else ""

    def staged(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of each in the index."""
        return self._contents(self._repository.staged())

    def committed(self) -> Iterator[tuple[str, bytes]]:
        """Yield the same of the last commit; nothing before there is one."""
        try:
            entries = self._repository.files("HEAD")
        except VaultError:
            return iter(())
        return self._contents(entries)

    def past(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield name, commit and content of every version in any commit, the newest first."""
        versions = {
            version.id: (name, version.commit)
            for version in history.versions(self._repository, JOURNALS)
            if (name := self._name(version.path))
        }
        for id, content in self._repository.blobs(self._small(versions)):
            yield (*versions[id], content)

    def _contents(self, entries: Iterable[Entry]) -> Iterator[tuple[str, bytes]]:
        named = {entry.id: name for entry in entries if (name := self._name(entry.path))}
        for id, content in self._repository.blobs(self._small(named)):
            yield named[id], content

    def _small(self, ids: Iterable[str]) -> list[str]:
        return [id for id, size in self._repository.sizes(ids).items() if size <= LARGEST]
