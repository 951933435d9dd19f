"""DNS servers for tests: a real one, and one of our own for what that cannot play."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from barehub.patience import Patience

START_SECONDS = 20.0


class Dns:
    """A running pebble-challtestsrv, told by its management API what to answer."""

    def __init__(self, resolver: tuple[str, int], management: int) -> None:
        self.resolver = resolver
        self.management = f"http://127.0.0.1:{management}"

    def tell(self, what: str, **body: Any) -> None:
        data = json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.management}/{what}", data, timeout=10) as answer:
            assert answer.status == 200

    def leads(self, host: str, *addresses: str) -> None:
        for what, part in (("add-a", "."), ("add-aaaa", ":")):
            if own := [address for address in addresses if part in address]:
                self.tell(what, host=host, addresses=own)

    def caa(self, host: str, **policies: str) -> None:
        listed = [{"tag": tag, "value": value} for tag, value in policies.items()]
        self.tell("add-caa", host=host, policies=listed)


@contextmanager
def running(log: Path) -> Iterator[Dns]:
    """A pebble-challtestsrv of its own, ended with the block."""
    program = shutil.which("pebble-challtestsrv")
    assert program, "pebble-challtestsrv is not installed (Debian: pebble)"
    port, management = _free(), _free()
    unused = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
    addresses = ["-dns01", f"127.0.0.1:{port}", "-management", f"127.0.0.1:{management}"]
    with log.open("wb") as output:
        argv = [program, "-defaultIPv4", "", "-defaultIPv6", "", *addresses]
        known = subprocess.run([program, "-h"], capture_output=True, text=True, check=False)
        argv += unused if "-doh" in known.stderr + known.stdout else unused[:-2]
        child = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        _until_it_listens(child, log, port, management)
        yield Dns(("127.0.0.1", port), management)
    finally:
        child.terminate()
        child.wait(timeout=20)


def _free() -> int:
    """A port that is free for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _until_it_listens(running: subprocess.Popen[bytes], log: Path, *ports: int) -> None:
    patience = Patience(START_SECONDS)
    for port in ports:
        while True:
            assert running.poll() is None and not patience.over(), log.read_text()
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)


# A resolver and the zone's own servers, told apart by what they are asked: recursion or not.

RECORDS = {
    ("zone.invalid.", "SOA"): "ns.zone.invalid. ops.zone.invalid. 1 60 60 60 60",
    ("zone.invalid.", "NS"): "ns.zone.invalid.",
    ("ns.zone.invalid.", "A"): "127.0.0.1",
}
PUBLISHED = {("hub.zone.invalid.", "A"): "192.0.2.55"}


@contextmanager
def nxdomain(published: dict[tuple[str, str], str]) -> Iterator[int]:
    """The port of a resolver that knows no hub; without recursion it also has ``published``."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    data, peer = sock.recvfrom(4096)
                except TimeoutError:
                    continue
                sock.sendto(_answer(data, published), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def _answer(data: bytes, published: dict[tuple[str, str], str]) -> bytes:
    query = dns.message.from_wire(data)
    (question,) = query.question
    answer = dns.message.make_response(query)
    recursive = bool(query.flags & dns.flags.RD)
    known = RECORDS if recursive else {**RECORDS, **published}
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    if text := known.get((name, kind)):
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, text))
    elif not any(owner == name for owner, _ in known):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer.to_wire()
