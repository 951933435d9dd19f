"""What HTTP says around a hub, and the JupyterHub behind it: real servers, some of them hostile."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from endpoints import (
    GOOD,
    HOST,
    HTML,
    HUB_UP,
    JSON,
    MIDDLE,
    NO_ANSWER,
    PAGE,
    PLAIN,
    VERSIONS,
    Handler,
    Servers,
    closed_port,
    failed,
    issue,
    said,
    says,
)

from barehub import verify
from barehub.errors import UsageError
from barehub.verify import dial, http, hub, web
from barehub.verify.finding import Finding, Findings
from barehub.verify.http import Answer, Client, Unanswered

NAME = "hub.example.org"
NAMED = (issue(MIDDLE, sans=(NAME,)), MIDDLE)

Reply = tuple[int, dict[str, str], str]


def web_server(reply: Callable[[str], Reply], heads: list[str] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                if heads is not None:
                    heads.append(head)
                status, headers, body = reply(head.split()[1])
                length = {"Content-Length": str(len(body.encode()))}
                lines = "".join(f"{k}: {v}\r\n" for k, v in {**headers, **length}.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n{body}".encode())
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    return handle


def sends(status: int, **headers: str) -> Callable[[str], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda path: (status, named, "")


def leads(where: str) -> Callable[[str], Reply]:
    return sends(301, location=where)


def hub_of_today(more: dict[str, Reply] | None = None, **headers: str) -> Callable[[str], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    health = json.dumps({"ok": True, "checks": [HUB_UP]})
    known = {
        "/versions": (200, {"Content-Type": JSON, **named}, json.dumps(VERSIONS)),
        "/health": (200, {"Content-Type": JSON, **named}, health),
        **(more or {}),
    }
    return lambda path: known.get(path, (200, {"Content-Type": HTML}, PAGE))


JUPYTERHUB = (200, {"Content-Type": JSON, "X-JupyterHub-Version": "6.1.1"}, '{"version": "6.1.1"}')


def run(work: Coroutine[Any, Any, Any]) -> None:
    asyncio.run(work)


def only(found: Findings) -> Finding:
    (finding,) = found
    return finding


def outcome(findings: list[Finding], id: str) -> tuple[str, str]:
    return next((f.severity, f.status) for f in findings if f.id == id)


def at_origin(servers: Servers, reply: Callable[[str], Reply], **changes: Any) -> verify.Target:
    """A public name's hub, looked at on its machine; with no plain HTTP there."""
    port = servers.start(web_server(reply), NAMED)
    target = verify.parse(
        f"https://{NAME}", connect_to=f"127.0.0.1:{port}", ca_file=str(servers.ca)
    )
    return dataclasses.replace(target.at("origin"), **changes)


# --- plain HTTP


def plainly(port: int, vantage: str = "edge", url: str = f"https://{NAME}", **more: Any) -> Finding:
    found = Findings(vantage)
    target = dataclasses.replace(verify.parse(url), plain_port=port)
    run(web.redirect(found, target, ["127.0.0.1"], more.get("proxied", False)))
    return only(found)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_plain_http_that_leads_to_https_is_well(servers: Servers, status: int) -> None:
    heads: list[str] = []
    reply = sends(status, Location=f"https://{NAME.upper()}:443/binder/")
    port = servers.start(web_server(reply, heads), PLAIN)
    finding = plainly(port, url=f"https://{NAME}/binder")
    assert (finding.id, finding.severity, finding.status) == ("http.redirect", "error", "pass")
    assert [head.splitlines()[0] for head in heads] == ["GET /binder/ HTTP/1.1"]
    assert f"Host: {NAME}:{port}\r\n" in heads[0]


def test_plain_http_may_lead_to_https_by_way_of_itself(servers: Servers) -> None:
    def reply(path: str) -> Reply:
        return leads("/home?a=1" if path == "/" else f"https://{NAME}/")(path)

    assert plainly(servers.start(web_server(reply), PLAIN)).status == "pass"


