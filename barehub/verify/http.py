"""HTTP/1.1 over TLS streams, every answer bounded in bytes and in time.

No redirect is followed: where an answer leads is for the checks to judge.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from barehub import __version__
from barehub.verify.dial import HEADER_BYTES, Stream, Unconnected

SECONDS = 10.0
BODY_BYTES = 1024 * 1024

_STATUS = re.compile(r"HTTP/1\.[01] (\d{3})(?: |$)")
_MOST_TRAILERS = 100


class Unanswered(Exception):
    """No answer came. ``malformed``: something came that is not HTTP, which waiting cannot heal."""

    def __init__(self, problem: str, *, malformed: bool = False) -> None:
        super().__init__(problem)
        self.malformed = malformed


@dataclass(frozen=True)
class Answer:
    """What the server said. ``headers`` have lower-case names; of equal ones the first counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def object(self) -> dict[str, Any] | None:
        """The JSON object that it is, if it is one."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


class Client:
    """Asks one endpoint, over one connection as long as the server keeps it open."""

    def __init__(self, authority: str, dial: Callable[[], Awaitable[Stream]]) -> None:
        self._authority = authority
        self._dial = dial
        self._stream: Stream | None = None

    def use(self, stream: Stream) -> None:
        """Ask over ``stream``, which this client closes from now on."""
        self._stream = stream

    async def get(self, path: str, *, seconds: float | None = None) -> Answer:
        """What ``path`` answers: of its body at most :data:`BODY_BYTES`.

        :raises Unanswered: nothing useful came within ``seconds`` (:data:`SECONDS` by default).
        """
        seconds = seconds or SECONDS
        kept = self._stream is not None
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await self._ask(path)
                except (asyncio.IncompleteReadError, ConnectionError):
                    await self.close()
                    if not kept:
                        raise
                    return await self._ask(path)  # a connection that was kept may have ended
        except Unanswered:
            await self.close()  # what else it sends is no answer to the next question
            raise
        except TimeoutError:
            problem = f"the answer to {path} was not complete within {seconds:g} s"
        except asyncio.LimitOverrunError:
            await self.close()
            problem = f"the header of {path} is longer than {HEADER_BYTES // 1024} KiB"
            raise Unanswered(problem, malformed=True) from None
        except asyncio.IncompleteReadError as error:
            said = "in the middle of" if error.partial else "without"
            problem = f"the connection was closed {said} an answer to {path}"
        except Unconnected as error:
            problem = str(error)
        except OSError as error:
            problem = f"the connection broke: {error.strerror or error}"
        await self.close()
        raise Unanswered(problem)

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream:
            await stream.close()

    async def _ask(self, path: str) -> Answer:
        stream = self._stream = self._stream or await self._dial()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {self._authority}\r\nAccept: */*\r\n"
            f"Accept-Encoding: identity\r\nUser-Agent: barehub/{__version__}\r\n\r\n"
        )
        stream.writer.write(request.encode("ascii"))
        status, headers = await read_header(stream.reader)
        while status < 200:
            status, headers = await read_header(stream.reader)
        if status in (204, 304):
            return Answer(status, headers, b"")
        body, whole = await read_body(stream.reader, headers)
        if not whole or "close" in headers.get("connection", "").lower():
            await self.close()
        return Answer(status, headers, body)


async def read_header(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status, and the fields by their names in lower case; the first of each name counts.

    :raises Unanswered: it is no answer of HTTP/1.1.
    """
    block = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = block.split("\r\n")
    status = _STATUS.match(first)
    if not status or not 100 <= int(status[1]) <= 599:
        raise Unanswered("what answers there does not speak HTTP/1.1", malformed=True)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return int(status[1]), headers


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> tuple[bytes, bool]:
    """At most ``BODY_BYTES`` of the body, and whether the connection can be used again.

    :raises Unanswered: its length is none.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    length = headers.get("content-length")
    if length is None:
        return await _some(reader, BODY_BYTES), False
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise Unanswered("the length of an answer is not a number", malformed=True)
    whole = int(length) <= BODY_BYTES
    return await reader.readexactly(min(int(length), BODY_BYTES)), whole


async def _some(reader: asyncio.StreamReader, most: int) -> bytes:
    parts = bytearray()
    while len(parts) < most and (part := await reader.read(most - len(parts))):
        parts += part
    return bytes(parts)


async def _chunks(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """A chunked body (RFC 9112, 7.1)."""
    body = bytearray()
    while length := await read_chunk_length(reader):
        if len(body) + length > BODY_BYTES:
            return bytes(body), False
        body += await reader.readexactly(length)
        await reader.readexactly(2)
    for _ in range(_MOST_TRAILERS):
        if await reader.readuntil(b"\r\n") == b"\r\n":
            return bytes(body), True
    return bytes(body), False


async def read_chunk_length(reader: asyncio.StreamReader) -> int:
    """The bytes of the next chunk (RFC 9112, 7.1); 0 for the last.

    :raises Unanswered: it is no number.
    """
    digits = (await reader.readuntil(b"\r\n")).partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,12}", digits):
        raise Unanswered("the length of a chunk is not a number", malformed=True)
    return int(digits, 16)
