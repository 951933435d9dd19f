"""A real nginx on loopback, for what Python's TLS cannot play: old versions and weak ciphers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from endpoints import GOOD, Issued, private

from barehub.patience import Patience

START_SECONDS = 20.0

CONF = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {servers}
}}
"""


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that were free a moment ago, each another one."""
    held = [socket.socket() for _ in range(number)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in held]
    finally:
        for sock in held:
            sock.close()


def pem(folder: Path, chain: tuple[Issued, ...] = GOOD) -> str:
    """nginx's directives for a certificate with those above it; its files go into ``folder``."""
    name = f"{chain[0].certificate.serial_number:x}"
    certificates, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificates.write_bytes(b"".join(issued.pem for issued in chain))
    key.write_bytes(private(chain[0]))
    return f"ssl_certificate {certificates}; ssl_certificate_key {key};"


@contextmanager
def nginx(folder: Path, servers: str, *ports: int) -> Iterator[None]:
    """Run nginx with the server blocks ``servers`` until the end of the block.

    It is there when each of ``ports`` takes connections. The system's OpenSSL settings are left
    out: Debian's forbid what is older than TLS 1.2.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/opt/homebrew/bin")
    assert program, "nginx is not installed (Debian: nginx-light)"
    conf, log = folder / "nginx.conf", folder / "error.log"
    conf.write_text(CONF.format(folder=folder, servers=servers))
    running = subprocess.Popen(
        [program, "-p", folder, "-c", conf, "-e", log],
        env={**os.environ, "OPENSSL_CONF": os.devnull},
        stderr=subprocess.DEVNULL,
    )
    try:
        patience = Patience(START_SECONDS)
        for port in ports:
            while not _listens(port):
                assert running.poll() is None, log.read_text()
                assert not patience.over(), log.read_text()
                time.sleep(0.02)
        assert running.poll() is None, log.read_text()  # another one may have taken the port
        yield
    finally:
        running.terminate()  # the master ends its worker
        running.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
