"""Name servers that answer in circles, too much, nothing, or nonsense: real sockets on loopback."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from endpoints import failed

from barehub import verify

NAME = "hub.example.org"
Reply = Callable[[dns.message.Message], bytes]


def answer(query: dns.message.Message, *records: tuple[str, str, str]) -> bytes:
    made = dns.message.make_response(query)
    for name, kind, text in records:
        made.answer.append(dns.rrset.from_text(name, 60, "IN", kind, text))
    return made.to_wire(max_size=65535)


def circle(query: dns.message.Message) -> bytes:
    return answer(query, (NAME + ".", "CNAME", "a.example.org."),
                  ("a.example.org.", "CNAME", NAME + "."))  # fmt: skip


def on_and_on(query: dns.message.Message) -> bytes:
    names = [f"{NAME}.", *(f"a{n}.example.org." for n in range(400))]
    return answer(query, *((name, "CNAME", to) for name, to in itertools.pairwise(names)))


def many(query: dns.message.Message) -> bytes:
    """4,000 addresses, in 64 KB."""
    made = dns.message.make_response(query)
    records = [f"127.{n >> 8}.{n & 255}.9" for n in range(4000)]
    kind = dns.rdatatype.to_text(query.question[0].rdtype)
    if kind == "A":
        made.answer.append(dns.rrset.from_text(f"{NAME}.", 60, "IN", "A", *records))
    return made.to_wire(max_size=65535)


def pointing_at_itself(query: dns.message.Message) -> bytes:
    """A name whose compression pointer leads to itself (RFC 1035, 4.1.4)."""
    head = struct.pack(">6H", query.id, 0x8180, 1, 1, 0, 0)
    question = query.to_wire()[12:]
    at = 12 + len(question)
    record = struct.pack(">HHHIH", 0xC000 | at, 1, 1, 60, 4) + bytes(4)
    return head + question + record


def noise(query: dns.message.Message) -> bytes:
    return query.to_wire()[:2] + b"\xff" * 500


def short(query: dns.message.Message) -> bytes:
    return query.to_wire()[:5]


def odd_caa(query: dns.message.Message) -> bytes:
    kind = dns.rdatatype.to_text(query.question[0].rdtype)
    if kind != "CAA":
        return answer(query, (f"{NAME}.", "A", "127.0.0.1")) if kind == "A" else answer(query)
    return answer(query, (f"{NAME}.", "CAA", '0 x "\\255\\000"'), (f"{NAME}.", "CAA", '0 issue ""'))


def nothing(query: dns.message.Message) -> bytes:
    return b""


@contextmanager
def server(reply: Reply) -> Iterator[tuple[str, int]]:
    """A name server over UDP and TCP; what is longer than 512 bytes goes over TCP."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    tcp = socket.create_server(udp.getsockname())

    def datagrams() -> None:
        while True:
            try:
                asked, where = udp.recvfrom(65535)
            except OSError:
                return
            query = dns.message.from_wire(asked)
            said = reply(query)
            if len(said) > 512:
                cut = dns.message.make_response(query)
                cut.flags |= dns.flags.TC
                said = cut.to_wire()
            if said:
                udp.sendto(said, where)

    def streams() -> None:
        while True:
            try:
                sock, _ = tcp.accept()
            except OSError:
                return
            with sock:
                (length,) = struct.unpack(">H", sock.recv(2) or b"\0\0")
                said = reply(dns.message.from_wire(sock.recv(length)))
                sock.sendall(struct.pack(">H", len(said)) + said)

    threads = [threading.Thread(target=one, daemon=True) for one in (datagrams, streams)]
    for thread in threads:
        thread.start()
    try:
        yield udp.getsockname()
    finally:
        for sock in (udp, tcp):
            sock.close()


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        (circle, "dns.missing"),
        (on_and_on, "dns.missing"),
        (many, "net.connect"),
        (pointing_at_itself, "dns.missing"),
        (noise, "dns.missing"),
        (short, "dns.missing"),
        (nothing, "dns.missing"),
        (odd_caa, "dns.caa"),
    ],
)
def test_what_a_name_server_says_is_bounded_and_judged(reply: Reply, wrong: str) -> None:
    with server(reply) as where:
        target = dataclasses.replace(verify.parse(f"https://{NAME}:1"), resolver=where)
        report = verify.verify(target)
    assert wrong in failed(report)
    assert "verify.error" not in failed(report)
    assert all(len(finding.message) <= 400 for finding in report.findings)
