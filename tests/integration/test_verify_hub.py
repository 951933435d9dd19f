"""The rungs above TLS: HTTP, BinderHub, its health; waiting; a real BinderHub 0.1.0."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest
from endpoints import (
    GOOD,
    HOST,
    HTML,
    HUB_DOWN,
    HUB_UP,
    JSON,
    NO_ANSWER,
    NO_QUOTA,
    PAGE,
    STAGING,
    Handler,
    Servers,
    closed_port,
    failed,
    issue,
    modern,
    routes,
    said,
    says,
)
from hubs import binder, installed

from barehub import verify
from barehub.console import console
from barehub.verify import http, waiting

HUGE = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
NOT_HTTP = says(b"220 mail.example.org ESMTP\r\n\r\n")
DRIP = says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3000, pause=0.01)
ENDLESS = says(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"a" * 4_000_000)
CUT = says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
CHUNK = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n")
BOMB = "[" * 500_000

BROKEN_HTTP: list[tuple[str, Handler, str]] = [
    ("http.malformed", says(HUGE), "fail"),
    ("http.malformed", NOT_HTTP, "fail"),
    ("http.malformed", CHUNK, "fail"),
    ("http.backend-down", says(b""), "not-ready"),
    ("http.backend-down", CUT, "not-ready"),
    ("http.backend-down", DRIP, "not-ready"),
    ("http.backend-down", NO_ANSWER, "not-ready"),
    ("http.backend-down", routes({"*": (502, HTML, "Bad Gateway")}), "not-ready"),
    ("http.backend-down", routes({"/": (504, HTML, "")}), "not-ready"),
    ("http.default-backend", routes({"*": (404, HTML, "default backend - 404")}), "not-ready"),
    ("binder.not-binderhub", routes({"*": (200, HTML, PAGE)}), "fail"),
    (
        "binder.not-binderhub",
        routes({"/": (200, HTML, "<title>Welcome to nginx!</title>")}),
        "fail",
    ),
    ("binder.not-binderhub", routes({"*": (200, JSON, '{"version": "6.1.1"}')}), "fail"),
    ("binder.not-binderhub", routes({"*": (200, JSON, BOMB)}), "fail"),
    ("binder.not-binderhub", routes({"*": (401, HTML, "")}), "fail"),
    ("binder.not-binderhub", ENDLESS, "fail"),
    ("binder.unhealthy", routes(modern(False, HUB_DOWN)), "not-ready"),
    ("binder.unhealthy", routes(modern() | {"/health": (200, HTML, PAGE)}), "not-ready"),
    ("binder.unhealthy", routes(modern() | {"/health": (502, HTML, "Bad Gateway")}), "not-ready"),
    ("binder.quota", routes(modern(True, HUB_UP, NO_QUOTA)), "pass"),
]


@pytest.mark.parametrize(("id", "handler", "verdict"), BROKEN_HTTP)
def test_a_broken_server_has_its_own_finding(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, id: str, handler: Handler, verdict: str
) -> None:
    monkeypatch.setattr(http, "SECONDS", 1.0)
    report = verify.verify(servers.target(handler))
    assert (failed(report), report.verdict) == ([id], verdict)


def test_an_unhealthy_hub_names_what_it_lacks(servers: Servers) -> None:
    registry = {"service": "Docker registry", "ok": False}
    report = verify.verify(servers.target(routes(modern(False, HUB_UP, registry, NO_QUOTA))))
    assert said(report, "binder.unhealthy") == "BinderHub cannot use Docker registry"


def test_a_hub_with_faked_builds_needs_no_jupyterhub_but_all_else(servers: Servers) -> None:
    def judged(*checks: dict[str, Any]) -> str:
        target = servers.target(routes(modern(False, *checks)))
        return verify.verify(dataclasses.replace(target, builds="fake")).verdict

    assert judged(HUB_DOWN) == "pass"
    assert judged(HUB_DOWN, {"service": "Docker registry", "ok": False}) == "not-ready"


def test_a_redirect_to_another_host_is_not_followed(servers: Servers) -> None:
    asked: list[str] = []
    elsewhere = servers.target(routes(modern(), asked)).url
    report = verify.verify(servers.target(routes({"*": (302, HTML, elsewhere)})))
    assert failed(report) == ["binder.not-binderhub"] and elsewhere in report.failures[0].message
    assert asked == []


def test_a_version_without_health_is_not_asked_for_it(servers: Servers) -> None:
    report = verify.verify(servers.target(routes(modern() | {"/health": (404, HTML, "")})))
    assert report.verdict == "pass"
    assert [f.status for f in report.findings if f.id == "binder.unhealthy"] == ["skip"]


def test_what_a_page_says_cannot_steer_the_terminal(servers: Servers) -> None:
    hostile = "<title>\x1b]0;owned\x07\x1b[2J\u202e</title>"
    report = verify.verify(servers.target(routes({"/versions": (200, HTML, hostile)})))
    printed = "\n".join(report.lines(console.paint))
    assert "owned" in printed
    assert not {"\x1b", "\x07", "\u202e"} & {*printed}


def test_a_hub_under_a_path_and_with_faked_builds(servers: Servers) -> None:
    under = {f"/binder{path}": answer for path, answer in modern().items() if path != "*"}
    port = servers.start(routes(under))
    target = verify.parse(f"https://{HOST}:{port}/binder", ca_file=str(servers.ca))
    report = verify.verify(verify.Target(**{**vars(target), "builds": "fake"}))
    assert report.verdict == "pass"
    assert [(f.id, f.severity) for f in report.findings][-1] == ("binder.fake-builds", "info")


def never() -> None:
    """Nobody stops the wait."""


def test_waiting_says_what_for_and_ends_with_the_second_pass_in_a_row(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BELOW_TLS_SECONDS", "ABOVE_TCP_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(waiting, name, 0.05)
    heard: list[str] = []
    states = iter([False, True, False, True, True])
    known = modern()

    class Turns(list[str]):
        def append(self, path: str) -> None:
            if path == "/versions":
                known.update(modern(ok) if (ok := next(states)) else modern(False, HUB_DOWN))

    def now(text: str) -> None:
        heard.append(text)
        if len(heard) == 1:
            held.close()
            servers.start(routes(known, Turns()), port=port)

    with socket.socket() as held:
        # the process that looks has a copy of it: without this the server could not be started
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        target = verify.parse(f"https://{HOST}:{port}", ca_file=str(servers.ca))
        report = verify.wait(target, seconds=60, now=now, stop=never)
    assert report.verdict == "pass"
    assert heard == [
        f"waiting for tcp: connection refused (127.0.0.1:{port})",
        "waiting for binder: BinderHub cannot use JupyterHub API",
    ]
    assert next(states, "all were needed") == "all were needed"


def test_waiting_ends_at_a_fault_that_it_cannot_heal(servers: Servers) -> None:
    target = servers.target(routes(modern()), (issue(STAGING), STAGING))
    report = verify.wait(target, seconds=3600, now=pytest.fail, stop=never)
    assert (failed(report), report.verdict) == (["tls.staging-issuer"], "fail")


def test_waiting_ends_at_the_deadline() -> None:
    with closed_port() as port:
        target = verify.parse(f"https://{HOST}:{port}")
        report = verify.wait(target, seconds=0.3, now=lambda _: None, stop=never)
    assert report.verdict == "not-ready"


def test_a_wait_can_be_stopped_while_a_server_is_silent(servers: Servers) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        verify.wait(servers.target(NO_ANSWER), seconds=3600, now=print, stop=stop)


@pytest.mark.timeout(300)  # it installs BinderHub from the package index
def test_the_real_binderhub_0_1_is_known_as_legacy(servers: Servers, tmp_path: Path) -> None:
    with binder(tmp_path, installed()[0], GOOD) as port:
        target = verify.parse(f"https://{HOST}:{port}", ca_file=str(servers.ca))
        report = verify.wait(target, seconds=60, now=print, stop=never)
    assert (report.verdict, failed(report)) == ("pass", [])
    assert [f.severity for f in report.findings if f.id == "binder.legacy"] == ["info"]
    assert [f.status for f in report.findings if f.id == "binder.unhealthy"] == ["skip"]
