"""Real TLS servers on loopback, well or broken in one way, for the tests of verify.

The modern BinderHub here stands in for a real one, which is not on the package index and takes a
minute of npm to build: it answers with the shapes that were measured on BinderHub at b9fad995
(2026-04-20).
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from barehub import verify

HOST = "demo.localhost"
DAY = timedelta(days=1)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Routes = dict[str, tuple[int, str, str]]

JSON, HTML = "application/json", "text/html; charset=UTF-8"
PAGE = "<html><head><title>Binder</title></head></html>"
VERSIONS = {"builder_info": {}, "binderhub": "0.2.0+2227.gb9fad995"}
HUB_UP = {"service": "JupyterHub API", "ok": True}
HUB_DOWN = {"service": "JupyterHub API", "ok": False}
NO_QUOTA = {
    "service": "Pod quota", "ok": False, "quota": 10, "total_pods": 12, "_ignore_failure": True,
}  # fmt: skip


def modern(ok: bool = True, *checks: dict[str, Any]) -> Routes:
    """A BinderHub of 2026: its page on every path that it does not know."""
    health = json.dumps({"ok": ok, "checks": [*checks] or [HUB_UP]})
    return {
        "/versions": (200, JSON, json.dumps(VERSIONS)),
        "/health": (200 if ok else 503, JSON, health),
        "*": (200, HTML, PAGE),
    }


@dataclass
class Issued:
    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def issue(
    by: Issued | None,
    name: str = "",
    *,
    sans: tuple[str, ...] | None = (HOST,),
    begins: timedelta = -DAY,
    ends: timedelta = 89 * DAY,
    ca: bool = False,
    key: Key | None = None,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
    more: tuple[x509.ExtensionType, ...] = (),
) -> Issued:
    key, now = key or ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder(by.certificate.subject if by else subject, subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if sans and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([_san(s) for s in sans]), False)
    if not ca and usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


ROOT = issue(None, "Test Root", ca=True, ends=900 * DAY)
MIDDLE = issue(ROOT, "Test Intermediate", ca=True, ends=900 * DAY)
GOOD = (issue(MIDDLE), MIDDLE)
STAGING = issue(None, "(STAGING) Pretend Pear X1", ca=True)


class Servers:
    """Starts servers in a thread of their own and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.ca = self._folder / "ca.pem"
        self.ca.write_bytes(ROOT.pem)

    def __enter__(self) -> Servers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for server in self._running:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # so that what they left open is closed before the loop is

    def start(
        self,
        handler: Handler,
        chain: tuple[Issued, ...] | None = GOOD,
        *,
        port: int = 0,
        address: str = "127.0.0.1",
    ) -> int:
        """The port of a server with ``chain``, or without TLS."""
        context = self._context(chain) if chain else None

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            with suppress(asyncio.CancelledError):
                await handler(reader, writer)

        starting = asyncio.start_server(handle, address, port, ssl=context)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self._running.append(server)
        return int(server.sockets[0].getsockname()[1])

    def target(self, handler: Handler, chain: tuple[Issued, ...] | None = GOOD) -> verify.Target:
        url = f"https://{HOST}:{self.start(handler, chain)}"
        return verify.parse(url, ca_file=str(self.ca))

    def _context(self, chain: tuple[Issued, ...]) -> ssl.SSLContext:
        name = hashlib.sha256(chain[0].pem).hexdigest()[:16]
        certificates, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificates.write_bytes(b"".join(issued.pem for issued in chain))
        key.write_bytes(private(chain[0]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(certificates, key)
        return context


def private(issued: Issued) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return issued.key.private_bytes(encoding, form, serialization.NoEncryption())


def routes(answers: Routes, asked: list[str] | None = None) -> Handler:
    """Answers from a table, in chunks or by length, over connections that are kept."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            path = head.split()[1].decode()
            if asked is not None:
                asked.append(path)
            status, kind, body = answers.get(path) or answers.get("*") or (404, HTML, "not here")
            data = body.encode()
            where = f"Location: {body}\r\n" if status == 302 else ""
            start = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{where}"
            if path == "/health":
                chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
                writer.write(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
            else:
                writer.write(f"{start}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        writer.close()

    return handle


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return b""


def says(data: bytes, *, pause: float = 0.0, end: bool = True) -> Handler:
    """Answers everything with ``data``, byte by byte when there is a ``pause``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await _head(reader):
            for at in range(len(data)) if pause else ():
                writer.write(data[at : at + 1])
                await asyncio.sleep(pause)
            writer.write(b"" if pause else data)
        if not end:
            await asyncio.sleep(3600)
        writer.close()

    return handle


NO_ANSWER = says(b"", end=False)
PLAIN = None


def failed(report: verify.Report) -> list[str]:
    return [finding.id for finding in report.findings if finding.status == "fail"]


def said(report: verify.Report, id: str) -> str:
    return next(finding.message for finding in report.findings if finding.id == id)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port on which nothing listens, and which nobody else is given."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
