"""Climbs the ladder dns, tcp, tls, http, binder once; a rung that breaks ends the climb."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from barehub.verify import binder, dial, trust
from barehub.verify.certificate import Validity
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client
from barehub.verify.report import Report
from barehub.verify.target import Target, is_address, join

CHECKS = {
    "dns": ("dns.missing",),
    "tcp": ("net.connect",),
    "tls": ("tls.not-tls", "tls.untrusted", "tls.hostname", "tls.expired"),
    "http": ("http.backend-down",),
    "binder": ("binder.not-binderhub", "binder.unhealthy"),
}
"""The rungs, and the checks that are skipped when a rung below them breaks."""

_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
)
"""What OpenSSL says, by its version, of an answer that is not TLS."""


async def probe(target: Target) -> Report:
    """One climb; bounded in time by the sum of the bounds of its rungs."""
    climb = _Climb(target)
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        await climb.run()
    finally:
        await climb.client.close()
    took = round((time.monotonic() - clock) * 1000)
    return Report(target, list(climb.found), climb.chain, started, took)


class _Climb:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.found = Findings(target.vantage)
        self.chain: tuple[bytes, ...] = ()
        self.client = Client(target.authority, lambda: self._dial(self._contexts.full))
        self._contexts = dial.contexts(target.ca_file)
        self._addresses: list[str] = []
        self._socket: socket.socket | None = None
        self._versions: Answer | None = None

    @property
    def _port(self) -> int:
        return self.target.connect_to[1] if self.target.connect_to else self.target.port

    async def run(self) -> None:
        rungs = {
            "dns": self._dns,
            "tcp": self._tcp,
            "tls": self._tls,
            "http": self._http,
            "binder": self._binder,
        }
        for rung, checks in CHECKS.items():
            if broken := self.found.broken:
                self.found.skipped(checks, f"not checked: {broken.id} failed")
            else:
                await rungs[rung]()

    async def _dns(self) -> None:
        if self.target.connect_to:
            where = join(*self.target.connect_to)
            self.found.skipped(CHECKS["dns"], f"not asked: connecting to {where} instead")
            return
        host = self.target.host
        try:
            self._addresses = await dial.resolve(host)
        except dial.Unresolved as error:
            fix = "apply the dns stage, or wait until the record is known"
            self.found.failed("dns.missing", str(error), fix, permanent=False)
            return
        if is_address(host):
            self.found.skipped(CHECKS["dns"], "not asked: an address needs no name")
        elif dial.is_local(host):
            self.found.passed("dns.missing", f"{host} is this machine, by its name")
        else:
            self.found.passed("dns.missing", f"{host} is {', '.join(self._addresses)}")

    async def _tcp(self) -> None:
        try:
            if self.target.connect_to:
                self._addresses = await dial.resolve(self.target.connect_to[0])
            sock, address = await dial.connect(self._addresses, self._port)
        except dial.Unresolved as error:
            self.found.failed("net.connect", str(error), "--connect-to ADDRESS", permanent=False)
        except dial.Unconnected as error:
            where = join(self._addresses[0] if self._addresses else "?", self._port)
            self.found.failed("net.connect", f"{error} ({where})", error.fix, permanent=False)
        else:
            self._addresses, self._socket = [address], sock
            self.found.passed("net.connect", f"connected to {join(address, self._port)}")

    async def _dial(self, context: ssl.SSLContext) -> dial.Stream:
        sock, self._socket = self._socket, None
        if sock is None:
            sock, _ = await dial.connect(self._addresses, self._port)
        return await dial.secure(sock, context, self.target.host)

    async def _tls(self) -> None:
        try:
            stream = await self._dial(self._contexts.full)
        except ssl.SSLCertVerificationError as error:
            self.found.passed("tls.not-tls", "it speaks TLS")
            code, verdict = await self._second_look(error)
            trust.explain(self.found, self.target.host, self.chain, code, verdict)
        except (OSError, dial.Unconnected) as error:
            await self._no_handshake(error)
        else:
            self.client.use(stream)
            self.chain = stream.chain
            self.found.passed("tls.not-tls", f"it speaks {stream.tls.version()}")
            peer = stream.tls.getpeercert() or {}
            trust.accept(self.found, self.target.host, _issuer(peer), _validity(peer))

    async def _second_look(self, error: ssl.SSLCertVerificationError) -> tuple[int, str]:
        """Gets the chain, and why OpenSSL refused it: whatever else, after the name."""
        code, verdict = error.verify_code, error.verify_message
        looks = [self._contexts.blind]
        if code in trust.NAME_MISMATCH:
            looks.insert(0, self._contexts.nameless)
        for context in looks:
            try:
                stream = await self._dial(context)
            except ssl.SSLCertVerificationError as again:
                code, verdict = again.verify_code, again.verify_message
            except (OSError, dial.Unconnected):
                break
            else:
                self.chain = stream.chain
                await stream.close()
                break
        return code, verdict

    async def _no_handshake(self, error: Exception) -> None:
        reason = getattr(error, "reason", None) or ""
        plain = not reason and await dial.speaks_http(self._addresses, self._port)
        if plain or reason in _NOT_TLS:
            where = join(self.target.host, self._port)
            self.found.failed(
                "tls.not-tls",
                f"what answers at {where} is not TLS: plain HTTP, or another protocol",
                "switch TLS on there, or give the port that has it",
                permanent=True,
            )
            return
        if isinstance(error, TimeoutError):
            message = f"no TLS handshake within {dial.HANDSHAKE_SECONDS:g} s"
        elif reason:
            message = f"the TLS handshake failed: {reason.lower().replace('_', ' ')}"
        else:
            message = "the connection was closed in the TLS handshake"
        fix = "is the ingress up, with a certificate for this name, and TLS 1.2 or 1.3 allowed?"
        self.found.failed("tls.handshake", message, fix, permanent=False)

    async def _http(self) -> None:
        self._versions = await binder.answers(self.found, self.client, self.target.base_path)

    async def _binder(self) -> None:
        assert self._versions is not None
        base, faked = self.target.base_path, self.target.builds == "fake"
        await binder.fingerprint(self.found, self.client, base, self._versions, alone=faked)
        if faked:
            self.found.informed("binder.fake-builds", "builds are faked: no image is ever made")


def _issuer(peer: Mapping[str, Any]) -> str:
    """The issuer's name, from what :meth:`ssl.SSLObject.getpeercert` tells."""
    fields = dict(pair for rdn in peer.get("issuer", ()) for pair in rdn)
    return str(fields.get("commonName") or fields.get("organizationName") or "an authority")


def _validity(peer: Mapping[str, Any]) -> Validity:
    begins, ends = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(peer[key])), UTC)
        for key in ("notBefore", "notAfter")
    )
    return Validity(begins, ends)
