"""Endpoints that never end, send too much, or send what nobody expects: no other one suffers."""

from __future__ import annotations

import asyncio
import faulthandler
import fcntl
import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from endpoints import (
    GOOD,
    HOST,
    HTML,
    JSON,
    MIDDLE,
    Handler,
    Servers,
    failed,
    issue,
    modern,
    routes,
    said,
    says,
)

from barehub import verify
from barehub.verify import binder, http, probe, web, workers
from barehub.verify.finding import UNJUDGED

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).with_name("invoke")


STALL = 6.0
"""Seconds; a good check is never kept so long on a loaded machine."""


def verified(*targets: verify.Target) -> dict[verify.Target, verify.Report]:
    reports: dict[verify.Target, verify.Report] = {}
    verify.verify_each(targets, lambda report: reports.update({report.target: report}))
    return reports


def stuck(*_: object) -> None:
    while True:
        pass


def asleep(*_: object) -> None:
    time.sleep(3600)


def crashed(*_: object) -> None:
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(("hang", "why"), [
    (stuck, "a check did not end within 6 s"),
    (asleep, "a check did not end within 6 s"),
    (crashed, "the process of the check ended by itself (code -11)"),
])  # fmt: skip
def test_a_check_that_hangs_or_crashes_is_the_finding_of_its_endpoint_alone(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, hang: Callable[..., None], why: str
) -> None:
    monkeypatch.setattr(workers, "STALL_SECONDS", STALL)
    bad = servers.target(routes({"*": (200, HTML, PAGE_OF_ANOTHER)}))
    good = [servers.target(routes(modern())) for _ in range(5)]
    monkeypatch.setattr(binder, "_stranger", hang)  # asked of what is no BinderHub alone
    reports = verified(*good[:2], bad, *good[2:])
    assert [reports[target].verdict for target in good] == ["pass"] * 5
    assert failed(reports[bad]) == [UNJUDGED]
    assert said(reports[bad], UNJUDGED) == f"not judged: {why}"
    assert reports[bad].verdict == "fail"


PAGE_OF_ANOTHER = "<title>another</title>"


