"""Two versions of a tree with a common base, made one: by key path, in memory.

A list is one value. What one side alone changed, added or removed is so in the result; what both
changed differently, or one removed and the other changed, is a conflict, and stays ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str, ...]


class _Missing:
    """No value, which null is one."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True)
class Conflict:
    """A key path, and in words what happened to it."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'its content'} {self.text}"


@dataclass(frozen=True)
class Merged:
    """The tree, and what of it could not be decided."""

    tree: Any
    conflicts: tuple[Conflict, ...]


def three_way(
    base: Any, ours: Any, theirs: Any, undecided: Callable[[Any], Any] = lambda ours: ours
) -> Merged:
    """``ours`` with what ``theirs`` changed since ``base``; any of them may be :data:`MISSING`.

    :param undecided: what stands for a value in conflict, given ours.
    """
    conflicts: list[Conflict] = []

    def merged(path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        if same(ours, theirs) or same(theirs, base):
            return ours
        if same(ours, base):
            return theirs
        sides = [{} if side is MISSING else side for side in (base, ours, theirs)]
        if all(isinstance(side, dict) for side in sides):
            made = mapping(path, *sides)
            gone = ours is MISSING or theirs is MISSING
            return MISSING if gone and not made else made
        conflicts.append(Conflict(path, _said(base, ours, theirs)))
        return undecided(ours)

    def mapping(path: Path, base: Any, ours: Any, theirs: Any) -> dict[str, Any]:
        made = {
            key: merged((*path, key), *(side.get(key, MISSING) for side in (base, ours, theirs)))
            for key in {**ours, **theirs}
        }
        return {key: value for key, value in made.items() if value is not MISSING}

    return Merged(merged((), base, ours, theirs), tuple(conflicts))


def edits(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What makes ``after`` of ``before``: key paths with their new values, or :data:`MISSING`."""
    if same(before, after):
        return
    if not (isinstance(before, dict) and isinstance(after, dict)):
        yield path, after
        return
    for key in {**before, **after}:
        yield from edits(before.get(key, MISSING), after.get(key, MISSING), (*path, key))


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1, 1.0 and true are three values."""
    if one is MISSING or other is MISSING:
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _said(base: Any, ours: Any, theirs: Any) -> str:
    if ours is MISSING:
        return "was removed on our side and changed on theirs"
    if theirs is MISSING:
        return "was changed on our side and removed on theirs"
    return "was added on both sides" if base is MISSING else "was changed on both sides"
