"""Word what the system refuses (an ``OSError``): the file, the reason and the remedy."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from barehub.errors import BarehubError, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT)
EXHAUSTED = (errno.EMFILE, errno.ENFILE)
ENVIRONMENTAL = frozenset(
    {
        *FULL,
        *EXHAUSTED,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EIO,
        errno.ESTALE,
        errno.ETXTBSY,
        errno.EBUSY,
        errno.ENODEV,
        errno.ENXIO,
    }
)
"""System errors that come from how files, folders and limits are, not from a bug."""

NO_TEMPORARY = "No usable temporary directory"
"""What :mod:`tempfile` says, as a missing file, where no folder for temporary files is writable."""


def reason(error: OSError) -> str:
    """The reason in the system's words (strerror(3)), in lower case."""
    if NO_TEMPORARY in str(error):
        return "no folder for temporary files can be written"
    known = os.strerror(error.errno) if error.errno else error.strerror
    return (known or "failed").lower()


def remedy(error: OSError, path: Path | str) -> str:
    """The command that shows what is wrong with ``path``."""
    there = _nearest(Path(path))
    folder = shlex.quote(str(there if there.is_dir() else there.parent))
    if error.errno == errno.EDQUOT:
        return f"quota -s; df -h {folder}"
    if error.errno == errno.ENOSPC:
        return f"df {'-i' if _out_of_inodes(there) else '-h'} {folder}"
    if NO_TEMPORARY in str(error):
        return f"df -h {folder}; ls -ld {folder}"
    if error.errno == errno.EROFS:
        return f"findmnt -T {folder}" if sys.platform == "linux" else f"df {folder}; mount"
    if error.errno in EXHAUSTED:
        return "ulimit -n 4096   # then again"
    if error.errno == errno.EIO:
        return f"df {folder}; dmesg | tail   # the disk may be failing"
    if error.errno == errno.ENAMETOOLONG:
        return f"choose a shorter name: {folder} takes {_longest(there)} bytes"
    return f"ls -ld {shlex.quote(str(there))}"


def cannot(
    deed: str,
    path: Path | str,
    error: OSError,
    kind: type[BarehubError] = UsageError,
    shown: str = "",
) -> BarehubError:
    """The error for a file that cannot be ``deed`` ("written", "read"); ``shown`` is its name."""
    return kind(f"{shown or path} cannot be {deed}: {reason(error)}", remedy(error, path))


@contextmanager
def attempt(
    deed: str, path: Path | str, kind: type[BarehubError] = UsageError, shown: str = ""
) -> Iterator[None]:
    """Raise what the system refuses in here as :func:`cannot` words it."""
    try:
        yield
    except OSError as error:
        raise cannot(deed, path, error, kind, shown) from None


def general(error: OSError, places: Iterable[Path]) -> UsageError | None:
    """The error for what no one more specific has caught; nothing where it is a bug.

    :param places: where the running command writes, of which the system did not say one: those
        that are full are named.
    """
    temporary = NO_TEMPORARY in str(error)
    if error.errno not in ENVIRONMENTAL and not temporary:
        return None
    if temporary:
        place = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - named, not used
        return UsageError(f"{place}: {reason(error)}", remedy(error, place))
    if error.filename:
        name = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
        return UsageError(f"{name}: {reason(error)}", remedy(error, name))
    full = [place for place in dict.fromkeys(places) if _full(place)] if error.errno in FULL else []
    named = full or [Path.cwd()]
    told = ", ".join(map(str, named))
    return UsageError(f"{told}: {reason(error)}", *(remedy(error, place) for place in named))


def heard(said: str, folder: Path) -> tuple[str, str] | None:
    """The reason and the remedy where a program that wrote in ``folder`` says that the system
    refused, or does not say why and the disk is full; nothing where it failed by itself."""
    for number in (*FULL, errno.EROFS, errno.EACCES, *EXHAUSTED, errno.EIO):
        error = OSError(number, os.strerror(number))
        if reason(error) in said.lower() or (number == errno.ENOSPC and _full(folder)):
            return reason(error), remedy(error, folder)
    return None


def written_to() -> list[Path]:
    """Where any command may write beside its own files: HOME, temporary files, the folder we are
    in."""
    found = [Path.cwd(), Path.home()]
    try:
        return [*found, Path(tempfile.gettempdir())]
    except OSError:
        return found


def _nearest(path: Path) -> Path:
    """``path``, or what there is of it from its beginning."""
    path = Path(os.path.abspath(path))
    for one in (path, *path.parents):
        if os.path.lexists(one):
            return one
    return Path("/")


def _out_of_inodes(path: Path) -> bool:
    try:
        about = os.statvfs(path)
    except OSError:
        return False
    return about.f_files > 0 and about.f_favail == 0


def _full(place: Path) -> bool:
    """Whether less than a block, or no inode, is free there."""
    try:
        about = os.statvfs(place)
    except OSError:
        return False
    return (about.f_blocks > 0 and about.f_bavail == 0) or _out_of_inodes(place)


def _longest(path: Path) -> int:
    try:
        return os.pathconf(path if path.is_dir() else path.parent, "PC_NAME_MAX")
    except OSError:
        return 255
