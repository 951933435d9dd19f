"""Whether all that stands in the vault's places is wholly encrypted, and for whom; needs no key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from barehub.errors import VaultError
from barehub.vault import policy, strictness
from barehub.vault.ciphertext import recipients

IGNORED = (".gitkeep",)


@dataclass(frozen=True)
class Problem:
    """Something that must not be committed; ``line`` is 0 when it is not about a line."""

    file: str
    line: int
    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


def check(root: Path) -> list[Problem]:
    """All problems of the project at ``root``, by file."""
    found = list(_lacking(root))
    for path in _candidates(root):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found.append(Problem(name, 0, "a link, not a file", f"rm {name}"))
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            found.append(Problem(name, 0, f"cannot be read: {reason}", f"ls -l {name}"))
            continue
        if path.name in IGNORED and not content:
            continue
        found += inspect(root, name, content)
    return found


def _lacking(root: Path) -> Iterator[Problem]:
    """What a vault consists of, where only a part of it is there."""
    parts = [policy.NAME, "secrets/shared.yaml"]
    missing = [part for part in parts if not (root / part).exists()]
    for part in missing if len(missing) == 1 else ():
        yield Problem(part, 0, "missing", f"git checkout {part}, or invoke vault.init")


def inspect(root: Path, name: str, content: bytes) -> Iterator[Problem]:
    """The problems of ``content``, which is or becomes the file ``name`` (relative to ``root``)."""
    flaws = list(strictness.flaws(content))
    for flaw in flaws:
        yield Problem(name, flaw.line, flaw.text, flaw.fix.replace("FILE", name))
    if flaws:
        return
    try:
        allowed = set(policy.readers(root, root / name))
    except VaultError as error:
        yield Problem(name, 0, error.problem, error.hints[0] if error.hints else policy.NAME)
        return
    readers = set(recipients(content))
    if readers == allowed:
        return
    text = "; ".join(
        f"{', '.join(sorted(names))} {words} {policy.NAME}"
        for names, words in (
            (readers - allowed, "can read it and is not in"),
            (allowed - readers, "cannot read it and is in"),
        )
        if names
    )
    yield Problem(name, 0, text, f"sops updatekeys {name}")


def _candidates(root: Path) -> list[Path]:
    secrets = (p for p in (root / "secrets").rglob("*") if p.is_symlink() or not p.is_dir())
    return [*sorted(secrets), *sorted((root / "instances").glob("*/terraform.tfstate*.sops"))]
