"""Lets a person edit a text in a private folder, with the editor of their choice."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barehub import process
from barehub.console import console
from barehub.errors import UsageError, VaultError

VARIABLES = ("SOPS_EDITOR", "VISUAL", "EDITOR")
USUAL = ("nano", "vim", "vi")

TRACELESS = ("-n", "-i", "NONE", "-c", "set nobackup nowritebackup noundofile")
"""Vim keeps swap, undo, backup and history files, some in the person's home: not of this text.

``-c`` comes after the person's own settings.
"""


@contextmanager
def private_folder(scratch: Path) -> Iterator[Path]:
    """A folder in ``scratch`` that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vault-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def edit(path: Path) -> str:
    """Open ``path`` in the editor; what stands in it afterwards.

    :raises UsageError: no editor is chosen and there is no terminal, or none was found.
    :raises VaultError: the editor failed, or left something that is not text.
    """
    argv = _command()
    env = process.environment({"TMPDIR": str(path.parent)})
    code = process.run_on_terminal([*argv, path], env=env)
    if code < 0:
        name = signal.Signals(-code).name
        raise VaultError(f"{argv[0]} was ended by {name}: nothing was changed")
    if code:
        raise VaultError(f"{argv[0]} ended with {code}: nothing was changed")
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        raise VaultError(f"{argv[0]} did not leave a text: nothing was changed") from None


def _command() -> list[str]:
    named = next((os.environ[name] for name in VARIABLES if os.environ.get(name, "").strip()), "")
    if named:
        try:
            argv = shlex.split(named)
        except ValueError:
            raise UsageError("the editor's command has a quote that is not closed") from None
    elif not console.interactive:
        raise UsageError("there is no terminal to edit on", "invoke vault.set KEY")
    else:
        argv = [next((name for name in USUAL if shutil.which(name)), "")]
        if not argv[0]:
            raise UsageError("no editor was found", "set EDITOR")
    return [*argv, *TRACELESS] if _is_vim(argv[0]) else argv


def _is_vim(program: str) -> bool:
    """Whether it is Vim or Neovim, under its usual names: many systems call it ``vi``."""
    found = shutil.which(program)
    if not found or not re.match(r"(g|m|n)?vi|ex|view", Path(found).resolve().name):
        return False
    said = process.run([found, "--version"], env=process.environment())
    return said.text.startswith(("VIM - ", "NVIM "))
