"""Climbs the ladder dns, tcp, tls, http, binder from one vantage; a rung that breaks ends it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from barehub.verify import binder, dial, hub, names, protocols, trust, web
from barehub.verify.certificate import Chain
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client, Unanswered
from barehub.verify.target import Target, join

CHECKS = {
    "dns": ("dns.missing",),
    "tcp": ("net.connect",),
    "tls": ("tls.not-tls", "tls.untrusted", "tls.hostname", "tls.expired"),
    "http": ("http.backend-down",),
    "binder": ("binder.not-binderhub", "binder.unhealthy", "hub.api"),
}
"""The rungs, and the checks that are skipped when a rung below them breaks."""

_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
)
"""What OpenSSL says, by its version, of an answer that is not TLS."""

Check = Callable[[Findings], Awaitable[None]]


class Climb:
    """One climb, to a target that has one vantage."""

    def __init__(self, target: Target) -> None:
        self.target = target
        (vantage,) = target.vantages
        self.found = Findings(vantage)
        self.chain: tuple[bytes, ...] = ()
        self.addresses: list[str] = []
        self.client = Client(target.authority, lambda: self._dial(self._context))
        self._contexts = dial.contexts(target.ca_file)
        self._context = self._contexts.full
        self._socket: socket.socket | None = None
        self._answer: Answer | None = None

    @property
    def proxied(self) -> bool:
        """Whether Cloudflare's proxy answered."""
        return self._answer is not None and web.proxied(self._answer)

    async def run(self) -> None:
        """Climb; the dns rung only if it was not climbed before."""
        rungs = {"tcp": self._tcp, "tls": self._tls, "http": self._http, "binder": self._binder}
        if not self.found:
            await self.dns()
        for rung, climb in rungs.items():
            if broken := next((f for f in self.found if f.broken and f.id != "dns.caa"), None):
                self.found.skipped(CHECKS[rung], f"not checked: {broken.id} failed")
            else:
                with self.found.catching():
                    await climb()

    async def dns(self) -> None:
        if self.target.connect_to:
            where = join(*self.target.connect_to)
            self.found.skipped(CHECKS["dns"], f"not asked: connecting to {where} instead")
        else:
            with self.found.catching():
                self.addresses = await names.look_up(self.found, self.target)

    @property
    def _port(self) -> int:
        return self.target.connect_to[1] if self.target.connect_to else self.target.port

    async def _tcp(self) -> None:
        all_addresses = self.addresses
        try:
            if self.target.connect_to:
                all_addresses = await dial.resolve(self.target.connect_to[0])
            sock, address = await dial.connect(all_addresses, self._port)
        except dial.Unresolved as error:
            self.found.failed("net.connect", str(error), "--connect-to ADDRESS", permanent=False)
        except dial.Unconnected as error:
            where = join(all_addresses[0] if all_addresses else "?", self._port)
            self.found.failed("net.connect", f"{error} ({where})", error.fix, permanent=False)
        else:
            self.addresses = [address, *(a for a in all_addresses if a != address)]
            self._socket = sock
            self.found.passed("net.connect", f"connected to {join(address, self._port)}")

    async def _connect(self) -> socket.socket:
        sock, _ = await dial.connect(self.addresses[:1], self._port)
        return sock

    async def _dial(self, context: ssl.SSLContext) -> dial.Stream:
        sock, self._socket = self._socket, None
        return await dial.secure(sock or await self._connect(), context, self.target.host)

    async def _tls(self) -> None:
        try:
            stream = await self._dial(self._contexts.full)
        except ssl.SSLCertVerificationError as error:
            self.found.passed("tls.not-tls", "it speaks TLS")
            code, verdict = await self._second_look(error)
            trust.explain(self.found, self.target.host, self.chain, code, verdict)
            await protocols.without_sni(self._connect, self.found, self.chain)
            if self.found.has("tls.origin-cert"):
                self._context = self._contexts.blind  # nothing secret is sent, or believed
            elif self.found.has("tls.not-yet-valid"):
                await self._clock()
        except dial.Malformed:
            self.found.passed("tls.not-tls", "it speaks TLS")
            await self._unchecked_look()
            trust.malformed(self.found)
        except (OSError, dial.Unconnected) as error:
            await self._no_handshake(error)
            return
        else:
            self.client.use(stream)
            self.chain = stream.chain
            self.found.passed("tls.not-tls", f"it speaks {stream.tls.version()}")
            protocols.negotiated(self.found, str(stream.tls.version()))
            public = self.target.ca_file is None
            trust.accept(self.found, self.target.host, self.chain, public=public)
            self._other_authority()
        await self._side_by_side(
            lambda found: protocols.old_versions(found, self._connect, self.target.host),
            lambda found: names.ipv6(found, self.target, self.addresses),
        )

    def _other_authority(self) -> None:
        """CAA records that keep Let's Encrypt out are right where another one is at work."""
        chain = Chain.read(self.chain)
        if chain and not chain.letsencrypt:
            for at, finding in enumerate(self.found):
                if finding.id == "dns.caa" and finding.broken:
                    self.found[at] = dataclasses.replace(
                        finding, severity="info", status="pass", fix=None
                    )

    async def _side_by_side(self, *checks: Check) -> None:
        """Run independent checks at once; their findings come in the order of the checks."""
        found = [Findings(self.found.vantage) for _ in checks]
        await asyncio.gather(*(check(its) for check, its in zip(checks, found, strict=True)))
        for its in found:
            self.found += its

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

    async def _unchecked_look(self) -> None:
        """Get the chain with a connection that checks nothing."""
        with contextlib.suppress(OSError, dial.Unconnected):
            stream = await self._dial(self._contexts.blind)
            self.chain = stream.chain
            await stream.close()

    async def _clock(self) -> None:
        """A certificate from the future: is it our clock? Its server tells the time."""
        client = Client(self.target.authority, lambda: self._dial(self._contexts.blind))
        try:
            answer = await client.get(self.target.base_path)
        except Unanswered:
            return
        finally:
            await client.close()
        web.clock_skew(self.found, answer, datetime.now(UTC))

    async def _no_handshake(self, error: Exception) -> None:
        reason = getattr(error, "reason", None) or ""
        plain = not reason and await dial.speaks_http(self.addresses, self._port)
        if plain or reason in _NOT_TLS:
            where = join(self.target.host, self._port)
            self.found.failed(
                "tls.not-tls",
                f"what answers at {where} is not TLS: plain HTTP, or another protocol",
                "switch TLS on there, or give the port that has it",
                permanent=True,
            )
            return
        if "PROTOCOL" in reason:
            await protocols.old_versions(self.found, self._connect, self.target.host)
            if self.found.broken:
                return
        if reason and await protocols.weak_cipher(self._connect, self.target.host, self.found):
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
        answer = await binder.answers(self.found, self.client, self.target.base_path)
        if answer is None:
            return
        self._answer = answer
        if 300 <= answer.status < 400:
            await web.follow(self.found, self.client, self.target, answer, self.proxied)
        web.hsts(self.found, self.target, answer)
        web.clock_skew(self.found, answer, datetime.now(UTC))
        await web.redirect(self.found, self.target, self.addresses, self.proxied)

    async def _binder(self) -> None:
        assert self._answer is not None
        base, faked = self.target.base_path, self.target.builds == "fake"
        await binder.fingerprint(
            self.found,
            self.client,
            base,
            self._answer,
            alone=faked,
            expected=self.target.version,
        )
        await hub.check(self.found, self.client, self.target)
        if faked:
            self.found.informed("binder.fake-builds", "builds are faked: no image is ever made")
