"""Puts the guard and the drivers into a clone of the project: hooks, configuration, attributes.

All that git runs is found from the top of the work tree, where git runs it, so that worktrees and
moved clones have their own; `scripts/invoke` sets itself up where it is new.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from barehub.errors import VaultError
from barehub.vault import files
from barehub.vault.git import Repository

NAMES = ("pre-commit", "pre-merge-commit")
"""The hooks that end a commit before it is made (githooks(5)); a merge has one of its own."""

FRAMEWORK = ".pre-commit-config.yaml"

COMMENT = "# secrets merge and are shown by key: invoke vault.install-hooks"
ATTRIBUTES = (
    "secrets/** merge=barehub diff=barehub",
    "instances/*/terraform.tfstate*.sops merge=barehub diff=barehub",
)

SECTIONS = ("merge.barehub", "merge.barehub-base", "diff.barehub")

_RUNS = re.compile(r"^[^#\n]*vault\.check --staged", re.M)
_OURS = re.compile(r"#!/bin/sh\n# barehub ([0-9a-f]{16}): [^\n]*\n(.*)", re.S)


class Hooks:
    """What git runs of the project at ``root``."""

    def __init__(self, root: Path) -> None:
        """:raises VaultError: it is in no git repository."""
        self._git = Repository(root, ours=True)
        top = self._git.top
        if top is None:
            raise VaultError(f"{root} is in no git repository", "git init")
        self._root, self._top = root, top
        inside = root.resolve().relative_to(top.resolve())
        self._inside = f"{inside.as_posix()}/" if inside.parts else ""
        self._invoke = shlex.quote(f"{self._inside}scripts/invoke")

    def install(self) -> list[str]:
        """Set everything up; what was done, and nothing where all is there.

        :raises VaultError: somebody else's hook is in the way, and what it lacks.
        """
        done = list(self._configure())
        done += self._add_attributes()
        if (self._top / FRAMEWORK).exists():
            self._see_framework()
        else:
            for name in NAMES:
                done += self._add_hook(name)
        return done

    def remove(self) -> list[str]:
        """Take everything out again that :meth:`install` put in; what was done."""
        done = []
        for section in SECTIONS:
            if self._git.says("config", "--local", "--get-regexp", f"^{re.escape(section)}\\."):
                self._git.ask("config", "--local", "--remove-section", section)
                done.append(f"removed {section} from git's configuration")
        done += self._remove_attributes()
        for name in NAMES:
            path = self._folder() / name
            text = _read(path)
            if self._is_ours(text):
                path.unlink()
                done.append(f"removed the hook {name}")
            elif _RUNS.search(text):
                done.append(f"{path} is not ours, and still runs vault.check --staged")
        return done

    def _configure(self) -> Iterator[str]:
        for key, value in self._settings().items():
            if self._git.says("config", "--local", "--get", key) != value:
                self._git.ask("config", "--local", "--replace-all", key, value)
                yield f"set {key} in git's configuration"

    def _settings(self) -> dict[str, str]:
        # a driver that did not come to an answer of its own leaves git's ordinary conflict: who
        # sees no marks would take ours for the merged file
        ordinary = "git merge-file -q -L ours -L base -L theirs %A %O %B"
        answer = f"case $? in 0) exit 0 ;; 4) exit 1 ;; esac; {ordinary}"
        merge = f"{self._invoke} vault.git-merge %O %A %B %P"
        ready = f"test -x {shlex.quote(f'{self._inside}.venv/bin/invoke')}"
        diff = f'{self._invoke} vault.git-diff "$1" 2>/dev/null'
        return {
            "merge.barehub.name": "secrets files, by key",
            "merge.barehub.driver": f"{merge}; {answer}",
            "merge.barehub.recursive": "barehub-base",
            "merge.barehub-base.name": "secrets files, by key, as a base for another merge",
            "merge.barehub-base.driver": f"{merge} --virtual; {answer}",
            "diff.barehub.textconv": f'f() {{ {ready} && {diff} || cat "$1"; }}; f',
        }

    def _add_attributes(self) -> Iterator[str]:
        path = self._root / ".gitattributes"
        text = _read(path)
        missing = [line for line in ATTRIBUTES if line not in text.splitlines()]
        if missing:
            if text and not text.endswith("\n"):
                text += "\n"
            lines = [COMMENT, *missing] if COMMENT not in text else missing
            files.replace(path, (text + "\n".join(lines) + "\n").encode(), path.name)
            yield "added the secrets to .gitattributes: commit it"
        said = self._git.says("check-attr", "merge", "diff", "--", "secrets/shared.yaml")
        if said.count(": barehub") != 2:
            raise VaultError(
                "other attributes of git take secrets/shared.yaml away from the drivers",
                "git check-attr -a secrets/shared.yaml",
            )

    def _remove_attributes(self) -> Iterator[str]:
        path = self._root / ".gitattributes"
        ours = (COMMENT, *ATTRIBUTES)
        text = _read(path)
        kept = "".join(line for line in text.splitlines(True) if line.rstrip("\n") not in ours)
        if kept == text:
            return
        if COMMENT in self._git.says("show", "HEAD:./.gitattributes"):
            yield "left .gitattributes as it is committed: without the drivers it does nothing"
        elif kept:
            files.replace(path, kept.encode(), path.name)
            yield "took the secrets out of .gitattributes"
        else:
            path.unlink()
            yield "removed .gitattributes"

    def _folder(self) -> Path:
        said = self._git.says("rev-parse", "--git-path", "hooks", at=self._top)
        folder = self._top / said
        if folder.exists() and not folder.is_dir():
            raise VaultError(
                f"git looks for its hooks in {folder}, which is no folder",
                "git config --show-origin core.hooksPath",
            )
        return folder

    def _add_hook(self, name: str) -> Iterator[str]:
        path = self._folder() / name
        text, wanted = _read(path), self._hook()
        if text and not self._is_ours(text):
            if not _RUNS.search(text):
                raise VaultError(
                    f"{path} is another hook, and does not look at the vault",
                    f"add this line to it: {self._line()}",
                )
            return
        if text != wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, wanted.encode(), str(path))
            yield f"{'renewed' if text else 'made'} the hook {name}"
        path.chmod(0o755)

    def _hook(self) -> str:
        there = shlex.quote(f"{self._inside}barehub/vault/guard.py")
        rest = f"test -f {there} || exit 0\n{self._line()}\n"
        about = "git gets no secret but encrypted; see invoke vault.install-hooks"
        return f"#!/bin/sh\n# barehub {_sum(rest)}: {about}\n{rest}"

    def _line(self) -> str:
        return f"{self._invoke} vault.check --staged || exit 1"

    def _is_ours(self, text: str) -> bool:
        """Whether a hook is as some version of us wrote it for this project."""
        found = _OURS.fullmatch(text)
        return found is not None and _sum(found[2]) == found[1] and self._invoke in found[2]

    def _see_framework(self) -> None:
        if _RUNS.search(_read(self._top / FRAMEWORK)):
            return
        entry = f"{self._inside}scripts/invoke vault.check --staged"
        raise VaultError(
            f"{FRAMEWORK} does not look at the vault; all else is set up",
            f"add to the repos in {FRAMEWORK}:\n"
            "  - repo: local\n"
            "    hooks:\n"
            "      - id: barehub\n"
            "        name: git gets no secret but encrypted\n"
            f"        entry: {entry}\n"
            "        language: system\n"
            "        stages: [pre-commit, pre-merge-commit]\n"
            "        always_run: true\n"
            "        pass_filenames: false",
        )


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path) -> str:
    """What stands in it; nothing if it is not there."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
