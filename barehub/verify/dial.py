"""Names to addresses, addresses to connections, connections to TLS: each bounded in time."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from barehub.verify.target import is_address, is_local

DNS_SECONDS = 5.0
CONNECT_SECONDS = 5.0
HANDSHAKE_SECONDS = 10.0
PLAIN_SECONDS = 3.0
CLOSE_SECONDS = 0.2

HEADER_BYTES = 32 * 1024
"""The longest header, and the most that is buffered of what nobody has read yet."""

MOST_ADDRESSES = 4

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Unresolved(Exception):
    """A name that leads nowhere; the text says why."""


class Unconnected(Exception):
    """An address that could not be connected to: why, and what to do about it."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


class Malformed(OSError):
    """A certificate that OpenSSL takes, and that Python's own ssl module cannot decode."""


@dataclass(frozen=True)
class Stream:
    """A connection, with TLS but for :func:`plain`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def tls(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return found

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates that the server sent, in DER, its own first.

        ``get_unverified_chain`` is public from Python 3.13 on and private before.
        """
        if public := getattr(self.tls, "get_unverified_chain", None):
            return tuple(public())
        try:
            sent = getattr(self.tls, "_sslobj").get_unverified_chain()  # noqa: B009
            return tuple(ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in sent)
        except (AttributeError, TypeError, ValueError):
            return (self.tls.getpeercert(True) or b"",)

    async def close(self) -> None:
        """Say goodbye as TLS wants it, without waiting for an answer that may never come."""
        self.writer.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            self.writer.transport.abort()


class Contexts:
    """The TLS settings of one set of trusted roots; building them costs more than a handshake."""

    def __init__(self, ca_file: Path | None) -> None:
        self._ca_file = ca_file
        self.full = self._trusting()

    @cached_property
    def nameless(self) -> ssl.SSLContext:
        """Trust and dates without the name."""
        context = self._trusting()
        context.check_hostname = False
        return context

    @cached_property
    def blind(self) -> ssl.SSLContext:
        """Nothing is checked: a second look at a certificate that was refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with suppress(ssl.SSLError):  # LibreSSL has no security levels
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context

    def _trusting(self) -> ssl.SSLContext:
        """Python's defaults, the same on every version of it.

        Python trusts common names up to 3.13, and refuses authorities without some extensions
        from 3.13 on (VERIFY_X509_STRICT); browsers and Go do neither.
        """
        context = ssl.create_default_context(cafile=self._ca_file)
        context.hostname_checks_common_name = False
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        return context


def contexts(ca_file: Path | None) -> Contexts:
    """The :class:`Contexts` that trust ``ca_file`` alone, or the system's roots."""
    return _contexts(ca_file, ca_file.stat().st_mtime_ns if ca_file else 0)


@lru_cache(maxsize=8)
def _contexts(ca_file: Path | None, modified: int) -> Contexts:
    return Contexts(ca_file)


async def resolve(host: str) -> list[str]:
    """The addresses of ``host``, in the order in which to try them.

    ``localhost`` and the names below it are this machine, whatever DNS says (RFC 6761, 6.3).

    :raises Unresolved: it has none, or nobody answered in time.
    """
    if is_address(host):
        return [host]
    if is_local(host):
        return ["127.0.0.1", "::1"]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def deliver(addresses: list[str] | Unresolved) -> None:
        if answer.done():
            return
        if isinstance(addresses, Unresolved):
            answer.set_exception(addresses)
        else:
            answer.set_result(addresses)

    def ask() -> None:
        said = _look_up(host)
        with suppress(RuntimeError):  # the loop has ended: nobody waits for the answer any more
            loop.call_soon_threadsafe(deliver, said)

    # A thread of its own: the loop's executor is joined at the end, however long the resolver takes
    threading.Thread(target=ask, daemon=True).start()
    try:
        async with asyncio.timeout(DNS_SECONDS):
            return await answer
    except TimeoutError:
        raise Unresolved(f"no answer from the resolver within {DNS_SECONDS:g} s") from None


def _look_up(host: str) -> list[str] | Unresolved:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return Unresolved(f"the resolver could not look up {host}")
        return Unresolved(f"{host} has no address")
    except (OSError, UnicodeError) as error:
        return Unresolved(f"{host} cannot be looked up: {error}")
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(addresses: list[str], port: int) -> tuple[socket.socket, str]:
    """A connection to the first of ``addresses`` that takes one, and that address.

    :raises Unconnected: why the first of them does not.
    """
    failure: Unconnected | None = None
    for address in addresses[:MOST_ADDRESSES]:
        try:
            return await _connect(address, port), address
        except Unconnected as error:
            failure = failure or error
    raise failure or Unconnected("there is no address to connect to", "apply the dns stage")


async def _connect(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):  # TimeoutError is one
            raise _unconnected(error) from None
        raise
    return sock


def _unconnected(error: OSError) -> Unconnected:
    if isinstance(error, ConnectionRefusedError):
        return Unconnected(
            "connection refused", "nothing listens there: is the hub up, and is it the right port?"
        )
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return Unconnected(
            f"no answer within {CONNECT_SECONDS:g} s",
            "a security group or a firewall drops it: open the port, or the machine is down",
        )
    if error.errno in _UNREACHABLE:
        return Unconnected(
            "no route to it", "is the address attached to the machine, and are you online?"
        )
    return Unconnected(str(error.strerror or error), "is the machine up?")


async def plain(addresses: list[str], port: int) -> Stream:
    """A connection without TLS.

    :raises Unconnected: nobody takes it.
    """
    sock, _ = await connect(addresses, port)
    return Stream(*await asyncio.open_connection(sock=sock, limit=HEADER_BYTES))


async def speaks_http(addresses: list[str], port: int) -> bool:
    """Whether a server answers HTTP without TLS: many leave a TLS greeting without an answer."""
    try:
        sock, _ = await connect(addresses, port)
        async with asyncio.timeout(PLAIN_SECONDS):
            reader, writer = await asyncio.open_connection(sock=sock)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return await reader.readexactly(5) == b"HTTP/"
            finally:
                writer.transport.abort()
    except (OSError, Unconnected, asyncio.IncompleteReadError):
        return False


async def secure(sock: socket.socket, context: ssl.SSLContext, host: str) -> Stream:
    """TLS over ``sock``, asking for ``host``.

    :raises OSError: the handshake failed (ssl.SSLError is one) or took too long (TimeoutError).
    :raises Malformed: it did not, but for a name in the certificate
    """
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=host, limit=HEADER_BYTES
            )
    except BaseException as error:
        sock.close()
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            raise Malformed(type(error).__name__) from None  # asyncio calls getpeercert() then
        raise
    return Stream(reader, writer)
