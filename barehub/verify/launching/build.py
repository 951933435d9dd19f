"""BinderHub's stream of events, from a repository to a notebook server.

Its HTTP status is 200 whatever fails. Versions differ in their phases; ``ready`` ends well,
``failed`` (and ``failure``, repo2docker's own word until 2019) does not.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from barehub.verify.finding import printable
from barehub.verify.http import Answer, Unanswered
from barehub.verify.launching.site import Site

SECONDS = 15 * 60.0
"""A build and a launch."""

START_SECONDS = 30.0
QUIET_SECONDS = 120.0
"""Until the stream begins, and between its lines: a keepalive comes every 25 s."""

LINE_BYTES = 1024 * 1024
STREAM_BYTES = 64 * 1024 * 1024

KEPT_LINES = 20
_MOST_PHASES = 30
_TOKEN = re.compile(r"(token[\"']?\s*[=:]\s*[\"']?)[\w.~+/-]{6,}", re.IGNORECASE)

_PAGE = (
    re.compile(r'"?buildToken"?\s*:\s*"([\w.~-]{1,4096})"'),
    re.compile(r'id="build-token"[^>]{0,80}?(?:data-token|content)="([\w.~-]{1,4096})"'),
)
"""Where a page has its build token, since 2024 and from 2021 on."""


@dataclass
class Course:
    """How a build went: its phases with the seconds of each, the last lines of its log, its end."""

    phases: dict[str, float] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    limits: dict[str, str] = field(default_factory=dict)
    last: str = ""
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def launching(self) -> bool:
        """Whether a server may have been started."""
        return "launching" in self.phases

    @property
    def timings(self) -> str:
        slow = [f"{phase} {took:.1f} s" for phase, took in self.phases.items() if took >= 0.05]
        return ", ".join(slow) or "at once"


class Failed(Exception):
    """The build or the launch ended badly; ``status`` as an HTTP answer would have it."""

    def __init__(self, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.status = status


async def token(site: Site, spec: str) -> str:
    """The build token of the page of ``spec``, which lifts the rate limit; "" if it has none."""
    try:
        page = await site.ask(f"{site.target.base_path}v2/{spec}", seconds=START_SECONDS)
    except Unanswered:
        return ""
    if page.status != 200:
        return ""
    found = next((match for pattern in _PAGE if (match := pattern.search(page.text))), None)
    return found[1] if found else ""


async def run(
    site: Site, spec: str, build_token: str, course: Course, now: Callable[[str], None]
) -> None:
    """Build and launch ``spec`` until ``course.ready`` is there; ``now`` is told of each phase.

    :raises Failed: it failed, or took longer than :data:`SECONDS`.
    :raises Unanswered: there is no stream, or it broke.
    """
    query = f"?{urllib.parse.urlencode({'build_token': build_token})}" if build_token else ""
    path = f"{site.target.base_path}build/{spec}{query}"
    try:
        async with asyncio.timeout(SECONDS) as patience:
            # BinderHub refuses any other Accept, even with "*/*" after it
            async with site.reading(path, "text/event-stream", START_SECONDS) as (answer, pieces):
                _expect_stream(answer)
                course.limits = answer.headers
                await _end(_events(pieces), course, now)
    except (TimeoutError, Unanswered):
        if patience.expired():
            raise Failed(f"it was not ready after {SECONDS / 60:g} min") from None
        raise


def _expect_stream(answer: Answer) -> None:
    kind = answer.headers.get("content-type", "")
    where = answer.headers.get("location")
    if where and 300 <= answer.status < 400:
        place = urllib.parse.urlsplit(where)._replace(query="", fragment="")
        raise Failed(f"the build leads elsewhere, to {urllib.parse.urlunsplit(place)}")
    if answer.status != 200 or not kind.startswith("text/event-stream"):
        problem = f"the build answers {answer.status}, {kind.partition(';')[0] or 'no type'}"
        raise Failed(f"{problem}: that is no stream of events", answer.status)


async def _end(
    events: AsyncIterator[dict[str, Any]], course: Course, now: Callable[[str], None]
) -> None:
    began = time.monotonic()
    while True:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                event = await anext(events)
        except StopAsyncIteration:
            raise Failed("the stream of events ended before the notebook was ready") from None
        except TimeoutError:
            raise Failed(f"nothing came for {QUIET_SECONDS:g} s") from None
        passed, began = time.monotonic() - began, time.monotonic()
        if course.last:
            course.phases[course.last] += passed
        phase = _tell(event, course, now)
        if phase == "ready":
            course.ready = event
            return
        if phase in ("failed", "failure"):
            status = event.get("status_code")
            raise Failed(_message(event) or "no reason given", _status(status))


def _status(said: object) -> int | None:
    return said if isinstance(said, int) else None


def _tell(event: dict[str, Any], course: Course, now: Callable[[str], None]) -> str:
    """The event's phase, with which time is counted from now on."""
    phase = printable(str(event.get("phase") or ""))[:40].lower()
    if phase != "ready":
        course.lines.extend(visible(line) for line in _message(event).splitlines() if line.strip())
    # FakeBuild and repo2docker also have phases that say nothing
    if phase in ("", "unknown", "ready", "failed", "failure") or phase == course.last:
        return phase
    if phase in course.phases or len(course.phases) < _MOST_PHASES:
        if phase not in course.phases:
            now(f"launch: {phase}")
        course.phases.setdefault(phase, 0.0)
        course.last = phase
    return phase


def visible(line: str) -> str:
    """A line of a log without control characters and without what looks like a token."""
    return printable(_TOKEN.sub(r"\1***", line.strip()))


def _message(event: dict[str, Any]) -> str:
    said = event.get("message")
    return said[-LINE_BYTES:].strip() if isinstance(said, str) else ""


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The events, each of which BinderHub writes into one line; a comment is an empty event."""
    held, total = bytearray(), 0
    async for piece in pieces:
        total += len(piece)
        held += piece
        if total > STREAM_BYTES:
            raise Failed(f"the stream of events is longer than {STREAM_BYTES >> 20} MiB")
        *lines, rest = held.split(b"\n")
        held = bytearray(rest)
        if len(held) > LINE_BYTES:
            raise Failed(f"an event is longer than {LINE_BYTES >> 20} MiB")
        for line in lines:
            if line.startswith(b"data:"):
                yield _event(bytes(line[5:]))
            elif line.startswith(b":"):
                yield {}


def _event(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