@pytest.mark.parametrize(("vantage", "severity"), [("edge", "error"), ("origin", "warning")])
def test_plain_http_that_stays_plain_is_worse_at_the_edge(
    servers: Servers, vantage: str, severity: str
) -> None:
    port = servers.start(web_server(sends(200)), PLAIN)
    finding = plainly(port, vantage)
    assert (finding.severity, finding.status, finding.permanent) == (severity, "fail", False)
    assert "Always Use HTTPS" in str(plainly(port, vantage, proxied=True).fix)


@pytest.mark.parametrize(
    "where",
    [
        "https://other.example.org/",
        f"https://{NAME}:8443/",
        f"https://{NAME}.evil.example/",
        f"https://{NAME}@evil.example/",
        f"https://{NAME}:99999999/",
        "http://[bad",
        "javascript:alert(1)",
        "/",
    ],
)
def test_plain_http_that_leads_anywhere_else_fails(servers: Servers, where: str) -> None:
    finding = plainly(servers.start(web_server(leads(where)), PLAIN))
    assert (finding.severity, finding.status) == ("error", "fail")


@pytest.mark.parametrize(
    "handler",
    [
        NO_ANSWER,
        says(b"220 mail ESMTP\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000),
        says(b"HTTP/1.1 301 X\r\nLocation: " + b"y" * 3000, pause=0.01),
    ],
)
def test_plain_http_that_is_no_http_is_only_told(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, handler: Handler
) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.5)
    finding = plainly(servers.start(handler, PLAIN))
    assert (finding.severity, finding.status) == ("info", "pass")


def test_no_plain_http_at_all_is_only_told() -> None:
    with closed_port() as port:
        assert (plainly(port).severity, plainly(port).status) == ("info", "pass")


def test_plain_redirects_without_end_cost_seconds(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "SECONDS", 0.5)
    heads: list[str] = []
    endless = web_server(lambda path: leads(f"{path}x")(path), heads)
    assert plainly(servers.start(endless, PLAIN)).status == "fail"
    assert len(heads) == 1 + web.HOPS


def test_plain_http_is_not_looked_for_beside_another_port() -> None:
    for target in (
        verify.parse("https://hub.example.org:8443"),
        verify.parse("https://hub.example.org", connect_to="127.0.0.1:8443"),
    ):
        found = Findings("origin")
        run(web.redirect(found, target, ["192.0.2.1"], False))
        assert only(found).status == "skip" and "8443" in only(found).message


def test_a_climb_looks_at_plain_http(servers: Servers) -> None:
    for where, status in ((f"https://{NAME}/", "pass"), ("https://other.example.org/", "fail")):
        plain = servers.start(web_server(leads(where)), PLAIN)
        report = verify.verify(at_origin(servers, hub_of_today(), plain_port=plain))
        assert outcome(report.findings, "http.redirect") == ("error", status)


# --- redirects over https


def judged(servers: Servers, reply: Callable[[str], Reply], heads: list[str]) -> verify.Report:
    return verify.verify(servers.target(web_server(reply, heads)))


@pytest.mark.parametrize(
    "where",
    [lambda path: path, lambda path: "/b" if path == "/a" else "/a", lambda path: f"{path}x"],
    ids=["itself", "two", "endless"],
)
def test_redirects_without_end_are_a_loop(servers: Servers, where: Callable[[str], str]) -> None:
    heads: list[str] = []
    report = judged(servers, lambda path: leads(where(path))(path), heads)
    assert failed(report) == ["http.redirect-loop"]
    assert len(heads) <= 1 + web.HOPS


def test_a_loop_behind_cloudflare_is_its_flexible_mode(servers: Servers) -> None:
    reply = sends(301, location="/versions", cf_ray="8a-AMS")
    report = judged(servers, reply, [])
    assert failed(report) == ["http.redirect-loop"]
    assert "Full (strict)" in str(report.failures[0].fix)


