"""--launch: from a repository to a result and away again, on scripted and on real hubs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import mmap
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from endpoints import HOST, HTML, JSON, NO_ANSWER, ROOT, Servers, routes
from hubs import STOP_TOKEN, Launching, installed, launching_hub

from barehub import verify
from barehub.verify.finding import Finding, Findings
from barehub.verify.launching import build, notebook, stopping
from barehub.verify.launching.launch import CHECKS, REPO, launch

BUILD_TOKEN = "eyJ-canary-build-token.71c0"
TOKEN = "canary-notebook-token-5d1f"
HUB_TOKEN = "canary-hub-token-33ab"
USER = "/user/ci-repos-x7"


@dataclass
class Hub:
    """A BinderHub, a JupyterHub and a notebook server by script, in one server."""

    events: list[Any] = field(default_factory=list)
    pause: float = 0.0
    end: bool = True
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    raw: bytes = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, OSError):
            return
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        asked = first.removesuffix(" HTTP/1.1")
        self.asked.append((asked, headers))
        if asked.startswith("GET /build/") and asked.partition("?")[0] not in self.answers:
            await self._stream(writer)
        else:
            opened = f"token {TOKEN}" == headers.get("authorization")
            known = PATHS | ({f"GET {USER}/api/status": (200, {})} if opened else {}) | self.answers
            status, body = known.get(asked.partition("?")[0], (404, {}))
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            kind = HTML if isinstance(body, str) else JSON
            start = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}"
            writer.write(f"{start}\r\n\r\n".encode() + data)
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        start = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        writer.write(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode())
        for event in self.events:
            data = event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n".encode()
            for at in range(0, len(data), 1 if self.pause else 65536):
                part = data[at : at + (1 if self.pause else 65536)]
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
                await asyncio.sleep(self.pause)
        if not self.end:
            await asyncio.sleep(3600)
        writer.write(b"0\r\n\r\n")

    def times(self, asked: str) -> int:
        return sum(path == asked for path, _ in self.asked)


PAGE = f'<script>window.pageConfig = {{"buildToken": "{BUILD_TOKEN}", "a": 1}}</script>'
PATHS: dict[str, tuple[int, Any]] = {
    f"GET /v2/{REPO}": (200, PAGE),
    f"GET {USER}/api/status": (403, {}),
    f"POST {USER}/api/kernels": (500, {}),
    f"POST {USER}/api/shutdown": (200, {}),
}
STEPS: list[Any] = [
    {"phase": "waiting", "message": "Waiting for build to start...\n"},
    b":keepalive\n\n",
    {"phase": "Running"},
    {"phase": "building", "message": "Step 1/2\n"},
    {"phase": "dancing", "message": "what no version says today"},
    b"data: [[[ not json\n\n",
    b"data: 7\n\n",
    {"phase": "built", "imageName": "x", "message": "Built image, launching...\n"},
    {"phase": "launching", "message": "Launching server...\n"},
]


@dataclass
class Told:
    found: list[Finding]
    phases: list[str]
    lines: list[str]

    def all(self) -> str:
        return repr((self.found, self.phases, self.lines))

    def failed(self) -> list[str]:
        return [finding.id for finding in self.found if finding.status == "fail"]

    def said(self, id: str) -> str:
        return next(finding.message for finding in self.found if finding.id == id)


def launched(
    target: verify.Target, stop: Callable[[], None] = lambda: None, told: Told | None = None
) -> Told:
    told = told or Told([], [], [])

    found = verify.try_launch(target, REPO, told.phases.append, told.lines.append, stop=stop)
    told.found = list(found)
    for secret in (BUILD_TOKEN, TOKEN, HUB_TOKEN):
        assert secret not in told.all()
    return told


def hub_at(servers: Servers, hub: Hub, **ready: Any) -> verify.Target:
    target = servers.target(hub)
    url = f"{target.url.rstrip('/')}{USER}/?token={TOKEN}"
    if ready:
        hub.events = [*STEPS, {"phase": "ready", "url": url, "token": TOKEN} | ready]
    return target


def test_a_launch_is_asked_for_as_binderhub_wants_it(servers: Servers) -> None:
    hub = Hub()
    target = hub_at(servers, hub, message="up\n")
    hub.end = False  # the server holds the stream open
    told = launched(target)
    paths = [path for path, _ in hub.asked]
    assert paths[0] == f"GET /v2/{REPO}"
    assert paths[1] == f"GET /build/{REPO}?build_token={BUILD_TOKEN}"
    assert hub.asked[1][1]["accept"] == "text/event-stream"
    phases = ["waiting", "running", "building", "dancing", "built", "launching"]
    assert told.phases[1:7] == [f"launch: {phase}" for phase in phases]
    assert re.match(rf"{REPO} in \d+\.\d s: ", told.said("binder.launch"))
    assert [f.status for f in told.found if f.id == "notebook.api"] == ["pass"]


def test_a_kernel_that_fails_is_said_and_the_server_stopped(servers: Servers) -> None:
    hub = Hub()
    told = launched(hub_at(servers, hub, message=""))
    assert told.failed() == ["notebook.kernel"]
    assert "500" in told.said("notebook.kernel")
    assert hub.times(f"POST {USER}/api/shutdown") == 1
    assert told.said("binder.stopped").startswith("the notebook shuts itself down")


def test_a_notebook_that_anyone_may_open_is_an_error(servers: Servers) -> None:
    hub = Hub(answers={f"GET {USER}/api/status": (200, {})})
    told = launched(hub_at(servers, hub, message=""))
    assert "notebook.api" in told.failed() and "without a token" in told.said("notebook.api")


def test_a_token_that_opens_nothing_is_an_error(servers: Servers) -> None:
    hub = Hub(answers={f"GET {USER}/api/status": (403, {})})
    told = launched(hub_at(servers, hub, message=""))
    assert told.failed() == ["notebook.api"]
    assert hub.times(f"POST {USER}/api/shutdown") == 1


def test_a_failed_build_says_where_and_its_last_lines(servers: Servers) -> None:
    log = [{"phase": "building", "message": f"step {n} \x1b[31m\n"} for n in range(40)]
    leaked = {"phase": "building", "message": f"echo {BUILD_TOKEN} token={TOKEN}\n"}
    end = {"phase": "failed", "message": f"Build failed for {BUILD_TOKEN}\n"}
    hub = Hub([STEPS[0], *log, leaked, end], end=False)
    told = launched(hub_at(servers, hub))
    assert told.failed() == ["binder.launch"]
    assert "it failed in building" in told.said("binder.launch")
    assert "Build failed for ***" in told.said("binder.launch")
    assert len(told.lines) == build.KEPT_LINES and told.lines[-2] == "echo *** token=***"
    assert not any("\x1b" in line for line in told.lines)
    assert hub.times(f"POST {USER}/api/shutdown") == 0


@pytest.mark.parametrize("phase", ["failure", "failed"])
def test_a_launch_that_fails_may_leave_a_server(servers: Servers, phase: str) -> None:
    hub = Hub([*STEPS, {"phase": phase, "status_code": 500, "message": "no launch"}])
    told = launched(hub_at(servers, hub))
    assert told.failed() == ["binder.launch", "binder.stopped"]
    assert re.match(r"it failed in launching .*: no launch", told.said("binder.launch"))


def test_a_refused_build_says_so_once(servers: Servers) -> None:
    event = {"phase": "failed", "status_code": 400, "message": "No provider for nope"}
    told = launched(hub_at(servers, Hub([event])))
    assert told.said("binder.launch") == "it was refused: No provider for nope (400)"
    assert told.lines == []


def test_a_rate_limit_is_its_own_finding(servers: Servers) -> None:
    event = {"phase": "failed", "status_code": 429, "message": "Try again in 3600 seconds"}
    told = launched(hub_at(servers, Hub([event])))
    assert told.failed() == ["binder.rate-limit"]
    (finding,) = [f for f in told.found if f.id == "binder.rate-limit"]
    assert "Try again in 3600 seconds" in finding.message
    assert "X-Forwarded-For" in (finding.fix or "")


BROKEN = {
    "ends": (Hub(STEPS[:4]), "ended before"),
    "never ends": (Hub([*STEPS[:4], b": k\n" * 10], end=False), "nothing came for 0.5 s"),
    "drips": (Hub([b"data: " + b"x" * 2000], pause=0.01, end=False), "nothing came for 0.5 s"),
    "talks on": (Hub([b": k\n\n"] * 400, pause=0.005, end=False), "was not ready after 0.05 min"),
    "one long line": (Hub([b"x" * 3_000_000], end=False), "longer than 1 MiB"),
    "bomb": (Hub([b"data: " + b"[" * 900_000 + b"\n\n"]), "ended before"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_costs_seconds_and_says_so(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(build, "QUIET_SECONDS", 0.5)
    monkeypatch.setattr(build, "SECONDS", 3.0)
    hub, problem = BROKEN[name]
    began = time.monotonic()
    told = launched(hub_at(servers, hub))
    assert told.failed() == ["binder.launch"]
    assert problem in told.said("binder.launch")
    assert time.monotonic() - began < 10


def test_too_much_is_not_read(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "STREAM_BYTES", 1 << 20)
    told = launched(hub_at(servers, Hub([b": k\n" * 100_000] * 20, end=False)))
    assert "longer than 1 MiB" in told.said("binder.launch")


def test_a_hub_that_wants_a_login_or_is_elsewhere(servers: Servers) -> None:
    hub = Hub(answers={f"GET /build/{REPO}": (403, "")})
    told = launched(hub_at(servers, hub))
    assert told.failed() == ["binder.launch"]
    assert "403, text/html" in told.said("binder.launch")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://{0}/user/x/", "plain http://"),
        ("https://evil.example/user/x/", "on another host, evil.example"),
        ("//", "cannot be read"),
        ("https://[/user/x", "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_a_token_goes_nowhere_else(servers: Servers, url: Any, problem: str) -> None:
    hub = Hub()
    target = hub_at(servers, hub)
    url = url.format(target.authority) if isinstance(url, str) else url
    hub.events = [*STEPS, {"phase": "ready", "url": url, "token": TOKEN}]
    told = launched(target)
    assert told.failed() == ["binder.launch", "binder.stopped"]
    assert problem in told.said("binder.launch")
    assert not [headers for _, headers in hub.asked if "authorization" in headers]


def test_a_token_of_the_hub_deletes_server_and_user(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(stopping.VARIABLE, HUB_TOKEN)
    monkeypatch.setattr(stopping, "POLL_SECONDS", 0.05)
    api = "/hub/api/users/ci-repos-x7"
    answers = {
        f"DELETE {api}/server": (202, {}),
        f"GET {api}": (200, {"server": None, "user_options": {"token": TOKEN}}),
        f"DELETE {api}": (204, ""),
    }
    hub = Hub(answers=answers)
    told = launched(hub_at(servers, hub, message=""))
    assert told.said("binder.stopped") == "its server and its user are deleted from the hub"
    sent = {path: headers["authorization"] for path, headers in hub.asked if api in path}
    assert sent == dict.fromkeys(answers, f"token {HUB_TOKEN}")
    assert hub.times(f"POST {USER}/api/shutdown") == 0


def test_a_token_that_the_hub_refuses_is_said_and_the_notebook_asked(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(stopping.VARIABLE, HUB_TOKEN)
    hub = Hub(answers={"DELETE /hub/api/users/ci-repos-x7/server": (403, {})})
    told = launched(hub_at(servers, hub, message=""))
    assert f"the hub answers 403 to {stopping.VARIABLE}" in told.said("binder.stopped")
    assert hub.times(f"POST {USER}/api/shutdown") == 1


def test_a_server_that_cannot_be_stopped_is_said(servers: Servers) -> None:
    hub = Hub(answers={f"POST {USER}/api/shutdown": (500, {})})
    told = launched(hub_at(servers, hub, message=""))
    assert "may still be running" in told.said("binder.stopped")


def test_an_interruption_stops_the_server(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice: the loop's end cancels what the interruption began."""
    hub = Hub(answers={f"POST {USER}/api/kernels": (500, {})})
    target = hub_at(servers, hub, message="")
    told = Told([], [], [])

    def stop() -> None:
        if "launch: notebook" in told.phases:
            raise InterruptedError

    async def prove(self: notebook.Notebook, found: Findings) -> bool:
        await asyncio.sleep(3600)
        return True

    monkeypatch.setattr(notebook.Notebook, "prove", prove)
    with pytest.raises(InterruptedError):
        launched(target, stop, told)
    assert hub.times(f"POST {USER}/api/shutdown") >= 1


