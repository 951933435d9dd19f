"""What a reader could once read and that the vault no longer has: git keeps it.

SOPS leaves the names of keys readable, so that this needs no key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from barehub.vault import anatomy, guard, history, services
from barehub.vault.git import Repository
from barehub.vault.sops import kind_of


def past(root: Path, readers: Collection[str], known: Collection[str]) -> Iterator[str]:
    """What any commit has for one of ``readers``, as ``FILE: KEY PATH`` or ``FILE``.

    :param known: what is left out.
    """
    top = guard.work_tree(root) if readers else None
    if top is None:
        return
    told = set(known)
    repository = Repository(root, ours=True)
    inside = root.resolve().relative_to(top.resolve())
    files = {
        version.id: Path(version.path).relative_to(inside)
        for version in history.versions(repository)
        if Path(version.path).is_relative_to(inside)
    }
    for id, content in repository.blobs(id for id, file in files.items() if _in_vault(file)):
        if set(services.readers(content)).isdisjoint(readers):
            continue
        for name in _names(files[id].as_posix(), content):
            if name not in told:
                told.add(name)
                yield name


def _in_vault(file: Path) -> bool:
    return file.parts[0] == "secrets" or file.match("instances/*/terraform.tfstate*.sops")


def _names(file: str, content: bytes) -> Iterator[str]:
    if kind_of(file) == "binary":
        yield file
        return
    try:
        leaves = anatomy.read(content).leaves
    except (anatomy.Malformed, UnicodeDecodeError):
        return
    yield from (f"{file}: {leaf.name}" for leaf in leaves)