@pytest.mark.parametrize("last", [web.HOPS, web.HOPS + 1])
def test_five_hops_are_followed(servers: Servers, last: int) -> None:
    def reply(path: str) -> Reply:
        hop = int(path.partition("=")[2] or 0)  # the query counts, or this would be a circle
        return leads(f"/versions?hop={hop + 1}")(path) if hop < last else sends(200)(path)

    report = judged(servers, reply, [])
    assert ("http.redirect-loop" in failed(report)) == (last > web.HOPS)


def test_a_redirect_down_to_http_is_a_fault_wherever_it_is(servers: Servers) -> None:
    for where in (f"http://{HOST}/", "http://other.example.org/"):
        report = judged(servers, leads(where), [])
        assert failed(report) == ["http.redirect-downgrade"]
        assert where in report.failures[0].message

    def later(path: str) -> Reply:
        return leads("/next" if path == "/versions" else f"http://{HOST}/")(path)

    assert failed(judged(servers, later, [])) == ["http.redirect-downgrade"]


@pytest.mark.parametrize("where", ["https://[bad", "//[", "https://x:99999999/", "a:b", "\x0b", ""])
def test_a_redirect_that_makes_no_sense_is_not_followed(servers: Servers, where: str) -> None:
    heads: list[str] = []
    report = judged(servers, leads(where), heads)
    assert failed(report) == ["binder.not-binderhub"]
    assert [head.split()[1] for head in heads].count("/versions") == 1


def test_a_redirect_cannot_write_headers(servers: Servers) -> None:
    heads: list[str] = []
    judged(servers, leads("/a\rX-Evil: 1\n/ü?b c\tX-Evil: 2"), heads)
    assert len(heads) > 1 and not any("\nX-Evil" in h or "\rX-Evil" in h for h in heads)


def test_nothing_is_asked_of_another_host_or_port(servers: Servers) -> None:
    asked: list[str] = []
    other = servers.start(web_server(sends(200), asked), GOOD)

    def reply(path: str) -> Reply:
        return leads("/next" if path == "/versions" else f"https://{HOST}:{other}/")(path)

    assert failed(judged(servers, reply, [])) == ["binder.not-binderhub"]
    assert asked == []


# --- Cloudflare, HSTS, the clock


@pytest.mark.parametrize("status", range(520, 531))
def test_what_cloudflare_says_of_the_origin(servers: Servers, status: int) -> None:
    report = judged(servers, sends(status, CF_Ray="8a-AMS"), [])
    assert (failed(report), report.verdict) == (["http.cloudflare-5xx"], "not-ready")
    assert str(status) in report.failures[0].message


def test_each_cloudflare_status_has_its_own_words() -> None:
    said = set()
    for status in (520, 521, 522, 523, 525, 526, 530):
        found = Findings("edge")
        assert web.cloudflare(found, Answer(status, {"cf-ray": "x"}, b""))
        said.add((only(found).message[4:], only(found).fix))
    assert len(said) == 7


def test_without_cloudflare_its_statuses_mean_nothing(servers: Servers) -> None:
    assert failed(judged(servers, sends(526), [])) == ["http.backend-down"]
    assert failed(judged(servers, sends(502, CF_Ray="8a"), [])) == ["http.backend-down"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("max-age=15724800; includeSubDomains", "pass"),
        ('includeSubDomains ; MAX-AGE = "31536000"', "pass"),
        ("max-age=99999999999999999999999", "pass"),
        ("max-age=15724799", "fail"),
        ("max-age=0", "fail"),
        ('max-age="31536000', "fail"),
        ("max-age=31536000; max-age=31536000", "fail"),
        ("max-age=-31536000", "fail"),
        ("max-age=31536000.5", "fail"),
        ("max-age", "fail"),
        ("x-max-age=31536000", "fail"),
        ("max-age=" + "9" * 20_000, "pass"),
        ("", "fail"),
    ],
)
def test_hsts(servers: Servers, header: str, status: str) -> None:
    reply = hub_of_today(Strict_Transport_Security=header)
    report = verify.verify(at_origin(servers, reply))
    severity = "error" if status == "pass" else "warning"
    assert outcome(report.findings, "http.hsts") == (severity, status)
    assert report.verdict == "pass"


