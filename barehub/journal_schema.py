"""What a line of ``journal.jsonl`` must hold, by kind of event.

A journal comes from git, where others write, too, and from newer versions of barehub: a line is
checked once, when it is read, so that no reader of events has to doubt their types. A kind that is
not in the table, and facts that its kind does not name, pass as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

Event = dict[str, Any]
Check = Callable[[Any], bool]

LATEST = 253_402_300_800
"""Unix seconds of the year 10000, which ``strftime`` cannot show."""

DEEPEST = 20
"""Levels of brackets in a line; Python's ``json`` fails at about 1000."""


class Malformed(ValueError):
    """A line is no event; the text says why, without a word of the line."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _port(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _nodes(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(isinstance(n, dict) and _text(n.get("name")) and _text(n.get("ip")) for n in value)
    )


def _url(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(urlsplit(value))
    except ValueError:
        return False


_RESOURCE: Mapping[str, Check] = {"address": _name, "action?": _text, "id?": _text, "by?": _text}
_EDIT: Mapping[str, Check] = dict.fromkeys(
    ("command?", "stage?", "argument?", "was?", "now?"), _text
)
_COMMAND: Mapping[str, Check] = {"by?": _text}

KINDS: Mapping[str, Mapping[str, Check]] = {
    "spawn": _COMMAND,
    "teardown": _COMMAND,
    "upgrade": _COMMAND,
    "scale": _COMMAND,
    "failed": {"command?": _text, "problem?": _text},
    "cut-off": {"command?": _text, "stage?": _text_or_null},
    "stage": {"stage": _text, "creates?": _texts, "moves?": _texts_by_name},
    "stage-done": {"stage": _text},
    "arguments": {"stage": _text, "fingerprints": _texts_by_name},
    "resource-start": _RESOURCE,
    "resource-done": _RESOURCE,
    "resource-failed": _RESOURCE,
    "resource-imported": _RESOURCE,
    "resource-forgotten": _RESOURCE,
    "moved": {"moves": _texts_by_name},
    "recovered": {"address": _name, "how?": _text},
    "endpoint": {
        "url": _url,
        **dict.fromkeys(
            ("connect_to?", "ca_file?", "builds?", "hub?", "version?", "service?"), _text
        ),
    },
    "machines": {"address": _text, "user?": _text, "port?": _port, "nodes?": _nodes},
    "releasing": {"address": _text},
    "revised": _EDIT,
    "put-back": _EDIT,
    "state-moved": {"to": _text},
    "unlocked": {"holder": _text},
}
"""Facts by kind of event, each with its check; one whose name ends in ``?`` may be missing.

Kinds without facts (``up``, ``stopped``, ``destroyed``, ``gone``, ``replayed``) need no entry.
"""

_ALL: Mapping[str, Check] = {"at": _time, "event": _name}


def parse(line: bytes) -> Event:
    """Parse one line of a journal.

    :raises Malformed: it is not an event; the text says why and holds no value.
    """
    try:
        event = json.loads(line.decode())
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    except (ValueError, RecursionError):  # also a number of more than 4300 digits
        raise Malformed("not JSON") from None
    if not isinstance(event, dict):
        raise Malformed("not an object")
    _see_plain(event)
    _see(event, _ALL)
    kind = event["event"]
    # a newer version may tell more of resources; all that is told of one has its address
    _see(event, KINDS.get(kind, _RESOURCE if kind.startswith("resource-") else {}))
    return event


def _see(event: Event, facts: Mapping[str, Check]) -> None:
    for key, check in facts.items():
        name = key.rstrip("?")
        if name not in event:
            if key == name:
                raise Malformed(f"it has no {name!r}")
        elif not check(event[name]):
            raise Malformed(f"{name!r} has a wrong type or value")


def _see_plain(value: Any) -> None:
    """See that ``value`` can be printed, as text and as JSON: what a kind does not name, too."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += [*one, *one.values()]
            elif isinstance(one, list):
                below += one
            elif isinstance(one, str):
                if not one.isascii():
                    _see_encodable(one)
            elif isinstance(one, float) and not math.isfinite(one):
                raise Malformed("a number is not finite")
        if not below:
            return
        level = below
    raise Malformed(f"more than {DEEPEST} levels of brackets")


def _see_encodable(text: str) -> None:
    """:raises Malformed: half of a surrogate pair, which JSON can escape and UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed("half of a surrogate pair") from None
