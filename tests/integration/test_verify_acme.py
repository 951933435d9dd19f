"""A certificate from a real ACME server (pebble), fetched by a real Caddy in front of a hub."""

from __future__ import annotations

import dataclasses
import json
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dns_servers import Dns
from endpoints import Servers, failed, issue, modern, private, routes
from nginx import free_ports, nginx
from test_verify_dns import server as server  # the fixture

from barehub import verify

NAME = "hub.acme.test"
DAY = 86400
LOCAL = issue(None, "pebble's own", ca=True)
OWN = issue(LOCAL, sans=("localhost", "127.0.0.1"))


@contextmanager
def running(folder: Path, *argv: str, **env: str) -> Iterator[None]:
    """A server, ended by its process; its log is ``folder/NAME.log``."""
    with (folder / f"{Path(argv[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdout=log, stderr=log, cwd=folder, env={"PATH": "/usr/bin:/usr/sbin", **env}
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: apt-get install {name}")
    return found


@contextmanager
def acme(folder: Path, server: Dns, plain_port: int, seconds: int) -> Iterator[tuple[str, Path]]:
    """The directory of a pebble that issues for ``seconds``, and a file with its root."""
    port, management = free_ports(2)
    (folder / "pebble.pem").write_bytes(OWN.pem)
    (folder / "pebble.key").write_bytes(private(OWN))
    (folder / "pebble-ca.pem").write_bytes(LOCAL.pem)
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": "pebble.pem",
        "privateKey": "pebble.key",
        "httpPort": plain_port,
        "tlsPort": plain_port,
        "certificateValidityPeriod": seconds,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    asked = f"{server.resolver[0]}:{server.resolver[1]}"
    argv = (program("pebble"), "-config", "pebble.json", "-dnsserver", asked, "-strict=false")
    with running(folder, *argv, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"):
        trusted = ssl.create_default_context(cadata=LOCAL.pem.decode())
        root = folder / "acme-root.pem"
        root.write_bytes(_get(f"https://localhost:{management}/roots/0", trusted, folder))
        yield f"https://localhost:{port}/dir", root


def _get(url: str, context: ssl.SSLContext, folder: Path) -> bytes:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            if time.monotonic() > deadline:
                raise AssertionError((folder / "pebble.log").read_text()) from None
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("seconds", "alarms"),
    [(6 * DAY, []), (45 * DAY, []), (DAY // 8, [])],
    ids=["six days", "45 days", "three hours"],
)
def test_a_hub_behind_caddy_is_waited_for_and_well(
    tmp_path: Path, server: Dns, seconds: int, alarms: list[str]
) -> None:
    """From no certificate at all to a verified hub; short lives raise no alarm."""
    server.leads(NAME, "127.0.0.1")
    plain, secure, admin = free_ports(3)
    with (
        Servers(tmp_path) as servers,
        acme(tmp_path, server, plain, seconds) as (directory, root),
    ):
        hub = servers.start(routes(modern()), None)
        (tmp_path / "Caddyfile").write_text(
            f"{{\n admin 127.0.0.1:{admin}\n http_port {plain}\n https_port {secure}\n"
            f" default_bind 127.0.0.1\n"
            f" acme_ca {directory}\n acme_ca_root {tmp_path}/pebble-ca.pem\n}}\n"
            f"{NAME} {{\n header Strict-Transport-Security max-age=31536000\n"
            f" reverse_proxy 127.0.0.1:{hub}\n}}\n"
        )
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
        argv = (program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile")
        with running(tmp_path, *argv, **home):
            target = dataclasses.replace(
                verify.parse(f"https://{NAME}:{secure}", ca_file=str(root)),
                resolver=server.resolver,
            )
            heard: list[str] = []
            report = verify.wait(target, seconds=20, now=heard.append, stop=lambda: None)
    assert report.verdict == "pass", report.failures
    assert failed(report) == alarms
    assert heard, "at first there is nothing to connect to"
    assert report.validity is not None
    assert abs(report.validity.life.total_seconds() - seconds) < 3700


def test_a_wildcard_by_dns_covers_one_label_and_no_more(tmp_path: Path, server: Dns) -> None:
    """DNS-01 by a real certbot, as cert-manager does it for a zone at Cloudflare; nginx serves."""
    zone = "zone.acme.test"
    url = server.management
    for what in ("set", "clear"):
        value = ', \\"value\\": \\"$CERTBOT_VALIDATION\\"' if what == "set" else ""
        hook = tmp_path / what
        hook.write_text(
            f'#!/bin/sh\ncurl -sf {url}/{what}-txt -d "'
            f'{{\\"host\\": \\"_acme-challenge.$CERTBOT_DOMAIN.\\"{value}}}"\n'
        )
        hook.chmod(0o755)
    with acme(tmp_path, server, free_ports(1)[0], 45 * DAY) as (directory, root):
        folders = [f"--{kind}-dir={tmp_path}/{kind}" for kind in ("config", "work", "logs")]
        manual = ["--manual", "--manual-auth-hook", "./set", "--manual-cleanup-hook", "./clear"]
        done = subprocess.run(
            [program("certbot"), "certonly", "-n", "--agree-tos", "-m", "a@acme.test",
             "--no-eff-email", *manual, "--preferred-challenges", "dns", "--server", directory,
             "-d", f"*.{zone}", *folders],
            env={"PATH": "/usr/bin:/bin", "REQUESTS_CA_BUNDLE": str(tmp_path / "pebble-ca.pem")},
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    live = tmp_path / "config" / "live" / zone
    (port,) = free_ports(1)
    block = (
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {live}/fullchain.pem;"
        f" ssl_certificate_key {live}/privkey.pem; }}"
    )
    with nginx(tmp_path, block, port):
        found = {}
        for name in (f"hub.{zone}", f"a.hub.{zone}"):
            server.leads(name, "127.0.0.1")
            target = verify.parse(f"https://{name}:{port}", ca_file=str(root))
            report = verify.verify(dataclasses.replace(target, resolver=server.resolver))
            found[name] = [id for id in failed(report) if id.startswith(("dns.", "tls."))]
    assert found == {f"hub.{zone}": [], f"a.hub.{zone}": ["tls.wildcard-depth"]}
