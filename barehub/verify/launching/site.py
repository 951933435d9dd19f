"""One https server that tokens may be sent to: a request on a connection of its own, no redirects.

Neither what is asked with nor a query is ever part of an error's text.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from barehub import __version__
from barehub.verify import dial, http
from barehub.verify.dial import Stream
from barehub.verify.http import Answer, Unanswered
from barehub.verify.target import Target


class Site:
    """The server of a target, whose certificate is always verified."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def context(self) -> ssl.SSLContext:
        return dial.contexts(self.target.ca_file).full

    async def connect(self) -> socket.socket:
        """A connection, still without TLS.

        :raises Unanswered: there is none.
        """
        host, port = self.target.connect_to or (self.target.host, self.target.port)
        with _told(self.target.authority):
            sock, _ = await dial.connect(await dial.resolve(host), port)
        return sock

    async def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        token: str = "",
        body: object = None,
        seconds: float | None = None,
    ) -> Answer:
        """What ``path`` answers to ``method``, with ``body`` as JSON unless it is None.

        :raises Unanswered: nothing useful came within ``seconds`` (of HTTP by default).
        """
        fields = {"Authorization": f"token {token}"} if token else {}
        with _told(path):
            async with (
                asyncio.timeout(seconds or http.SECONDS),
                self._asked(method, path, fields, body) as (stream, status, headers),
            ):
                if status in (204, 304):
                    return Answer(status, headers, b"")
                data, _ = await http.read_body(stream.reader, headers)
                return Answer(status, headers, data)

    @asynccontextmanager
    async def reading(
        self, path: str, accept: str, seconds: float
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """A long answer: its header, which comes within ``seconds``, and its body piece by piece.

        :raises Unanswered: nothing useful came; or the body broke, while it is read.
        """
        with _told(path):
            async with asyncio.timeout(seconds) as patience:
                async with self._asked("GET", path, {"Accept": accept}, None) as answered:
                    patience.reschedule(None)
                    stream, status, headers = answered
                    yield Answer(status, headers, b""), _pieces(stream.reader, headers)

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, fields: dict[str, str], body: object
    ) -> AsyncIterator[tuple[Stream, int, dict[str, str]]]:
        stream = await dial.secure(await self.connect(), self.context, self.target.host)
        try:
            stream.writer.write(_request(self.target.authority, method, path, fields, body))
            status, headers = await http.read_header(stream.reader)
            while status < 200:
                status, headers = await http.read_header(stream.reader)
            yield stream, status, headers
        finally:
            await stream.close()


def _request(authority: str, method: str, path: str, fields: dict[str, str], body: Any) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    known = {
        "Host": authority,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": f"barehub/{__version__}",
    }
    if method == "POST":
        known |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    lines = [f"{name}: {value}" for name, value in (known | fields).items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("ascii") + data


async def _pieces(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """A body as it comes, without end if the server does not end it."""
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        while piece := await reader.read(dial.HEADER_BYTES):
            yield piece
        return
    while left := await http.read_chunk_length(reader):
        while left:
            piece = await reader.read(min(left, dial.HEADER_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece
        await reader.readexactly(2)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Failures in words, without the query of a path: it holds a token."""
    name = what.partition("?")[0]
    try:
        yield
    except TimeoutError:
        raise Unanswered(f"no complete answer from {name} in time") from None
    except asyncio.LimitOverrunError:
        problem = f"the header of {name} is longer than {dial.HEADER_BYTES // 1024} KiB"
        raise Unanswered(problem, malformed=True) from None
    except asyncio.IncompleteReadError:
        raise Unanswered(f"the connection was closed before {name} was answered") from None
    except (dial.Unconnected, dial.Unresolved) as error:
        raise Unanswered(f"{name}: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise Unanswered(f"{name}: its certificate is refused, {error.verify_message}") from None
    except OSError as error:
        raise Unanswered(f"{name}: the connection broke, {error.strerror or 'TLS'}") from None
