"""What verifying 200 endpoints costs, against curl and sslyze on the same ones in the same run.

    python benchmarks/verify.py          needs nginx, curl, and sslyze (uv fetches it)

Every endpoint is a server of its own in one nginx, on its own port of the loopback: with TLS 1.2
and 1.3, a chain of two, and a BinderHub's answers. barehub does all of its checks; curl asks for
one page (`xargs -P16`); sslyze scans certificate, TLS 1.0 and TLS 1.1.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from endpoints import GOOD, HOST, VERSIONS, private  # noqa: E402
from endpoints import ROOT as AUTHORITY  # noqa: E402

ENDPOINTS = 200
RUNS = 3
ONE = """
server {{
  listen 127.0.0.1:{port} ssl;
  add_header Strict-Transport-Security max-age=31536000;
  location = /versions {{ default_type application/json; return 200 '{versions}'; }}
  location = /health {{ default_type application/json; return 200 '{health}'; }}
  location = /hub/api {{ default_type application/json; add_header X-JupyterHub-Version 5.2.1;
    return 200 '{{"version": "5.2.1"}}'; }}
  location / {{ default_type text/html; return 200 '<title>Binder</title>'; }}
}}
"""
CONF = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  {servers}
}}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = _free(ENDPOINTS)
        nginx = _serve(folder, ports)
        try:
            _measure(folder, ports)
        finally:
            nginx.terminate()
            nginx.wait()


def _measure(folder: Path, ports: list[int]) -> None:
    urls = [f"https://{HOST}:{port}/" for port in ports]
    (folder / "endpoints.txt").write_text("\n".join(urls))
    ca = str(folder / "ca.pem")
    invoke = str(Path(sys.executable).with_name("invoke"))
    whole = [invoke, "--search-root", str(ROOT), "verify", "--file", "-", "--ca-file", ca]
    curl = ["xargs", "-P16", "-n1", "curl", "-s", "-o", os.devnull, "--cacert", ca]
    listed = "\n".join(urls).encode()
    times: dict[str, list[float]] = {}

    def clock(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        times.setdefault(name, []).append(time.perf_counter() - started)

    for _ in range(RUNS):
        clock("invoke verify --file", lambda: _run(whole, listed))
        clock("in one process", lambda: _verify(urls, ca))
        clock("curl -P16", lambda: _run(curl, listed))
    scan = ["sslyze", "--certinfo", "--tlsv1", "--tlsv1_1", "--mozilla_config=disable"]
    fetched = [sys.executable, "-m", "uv", "tool", "run", "--from", "sslyze"]
    _run([*fetched, "sslyze", "--help"], b"")  # its installation is not measured
    (folder / "targets").write_text("\n".join(f"{HOST}:{port}" for port in ports))
    clock("sslyze", lambda: _run([*fetched, *scan, "--targets_in", str(folder / "targets")], b""))
    ours = statistics.median(times["invoke verify --file"])
    for name, all_of in times.items():
        took = statistics.median(all_of)
        print(f"{name:<24}{took:8.2f} s  x {took / ours:.2f}")
    print(f"sslyze / ours {times['sslyze'][0] / ours:.0f} (aim: 30)")
    print(f"curl / ours   {statistics.median(times['curl -P16']) / ours:.2f} (aim: 1)")


def _verify(urls: list[str], ca: str) -> None:
    from barehub import verify

    reports: list[verify.Report] = []
    verify.verify_each([verify.parse(url, ca_file=ca) for url in urls], reports.append)
    bad = [report for report in reports if report.verdict != "pass"]
    assert not bad, bad[0].lines(lambda text, *styles: text)
    assert len(reports) == len(urls)


def _run(argv: list[str], given: bytes) -> None:
    done = subprocess.run(argv, input=given, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{argv[0]}: exit {done.returncode}\n{done.stderr.decode()[-2000:]}")


def _free(number: int) -> list[int]:
    held = [socket.socket() for _ in range(number)]
    for sock in held:
        sock.bind(("127.0.0.1", 0))
    ports = [int(sock.getsockname()[1]) for sock in held]
    for sock in held:
        sock.close()
    return ports


def _serve(folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    (folder / "ca.pem").write_bytes(AUTHORITY.pem)
    (folder / "chain.pem").write_bytes(b"".join(issued.pem for issued in GOOD))
    (folder / "key.pem").write_bytes(private(GOOD[0]))
    health = json.dumps({"ok": True, "checks": [{"service": "JupyterHub API", "ok": True}]})
    say = {"versions": json.dumps(VERSIONS), "health": health}
    servers = "".join(ONE.format(port=port, **say) for port in ports)
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(folder=folder, servers=servers))
    nginx = subprocess.Popen(["nginx", "-p", folder, "-c", conf, "-e", folder / "error.log"])
    for port in (ports[0], ports[-1]):
        for _ in range(100):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
    return nginx


if __name__ == "__main__":
    main()
