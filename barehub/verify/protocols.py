"""Findings about TLS itself: old versions, weak ciphers, what is sent without a name.

Old versions are asked for by a ClientHello of our own: OpenSSL as Debian and others build it cannot
speak them any more.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache

from barehub.verify import dial
from barehub.verify.certificate import Chain, called, names
from barehub.verify.finding import Findings
from barehub.verify.target import is_address

Connect = Callable[[], Awaitable[socket.socket]]

SECONDS = 5.0
OLD = {"tls.tls10": (0x0301, "TLS 1.0"), "tls.tls11": (0x0302, "TLS 1.1")}

_CIPHERS = (
    0xC014, 0xC013, 0xC00A, 0xC009, 0xC012, 0xC008, 0x0039, 0x0033, 0x0035, 0x002F, 0x0016, 0x000A,
    0x0005, 0x0004, 0x00FF,
)  # fmt: skip
"""Those of TLS 1.0 and 1.1, and the renegotiation signal (RFC 5746, 3.3)."""

_HANDSHAKE, _SERVER_HELLO = 22, 2

_FIX = 'ssl-protocols "TLSv1.2 TLSv1.3" at the ingress; at Cloudflare, Minimum TLS Version 1.2'


def negotiated(found: Findings, version: str) -> None:
    """What was agreed on."""
    if version == "TLSv1.3":
        found.passed("tls.no-tls13", "TLS 1.3 is spoken")
    else:
        found.informed("tls.no-tls13", f"{version} at most: TLS 1.3 is faster and safer")


async def old_versions(found: Findings, connect: Connect, host: str) -> None:
    """Whether the server still speaks TLS 1.0 or 1.1 (RFC 8996 forbids both)."""
    spoken = await asyncio.gather(*(_speaks(connect, host, version) for version, _ in OLD.values()))
    for (id, (_, name)), yes in zip(OLD.items(), spoken, strict=True):
        if yes is None:
            found.skipped([id], f"not checked: {name} was asked for, and nothing answered")
        elif yes:
            found.failed(
                id, f"{name} is spoken, which is broken and forbidden", _FIX, permanent=True
            )
        else:
            found.passed(id, f"{name} is refused")


async def _speaks(connect: Connect, host: str, version: int) -> bool | None:
    """Whether the server agrees to ``version``; None when it cannot be known."""
    try:
        sock = await connect()
    except (OSError, dial.Unconnected):
        return None
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(sock=sock)
            try:
                writer.write(hello(host, version))
                kind, _, length = struct.unpack(">BHH", await reader.readexactly(5))
                if kind != _HANDSHAKE or length < 6:
                    return False
                said = await reader.readexactly(6)
                return said[0] == _SERVER_HELLO and int.from_bytes(said[4:6]) == version
            finally:
                writer.transport.abort()
    except TimeoutError:
        return None
    except (OSError, asyncio.IncompleteReadError):
        return False


def hello(host: str, version: int) -> bytes:
    """A ClientHello for ``version`` and nothing newer (RFC 4346, 7.4.1.2; RFC 6066, 3)."""
    extensions = b""
    if not is_address(host):
        name = host.encode("ascii")
        extensions += _extension(0, _sized(2, b"\x00" + _sized(2, name)))
    extensions += _extension(10, _sized(2, struct.pack(">4H", 29, 23, 24, 25)))
    extensions += _extension(11, _sized(1, b"\x00"))
    suites = struct.pack(f">{len(_CIPHERS)}H", *_CIPHERS)
    body = struct.pack(">H", version) + os.urandom(32) + b"\x00"
    body += _sized(2, suites) + b"\x01\x00" + _sized(2, extensions)
    return struct.pack(">BH", _HANDSHAKE, 0x0301) + _sized(2, b"\x01" + _sized(3, body))


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">H", number) + _sized(2, content)


def _sized(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width) + content


async def weak_cipher(connect: Connect, host: str, found: Findings) -> bool:
    """After a handshake failed: whether one with weak ciphers does not."""
    context = _blind("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        stream = await dial.secure(await connect(), context, host)
    except (OSError, dial.Unconnected):
        return False
    cipher = (stream.tls.cipher() or ("a weak one",))[0]
    await stream.close()
    fix = "allow ECDHE ciphers with AES-GCM or ChaCha20: the ingress's default is right"
    message = f"only weak ciphers are offered, {cipher} for one: browsers refuse them"
    found.failed("tls.weak-cipher", message, fix, permanent=True)
    return True


async def without_sni(connect: Connect, found: Findings, own: tuple[bytes, ...]) -> None:
    """Which certificate is sent to who names no host: does the server know this name at all?

    Another one is normal, so that this is of use only when ``own``, that for the name, is wrong.
    """
    try:
        stream = await dial.secure(await connect(), _blind("DEFAULT:@SECLEVEL=0"), "")
    except (OSError, dial.Unconnected):
        found.informed("tls.sni-default", "without a name (SNI) there is no handshake")
        return
    sent = stream.chain
    await stream.close()
    if sent[:1] == own[:1]:
        found.informed("tls.sni-default", "without a name (SNI) it sends the same certificate")
    elif chain := Chain.read(sent):
        whose = called(chain.own.subject, *names(chain.own))
        found.informed("tls.sni-default", f"without a name (SNI) it sends another: {whose}")


@lru_cache
def _blind(ciphers: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    return context
