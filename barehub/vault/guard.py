"""Whether all that git is about to keep may be kept; needs no key.

What counts is the git index, which is what a commit takes, whatever the files beside it say. The
vault's files in the work tree are looked at as well, unless a hook asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from barehub.errors import ToolError, VaultError
from barehub.vault import files, leaked_ids, policy, scanning, strictness
from barehub.vault.git import REGULAR, Entry, Repository, pathspec, quoted, shown
from barehub.vault.policy import Policy

SHARED = "secrets/shared.yaml"
STATES = "instances/*/terraform.tfstate*.sops"
KEPT_EMPTY = ".gitkeep"
UNREADABLE = b"\xff"
"""As little of a policy as what is no text."""

_VAULT = re.compile(r"secrets/.+|instances/[^/]+/terraform\.tfstate[^/]*\.sops", re.S)
_IN_POLICY = re.compile(rf"{re.escape(policy.NAME)}(?: line (\d+))?:? (.*)", re.S)


@dataclass(frozen=True)
class Problem:
    """Something that must not be committed; ``line`` is 0 when it is not about a line.

    ``staged`` tells whether it is in the index.
    """

    file: str
    line: int
    text: str
    fix: str
    staged: bool = True

    def __str__(self) -> str:
        where = shown(self.file) + (f":{self.line}" if self.line else "")
        return f"{where}: {self.text}" + ("" if self.staged else " (not staged)")


def check(root: Path, *, staged: bool = False) -> list[Problem]:
    """All problems of the project at ``root``, by file.

    :param staged: look at the git index alone.
    :raises VaultError: there is no index to look at, or git refuses.
    """
    top = work_tree(root)
    if top is None and staged:
        raise VaultError(f"{root} is in no git repository: nothing is staged", "git init")
    found = _sorted(_Index(root, top).problems()) if top else []
    if top and staged:
        return [*found, *map(_leaked, leaked_ids.to_be_committed(root, top))]
    found += map(_leaked, leaked_ids.of_project(root, top))
    known = {(problem.file, problem.line, problem.text) for problem in found}
    beside = (replace(problem, staged=False) for problem in _beside(root))
    return found + _sorted(one for one in beside if (one.file, one.line, one.text) not in known)


def _leaked(leak: leaked_ids.Leak) -> Problem:
    return Problem(leak.file, leak.line, leak.text, leak.fix, leak.staged or bool(leak.commit))


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda one: (one.file, one.line))


def work_tree(root: Path) -> Path | None:
    """The top of the git work tree around ``root``, if there is one.

    :raises VaultError: there is one, and git refuses to read it.
    """
    try:
        return Repository(root, ours=True).top
    except ToolError:
        return None


class _Index:
    """What git has staged, by names as a person in the project's root would write them.

    Of a repository in which the project is but a folder, all that is staged new counts as well;
    what others have committed beside it is theirs to judge.
    """

    def __init__(self, root: Path, top: Path) -> None:
        self._git = Repository(root, ours=True)
        inside = root.resolve().relative_to(top.resolve())
        self._inside = f"{inside.as_posix()}/" if inside.parts else ""
        self._up = "../" * len(inside.parts)
        known = self._committed() if inside.parts else set()
        named = [(self._name(entry), entry) for entry in self._git.staged()]
        self._entries = [
            (name, entry)
            for name, entry in named
            if not name.startswith("../") or (entry.path, entry.id) not in known
        ]

    def _name(self, entry: Entry) -> str:
        if entry.path.startswith(self._inside):
            return entry.path[len(self._inside) :]
        return self._up + entry.path

    def _committed(self) -> set[tuple[str, str]]:
        try:
            return {(entry.path, entry.id) for entry in self._git.files("HEAD")}
        except VaultError:  # before the first commit
            return set()

    def problems(self) -> Iterator[Problem]:
        """All of them."""
        rules, found = _rules(self._policy())
        yield from found
        yield from _lacking({name for name, _ in self._entries}, "git add")
        yield from self._conflicts()
        yield from self._contents(rules)

    def _policy(self) -> bytes | None:
        ids = [entry.id for name, entry in self._entries if name == policy.NAME and not entry.stage]
        return next((content for _, content in self._git.blobs(ids)), UNREADABLE if ids else None)

    def _conflicts(self) -> Iterator[Problem]:
        for name in dict.fromkeys(name for name, entry in self._entries if entry.stage):
            if name == policy.NAME:
                fix = f"git add {name}   # once you have edited it"
                yield Problem(name, 0, "a conflict of git", fix)
            elif _VAULT.fullmatch(name):
                fix = f"invoke vault.install-hooks && git checkout -m {pathspec(name)}"
                yield Problem(name, 0, "a conflict of git", fix)

    def _contents(self, rules: Policy | None) -> Iterator[Problem]:
        blobs: dict[str, dict[str, Entry]] = {}
        for name, entry in self._entries:
            if entry.mode in REGULAR:
                blobs.setdefault(entry.id, {})[name] = entry
            elif _VAULT.fullmatch(name):
                fix = f"git rm --cached {pathspec(name)}"
                yield Problem(name, 0, "a link or a submodule, not a file", fix)
        sizes = self._git.sizes(blobs)
        read = [id for id in sizes if sizes[id] <= scanning.LARGEST or _any_vaults(blobs[id])]
        for id in blobs.keys() - read:
            for name in blobs[id]:
                yield from _scanned(name, b"")
                if id not in sizes and _VAULT.fullmatch(name):  # a partial clone, or a damaged one
                    yield Problem(name, 0, "its content is not in the repository", "git fetch")
        for id, content in self._git.blobs(read):
            for name, entry in blobs[id].items():
                yield from _scanned(name, content)
                if _VAULT.fullmatch(name):
                    # the sides of a conflict may well have other readers
                    yield from _inspect(None if entry.stage else rules, name, content)


def _any_vaults(names: Iterable[str]) -> bool:
    return any(map(_VAULT.fullmatch, names))


def _scanned(name: str, content: bytes) -> Iterator[Problem]:
    for flaw in scanning.flaws(name, content):
        yield Problem(name, flaw.line, flaw.text, flaw.remedy(name))


def _beside(root: Path) -> Iterator[Problem]:
    """The problems of the vault's files in the work tree, staged or not."""
    rules_there = (root / policy.NAME).exists()
    rules, found = _rules(_text(root / policy.NAME) if rules_there else None)
    yield from found
    paths = {
        path.relative_to(root).as_posix(): path
        for path in [*(root / "secrets").rglob("*"), *root.glob(STATES)]
        if path.is_symlink() or not path.is_dir()
    }
    yield from _lacking({*paths, *[policy.NAME] * rules_there}, "git checkout")
    for name, path in paths.items():
        if path.is_symlink():
            yield Problem(name, 0, "a link, not a file", f"rm {quoted(name)}")
        elif not name.endswith(files.UNFINISHED):
            try:
                content = files.content(path, name)
            except (OSError, VaultError) as error:  # one that went away at this moment, too
                reason = getattr(error, "problem", f"{name}: not there").removeprefix(f"{name}: ")
                yield Problem(name, 0, reason, f"ls -l {quoted(name)}")
            else:
                yield from _inspect(rules, name, content)