def test_an_interruption_right_after_the_launch_stops_the_server(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, real, came = Hub(), build.run, mmap.mmap(-1, 1)  # shared with the process that launches

    async def run(*args: Any) -> None:
        await real(*args)
        came[0] = 1
        await asyncio.sleep(3600)

    def stop() -> None:
        if came[0]:
            raise InterruptedError

    monkeypatch.setattr(build, "run", run)
    target = hub_at(servers, hub, message="")
    with pytest.raises(InterruptedError):
        launched(target, stop)
    assert hub.times(f"POST {USER}/api/shutdown") >= 1


def test_an_interruption_of_a_launch_says_that_a_server_may_come(servers: Servers) -> None:
    hub, told = Hub(STEPS, end=False), Told([], [], [])

    def stop() -> None:
        if "launch: launching" in told.phases:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        launched(hub_at(servers, hub), stop, told)
    assert told.lines == [
        "the launch was stopped in its middle: its server ends when the hub culls it"
    ]


def test_a_redirect_is_named_and_not_followed(servers: Servers) -> None:
    away = f"https://{HOST}:1/build?build_token={BUILD_TOKEN}"
    told = launched(servers.target(routes({"*": (302, HTML, away)})))
    assert told.failed() == ["binder.launch"]
    assert f"leads elsewhere, to https://{HOST}:1/build" in told.said("binder.launch")


def test_a_websocket_that_is_refused_is_said(servers: Servers) -> None:
    answers = {
        f"POST {USER}/api/kernels": (201, {"id": "k1"}),
        f"GET {USER}/api/kernels/k1/channels": (400, {}),
    }
    hub = Hub(answers=answers)
    told = launched(hub_at(servers, hub, message=""))
    assert told.failed() == ["notebook.kernel"]
    assert "the websocket is refused with 400" in told.said("notebook.kernel")
    assert hub.asked[-2][1]["authorization"] == f"token {TOKEN}"
    assert hub.times(f"POST {USER}/api/shutdown") == 1


def test_stopping_is_begun_again_when_it_is_cancelled() -> None:
    began = []

    async def stop() -> None:
        began.append(1)
        await asyncio.sleep(0.2)
        began.append(2)

    async def run() -> None:
        task = asyncio.ensure_future(stopping.surely(stop))
        for _ in range(2):
            await asyncio.sleep(0.05)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert began == [1, 1, 1, 2]


@pytest.mark.timeout(400)  # it installs BinderHub and a JupyterHub once, in a minute or two
def test_the_real_binderhub_0_1_launches_a_notebook_that_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    with launching_hub(tmp_path, *installed()) as hub:
        target = verify.parse(f"https://{HOST}:{hub.port}", ca_file=str(tmp_path / "ca.pem"))
        report = verify.wait(target, seconds=60, now=print, stop=lambda: None)
        assert report.verdict == "pass"
        # Without a token of the hub the server ends, and its user stays
        told = launched(target)
        assert told.failed() == []
        assert told.said("notebook.kernel") == "a kernel computes 1+1 = 2"
        assert "shuts itself down" in told.said("binder.stopped")
        assert {"launch: building", "launch: launching", "launch: kernel"} <= {*told.phases}
        (user,) = hub.users()
        assert not runs(hub, str(user["name"]))
        # With one, both go
        monkeypatch.setenv(stopping.VARIABLE, STOP_TOKEN)
        told = launched(target)
        assert told.failed() == []
        assert told.said("binder.stopped") == "its server and its user are deleted from the hub"
        # by name: the hub notices the first server's end meanwhile, and its record changes
        assert [other["name"] for other in hub.users()] == [user["name"]]
    assert STOP_TOKEN not in told.all()


def runs(hub: Launching, name: str) -> bool:
    """Whether a process of that notebook server is still there after a moment."""
    for _ in range(150):
        if not (left := hub.processes_of(name)):
            break
        time.sleep(0.2)
    return bool(left)


def test_a_hub_with_faked_builds_is_not_asked(servers: Servers) -> None:
    target = dataclasses.replace(servers.target(NO_ANSWER), builds="fake")
    found = asyncio.run(launch(target, REPO, print, print))
    assert [(f.id, f.status) for f in found] == [(id, "skip") for id in CHECKS]
