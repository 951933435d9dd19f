"""A real Knot DNS that is authoritative for one zone and takes signed updates (RFC 2136)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update

from barehub.patience import Patience

START_SECONDS = 20.0
SECRET = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
KEYS = dns.tsigkeyring.from_text({"tests.": SECRET})

CONF = """
server:
  rundir: {folder}
  listen: 127.0.0.1@{port}
database:
  storage: {folder}/db
log:
  - target: stderr
    any: warning
key:
  - id: tests.
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: tests
    key: tests.
    action: update
zone:
  - domain: {zone}
    storage: {folder}
    file: zone
    acl: tests
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
"""

ZONE = """$ORIGIN {zone}.
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 86400 30
@ NS ns1
ns1 A 127.0.0.1
"""


@dataclass(frozen=True)
class Knot:
    """A running server: 127.0.0.1, its port, its zone."""

    zone: str
    port: int

    def set(self, name: str, types: Iterable[str], records: Iterable[tuple[str, int, str]]) -> None:
        """Have these ``(type, TTL, data)`` and nothing else of ``types`` at ``name``."""
        update = dns.update.UpdateMessage(self.zone, keyring=KEYS)
        for kind in types:
            update.delete(f"{name}.", kind)
        for kind, ttl, data in records:
            update.add(f"{name}.", ttl, kind, data)
        answer = dns.query.tcp(update, "127.0.0.1", port=self.port, timeout=10)
        assert answer.rcode() == dns.rcode.NOERROR, answer.to_text()

    def ask(self, name: str, kind: str = "A") -> list[str]:
        """The data of the records of a type at ``name``, sorted; none if there is no such name."""
        question = dns.message.make_query(name, kind)
        answer = dns.query.tcp(question, "127.0.0.1", port=self.port, timeout=10)
        wanted = dns.rdatatype.from_text(kind)
        return sorted(
            d.to_text() for rrset in answer.answer if rrset.rdtype == wanted for d in rrset
        )


@contextmanager
def knot(folder: Path, zone: str) -> Iterator[Knot]:
    """Run a server for ``zone`` in ``folder`` until the end of the block."""
    program = shutil.which("knotd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "knotd is not installed (Debian: knot)"
    (folder / "db").mkdir(parents=True)
    (folder / "zone").write_text(ZONE.format(zone=zone))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    conf, log = folder / "knot.conf", folder / "log"
    conf.write_text(CONF.format(folder=folder, port=port, zone=zone, secret=SECRET))
    with log.open("wb") as out:
        running = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program, "-c", conf], stdout=out, stderr=out
        )
    server = Knot(zone, port)
    try:
        patience = Patience(START_SECONDS)
        while not _answers(server):
            assert running.poll() is None, log.read_text()
            assert not patience.over(), log.read_text()
            time.sleep(0.02)
        yield server
    finally:
        running.terminate()
        running.wait(timeout=20)


def _answers(server: Knot) -> bool:
    try:
        return bool(server.ask(server.zone, "SOA"))
    except (OSError, dns.exception.DNSException):
        return False
