"""Who can read the vault: shown, changed, and made true of every file.

sops has a command for each half, and for one file: `updatekeys` brings the readers to
``.sops.yaml`` and keeps the data key, which a reader who was removed still knows; `rotate` makes a
new data key and keeps the readers (https://github.com/getsops/sops/issues/365). Here both are one
step: all files are made in memory first, and then put in place, each by one rename.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from barehub import age_keys, reading
from barehub.console import console
from barehub.errors import UsageError, VaultError
from barehub.lock import Holder, Lock
from barehub.vault import editor, files, policy, sections, services
from barehub.vault.policy import Policy
from barehub.vault.seen import past
from barehub.vault.sops import Sops, kind_of, without

CI = re.compile(r"ci([-._@].*)?")
"""What the reader that CI has is called: ``ci``, ``ci-github``."""


Told = Callable[[Sequence[str]], None]


def _nobody(seen: Sequence[str]) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Access:
    """Who can read ``file``, and how that differs from ``.sops.yaml``; all are keys."""

    file: str
    readers: tuple[str, ...]
    extra: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What was, or would be, done to one file."""

    file: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    rotated: bool


@dataclass(frozen=True)
class Outcome:
    """All changes, and what those who were removed have seen: ``FILE: KEY PATH`` or ``FILE``."""

    changes: Sequence[Change]
    seen: Sequence[str]


def access(root: Path) -> list[Access]:
    """Of every file of the vault at ``root``, without a key.

    :raises VaultError: there is no policy, or it is malformed.
    """
    rules = Policy.read(root)
    return [_access(rules, path.relative_to(root), _sealed(root, path)) for path in sealed(root)]


def sealed(root: Path) -> list[Path]:
    """The files that the vault's policy is about."""
    places = [*(root / "secrets").rglob("*"), *root.glob("instances/*/terraform.tfstate*.sops")]
    found = (path for path in sorted(places) if path.is_file() and not path.is_symlink())
    return [p for p in found if p.name != ".gitkeep" and not p.name.endswith(files.UNFINISHED)]


def _sealed(root: Path, path: Path) -> bytes:
    return files.content(path, path.relative_to(root).as_posix())


def key_of(text: str) -> str:
    """The recipient that a person gave: an age or SSH public key, or the name of a ``.pub`` file.

    :raises UsageError: it is something else; a private key is never repeated.
    """
    if text.endswith(".pub"):
        try:
            text = reading.text(Path(text).expanduser(), UsageError, shown=text, pipes=True)
        except FileNotFoundError:
            missing = "no such file or directory"
            raise UsageError(f"{text} cannot be read: {missing}", "ls ~/.ssh/*.pub") from None
    _refuse_private_key(text)
    key = " ".join(text.split()[:2])
    if reason := policy.refusal(key):
        kind = next(iter(key.split()), "")[:24]
        raise UsageError(
            f"{kind!r} is no whole key that can read the vault: {reason}",
            "give an age key (age1…, age1pq1…), or an SSH key of type ed25519 or RSA, in quotes",
            "of a key service, give the ARN of a key in AWS KMS, or its URL in HashiCorp Vault",
        )
    return key


def _refuse_private_key(text: str) -> None:
    if age_keys.like_secret(text) or "PRIVATE KEY" in text:
        raise UsageError(
            "that is a PRIVATE key: consider it leaked, and make a new one",
            "give the public one, age1… or ssh-ed25519 …",
        )