def test_the_first_hsts_header_counts() -> None:
    reply = b"HTTP/1.1 200 X\r\nA: max-age=0\r\na: max-age=31536000\r\nContent-Length: 0\r\n\r\n"
    assert ask(reply).headers["a"] == "max-age=0"  # RFC 6797, 8.1


def ask(reply: bytes) -> Answer:
    async def go() -> Answer:
        server = await asyncio.start_server(says(reply), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client("x", lambda: dial.plain(["127.0.0.1"], port))
        try:
            return await client.get("/")
        finally:
            await client.close()
            server.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("minutes", "age", "skewed"),
    [(0, None, 0), (4, None, 0), (-4, None, 0), (6, None, 1), (-6, None, 1), (-60, "3600", 0)],
)
def test_the_clock(servers: Servers, minutes: int, age: str | None, skewed: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    headers = {"Date": date} | ({"Age": age} if age else {})
    report = judged(servers, hub_of_today(None, **headers), [])
    clocks = [(f.severity, f.status) for f in report.findings if f.id == "tls.clock-skew"]
    assert clocks == [("warning", "fail")] * skewed


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jan 99999 00:00:00 GMT", "x" * 9999])
def test_a_date_that_is_none_says_nothing_of_the_clock(date: str) -> None:
    found = Findings("edge")
    now = datetime.now(UTC)
    web.clock_skew(found, Answer(200, {"date": date}, b""), now)
    good = format_datetime(now, usegmt=True)
    web.clock_skew(found, Answer(200, {"date": good, "age": "9" * 30}, b""), now)
    assert found == []


# --- the JupyterHub


def with_hub(servers: Servers, where: str | None, **more: Reply) -> verify.Report:
    replies = {path: more[name] for name, path in PATHS.items() if name in more}
    target = servers.target(web_server(hub_of_today(replies)))
    return verify.verify(dataclasses.replace(target, hub=where))


PATHS = {"root": "/hub/api", "jupyter": "/jupyter/hub/api", "myhub": "/myhub/hub/api"}
NOTEBOOK = (200, {"Content-Type": JSON}, '{"version": "2.17.0"}')


@pytest.mark.parametrize("name", ["root", "jupyter"])
def test_a_jupyterhub_at_a_usual_place_is_found(servers: Servers, name: str) -> None:
    report = with_hub(servers, None, **{name: JUPYTERHUB})
    assert report.verdict == "pass"
    assert said(report, "hub.api") == f"JupyterHub 6.1.1 at {PATHS[name]}"
    assert outcome(report.findings, "hub.version") == ("error", "pass")


def test_a_jupyterhub_that_is_not_found_is_no_alarm(servers: Servers) -> None:
    report = with_hub(servers, None, root=NOTEBOOK)
    assert report.verdict == "pass" and outcome(report.findings, "hub.api")[1] == "skip"
    assert "--jupyterhub" in said(report, "hub.api")


@pytest.mark.parametrize("place", ["/", "/hub/", "/jupyter", "/jupyter/hub/", "/myhub", "/myhub/"])
def test_a_jupyterhub_where_it_is_said_to_be(servers: Servers, place: str) -> None:
    report = with_hub(servers, place, root=JUPYTERHUB, jupyter=JUPYTERHUB, myhub=JUPYTERHUB)
    assert (report.verdict, outcome(report.findings, "hub.api")[1]) == ("pass", "pass")


def test_a_page_is_no_jupyterhub(servers: Servers) -> None:
    report = with_hub(servers, "/jupyter/", root=JUPYTERHUB)
    assert (failed(report), report.verdict) == (["hub.api"], "not-ready")
    assert said(report, "hub.api").startswith("/jupyter/hub/api answers 200, with a page")


@pytest.mark.parametrize("reply", [NOTEBOOK, (200, {"X-JupyterHub-Version": "5"}, NOTEBOOK[2])])
def test_a_notebook_is_no_jupyterhub(servers: Servers, reply: Reply) -> None:
    report = with_hub(servers, "/", root=reply)
    assert (failed(report), report.verdict) == (["hub.version"], "not-ready")


def test_a_jupyterhub_on_another_host(servers: Servers) -> None:
    for reply, expected in ((lambda path: JUPYTERHUB, []), (sends(404), ["hub.api"])):
        heads: list[str] = []
        other = servers.start(web_server(reply, heads), (issue(MIDDLE, sans=("*.localhost",)),))
        there = servers.start(web_server(reply, heads), GOOD)
        report = with_hub(servers, f"https://{HOST}:{there}/jupyter/")
        assert failed(report) == expected
        assert f"https://{HOST}:{there}/jupyter/hub/api" in said(report, "hub.api")
        assert heads[0].startswith("GET /jupyter/hub/api ")
        assert failed(with_hub(servers, f"https://{HOST}:{other}")) == ["hub.api"]  # its chain
    with closed_port() as port:
        assert failed(with_hub(servers, f"https://{HOST}:{port}/")) == ["hub.api"]


def test_a_jupyterhub_on_the_same_host_is_asked_the_same_way(servers: Servers) -> None:
    reply = hub_of_today({"/jupyter/hub/api": JUPYTERHUB})
    target = at_origin(servers, reply, hub=f"https://{NAME}/jupyter/")  # a name in no DNS
    assert outcome(verify.verify(target).findings, "hub.api") == ("error", "pass")


def test_with_faked_builds_no_jupyterhub_is_looked_for(servers: Servers) -> None:
    heads: list[str] = []
    target = servers.target(web_server(hub_of_today(), heads))
    report = verify.verify(dataclasses.replace(target, builds="fake"))
    assert outcome(report.findings, "hub.api")[1] == "skip"
    assert not any("hub/api" in head for head in heads)


def test_nonsense_that_a_module_says_of_its_hub_is_a_finding(servers: Servers) -> None:
    report = with_hub(servers, "http://10.0.0.1/")
    assert (failed(report), report.verdict) == (["hub.api"], "fail")


def test_where_a_hub_is_said_to_be() -> None:
    assert hub.place("/jupyter") == hub.place("/jupyter/") == "/jupyter/"
    assert hub.place("/") == "/"
    assert hub.place("https://Other.example.org/hub") == "https://other.example.org/hub/"
    for text in ("", "jupyter", "//evil", "http://x/", "/a b", "/a\r\nX: 1", "https://u:p@x/"):
        with pytest.raises(UsageError):
            hub.place(text)


# --- BinderHub: its version, its limits, its eras


@pytest.mark.parametrize(
    ("expected", "running", "status"),
    [
        ("0.2.0+2227.gb9fad995", "0.2.0+2227.gb9fad995", "pass"),
        ("1.0.0-0.dev.git.3506.hb9fad995", "0.2.0+2227.gb9fad995", "pass"),
        ("0.2.0-n121.hb9fad99", "0.2.0+2227.gb9fad995.dirty", "pass"),
        ("v0.2.0", "0.2.0", "pass"),
        ("0.2.0", "0.2.0+2227.gb9fad995", "pass"),
        ("git+https://example.org/binderhub@b9fad995", "0.2.0+2227.gb9fad995", "pass"),
        ("git+https://example.org/binderhub@main", "0.2.0+2227.gb9fad995", "skip"),
        ("./binderhub", "0.2.0", "skip"),
        ("1.0.0-0.dev.git.3506.hba24eb2a", "0.2.0+2227.gb9fad995", "fail"),
        ("0.1.0", "0.2.0", "fail"),
        ("0.2", "0.20.1", "fail"),
    ],
)
def test_the_version_that_it_is_meant_to_be(
    servers: Servers, expected: str, running: str, status: str
) -> None:
    versions = {"/versions": (200, {"Content-Type": JSON}, json.dumps({"binderhub": running}))}
    target = servers.target(web_server(hub_of_today(versions)))
    report = verify.verify(dataclasses.replace(target, version=expected))
    severity = "warning" if status == "fail" else "error"
    assert outcome(report.findings, "binder.version-drift") == (severity, status)
    assert report.verdict == "pass"


@pytest.mark.parametrize(
    ("left", "warned"), [("0", True), ("1", True), ("-1", True), ("2", False), ("many", False)]
)
def test_few_requests_left_are_a_warning(servers: Servers, left: str, warned: bool) -> None:
    report = judged(servers, hub_of_today(X_RateLimit_Remaining=left), [])
    found = [(f.severity, f.status) for f in report.findings if f.id == "binder.rate-limit"]
    assert (found, report.verdict) == ([("warning", "fail")] if warned else [], "pass")


def test_too_many_requests_are_no_other_server(servers: Servers) -> None:
    report = judged(servers, sends(429), [])
    assert failed(report)[:2] == ["binder.rate-limit", "binder.not-binderhub"]
    assert report.verdict == "not-ready"


def test_a_hub_with_its_api_only_is_well(servers: Servers) -> None:
    known = hub_of_today()

    def reply(path: str) -> Reply:
        return known(path) if path in ("/versions", "/health") else (404, {}, "404")

    report = judged(servers, reply, [])
    assert (report.verdict, failed(report)) == ("pass", [])


# --- hostile: bounded in bytes and in time


@pytest.mark.parametrize("plain", [True, False])
def test_a_header_without_end_costs_seconds_and_no_memory(servers: Servers, plain: bool) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 301 X\r\nLocation: /")
        try:
            for _ in range(16_384):  # 1 GiB
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536
        except OSError:
            writer.transport.abort()

    started = time.monotonic()
    if plain:
        assert plainly(servers.start(flood, PLAIN)).severity == "info"
    else:
        assert failed(verify.verify(servers.target(flood))) == ["http.malformed"]
    assert time.monotonic() - started < 60
    # of 1 GiB; the kernel alone may buffer 36 MiB a connection (tcp_rmem, tcp_wmem)
    assert sent < 256 * 1024 * 1024


def test_a_search_that_is_not_answered_costs_seconds(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SEARCH_SECONDS", 0.5)
    known = hub_of_today()

    def reply(path: str) -> Reply:
        if "hub/api" in path:
            raise asyncio.IncompleteReadError(b"", 1)
        return known(path)

    report = verify.verify(servers.target(web_server(reply)))  # it hangs up
    assert report.verdict == "pass" and outcome(report.findings, "hub.api")[1] == "skip"

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"hub/api" not in (head := await reader.readuntil(b"\r\n\r\n")):
            _, headers, body = known(head.split()[1].decode())
            kind = headers["Content-Type"]
            answer = (
                f"HTTP/1.1 200 X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(f"{answer}{body}".encode())
        await asyncio.sleep(3600)

    started = time.monotonic()
    report = verify.verify(servers.target(silent))
    assert report.verdict == "pass" and outcome(report.findings, "hub.api")[1] == "skip"
    assert time.monotonic() - started < 4


def test_redirects_that_drip_cost_seconds(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "SECONDS", 1.0)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = "/versions"
        while path:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            await asyncio.sleep(0 if path == "/versions" else 0.6)
            answer = f"HTTP/1.1 302 X\r\nLocation: {path}x\r\nContent-Length: 0\r\n\r\n"
            writer.write(answer.encode())

    started = time.monotonic()
    report = verify.verify(servers.target(slow))
    assert "http.redirect-loop" not in failed(report) and report.verdict != "pass"
    assert time.monotonic() - started < 4


def test_the_rest_of_a_bad_answer_is_no_answer_to_the_next_question(servers: Servers) -> None:
    bad = b"SSH-2.0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"

    async def go() -> None:
        port = servers.start(says(bad, end=False), PLAIN)
        client = Client("x", lambda: dial.plain(["127.0.0.1"], port))
        try:
            for _ in range(2):
                with pytest.raises(Unanswered):
                    await client.get("/")
        finally:
            await client.close()

    asyncio.run(go())
