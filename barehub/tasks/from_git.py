"""What git runs, from the copy under ``.git/barehub``: the guard, the merge and the diff driver.

The work tree may be that of a branch from anybody. Nothing in it is run, and what is read of it
decides neither who is asked for a key nor what else is done: sessions of killed runs are left to
the next command, which a person starts.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from barehub.errors import BarehubError, UsageError, VaultError
from barehub.tasks import verb

COMMAND = "SOPS_AGE_KEY_CMD"


def main(argv: Sequence[str]) -> int:
    """Do what a hook or a driver asks for; the exit code.

    :param argv: where in the work tree the project is, the key services that may be asked
        (separated by blanks), ``check``, ``merge`` or ``diff``, and what git says to that.
    """
    inside, services, *asked = argv
    top = Path.cwd()  # where git runs hooks (githooks(5)) and drivers
    root = (top / inside).absolute()
    os.environ["PATH"] = _outside(os.environ.get("PATH", os.defpath), top)
    verb.work_for(root)

    def begin() -> None:
        from barehub.vault import credentials, identity

        identity.take_from_environment()
        credentials.take_from_environment(services.split())
        _drop_own_command(top, loud=asked[0] == "merge")

    try:
        with verb.ruled(begin):
            _do(root, services.split(), *asked)
    except BarehubError as error:
        if error.message:
            print(error.message, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _do(root: Path, services: Sequence[str], task: str, *given: str) -> None:
    if task == "check":
        from barehub import overview

        overview.check_vault(root, staged=True, as_json=False)
    elif task == "merge":
        _merge(root, services, *given)
    elif task == "diff":
        _diff(*given)
    else:
        raise UsageError(f"git asks for {task!r}", "invoke vault.install-hooks")


def _merge(
    root: Path, services: Sequence[str], base: str, ours: str, theirs: str, path: str, how: str = ""
) -> None:
    """Merge a secrets file by key: the arguments are %O %A %B %P of gitattributes(5)."""
    from barehub.vault import merge_driver, policy
    from barehub.vault.sops import Sops

    if strange := set(policy.key_services(root)) - set(services):
        raise VaultError(
            f"{path} is not merged: {policy.NAME} names {', '.join(sorted(strange))}, which it did "
            "not when git was set up",
            f"git diff HEAD -- {policy.NAME}",
            "invoke vault.install-hooks   # if that key service is yours",
            f"git checkout -m {path}",
        )
    with verb.vault() as store:
        name = verb.project().relative(Path(path).absolute())
        sops = Sops(store.root, store.scratch)
        files = Path(base), Path(ours), Path(theirs)
        merge_driver.drive(sops, name, *files, virtual=how == "--virtual")


def _diff(path: str) -> None:
    """Print what stands for a secrets file in a diff."""
    from barehub.console import console
    from barehub.vault import diff_driver
    from barehub.vault.sops import Sops

    with verb.vault() as store:
        console.exact(diff_driver.text(Sops(store.root, store.scratch, ask=False), Path(path)))


def _outside(path: str, top: Path) -> str:
    """The search path without what a checkout can change: relative folders, those in ``top``."""
    kept = []
    for entry in path.split(os.pathsep):
        real = Path(os.path.realpath(entry))
        if os.path.isabs(entry) and not real.is_relative_to(os.path.realpath(top)):
            kept.append(entry)
    return os.pathsep.join(kept)


def _drop_own_command(top: Path, *, loud: bool) -> None:
    """Go on without a command for the identity that names something in the work tree."""
    try:
        words = shlex.split(os.environ.get(COMMAND, ""))
    except ValueError:
        return  # said where it is needed
    for word in words:
        real = os.path.realpath(os.path.expanduser(word))
        if os.path.lexists(word) and Path(real).is_relative_to(os.path.realpath(top)):
            del os.environ[COMMAND]
            if loud:
                from barehub.console import console

                console.warn(f"{COMMAND} names {word}, which a branch can change: it is not run")
                console.hint(f"move it out of {top}, or: invoke vault.login")
            return
