"""Opens and reads files that others wrote: a repository's, a home folder's, a command line's.

A name in a repository may be a link to ``/dev/zero``, a pipe that no program writes to, or a file
that does not fit into memory. Only a regular file is read, up to a limit, and what is wrong with it
is said with its name.

Links stay allowed to recipes, modules, host keys and what a person keeps at home (keys, settings):
people link those on purpose. The vault's files and ``.sops.yaml`` are no links: git keeps a link's
target, and not what it leads to, so that the guard would look at another thing than is read.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import shlex
import stat
from pathlib import Path
from typing import Any

from barehub import system_errors
from barehub.errors import BarehubError

MIB = 1024 * 1024
LARGEST = 256 * MIB
"""Bytes of a file that is kept whole in memory: a state, a plan, a secret."""

SETTINGS = 4 * MIB
"""Bytes of a file that a person writes: a recipe, settings, a list of keys or of hosts."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

_HANDED = ("/dev/fd/", "/dev/stdin", "/proc/")
"""Where a shell puts the pipe that it makes of ``<(…)``."""


def content(
    path: Path,
    error: type[BarehubError],
    *,
    shown: str = "",
    most: int = LARGEST,
    links: bool = True,
    pipes: bool = False,
) -> bytes:
    """All bytes of the regular file ``path``.

    :param error: the class of what is raised, and with it the exit code.
    :param shown: the file's name in an error, if not ``path``.
    :param most: bytes.
    :param links: whether ``path`` may be a link; a folder above it always may.
    :param pipes: whether it may be the pipe of a shell's ``<(…)``: a person named it.
    :raises FileNotFoundError: there is no such file.
    :raises BarehubError: it is another thing than a regular file, too large, or cannot be read.
    """
    shown = shown or str(path)
    fd = opened(path, os.O_RDONLY, error, shown=shown, links=links, pipes=pipes)
    try:
        found = _all(fd, most)
    except OSError as failed:
        raise system_errors.cannot("read", path, failed, error, shown) from None
    finally:
        os.close(fd)
    if len(found) <= most:
        return found
    size = f"{most // MIB} MiB" if most >= MIB else f"{most // 1024} KiB"
    raise error(f"{shown}: too large: more than {size}", f"ls -ld {shlex.quote(shown)}")


def opened(
    path: Path,
    flags: int,
    error: type[BarehubError],
    *,
    shown: str = "",
    links: bool = True,
    pipes: bool = False,
    mode: int = 0o600,
) -> int:
    """Open the regular file ``path`` with ``flags`` (open(2)); parameters as of :func:`content`.

    :param mode: of a file that this makes.
    :returns: the descriptor; no program that is started inherits it unasked.
    :raises FileNotFoundError: there is no such file.
    :raises BarehubError: it is another thing than a regular file, or cannot be opened.
    """
    shown = shown or str(path)
    pipes = pipes and str(path).startswith(_HANDED)
    flags |= os.O_CLOEXEC | os.O_NOCTTY | (0 if pipes else os.O_NONBLOCK)
    try:
        fd = os.open(path, flags | (0 if links else os.O_NOFOLLOW), mode)
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        problem = "a link to a file that does not exist"
    except OSError as failed:
        problem = _other_kind(failed, path, links)
        if not problem:
            deed = "written" if flags & (os.O_WRONLY | os.O_RDWR) else "read"
            raise system_errors.cannot(deed, path, failed, error, shown) from None
    except ValueError:  # a null character in the name
        problem = "not a name that a file can have"
    else:
        kind = os.fstat(fd).st_mode
        if stat.S_ISREG(kind) or (pipes and stat.S_ISFIFO(kind)):
            return fd
        os.close(fd)
        word = next((word for is_one, word in _KINDS if is_one(kind)), "something else")
        problem = f"{word}, not a file"
    raise error(f"{shown}: {problem}", f"ls -ld {shlex.quote(shown)}")


def text(
    path: Path,
    error: type[BarehubError],
    *,
    shown: str = "",
    most: int = SETTINGS,
    links: bool = True,
    pipes: bool = False,
) -> str:
    """As :func:`content`, decoded from UTF-8 with or without a byte order mark.

    :raises BarehubError: it is not UTF-8, too; with its line, and without the byte.
    """
    found = content(path, error, shown=shown, most=most, links=links, pipes=pipes)
    return decoded(found, error, shown or str(path))


def decoded(found: bytes, error: type[BarehubError], shown: str) -> str:
    """``found`` as text, with the line breaks of any system as ``\\n``.

    :raises BarehubError: it is not UTF-8.
    """
    found = found.removeprefix(codecs.BOM_UTF8)
    try:
        said = found.decode()
    except UnicodeDecodeError as bad:
        line = found.count(b"\n", 0, bad.start) + 1
        raise error(f"{shown} line {line}: not UTF-8", f"file {shlex.quote(shown)}") from None
    return said.replace("\r\n", "\n").replace("\r", "\n")


def lenient(path: Path, error: type[BarehubError], *, shown: str = "", most: int = SETTINGS) -> str:
    """As :func:`text`, with U+FFFD for what is not UTF-8: a file that is only searched."""
    found = content(path, error, shown=shown, most=most).decode("utf-8-sig", "replace")
    return found.replace("\r\n", "\n").replace("\r", "\n")


def below(folder: Path, *patterns: str) -> list[Path]:
    """What in ``folder`` has a name of ``patterns`` and is no folder, by name."""
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if not path.is_dir())


def parsed(found: bytes | str, error: type[BarehubError], shown: str) -> Any:
    """What ``found``, a JSON document (RFC 8259), says.

    :raises BarehubError: it is none, or is nested deeper than Python's parser goes.
    """
    try:
        return json.loads(found)
    except json.JSONDecodeError as bad:
        problem = f"{shown} line {bad.lineno}, column {bad.colno}: not JSON"
    except UnicodeDecodeError:
        problem = f"{shown}: not UTF-8"
    except RecursionError:
        problem = f"{shown}: nested too deeply"
    except ValueError:  # a number of more digits than Python converts
        problem = f"{shown}: a number is too long"
    raise error(problem, f"{shown}   # see there")


def _all(fd: int, most: int) -> bytes:
    """All that comes, and a byte more than ``most`` at the most."""
    found = bytearray()
    while len(found) <= most and (more := os.read(fd, min(most + 1 - len(found), MIB))):
        found += more
    return bytes(found)


def _other_kind(failed: OSError, path: Path, links: bool) -> str:
    """Say what is there instead of a regular file, where that is why it was not opened."""
    if failed.errno == errno.ELOOP and not links and path.is_symlink():
        return "a link, not a file"
    if failed.errno == errno.EISDIR:  # to be written
        return "a folder, not a file"
    if failed.errno == errno.ENXIO:  # open(2): of a socket
        return "a socket, not a file"
    return ""
