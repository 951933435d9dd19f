"""`verify --file` where servers send certificates that no authority would issue."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from endpoints import GOOD, HOST, Handler, Servers, failed, modern, routes
from odd_certificates import ABOVE, SERVED, Odd
from prometheus_client.parser import text_string_to_metric_families

from barehub import verify
from barehub.verify import trust
from barehub.verify.finding import UNJUDGED, Findings
from barehub.verify.outputs import github, junit, page, prometheus, table

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).with_name("invoke")


def targets(servers: Servers) -> Iterator[tuple[str, verify.Target]]:
    """A server for each of the odd certificates."""
    for name, odd in SERVED.items():
        try:
            yield name, servers.target(routes(modern()), (odd, GOOD[1]))
        except ssl.SSLError:  # no server of OpenSSL takes it
            yield name, servers.target(shown_only(odd), None)
    for name, odd in ABOVE.items():
        yield name, servers.target(routes(modern()), (*GOOD, odd))


def shown_only(odd: Odd) -> Handler:
    """The first words of a TLS 1.2 server, up to its certificate (RFC 5246, 7.4)."""

    def message(kind: int, content: bytes) -> bytes:
        return bytes([kind]) + len(content).to_bytes(3) + content

    def sized(content: bytes) -> bytes:
        return len(content).to_bytes(3) + content

    hello = message(2, b"\3\3" + bytes(32) + b"\0" + b"\xc0\x2b" + b"\0")
    flight = hello + message(11, sized(sized(odd.der))) + message(14, b"")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"\x16\3\3" + len(flight).to_bytes(2) + flight)
        await reader.read(100_000)
        await asyncio.sleep(0.2)
        writer.close()

    return handle


def test_every_endpoint_has_its_report_in_every_form(
    servers: Servers, tmp_path: Path, own_home: Path
) -> None:
    odd = dict(targets(servers))
    good = [servers.target(routes(modern())) for _ in range(3)]
    listed = "\n".join(target.url for target in (good[0], *odd.values(), *good[1:]))
    files = {kind: tmp_path / f"report.{kind}" for kind in ("junit", "prometheus", "html")}
    argv = [str(INVOKE), "--search-root", str(ROOT), "verify", "--file", "-", "--json"]
    argv += ["--ca-file", str(servers.ca), *(f"--{kind}={path}" for kind, path in files.items())]
    summary = tmp_path / "summary.md"
    env = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(argv, input=listed.encode(), env=env, capture_output=True)
    said = done.stderr.decode()
    assert done.returncode == 6, said
    assert "Traceback" not in said, said
    assert UNJUDGED not in said, [line for line in said.splitlines() if UNJUDGED in line]

    documents = {document["target"]: document for document in json.loads(done.stdout)}
    assert len(documents) == len(odd) + len(good)
    assert [documents[target.url]["verdict"] for target in good] == ["pass"] * len(good)
    verdicts = {name: documents[target.url]["verdict"] for name, target in odd.items()}
    for name in ("version 6", "bad UTF-8", "30 February", "not a date"):
        assert verdicts[name] != "pass", name
    for name in ("negative serial", "U+FFFF", "control characters", "RSA 16384", "RSA exponent 1"):
        assert verdicts[name] == "pass", (name, documents[odd[name].url])
    findings = {f["id"] for f in documents[odd["x400Address"].url]["findings"]
                if f["status"] == "fail"}  # fmt: skip
    assert findings == {"tls.malformed"}

    suites = ElementTree.parse(files["junit"]).getroot()
    assert len(suites) == len(documents)
    families = {f.name: f for f in
                text_string_to_metric_families(files["prometheus"].read_text())}  # fmt: skip
    assert len(families["barehub_endpoint_up"].samples) == len(documents)
    for text in (files["html"].read_text(), summary.read_text()):
        for target in (*odd.values(), *good):
            assert str(target.port) in text
    outside = [line for line in said.splitlines() if line.startswith("::")]
    assert all(line.startswith(("::error::", "::warning::")) for line in outside)
    assert "\x1b" not in said


@pytest.mark.parametrize("odd", [*SERVED.values(), *ABOVE.values()], ids=[*SERVED, *ABOVE])
def test_one_that_is_refused_is_explained_whatever_openssl_says(odd: Odd) -> None:
    for code in (2, 9, 10, 18, 19, 20, 26, 62, 64, 66, 68, 1):
        for ders in ((odd.der,), (odd.der, GOOD[1].certificate.public_bytes(Encoding.DER))):
            found = Findings("edge")
            trust.explain(found, HOST, ders, code, "as OpenSSL says")
            report = verify.Report(verify.parse(f"https://{HOST}"), found, {"edge": ders})
            assert report.verdict != "pass" or code in (66, 68, 9, 10), code
            written(report)
    for public in (False, True):
        found = Findings("edge")
        trust.accept(found, HOST, (odd.der, *ders), public=public)
        written(verify.Report(verify.parse(f"https://{HOST}"), found, {"edge": (odd.der,)}))


def written(report: verify.Report) -> None:
    """Write ``report`` in every form, and read it again where there is a parser."""
    reports = [report]
    ElementTree.fromstring(junit.text(reports, strict=True).encode())
    list(text_string_to_metric_families(prometheus.text(reports)))
    page.html(reports, datetime.now(UTC)).encode()
    github.summary(reports).encode()
    "\n".join(table.lines(reports, lambda text, *styles: text)).encode()
    assert json.loads(json.dumps(report.document(), allow_nan=False)) == report.document()
    "\n".join(report.lines(lambda text, *styles: text)).encode()
    failed(report)
