"""Looking for a test's own secret, in any spelling, where it must not be."""

from __future__ import annotations

import base64
import errno
import json
import os
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path


def spellings(value: str) -> list[bytes]:
    """Raw, JSON, URL, hex, and base64 with any number of bytes before it."""
    raw = value.encode()
    return [
        raw,
        json.dumps(value)[1:-1].encode(),
        urllib.parse.quote(value).encode(),
        urllib.parse.quote(value, safe="").encode(),
        raw.hex().encode(),
        *(base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3)),
    ]


def holding(value: str, *places: Path, but: Iterable[str] = ()) -> list[Path]:
    """The files below ``places`` that hold ``value``, other than those that are called ``but``."""
    forms = spellings(value)
    files = [
        Path(top, name) for place in places for top, _, names in os.walk(place) for name in names
    ]
    regular = (path for path in files if path.is_file() and not path.is_symlink())
    sought = [path for path in regular if path.name not in but]  # a pipe would keep us waiting
    return [path for path in sought if any(form in content(path) for form in forms)]


def content(path: Path) -> bytes:
    """What a file holds: nothing if it went away while it was looked for, or is a socket."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH, errno.ENXIO):
            raise
        return b""


def told(pid: str) -> Iterator[bytes]:
    """The arguments and the environment of a living process."""
    for name in ("cmdline", "environ"):
        try:
            yield Path("/proc", pid, name).read_bytes()
        except OSError:  # another user's, or it has ended
            continue


def processes_holding(value: str) -> list[str]:
    """The living processes that were told ``value``."""
    forms = spellings(value)
    living = [entry.name for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in living if any(form in text for text in told(pid) for form in forms)]


class Watch(threading.Thread):
    """Reads, again and again, the arguments and environments of all processes below this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            for pid in _below("self"):
                self.seen.update(told(pid))

    def holding(self, value: str) -> list[bytes]:
        return [text for text in self.seen for form in spellings(value) if form in text]

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.join()


def _below(pid: str) -> Iterator[str]:
    for top, threads, _ in os.walk(Path("/proc", pid, "task")):
        for thread in threads:
            for child in content(Path(top, thread, "children")).decode().split():
                yield child
                yield from _below(child)
        threads.clear()