class Recipients:
    """Changes who can read the vault at ``root``; ``scratch`` is a private folder on tmpfs."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.scratch = root, scratch
        self._sops = Sops(root, scratch)

    def add(self, name: str, key: str) -> Outcome:
        """Let ``name``, whose public ``key`` is, read every file.

        Once more for who is there already completes what was cut short.

        :raises UsageError: the name or the key is another's.
        :raises VaultError: a file is not for us; nothing was changed.
        """
        _refuse_private_key(name)
        with self._alone():
            rules = Policy.read(self.root)
            if rules.names.get(key) != name or not all(key in r.readers for r in rules.rules):
                rules = Policy.parse(rules.with_reader(name, key))
            return self._renew(rules)

    def remove(self, name: str, *, force: bool, told: Told = _nobody) -> Outcome:
        """Let ``name`` (or a key) read nothing that is written from now on.

        ``told`` gets what they have seen, before anything is written: a list that only comes after
        a write could be lost with a failure of it.

        :raises UsageError: nobody is called so, or without ``force`` it is us or CI.
        :raises VaultError: nobody would be left, or a file is not for us; nothing was changed.
        """
        _refuse_private_key(name)
        with self._alone():
            rules = Policy.read(self.root)
            found = [key for key in rules.everyone() if name in (key, rules.names.get(key))]
            if not found:
                known = ", ".join(rules.called(key) for key in rules.everyone())
                raise UsageError(
                    f"{policy.NAME} has no reader {name!r}; it has: {known}",
                    "invoke vault.sync, if a removal was cut short",
                )
            changed = rules
            for key in found:
                changed = Policy.parse(changed.without_reader(key))
            if not force:
                self._refuse_lock_out(rules, found, f"vault.remove-recipient {name}")
            return self._renew(changed, told=told)

    def sync(self, *, dry_run: bool = False, force: bool = False, told: Told = _nobody) -> Outcome:
        """Bring every file to ``.sops.yaml``; with ``dry_run`` only tell. ``told`` as above.

        :raises UsageError: without ``force`` we would be locked out.
        :raises VaultError: a file is not for us; nothing was changed.
        """
        if dry_run:
            differing = (one for one in access(self.root) if one.extra or one.missing)
            return Outcome(
                [Change(o.file, o.missing, o.extra, bool(o.extra)) for o in differing], []
            )
        with self._alone():
            rules = Policy.read(self.root)
            rules.check_keys()
            if not force:
                going = [key for one in access(self.root) for key in one.extra]
                self._refuse_lock_out(rules, going, "vault.sync", f"git diff {policy.NAME}")
            return self._renew(rules, told=told)

    def rotate(self) -> Outcome:
        """Give every file a new data key, and so every value a new ciphertext.

        :raises VaultError: a file is not for us; nothing was changed.
        """
        with self._alone():
            return self._renew(Policy.read(self.root), always=True)

    def _refuse_lock_out(self, rules: Policy, going: Sequence[str], verb: str, *hints: str) -> None:
        mine = {one.recipient for one in self._sops.identities([*going, *rules.everyone()])}
        for key in going:
            name = rules.called(key)
            if key in mine:
                problem = f"{name} is you: you could read nothing any more"
            elif CI.fullmatch(name):
                problem = f"{name} is what CI reads with: its runs would fail"
            else:
                continue
            raise UsageError(problem, *hints, f"invoke {verb} --force   # only if you mean it")

    def _renew(self, rules: Policy, *, always: bool = False, told: Told = _nobody) -> Outcome:
        """Make every file fit ``rules``, which become the policy."""
        rules.check_keys()
        changes: list[Change] = []
        made: dict[Path, bytes] = {}
        seen: list[str] = []
        with console.working("vault") as work:
            found = sealed(self.root)
            for number, path in enumerate(found, 1):
                work.now(f"{path.relative_to(self.root)} ({number} of {len(found)})")
                content = _sealed(self.root, path)
                now = _access(rules, path.relative_to(self.root), content)
                if not (now.extra or now.missing or always):
                    continue
                rotated = always or bool(now.extra)
                # a service that goes is not asked, whoever wrote it there
                content = without(now.file, content, now.extra)
                made[path] = self._renewed(path, content, rules, rotated)
                changes.append(Change(now.file, now.missing, now.extra, rotated))
                if now.extra:
                    seen += self._shown(path, content)
            gone = {key for one in changes for key in one.removed}
            seen += (f"{name} (only in history)" for name in past(self.root, gone, seen))
        told(seen)
        self._put(rules, made)
        return Outcome(changes, seen)

    def _put(self, rules: Policy, made: Mapping[Path, bytes]) -> None:
        """Write it all.

        :raises VaultError: one cannot be written; says what has been.
        """
        done = []
        try:
            if rules.text != Policy.read(self.root).text:
                policy.write(self.root, rules.text)
                done.append(policy.NAME)
            for path, content in made.items():
                files.replace(path, content, self._sops.shown(path))
                done.append(self._sops.shown(path))
        except VaultError as error:
            if not done:
                raise
            raise VaultError(
                f"{error.problem}; changed already: {', '.join(done)}",
                *error.hints,
                "then: invoke vault.sync",
            ) from None

    def _renewed(self, path: Path, old: bytes, rules: Policy, rotated: bool) -> bytes:
        """``old`` for the readers of ``rules``, seen to hold what it held."""
        name = path.relative_to(self.root)
        kind = kind_of(path)
        wanted = self._sops.decrypt(old, path, kind, kind)
        with editor.private_folder(self.scratch) as folder:
            (folder / policy.NAME).write_text(rules.text)
            copy = folder / name
            copy.parent.mkdir(parents=True)
            copy.write_bytes(old)
            if rotated:
                self._sops.rotate(copy)
                self._expect(wanted, copy.read_bytes(), path)
            before = copy.read_bytes()
            self._sops.update_readers(copy, folder / policy.NAME)
            new = copy.read_bytes()
        now = _access(rules, name, new)
        if now.extra or now.missing:
            raise VaultError(f"{name}: sops would not make it what {policy.NAME} says")
        # who removes themselves cannot look again: the values are those that were looked at
        if _values(new) != _values(before):
            self._expect(wanted, new, path)
        return new

    def _expect(self, wanted: bytes, content: bytes, path: Path) -> None:
        if self._sops.decrypt(content, path, kind_of(path), kind_of(path)) != wanted:
            raise VaultError(f"{self._sops.shown(path)}: sops would store something else")

    def _shown(self, path: Path, content: bytes) -> Iterator[str]:
        """What a reader of ``content`` has seen."""
        name = self._sops.shown(path)
        if kind_of(path) == "binary":
            yield name
            return
        tree = json.loads(self._sops.decrypt(content, path, kind_of(path), "json"))
        yield from (f"{name}: {key}" for key, value in sections.leaves(tree) if value is not None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes a secrets file, a sealed state, or the policy by way of us.

        :raises VaultError: a run is at work on an instance.
        """
        with ExitStack() as stack:
            first = self.root / "secrets"  # for which another one of us waits
            others = {path.parent for path in sealed(self.root)} - {first}
            for folder in (first, *sorted(others)):
                if folder.parent == self.root / "instances":
                    lock = Lock(folder / ".lock")
                    if holder := lock.acquire(Holder.me("vault")):
                        raise VaultError(
                            f"{folder.name} is at work, and its state cannot be changed: {holder}",
                            "wait for it to end",
                        )
                    stack.callback(_release(lock))
                stack.enter_context(files.alone(folder))
            yield


def _values(content: bytes) -> list[bytes]:
    """All that is encrypted with the data key, the MAC among it."""
    return re.findall(rb"ENC\[AES256_GCM,[^\]]*\]", content)


def _release(lock: Lock) -> Callable[[], None]:
    return lambda: lock.release(remove=True)


def _access(rules: Policy, name: Path, content: bytes) -> Access:
    have = tuple(dict.fromkeys(services.readers(content)))
    want = rules.readers(name.as_posix())
    extra = tuple(key for key in have if key not in want)
    return Access(name.as_posix(), have, extra, tuple(key for key in want if key not in have))