def _text(path: Path) -> bytes:
    try:
        return files.content(path, path.name)
    except (OSError, VaultError):
        return UNREADABLE


def _lacking(there: set[str], bring: str) -> Iterator[Problem]:
    """What a vault consists of, where any part or file of it is ``there``."""
    kept = {name for name in there if not name.endswith((KEPT_EMPTY, files.UNFINISHED))}
    if policy.NAME not in kept and not _any_vaults(kept):
        return
    for part in (policy.NAME, SHARED):
        if part not in kept:
            fix = f"{bring} {part}   # or, if there never was one: invoke vault.init"
            yield Problem(part, 0, "missing", fix)


def _rules(text: bytes | None) -> tuple[Policy | None, list[Problem]]:
    """The policy, or what is wrong with it."""
    if text is None:
        return None, []
    try:
        rules = Policy.parse(text.decode())
        rules.check_keys()
        return rules, []
    except UnicodeDecodeError:
        return None, [Problem(policy.NAME, 0, "cannot be read", f"ls -l {policy.NAME}")]
    except VaultError as error:
        said = _IN_POLICY.fullmatch(error.problem)
        line, problem = (int(said[1] or 0), said[2]) if said else (0, error.problem)
        fix = next(iter(error.hints), f"{policy.NAME}   # edit it")
        return None, [Problem(policy.NAME, line, problem, fix)]


def _inspect(rules: Policy | None, name: str, content: bytes) -> Iterator[Problem]:
    """The problems of ``content``, which is the file ``name`` of the vault."""
    if name.endswith(KEPT_EMPTY) and not content:
        return
    verdict = strictness.judge(content)
    for flaw in verdict.flaws:
        yield Problem(name, flaw.line, flaw.text, flaw.remedy(name))
    if rules is None or not verdict.blocks:
        return
    try:
        allowed = set(rules.readers(name))
    except VaultError as error:
        yield Problem(name, 0, error.problem, next(iter(error.hints), policy.NAME))
        return
    readers = set(verdict.blocks)
    for keys, words in (
        (readers - allowed, "can read it and is not in"),
        (allowed - readers, "cannot read it and is in"),
    ):
        if keys:
            called = ", ".join(sorted(shown(rules.called(key)) for key in keys))
            yield Problem(name, 0, f"{called} {words} {policy.NAME}", "invoke vault.sync")
