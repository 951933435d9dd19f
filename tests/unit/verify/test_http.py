"""Answers of every shape, from a server that keeps or closes its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from barehub.verify import http
from barehub.verify.dial import HEADER_BYTES, Stream
from barehub.verify.http import Answer, Client, Unanswered


@asynccontextmanager
async def client(*answers: bytes) -> AsyncIterator[tuple[Client, list[bytes]]]:
    """A client of a server with one connection for each of ``answers``; what it was asked.

    An answer that ends with ``KEPT`` leaves its connection open for another question.
    """
    rest, asked = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        answer = rest.pop(0)
        writer.write(answer.removesuffix(KEPT))
        if answer.endswith(KEPT):
            await serve(reader, writer)
        writer.close()

    async def dial() -> Stream:
        return Stream(*await asyncio.open_connection("127.0.0.1", port, limit=HEADER_BYTES))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    asking = Client(f"127.0.0.1:{port}", dial)
    try:
        yield asking, asked
    finally:
        await asking.close()
        server.close()


KEPT = b"<kept>"


def ask(*answers: bytes, times: int = 1) -> list[Answer]:
    async def run() -> list[Answer]:
        async with client(*answers) as (asking, _):
            return [await asking.get("/") for _ in range(times)]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi"),
        (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.0 404 Not Found\r\n\r\nto the end", 404, b"to the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhi", 200, b"hi"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b"2;x=y\r\nhi\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            200,
            b"hi0123456789",
        ),
    ],
)
def test_an_answer(answer: bytes, status: int, body: bytes) -> None:
    assert [(a.status, a.body) for a in ask(answer)] == [(status, body)]


def test_a_connection_is_kept_as_long_as_the_server_keeps_it() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1" + KEPT
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n2"
    again = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3"
    assert [a.body for a in ask(first, last, again, times=3)] == [b"1", b"2", b"3"]


def test_a_connection_that_ended_in_the_meantime_is_made_again() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    assert [a.body for a in ask(first, first, times=2)] == [b"1", b"1"]


def test_of_a_long_body_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_BYTES", 10)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for answer, body in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 50, b"x" * 10),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50, b"x" * 10),
        (chunked + b"4\r\nabcd\r\nffffff\r\n", b"abcd"),
    ):
        assert ask(answer)[0].body == body


@pytest.mark.parametrize(
    ("answer", "malformed"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", True),
        (b"HTTP/1.1 999 What\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", True),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEADER_BYTES + 1) + b"\r\n\r\n", True),
    ],
)
def test_what_is_no_answer(answer: bytes, malformed: bool) -> None:
    with pytest.raises(Unanswered) as caught:
        ask(answer, answer)
    assert caught.value.malformed is malformed


def test_what_is_asked() -> None:
    async def run() -> bytes:
        async with client(b"HTTP/1.1 204 No Content\r\n\r\n") as (asking, asked):
            await asking.get("/versions")
            return asked[0]

    lines = asyncio.run(run()).decode().split("\r\n")
    assert lines[0] == "GET /versions HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")


def test_json_that_is_no_object_is_none() -> None:
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"NaN"):
        assert Answer(200, {}, body).object is None
    assert Answer(200, {}, b'{"ok": true}').object == {"ok": True}
