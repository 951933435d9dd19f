"""Starts, awaits, stops and removes a local hub; Terraform's provisioners run it.

    python3 hub.py start|wait|stop|remove

It runs in the folder of the recipe, works in `hub/` there, takes its settings from the
environment (HUB_*), and needs Python 3.9 or later, nothing else. No secret is put in the
arguments, the environment or a file of what it starts.
"""

# A program of its own, outside of the package: it starts processes and prints.
# ruff: noqa: T201, TID251

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn, cast

import record

HUB = Path("hub")
PROCESS = HUB / "process.json"
LOG = HUB / "hub.log"
CA = HUB / "ca.pem"
VENV = HUB / "venv"
NEW_VENV = HUB / "venv.new"
LOOPBACK = "127.0.0.1"
LOG_LINES = 20
# A single attempt to reach the hub may take so long; each later one longer, up to what is left.
ATTEMPT_SECONDS = 10.0
# A sign of life while the hub starts, at first and then.
SIGN_SECONDS, SIGNS_SECONDS = 2.0, 30.0
# A hub that answers, and not with its page, has so long to begin with it.
UNWELL_SECONDS = 60.0
# A hub that nobody reached this long after the wait for it was over has been given up.
ABANDON_SECONDS = 30

SETTINGS = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ")


def fail(problem: str, hint: str = "") -> NoReturn:
    """End with one line for the problem, one for the hint, on stderr."""
    sys.exit(f"error: {problem}" + (f"\nhint: {hint}" if hint else ""))


def take_installation() -> None:
    """Make the newest installation, which install.py left in venv.new, the one in use."""
    if NEW_VENV.is_dir():
        shutil.rmtree(VENV, ignore_errors=True)
        NEW_VENV.replace(VENV)
    if not (VENV / "bin" / "python").exists():
        fail(
            "hub/venv is not there",
            "terraform apply -replace=module.binderhub.terraform_data.install",
        )


def listen(port: int) -> socket.socket:
    """A listening socket on `port` of the loopback address."""
    try:
        return socket.create_server((LOOPBACK, port), backlog=128)
    except OSError as error:
        fail(
            f"port {port} on {LOOPBACK} is taken ({error.strerror})",
            'give another `port` to module "provider" in main.tf, or stop what listens there',
        )


def start() -> None:
    """Start the hub, detached; an earlier one of this folder is stopped first."""
    port = int(os.environ["HUB_PORT"])
    settings = {
        "hub_token": os.environ["HUB_TOKEN"],
        "cookie_secret": os.environ["HUB_COOKIE_SECRET"],
        "tls_certificate": os.environ["HUB_TLS_CERTIFICATE"],
        "tls_key": os.environ["HUB_TLS_KEY"],
        "abandon_seconds": float(os.environ["HUB_WAIT_SECONDS"]) + ABANDON_SECONDS,
    }
    record.stop(PROCESS)
    take_installation()
    CA.write_text(os.environ["HUB_CA_CERTIFICATE"], encoding="ascii")
    serve = str(Path(__file__).resolve().with_name("serve.py"))
    with listen(port) as server, open(LOG, "wb") as log:
        hub = subprocess.Popen(
            [str(VENV.absolute() / "bin" / "python"), "-I", serve, str(server.fileno())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=HUB,
            env={k: os.environ[k] for k in SETTINGS if k in os.environ},
            pass_fds=[server.fileno()],
            start_new_session=True,
        )
    # The hub waits for its settings, so that it never runs without a record: whenever this
    # process is killed, it either ends by itself or can be found.
    record.write(PROCESS, hub.pid, port)
    try:
        with cast("IO[bytes]", hub.stdin) as pipe:
            pipe.write(json.dumps(settings).encode())
    except BrokenPipeError:
        pass  # it has ended already: wait says so, and why


def log_end() -> str:
    """The last lines of the hub's log."""
    lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines() if LOG.exists() else []
    return "\n".join(["the end of hub/hub.log:", *lines[-LOG_LINES:]])


def busy() -> str:
    """How busy the machine is, for whoever wonders why something takes so long."""
    try:
        return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    except OSError:
        return f"{os.cpu_count()} cores"


def answers(port: int, domain: str, timeout: float) -> bool:
    """Whether the hub shows its page over verified TLS within `timeout` seconds.

    OSError where it cannot be reached, ssl.SSLCertVerificationError where it is not to be trusted.
    """
    context = ssl.create_default_context(cafile=str(CA))
    raw = socket.create_connection((LOOPBACK, port), timeout=timeout)
    with context.wrap_socket(raw, server_hostname=domain) as tls:
        connection = http.client.HTTPConnection(domain, port)
        connection.sock = tls
        connection.request("GET", "/")
        return connection.getresponse().status == 200


def wait() -> None:
    """Wait until the hub answers; if it does not, stop it and show the end of its log."""
    port, domain = int(os.environ["HUB_PORT"]), os.environ["HUB_DOMAIN"]
    seconds = float(os.environ["HUB_WAIT_SECONDS"])
    began = time.monotonic()
    deadline, sign = began + seconds, began + SIGN_SECONDS
    problem, unwell = "no answer", False
    while (left := deadline - time.monotonic()) > 0:
        passed = time.monotonic() - began
        if record.running(PROCESS) is None:
            fail(f"the hub ended before it answered, after {passed:.0f} s ({busy()})\n{log_end()}")
        if time.monotonic() > sign:
            print(f"waiting for the hub, which is starting: {passed:.0f} s ({busy()})", flush=True)
            sign = time.monotonic() + SIGNS_SECONDS
        try:
            if answers(port, domain, min(left, max(ATTEMPT_SECONDS, passed))):
                print(f"the hub answers on {LOOPBACK}:{port}")
                return
            problem = "its page does not have status 200"
            if not unwell:
                unwell, deadline = True, min(deadline, time.monotonic() + UNWELL_SECONDS)
        except ssl.SSLCertVerificationError as error:
            record.stop(PROCESS)
            fail(f"the hub's certificate does not pass for {domain}: {error.verify_message}")
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        time.sleep(0.2)
    record.stop(PROCESS)
    passed = min(seconds, time.monotonic() - began)
    fail(f"the hub was not ready in {passed:.3g} s ({problem}; {busy()})\n{log_end()}")


def stop() -> None:
    """Stop the hub of this folder, if one runs."""
    record.stop(PROCESS)


def remove() -> None:
    """Stop the hub and remove what the other commands made; `hub/` itself is the provider's."""
    record.stop(PROCESS)
    for folder in (VENV, NEW_VENV):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (LOG, CA):
        file.unlink(missing_ok=True)


def _interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def main(command: str) -> None:
    """Run one command; a start or wait that is cut short stops the hub again."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    commands = {"start": start, "wait": wait, "stop": stop, "remove": remove}
    try:
        commands[command]()
    except BaseException as error:
        if command in ("start", "wait"):
            record.stop(PROCESS)
        if isinstance(error, (OSError, RuntimeError)):
            fail(str(error))
        raise


if __name__ == "__main__":
    main(sys.argv[1])
