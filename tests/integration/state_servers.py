"""Servers that keep Terraform's states: each a place of a test's own, on loopback, with a login.

``http`` is Terraform's protocol as a small server speaks it that is honest about locks
(https://developer.hashicorp.com/terraform/language/backend/http). ``s3`` is a real S3 over a
folder, the Versity gateway, built once with Go from modules that Go's checksum database vouches
for, into ~/.cache/barehub. ``kubernetes`` is the API of a real Kubernetes.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from kubernetes_api import CACHE, GO, TOKEN, api
from mirrors import real_tools

from barehub.patience import Patience

GATEWAY = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
USER, PASSWORD = "state-user", "CANARY-state-server-password"
BUCKET = "states"
KUBERNETES = """
terraform {
  backend "kubernetes" {
    secret_suffix = "demo"
    namespace     = "default"
    config_path   = "cluster.yaml"
    insecure      = true
  }
}
"""
TOOLS = real_tools()
"""Known before a test moves its HOME."""

SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """Where a recipe's state may be: its backend block, and what the vault must have for it."""

    block: str
    environment: dict[str, str]
    secret: str
    files: dict[str, str] = field(default_factory=dict)
    """What stands beside the recipe for it, by name."""


@contextmanager
def http(folder: Path) -> Iterator[Place]:
    kept = _Kept()

    class Handler(_Handler):
        states = kept

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/demo"
    block = f"""
terraform {{
  backend "http" {{
    address        = "{address}"
    lock_address   = "{address}"
    unlock_address = "{address}"
  }}
}}
"""
    try:
        yield Place(block, {"TF_HTTP_USERNAME": USER, "TF_HTTP_PASSWORD": PASSWORD}, PASSWORD)
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class _Kept:
    state: bytes = b""
    lock: bytes = b""
    """The information that whoever has the lock gave."""

    alone: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    states: _Kept

    def do_GET(self) -> None:
        if self._knows():
            self._say(200 if self.states.state else 404, self.states.state)

    def do_POST(self) -> None:
        content = self._content()
        if not self._knows():
            return
        with self.states.alone:
            asked = parse_qs(urlsplit(self.path).query).get("ID", [""])[0]
            if self.states.lock and json.loads(self.states.lock)["ID"] != asked:
                self._say(423, self.states.lock)
                return
            self.states.state = content
        self._say(200)

    def do_LOCK(self) -> None:
        content = self._content()
        if not self._knows():
            return
        with self.states.alone:
            held = self.states.lock
            self.states.lock = held or content
        self._say(423 if held else 200, held)

    def do_UNLOCK(self) -> None:
        content = self._content()
        if not self._knows():
            return
        with self.states.alone:
            ours = self.states.lock and (
                not content or json.loads(content)["ID"] == json.loads(self.states.lock)["ID"]
            )
            if ours:
                self.states.lock = b""
        self._say(200 if ours else 409)

    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _knows(self) -> bool:
        """Whether the request may be served; it is answered if not."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {login}":
            return True
        self._say(401)
        return False

    def _say(self, code: int, content: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def s3(folder: Path) -> Iterator[Place]:
    port, own = _free_port(), {"ROOT_ACCESS_KEY": USER, "ROOT_SECRET_KEY": PASSWORD}
    (folder / "objects" / BUCKET).mkdir(parents=True)
    where = ["--port", f"127.0.0.1:{port}", "posix", str(folder / "objects")]
    environment = {**os.environ, **own}
    with (folder / "gateway.log").open("wb") as log:
        server = subprocess.Popen([str(gateway()), *where], env=environment, stdout=log, stderr=log)
    block = f"""
terraform {{
  backend "s3" {{
    bucket                      = "{BUCKET}"
    key                         = "demo"
    region                      = "us-east-1"
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    endpoints = {{
      s3 = "http://127.0.0.1:{port}"
    }}
  }}
}}
"""
    login = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD}
    try:
        _await(port, server, folder / "gateway.log")
        yield Place(block, login, PASSWORD)
    finally:
        server.kill()
        server.wait()


def gateway() -> Path:
    """The Versity gateway; made with Go the first time, which takes minutes."""
    place = CACHE / f"versitygw-{GATEWAY.rpartition('@v')[2]}"
    place.mkdir(parents=True, exist_ok=True)
    with (CACHE / "versitygw.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "versitygw").exists():
            assert GO
            environment = {**os.environ, "GOBIN": str(place), "GOFLAGS": "-mod=mod"}
            subprocess.run([GO, "install", GATEWAY], check=True, env=environment, cwd="/")
    return place / "versitygw"


@contextmanager
def kubernetes(folder: Path) -> Iterator[Place]:
    assert TOOLS, "kubectl is there for x86-64 alone"
    with api(folder / "api", TOOLS / "kubectl") as config:
        cluster = config.read_text().replace(TOKEN, "")
        yield Place(KUBERNETES, {"KUBE_TOKEN": TOKEN}, TOKEN, {"cluster.yaml": cluster})


def _await(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    patience = Patience(SECONDS)
    while True:
        assert server.poll() is None, log.read_text()
        assert not patience.over(), log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
