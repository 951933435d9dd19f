"""`verify` as a person or a CI job uses it: many endpoints, files, exit codes; real TLS servers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
from endpoints import (
    DAY,
    GOOD,
    HOST,
    HUB_DOWN,
    MIDDLE,
    STAGING,
    Issued,
    Servers,
    closed_port,
    issue,
    modern,
    routes,
)
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).with_name("invoke")
SOON = (issue(MIDDLE, begins=-85 * DAY, ends=5 * DAY), MIDDLE)
LATE = (issue(MIDDLE, begins=-70 * DAY, ends=20 * DAY), MIDDLE)


@dataclass
class Verify:
    """``invoke verify`` with the test's authority."""

    servers: Servers
    env: dict[str, str] = field(default_factory=lambda: {**os.environ, "GITHUB_ACTIONS": ""})

    def __call__(self, *args: str, input: str = "") -> subprocess.CompletedProcess[str]:
        argv = [str(INVOKE), "--search-root", str(ROOT), "verify", *args]
        argv += ["--ca-file", str(self.servers.ca)]
        return subprocess.run(argv, input=input, env=self.env, capture_output=True, text=True)

    def hub(self, chain: tuple[Issued, ...] = GOOD) -> str:
        return f"https://{HOST}:{self.servers.start(routes(modern()), chain)}/"


@pytest.fixture
def verify(tmp_path: Path, own_home: Path) -> Iterator[Verify]:
    with Servers(tmp_path) as servers:
        yield Verify(servers)


def test_many_come_in_line_by_line_and_end_in_a_table_soonest_expiry_first(
    verify: Verify,
) -> None:
    good, late, soon = verify.hub(), verify.hub(LATE), verify.hub(SOON)
    with closed_port() as port:
        dead = f"https://{HOST}:{port}/"
        listed = f"# ours\n{good}\n\n{late} # old\n{soon}\n{dead}\n{good}\n"
        done = verify("--file", "-", input=listed)
    assert done.returncode == 6, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    for url in (good, late, soon, dead):
        assert len([line for line in lines if url in line and line[0] in "✓✗"]) == 1
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("endpoint ")) :]
    assert [line.split()[0] for line in table[1:5]] == [soon, late, good, dead]
    assert "tls.expires-soon" in table[1] and "net.connect" in table[4]
    assert table[5] == "2 of 4 are working BinderHubs"


def test_not_ready_has_its_own_exit_code(verify: Verify) -> None:
    with closed_port() as port:
        done = verify("--url", f"https://{HOST}:{port}/")
    assert done.returncode == 8
    assert "is not ready: net.connect" in done.stderr


def test_what_is_waited_for_is_said_once_and_at_once(verify: Verify) -> None:
    port = verify.servers.start(routes(modern(False, HUB_DOWN)))
    done = verify("--url", f"https://{HOST}:{port}/", "--wait", "--timeout", "7")
    assert done.returncode == 8
    waits = [line for line in done.stderr.splitlines() if "waiting for" in line]
    assert waits == ["  verify     demo.localhost: waiting for binder: "
                     "BinderHub cannot use JupyterHub API"]  # fmt: skip


def test_strict_makes_a_warning_a_failure(verify: Verify) -> None:
    url = verify.hub(LATE)
    assert verify("--url", url).returncode == 0
    done = verify("--url", url, "--strict")
    assert done.returncode == 6
    assert "tls.renewal-late" in done.stderr.splitlines()[-1]


def test_the_files_say_what_the_screen_says(verify: Verify, tmp_path: Path) -> None:
    good, staging = verify.hub(), verify.hub((issue(STAGING), STAGING))
    verify.env |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    junit, metrics, page = (tmp_path / name for name in ("j.xml", "hubs.prom", "hubs.html"))
    files = ("--junit", str(junit), "--prometheus", str(metrics), "--html", str(page))
    done = verify("--file", "-", "--json", *files, input=f"{good}\n{staging}\n")
    assert done.returncode == 6, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["verdict"], second["verdict"]) == ("pass", "fail")

    suites = ElementTree.parse(junit).getroot()
    assert [(s.get("name"), s.get("failures")) for s in suites] == [
        (f"{good} (edge)", "0"),
        (f"{staging} (edge)", "1"),
    ]
    failure = suites.find(".//failure")
    assert failure is not None and "test certificate" in failure.get("message", "")
    assert "fix: use the production issuer" in (failure.text or "")

    families = {f.name: f for f in text_string_to_metric_families(metrics.read_text())}
    up = {s.labels["endpoint"]: s.value for s in families["barehub_endpoint_up"].samples}
    assert up == {good: 1.0, staging: 0.0}
    checks = families["barehub_check"].samples
    assert {s.labels["check"] for s in checks if s.value == 0} == {"tls.staging-issuer"}
    ends = families["barehub_certificate_not_after_timestamp_seconds"].samples
    assert len(ends) == 2
    assert stat.S_IMODE(metrics.stat().st_mode) == 0o644

    html = page.read_text()
    assert "1 of 2 hubs are up" in html and "tls.staging-issuer" in html
    assert "<script" not in html and "default-src 'none'" in html

    assert "::error::" in done.stderr and "tls.staging-issuer" in done.stderr
    assert f"| {good} | pass |".replace("_", "&#95;") in (tmp_path / "summary.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if "unfinished" in path.name) == []


def test_what_strangers_write_steers_neither_page_nor_terminal(
    verify: Verify, tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script>\x1b[2J\u202e|`"
    authority = issue(None, evil, ca=True)
    url = verify.hub((issue(authority), authority))
    page = tmp_path / "page.html"
    verify.env |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    done = verify("--url", url, "--html", str(page), "--json", "--junit", str(tmp_path / "j.xml"))
    assert done.returncode == 6
    ElementTree.parse(tmp_path / "j.xml")
    for text in (page.read_text(), (tmp_path / "summary.md").read_text(), done.stderr):
        assert "\x1b[2J" not in text and "\u202e" not in text
    assert "<script" not in page.read_text() + (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("said", "args", "given"),
    [
        ("names no endpoint", ("--file", "-"), "# nothing\n"),
        ("line 2: ", ("--file", "-"), "https://a.example.org\nhttp://b.example.org\n"),
        ("cannot be read", ("--file", "no-such-file"), ""),
        ("exclude each other", ("--file", "-", "--url", "https://a.example.org"), ""),
        ("neither edge nor origin", ("--url", "https://a.example.org", "--vantage", "moon"), ""),
        ("needs the machine", ("--url", "https://a.example.org", "--vantage", "origin"), ""),
        ("neither a path nor", ("--url", "https://a.example.org", "--jupyterhub", "x y"), ""),
        ("not a host", ("--url", "https://a.example.org", "--resolver", "a b"), ""),
        ("no number of seconds", ("--url", "https://a.org", "--wait", "--timeout", "x"), ""),
    ],
)
def test_nonsense_is_answered_with_a_hint(
    verify: Verify, said: str, args: tuple[str, ...], given: str
) -> None:
    done = verify(*args, input=given)
    assert done.returncode == 1, done.stderr
    assert "error: " in done.stderr and said in done.stderr and "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_said(verify: Verify) -> None:
    done = verify("--url", verify.hub(), "--html", "/no-such-folder/page.html")
    assert done.returncode == 1
    assert "cannot be written: no such file or directory" in done.stderr
