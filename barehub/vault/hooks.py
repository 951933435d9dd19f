"""Puts the guard and the drivers into a clone of the project: hooks, configuration, attributes.

All that git runs is in git's own folder, found from where git runs it: moved clones have their own,
and worktrees share it. See :mod:`barehub.vault.git_copy`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from barehub import reading
from barehub.errors import ToolError, VaultError
from barehub.vault import files, git_copy, policy
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

PROGRAM = f'"$(git rev-parse --git-common-dir)/{git_copy.FOLDER}/{git_copy.RUN}"'
"""The copy, in a command that git has a shell run."""

LINE = f"{PROGRAM} check || exit 1"

_RUNS = re.compile(rf"^[^#\n]*/{git_copy.FOLDER}/{git_copy.RUN}\b[^#\n]* check\b", re.M)
_RAN = re.compile(r"^[^#\n]*scripts/invoke[^#\n]* vault\.(check --staged|git-merge)", re.M)
"""What was set up before there was a copy: it runs what is checked out."""

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
        self._copy = git_copy.Copy(self._common(), top, self._inside)

    def _common(self) -> Path:
        return self._top / self._git.says("rev-parse", "--git-common-dir", at=self._top)

    def install(self) -> list[str]:
        """Set everything up; what was done, and nothing where all is there.

        :raises VaultError: somebody else's hook is in the way, and what it lacks.
        """
        done = []
        if self._copy.renew(policy.key_services(self._root)):
            done.append(f"copied this barehub to {self._copy.folder}, from where git runs it")
        done += self._configure()
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
            if _is_ours(text):
                path.unlink()
                done.append(f"removed the hook {name}")
            elif _RUNS.search(text) or _RAN.search(text):
                done.append(f"{path} is not ours, and still runs the guard")
        if self._copy.remove():
            done.append(f"removed {self._copy.folder}")
        return done

    @property
    def there(self) -> bool:
        """Whether any version of us has set git up here."""
        return bool(self._driver())

    def _driver(self) -> str:
        return self._git.says("config", "--local", "--get", "merge.barehub.driver")

    def outdated(self) -> Iterator[str]:
        """What is not as :meth:`install` would leave it, in words; nothing where it never was."""
        if not (driver := self._driver()):
            return
        texts = [driver, *(_read(self._folder() / name) for name in NAMES)]
        if (self._top / FRAMEWORK).exists():
            texts.append(_read(self._top / FRAMEWORK))
        if any(map(_RAN.search, texts)):
            yield "git runs what a branch has checked out, as an older barehub set it up"
        elif not self._copy.version:
            yield f"what git runs is missing: {self._copy.program}"
        elif self._copy.version != git_copy.version(self._root):
            yield "git runs another version of barehub than the one that is checked out"

    def changeable(self) -> Iterator[str]:
        """What a branch can change of what git runs, and we cannot prevent."""
        folder = Path(os.path.realpath(self._folder()))
        private = Path(os.path.realpath(self._common()))
        top = os.path.realpath(self._top)
        if folder.is_relative_to(top) and not folder.is_relative_to(private):
            yield f"git's hooks are in the work tree, in {folder}: a branch can change them"
        if (self._top / FRAMEWORK).exists():
            yield f"{FRAMEWORK} is in the work tree: a branch can change what it runs"

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
        merge = f"{PROGRAM} merge %O %A %B %P"
        diff = f'{PROGRAM} diff "$1" 2>/dev/null'
        return {
            "merge.barehub.name": "secrets files, by key",
            "merge.barehub.driver": f"{merge}; {answer}",
            "merge.barehub.recursive": "barehub-base",
            "merge.barehub-base.name": "secrets files, by key, as a base for another merge",
            "merge.barehub-base.driver": f"{merge} --virtual; {answer}",
            "diff.barehub.textconv": f'f() {{ {diff} || command -p cat "$1"; }}; f',
        }

    def _add_attributes(self) -> Iterator[str]:
        path = self._root / ".gitattributes"
        text = _read(path)
        missing = [line for line in ATTRIBUTES if line not in text.splitlines()]
        if missing:
            if text and not text.endswith("\n"):
                text += "\n"
            lines = [COMMENT, *missing] if COMMENT not in text else missing
            files.replace(path, _bytes(text + "\n".join(lines) + "\n"), path.name)
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
            files.replace(path, _bytes(kept), path.name)
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
        # husky (https://typicode.github.io/husky) makes the hooks in "_", which run those beside it
        return folder.parent if folder.parts[-2:] == (".husky", "_") else folder

    def _add_hook(self, name: str) -> Iterator[str]:
        path = self._folder() / name
        text, wanted = _read(path), self._hook()
        if text and not _is_ours(text):
            if old := _RAN.search(text):
                raise VaultError(
                    f"{path} is another hook, and runs what a branch has checked out",
                    f"replace its line {old[0].strip()!r} by: {LINE}",
                )
            if not _RUNS.search(text):
                raise VaultError(
                    f"{path} is another hook, and does not look at the vault",
                    f"add this line to it: {LINE}",
                )
            return
        if text != wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, wanted.encode(), str(path))
            yield f"{'renewed' if text else 'made'} the hook {name}"
        git_copy.make_executable(path)

    def _hook(self) -> str:
        there = shlex.quote(f"{self._inside}barehub/vault/guard.py")
        # other repositories have these hooks as well where core.hooksPath is in ~/.gitconfig
        rest = f"""\
if ! test -x {PROGRAM}; then
    test -f {there} || exit 0
    echo "error: git has no copy of barehub to look at the vault with" >&2
    echo "hint: {git_copy.RENEW}" >&2
    exit 1
fi
{LINE}
"""
        about = f"git gets no secret but encrypted; see {git_copy.RENEW}"
        return f"#!/bin/sh\n# barehub {_sum(rest)}: {about}\n{rest}"

    def _see_framework(self) -> None:
        text = _read(self._top / FRAMEWORK)
        old = _RAN.search(text)
        if _RUNS.search(text) and not old:
            return
        lacks = "runs what a branch has checked out" if old else "does not look at the vault"
        entry = json.dumps(shlex.join(["sh", "-c", f"{PROGRAM} check"]))
        raise VaultError(
            f"{FRAMEWORK} {lacks}; all else is set up",
            f"{'replace' if old else 'add'} in the repos of {FRAMEWORK}:\n"
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


def outdated(root: Path) -> list[str]:
    """What is not as it should be of what git runs in ``root``; nothing outside of git."""
    try:
        return list(Hooks(root).outdated())
    except (VaultError, ToolError):
        return []


def _is_ours(text: str) -> bool:
    """Whether a hook is as some version of us wrote it."""
    found = _OURS.fullmatch(text)
    return found is not None and _sum(found[2]) == found[1]


def _sum(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()[:16]


def _bytes(text: str) -> bytes:
    """What :func:`_read` read, whatever it was."""
    return text.encode(errors="surrogateescape")


def _read(path: Path) -> str:
    """What stands in it; nothing if it is not there."""
    try:
        content = reading.content(path, VaultError, most=reading.SETTINGS)
        return content.decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