def test_waiting_for_one_that_hangs_ends_and_the_others_are_waited_for(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STALL_SECONDS", STALL)
    monkeypatch.setattr(binder, "_stranger", stuck)
    bad = servers.target(routes({"*": (200, HTML, "")}))
    good = servers.target(routes(modern()))
    reports: dict[verify.Target, verify.Report] = {}
    verify.verify_each([bad, good], lambda r: reports.update({r.target: r}), seconds=60)
    assert (failed(reports[bad]), reports[good].verdict) == ([UNJUDGED], "pass")


def test_a_check_without_a_bound_of_its_own_is_ended_by_that_of_the_endpoint(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(probe, "SECONDS", 1.0)
    monkeypatch.setattr(binder, "fingerprint", endless)
    report = verify.verify(servers.target(routes(modern())))
    assert failed(report) == [UNJUDGED]
    assert said(report, "net.connect").startswith("connected to")  # what was found before is kept


def test_an_exception_that_nobody_expected_is_a_finding_with_its_place(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("canary-of-a-page")

    monkeypatch.setattr(web, "hsts", broken)
    report = verify.verify(servers.target(routes(modern())))
    assert failed(report) == [UNJUDGED]
    message = said(report, UNJUDGED)
    assert message.startswith("not judged: KeyError in test_verify_hostile.py:")
    assert "climb.py:" in message and "canary" not in message
    assert said(report, "binder.unhealthy") == f"not checked: {UNJUDGED} failed"


def evil_page(size: int) -> Handler:
    return routes({"*": (200, HTML, "<title>" + " " * size)})


def test_a_page_of_blanks_takes_no_time(servers: Servers) -> None:
    report = verify.verify(servers.target(evil_page(http.BODY_BYTES - 8)))
    assert failed(report) == ["binder.not-binderhub"]


STUCK = """
import sys
sys.argv[:1] = [{invoke!r}]
from barehub.verify import binder
def stuck(*_):
    while True: pass
binder._stranger = stuck
from invoke.main import program
program.run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_it_at_once_while_a_check_is_stuck(
    servers: Servers, own_home: Path, number: signal.Signals
) -> None:
    bad, good = servers.target(evil_page(10)), servers.target(routes(modern()))
    code = STUCK.format(invoke=str(INVOKE))
    argv = [sys.executable, "-c", code, "--search-root", str(ROOT), "verify", "--file", "-"]
    argv += ["--ca-file", str(servers.ca)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        assert running.stdin and running.stderr
        running.stdin.write(f"{good.url}\n{bad.url}\n".encode())
        running.stdin.close()
        while not (line := running.stderr.readline()).startswith("\u2713".encode()):
            assert line, "it ended before"
        time.sleep(1)  # the good one was told: now the other one is stuck, or will be
        started = time.monotonic()
        running.send_signal(number)
        assert running.wait(timeout=60) == 130
        assert time.monotonic() - started < workers.STALL_SECONDS - 2  # not by the alarm
    # nothing of it is left: the process group is empty
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


# -- what never ends, or is too much


def drip(start: bytes, piece: bytes, pause: float = 0.02) -> Handler:
    """Sends ``start``, then ``piece`` again and again."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await asyncio.sleep(pause)

    return handle


OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS: list[tuple[str, Handler, str]] = [
    ("a byte now and then", drip(OK, b"a", 0.3), "http.backend-down"),
    ("headers without end", drip(OK, b"X-A: b\r\n" * 500), "http.malformed"),
    ("interim answers without end", drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
     "http.backend-down"),
    ("a length that does not come", drip(OK + b"Content-Length: 99999\r\n\r\n", b"x", 0.3),
     "http.backend-down"),
    ("a body without end", drip(OK + b"\r\n", b"x" * 60_000), "binder.not-binderhub"),
    ("chunks without end", drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.3),
     "http.backend-down"),
    ("trailers without end",
     drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n", 0), "binder.not-binderhub"),
    ("one trailer without end",
     drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A" * 9000), "http.malformed"),
    ("a chunk's length without end",
     drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 9000), "http.malformed"),
]  # fmt: skip


@pytest.mark.parametrize(("handler", "finding"), [one[1:] for one in ENDLESS],
                         ids=[one[0] for one in ENDLESS])  # fmt: skip
def test_an_answer_without_end_is_bounded(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, handler: Handler, finding: str
) -> None:
    monkeypatch.setattr(http, "SECONDS", 2.0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    report = verify.verify(servers.target(handler))
    assert finding in failed(report)
    assert report.verdict in ("fail", "not-ready")
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after <= max(before, 300_000)  # KiB, of the largest child that there ever was


def test_a_gzip_bomb_is_not_opened(servers: Servers) -> None:
    bomb = gzip.compress(bytes(200 << 20), 1)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    report = verify.verify(servers.target(says(head + bomb)))
    assert failed(report) == ["binder.not-binderhub"]


def test_deep_and_wide_json_is_no_answer(servers: Servers) -> None:
    long = '{"binderhub": ' + "9" * 5000 + "}"
    for body in ("[" * 500_000, '{"a":' * 150_000, "9" * 900_000, long):
        report = verify.verify(servers.target(routes({"*": (200, JSON, body)})))
        assert failed(report) == ["binder.not-binderhub"]


def test_a_chain_of_redirects_ends(servers: Servers) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while await reader.readuntil(b"\r\n\r\n"):
            number += 1
            where = f"Location: /{number}/{'a' * 20_000}"
            writer.write(f"HTTP/1.1 302 X\r\n{where}\r\nContent-Length: 0\r\n\r\n".encode())

    report = verify.verify(servers.target(handle))
    assert "http.redirect-loop" in failed(report)
    assert all(len(finding.message) <= 400 for finding in report.findings)


# -- TLS


def test_a_handshake_that_comes_byte_by_byte_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from barehub.verify import dial, protocols

    monkeypatch.setattr(dial, "HANDSHAKE_SECONDS", 1.5)
    monkeypatch.setattr(protocols, "SECONDS", 1.0)
    with _dripping(b"\x16\x03\x03\x40\x00", b"\x02") as port:
        report = verify.verify(verify.parse(f"https://{HOST}:{port}"))
    assert failed(report) == ["tls.handshake"]


class _dripping:  # noqa: N801 - used as a function
    """A TCP server that sends ``start``, and then ``piece`` every tenth of a second."""

    def __init__(self, start: bytes, piece: bytes) -> None:
        self._start, self._piece = start, piece
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()

    def __enter__(self) -> int:
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listening.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listening.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._send, args=(sock,), daemon=True).start()

    def _send(self, sock: socket.socket) -> None:
        try:
            sock.sendall(self._start)
            while not self._ended.wait(0.1):
                sock.sendall(self._piece)
        except OSError:
            pass
        finally:
            sock.close()


def test_a_chain_of_many_certificates_is_bounded(servers: Servers) -> None:
    chain = (*GOOD, *(issue(None, f"Extra {n}", ca=True) for n in range(150)))
    report = verify.verify(servers.target(routes(modern()), chain))
    assert report.certificate is None or len(report.certificate["chain"]) < 20
    assert len(json.dumps(report.document())) < 100_000


@pytest.mark.parametrize("number", [3000, 10_000])
def test_thousands_of_names_are_not_all_told(servers: Servers, number: int) -> None:
    names = tuple(f"a{n}.example.org" for n in range(number))
    for sans in ((*names, HOST), names):
        report = verify.verify(servers.target(routes(modern()), (issue(MIDDLE, sans=sans), MIDDLE)))
        assert all(len(finding.message) <= 400 for finding in report.findings)
        assert len(json.dumps(report.document())) < 100_000
    assert report.verdict != "pass"  # 10,000 are more than OpenSSL takes in a handshake


def test_no_lock_of_the_run_is_held_by_the_process_of_a_check(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STALL_SECONDS", STALL)
    monkeypatch.setattr(binder, "_stranger", asleep)
    target, tries = servers.target(routes({"*": (200, HTML, "")})), list[bool]()

    with (tmp_path / "lock").open("w") as ours, (tmp_path / "lock").open("w") as another:
        fcntl.flock(ours, fcntl.LOCK_EX)

        def stop() -> None:
            if not tries:
                time.sleep(2)  # the check is asleep by now
                ours.close()  # as the kernel does for a run that was killed
                fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
                tries.append(True)

        verify.verify_each([target], lambda report: None, stop=stop)
    assert tries
