"""The local target, driven by the real terraform: a real BinderHub comes and goes."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MODULES = Path(__file__).resolve().parents[2] / "terraform"
SERVE = str(MODULES / "binderhub" / "local" / "serve.py")
TOOLS = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
# The tests share uv's cache, though each has a home of its own.
UV_CACHE = subprocess.check_output(["uv", "cache", "dir"], env=TOOLS, text=True).strip()
DOMAIN = "demo.localhost"
CANARIES = {
    "hub_token": "canary-hub-token-5f1e0c",
    "cookie_secret": "canary-cookie-secret-8b2d44",
}


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("test CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False
        )
    )


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """The variables that the vault would fill, with a CA and a leaf of their own."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = (
        _certificate("test CA", ca_key, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        _certificate(DOMAIN, key, ca_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    leaf_pem, ca_pem = (c.public_bytes(pem).decode() for c in (leaf, ca))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_pem = key.private_bytes(pem, pkcs8, plain).decode()
    return {
        **CANARIES,
        "tls_certificate": leaf_pem + ca_pem,
        "tls_key": key_pem,
        "ca_certificate": ca_pem,
    }


class Target:
    """A project in a temporary folder with one instance, demo, of the local recipe."""

    def __init__(self, root: Path, secrets: dict[str, str]) -> None:
        self.secrets = secrets
        self.instance = root / "instances" / "demo"
        self.hub = self.instance / "hub"
        self.process = self.hub / "process.json"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        shutil.copytree(MODULES, root / "terraform")
        self.instance.mkdir(parents=True)
        recipe = (MODULES / "recipes" / "local.tf").read_text()
        recipe = recipe.replace("instance-name", "demo").replace("8443", str(self.port))
        (self.instance / "main.tf").write_text(recipe)
        declared = {k: {"type": "string", "sensitive": k != "ca_certificate"} for k in secrets}
        outputs = {k: {"value": f"${{module.binderhub.{k}}}"} for k in ("endpoint", "ca_file")}
        (self.instance / "barehub.tf.json").write_text(
            json.dumps({"variable": declared, "output": outputs})
        )
        (self.instance / "barehub_override.tf.json").write_text(
            json.dumps({"module": {"binderhub": {k: f"${{var.{k}}}" for k in secrets}}})
        )
        self.env = {k: v for k, v in TOOLS.items() if not k.startswith("TF_")}
        self.env["UV_CACHE_DIR"] = UV_CACHE
        for name in ("HOME", "XDG_RUNTIME_DIR"):
            (root / name).mkdir()
            self.env[name] = str(root / name)

    def change(self, old: str, new: str) -> None:
        """Change the recipe."""
        recipe = self.instance / "main.tf"
        assert old in recipe.read_text()
        recipe.write_text(recipe.read_text().replace(old, new))

    def terraform(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run terraform on the recipe with the secrets in its environment."""
        return subprocess.run(
            ["terraform", *arguments, "-no-color"],
            check=False,
            cwd=self.instance,
            env={**self.env, **{f"TF_VAR_{k}": v for k, v in self.secrets.items()}},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def apply(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Init and apply."""
        started = self.terraform("init", "-input=false")
        assert started.returncode == 0, started.stderr
        return self.terraform("apply", "-auto-approve", "-input=false", *arguments)

    def script(self, command: str, **settings: object) -> subprocess.Popen[str]:
        """Run hub.py by hand, as a provisioner would."""
        given = {"HUB_PORT": self.port, "HUB_DOMAIN": DOMAIN, "HUB_WAIT_SECONDS": 60, **settings}
        names = {k: f"HUB_{k.upper()}".replace("HUB_HUB_", "HUB_") for k in self.secrets}
        return subprocess.Popen(
            [sys.executable, "-B", str(MODULES / "binderhub" / "local" / "hub.py"), command],
            cwd=self.instance,
            env={
                **self.env,
                **{names[k]: v for k, v in self.secrets.items()},
                **{k: str(v) for k, v in given.items()},
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stand_in(self, source: str) -> None:
        """Put a Python script that gets the number of the listening socket where a hub would be."""
        program = self.hub / "venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        script = program.with_name("stand_in.py")
        script.write_text(source)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$3"\n')
        program.chmod(0o700)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the hub, over TLS that only the CA of the test passes."""
        context = ssl.create_default_context(cafile=str(self.hub / "ca.pem"))
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        with context.wrap_socket(raw, server_hostname=DOMAIN) as tls:
            connection = http.client.HTTPConnection(DOMAIN, self.port)
            connection.sock = tls
            connection.request("GET", path, headers={"Accept": "text/event-stream"})
            answer = connection.getresponse()
            body = b""
            # A stream of events stays open for a minute after its last event.
            while chunk := answer.read1():
                body += chunk
                if b'"failed"' in body:
                    break
            return answer.status, body.decode()

    def is_open(self) -> bool:
        """Whether something listens on the hub's port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def pid(self) -> int:
        """The process of the hub as recorded."""
        return int(json.loads(self.process.read_text())["pid"])


def serve(python: Path, settings: str) -> subprocess.CompletedProcess[str]:
    """Run serve.py by hand on a free port until it ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return subprocess.run(
            [str(python), "-I", SERVE, str(server.fileno())],
            check=False,
            pass_fds=[server.fileno()],
            input=settings,
            capture_output=True,
            text=True,
        )


def runs(pid: int) -> bool:
    """Whether process `pid` runs; one that ended and that nobody has waited for does not."""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout.strip()
    return shown != "" and not shown.startswith("Z")


@pytest.fixture
def target(tmp_path: Path, secrets: dict[str, str]) -> Iterator[Target]:
    made = Target(tmp_path, secrets)
    yield made
    made.script("remove").communicate()


def assert_no_secret(target: Target, pid: int) -> None:
    """No canary is in what the hub keeps on disk, nor in its arguments and environment."""
    needles = [v.encode() for v in CANARIES.values()]
    needles += [line.encode() for line in target.secrets["tls_key"].splitlines()[1:-1]]
    places = [target.instance / "terraform.tfstate", *target.hub.glob("*.*")]
    if sys.platform == "linux":
        places += [Path(f"/proc/{pid}/environ"), Path(f"/proc/{pid}/cmdline")]
    else:
        shown = subprocess.run(
            ["ps", "-wwE", "-p", str(pid)], check=True, capture_output=True
        ).stdout
        assert not [n for n in needles if n in shown]
    files = [p for p in places if p.is_file()]
    assert {"terraform.tfstate", "hub.log", "process.json", "ca.pem"} <= {p.name for p in files}
    for file in files:
        assert not [n for n in needles if n in file.read_bytes()], file
    assert not [p for p in target.hub.rglob("*.pem") if b"PRIVATE" in p.read_bytes()]


def test_a_hub_comes_serves_is_renewed_and_goes(target: Target) -> None:
    made = target.apply()
    assert made.returncode == 0, made.stderr
    outputs = json.loads(target.terraform("output", "-json").stdout)
    assert outputs["endpoint"]["value"] == f"https://{DOMAIN}:{target.port}"
    assert outputs["ca_file"]["value"] == "hub/ca.pem"

    status, page = target.get("/")
    assert status == 200
    assert "<title>Binder (beta)</title>" in page
    first = target.pid()
    record = json.loads(target.process.read_text())
    assert record == {"pid": first, "start_time": record["start_time"], "port": target.port}
    assert runs(first)
    assert os.getsid(first) == first
    assert {oct(p.stat().st_mode & 0o077) for p in (target.hub, *target.hub.iterdir())} == {"0o0"}
    assert_no_secret(target, first)
    again = target.terraform("plan", "-input=false", "-detailed-exitcode")
    assert again.returncode == 0, again.stdout

    # 0.1 and 0.1.0 are the same release: another value, so that it is installed and started anew.
    target.change('"0.1.0"', '"0.1"')
    renewed = target.apply()
    assert renewed.returncode == 0, renewed.stderr
    assert not runs(first)
    second = target.pid()
    assert runs(second)

    python = target.hub / "venv" / "bin" / "python"
    abandoned = serve(python, json.dumps({**target.secrets, "abandon_seconds": 0.1}))
    assert abandoned.returncode == 0, abandoned.stderr
    assert "nobody has reached this hub" in abandoned.stdout

    status, events = target.get("/build/gh/x/y/HEAD")
    assert status == 200
    phases = [json.loads(e[6:])["phase"] for e in events.splitlines() if e.startswith("data: ")]
    assert phases[0] == "waiting"
    assert phases[-3:] == ["built", "launching", "failed"]

    gone = target.terraform("destroy", "-auto-approve", "-input=false")
    assert gone.returncode == 0, gone.stderr
    assert not runs(second)
    assert not target.is_open()
    assert not target.hub.exists()
    assert json.loads((target.instance / "terraform.tfstate").read_text())["resources"] == []


def test_a_taken_port_stops_the_provider_before_anything_is_made(target: Target) -> None:
    with socket.create_server(("127.0.0.1", target.port)):
        made = target.apply()
    assert made.returncode == 1
    assert f"port {target.port} on 127.0.0.1 is taken" in " ".join(made.stderr.split())
    assert not target.hub.exists()
    assert target.terraform("destroy", "-auto-approve", "-input=false").returncode == 0


def test_a_dying_hub_shows_the_end_of_its_log_and_destroy_leaves_nothing(target: Target) -> None:
    package = target.instance / "broken"
    (package / "binderhub").mkdir(parents=True)
    (package / "pyproject.toml").write_text('[project]\nname = "binderhub"\nversion = "9"\n')
    (package / "binderhub" / "__init__.py").touch()
    (package / "binderhub" / "app.py").write_text("raise RuntimeError('canary of a broken hub')\n")
    target.change('"0.1.0"', '"./broken"')
    made = target.apply()
    assert made.returncode == 1
    said = " ".join(made.stderr.split())
    assert "the hub ended before it answered" in said
    assert "RuntimeError: canary of a broken hub" in said
    gone = target.terraform("destroy", "-auto-approve", "-input=false")
    assert gone.returncode == 0, gone.stderr
    assert not target.hub.exists()
    assert not target.is_open()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('domain    = "demo.localhost"', 'domain = "demo.example.org"', "a name under .localhost"),
        ('"0.1.0"', '"v0.2.0-n121.h6d936d7"', "binder_version must be"),
        ('project_name = "demo"', 'project_name = "-demo"', "must be a DNS label"),
    ],
)
def test_a_wrong_argument_is_refused(target: Target, old: str, new: str, says: str) -> None:
    target.change(old, new)
    assert target.terraform("init", "-input=false").returncode == 0
    planned = target.terraform("plan", "-input=false")
    assert planned.returncode == 1
    assert says in " ".join(planned.stderr.split())


def test_a_process_that_got_the_number_of_a_hub_is_left_alone(target: Target) -> None:
    target.hub.mkdir()
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            record = {"pid": other.pid, "start_time": "of another process", "port": target.port}
            target.process.write_text(json.dumps(record))
            stopped = target.script("stop")
            assert stopped.communicate() == ("", "")
            assert stopped.returncode == 0
            assert other.poll() is None
            assert not target.process.exists()
        finally:
            other.kill()


def test_a_port_taken_after_the_plan_is_named(target: Target) -> None:
    target.stand_in("")
    with socket.create_server(("127.0.0.1", target.port)):
        started = target.script("start")
        _, said = started.communicate()
    assert started.returncode == 1
    assert said.startswith(f"error: port {target.port} on 127.0.0.1 is taken")
    assert not target.process.exists()


def test_a_hub_whose_starter_was_killed_ends_by_itself() -> None:
    ended = serve(Path(sys.executable), "")
    assert ended.returncode == 1
    assert "no settings came" in ended.stderr


SILENT = """
import pathlib, socket, sys, time
server = socket.socket(fileno=int(sys.argv[1]))
print("canary of a silent hub", flush=True)
connection = server.accept()
pathlib.Path("accepted").touch()
time.sleep(600)
"""


SLOW = """
import http.server, json, pathlib, socket, ssl, sys, time
settings = json.loads(sys.stdin.read())
while not pathlib.Path("go").exists():
    time.sleep(0.05)
for name in ("tls_certificate", "tls_key"):
    pathlib.Path(name).write_text(settings[name])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("tls_certificate", "tls_key")
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if pathlib.Path("well").exists() else 500)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Page, bind_and_activate=False)
server.socket = context.wrap_socket(socket.socket(fileno=int(sys.argv[1])), server_side=True)
server.serve_forever()
"""


def test_a_hub_that_lives_and_is_slow_is_waited_for(target: Target) -> None:
    """Busy, and stopped for a while, as a laptop stops what it has no time for."""
    target.stand_in(SLOW)
    assert target.script("start").wait() == 0
    (target.hub / "well").touch()
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        waiting = target.script("wait", HUB_WAIT_SECONDS=600)
        os.kill(target.pid(), signal.SIGSTOP)
        assert waiting.stdout
        sign = waiting.stdout.readline()
        assert re.fullmatch(r"waiting for the hub, .*: \d+ s \(load .* cores\)\n", sign)
        os.kill(target.pid(), signal.SIGCONT)
        (target.hub / "go").touch()
        out, err = waiting.communicate()
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert waiting.returncode == 0, err
    assert "the hub answers on 127.0.0.1" in out
    assert target.script("stop").wait() == 0


def test_a_local_hub_has_ten_minutes_unless_the_recipe_says_otherwise() -> None:
    text = (MODULES / "binderhub" / "local" / "variables.tf").read_text()
    (block,) = re.findall(r'variable "wait_seconds" \{.*?\n\}', text, re.DOTALL)
    assert re.search(r"default += 600\n", block)


def test_a_silent_hub_is_stopped_at_the_deadline(target: Target) -> None:
    target.stand_in(SILENT)
    assert target.script("start").wait() == 0
    pid = target.pid()
    waited = target.script("wait", HUB_WAIT_SECONDS=1)
    _, said = waited.communicate()
    assert waited.returncode == 1
    assert "the hub was not ready in 1 s" in said
    assert "canary of a silent hub" in said
    assert not runs(pid)
    assert not target.process.exists()


def test_an_interrupted_wait_stops_the_hub(target: Target) -> None:
    target.stand_in(SILENT)
    assert target.script("start").wait() == 0
    pid = target.pid()
    waiting = target.script("wait")
    deadline = time.monotonic() + 60
    while not (target.hub / "accepted").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    waiting.send_signal(signal.SIGTERM)
    waiting.communicate()
    assert waiting.returncode == 128 + signal.SIGTERM
    assert not runs(pid)
    assert not target.process.exists()
