"""A real BinderHub that launches real notebook servers, without Docker and Kubernetes.

BinderHub's builds are faked by its own FakeBuild; the JupyterHub, its proxy and the notebook
servers, which are processes of this machine, are what they are elsewhere. What is installed for it
is kept under ~/.cache/barehub (XDG_CACHE_HOME).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from endpoints import GOOD, HOST, Issued, private

from barehub.patience import Patience

PACKAGES = ("binderhub==0.1.0", "jupyterhub==6.1.1", "jupyter-server==2.21.1", "ipykernel==7.4.0")
PROXY = "configurable-http-proxy@5.3.0"
LOCAL = Path(__file__).resolve().parents[2] / "terraform" / "binderhub" / "local"

HUB_TOKEN = "canary-binder-service-8e21"
STOP_TOKEN = "canary-verifier-service-40da"
SECONDS = 60.0

BINDER_CONFIG = """
c.BinderHub.hub_url = {public!r}
c.BinderHub.hub_url_local = {local!r}
"""

HUB_CONFIG = """
import sys
from jupyterhub.spawner import SimpleLocalProcessSpawner
try:
    from binderhub.binderspawner_mixin import BinderSpawnerMixin as Mixin
except ImportError:  # BinderHub 0.1 left it to the chart
    class Mixin:
        def get_args(self):
            token, base = self.user_options["token"], self.server.base_url
            return [f"--port={{self.port}}", f"--ServerApp.base_url={{base}}",
                    f"--ServerApp.token={{token}}", *self.args]

class Spawner(Mixin, SimpleLocalProcessSpawner):
    image = ""
    def get_args(self):
        return [arg for arg in super().get_args() if arg != "--ip=0.0.0.0"] + ["--ip=127.0.0.1"]

c.JupyterHub.spawner_class = Spawner
c.Spawner.cmd = [{venv!r} + "/bin/jupyter-server"]
c.Spawner.args = ["--allow-root", "--ServerApp.allow_remote_access=True"]
c.SimpleLocalProcessSpawner.home_dir_template = {folder!r} + "/home/{{username}}"
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.bind_url = "https://127.0.0.1:{public_port}"
c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = {certificate!r}, {key!r}
c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "127.0.0.1", {hub_port}
c.JupyterHub.db_url = "sqlite:///" + {folder!r} + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = {folder!r} + "/cookie"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = ["node", {proxy!r}]
c.ConfigurableHTTPProxy.pid_file = {folder!r} + "/proxy.pid"
c.JupyterHub.services = [
    {{"name": "binder", "api_token": {binder_token!r}}},
    {{"name": "verifier", "api_token": {stop_token!r}}},
]
stop = ["list:users", "read:servers", "delete:servers", "delete:users", "read:hub"]
c.JupyterHub.load_roles = [
    {{"name": "binder", "services": ["binder"], "scopes": ["admin:users", "admin:servers"]}},
    {{"name": "verifier", "services": ["verifier"], "scopes": stop}},
]
"""


@dataclass(frozen=True)
class Launching:
    """The ports of a BinderHub and of its JupyterHub, both with TLS, and where their logs are."""

    port: int
    hub_port: int
    folder: Path

    def users(self) -> list[dict[str, object]]:
        """The users that the JupyterHub knows."""
        with _ask(f"https://127.0.0.1:{self.hub_port}/hub/api/users", HUB_TOKEN) as answer:
            return list(json.load(answer))

    def processes_of(self, name: str) -> list[str]:
        """The command lines of the notebook server and kernels of the user ``name``."""
        said = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
        return [line for line in said.stdout.splitlines() if name in line]


def installed() -> tuple[Path, Path]:
    """The virtual environment with :data:`PACKAGES`, and the proxy's program."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = "\n".join([*PACKAGES, PROXY, sys.version])
    place = cache / f"launching-hub-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    with (cache / "launching-hub.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            uv, python = [sys.executable, "-m", "uv"], place / "venv/bin/python"
            _run(*uv, "venv", "-q", "--python", sys.executable, place / "venv")
            _run(*uv, "pip", "install", "-q", "--python", python, *PACKAGES)
            _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, PROXY)
            (place / "complete").touch()
    return place / "venv", place / "node_modules/.bin/configurable-http-proxy"


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


@contextmanager
def launching_hub(folder: Path, venv: Path, proxy: Path) -> Iterator[Launching]:
    """A JupyterHub and the BinderHub of ``venv`` that launches on it, until the end of the test."""
    certificate, key = folder / "front.pem", folder / "front.key"
    certificate.write_bytes(b"".join(issued.pem for issued in GOOD))
    key.touch(0o600)
    key.write_bytes(private(GOOD[0]))
    public_port, hub_port, proxy_port = _free_ports(3)
    (folder / "jupyterhub_config.py").write_text(
        HUB_CONFIG.format(
            venv=str(venv),
            folder=str(folder),
            public_port=public_port,
            hub_port=hub_port,
            proxy_port=proxy_port,
            certificate=str(certificate),
            key=str(key),
            proxy=str(proxy),
            binder_token=HUB_TOKEN,
            stop_token=STOP_TOKEN,
        )
    )
    public, local = f"https://{HOST}:{public_port}/", f"http://127.0.0.1:{hub_port}/"
    (folder / "binderhub_config.py").write_text(BINDER_CONFIG.format(public=public, local=local))
    environment = os.environ | {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "JUPYTERHUB_API_URL": f"{local}hub/api/",
        "JUPYTER_CONFIG_DIR": str(folder / "none"),
    }
    with (folder / "hub.log").open("wb") as log:
        command: list[str | Path] = [venv / "bin/jupyterhub", "-f", folder / "jupyterhub_config.py"]
        hub = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _until_up(f"https://127.0.0.1:{public_port}/hub/api")
            with binder(folder, venv, environment=environment) as port:
                yield Launching(port, public_port, folder)
        finally:
            hub.terminate()
            hub.wait()


@contextmanager
def binder(
    folder: Path,
    venv: Path,
    chain: tuple[Issued, ...] = GOOD,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[int]:
    """BinderHub as the local recipe serves it, with what ``folder`` configures; its port."""
    settings = {
        "hub_token": HUB_TOKEN,
        "cookie_secret": "canary-cookie-secret-90fe31",
        "tls_certificate": b"".join(issued.pem for issued in chain).decode(),
        "tls_key": private(chain[0]).decode(),
        "abandon_seconds": 120,
    }
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        (folder / "binder.log").open("wb") as log,
    ):
        binder = subprocess.Popen(
            [venv / "bin/python", "-I", LOCAL / "serve.py", str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            pass_fds=[listening.fileno()],
        )
        port = listening.getsockname()[1]
    try:
        assert binder.stdin
        with binder.stdin as pipe:
            pipe.write(json.dumps(settings).encode())
        yield port
    finally:
        binder.terminate()
        binder.wait()


def _free_ports(number: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _ask(url: str, token: str = "") -> HTTPResponse:
    context = ssl._create_unverified_context()
    headers = {"Authorization": f"token {token}"} if token else {}
    answer: HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=5, context=context
    )
    return answer


def _until_up(url: str) -> None:
    patience = Patience(SECONDS)
    while not patience.over():
        with suppress(OSError):
            _ask(url).close()
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url} is not up")
