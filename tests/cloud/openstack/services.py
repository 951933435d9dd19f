"""The processes of a cloud: their command lines, their start and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .layout import INSIDE, PASSWORD, Layout
from .rest import Refused, Session

START_SECONDS = 180.0
END_SECONDS = 5.0
FORWARDED = ("22", "80", "443", "6443")
"""The TCP ports that floating addresses pass on."""
WITH_ME = ["setpriv", "--pdeathsig", "KILL"]
"""Such a process ends with the one that started it, however that ends."""


@dataclass
class Processes:
    """What runs of a cloud, by name."""

    layout: Layout
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str, **env: str) -> None:
        whole = {**os.environ, "PYTHONPATH": str(INSIDE / "drivers"), "PYTHONWARNINGS": "ignore"}
        with self.layout.log(f"{name}.out").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [*WITH_ME, *command],
                env=whole | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        """:raises RuntimeError: one of them has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                log = self.layout.log(f"{name}.out").read_text(errors="replace")
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{log[-4000:]}")

    def end(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for process in self.running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running(layout: Layout, *, first: bool = False) -> Iterator[Processes]:
    """Start a cloud on databases that are there, and end it with the block.

    ``first`` says that its catalog, users and images are yet to be made.

    :raises RuntimeError: a service ended, or does not answer in time.
    """
    from . import contents

    cloud = Processes(layout)
    try:
        _start_wsgi(cloud, "keystone", layout.ports.keystone, "keystone.wsgi.api",
                    OS_KEYSTONE_CONFIG_FILES=str(layout.etc / "keystone.conf"))  # fmt: skip
        _start_wsgi(cloud, "placement", layout.ports.placement, "placement.wsgi.api",
                    OS_PLACEMENT_CONFIG_DIR=str(layout.etc))  # fmt: skip
        _wait_for(cloud, layout.auth_url)
        if first:
            contents.make_users_and_catalog(layout)
        _start_wsgi(cloud, "neutron", layout.ports.neutron, "neutron.wsgi.api")
        _start_own(cloud, "glance", layout.program("glance-api"), "glance-api")
        python = layout.program("python")
        _start_own(cloud, "cinder", python, "cinder", str(INSIDE / "cinder_all.py"))
        forward = str(INSIDE / "floating.py")
        cloud.start("floating", sys.executable, forward, str(layout.folder), *FORWARDED)
        _wait_for(cloud, layout.ports.urls["placement"])  # nova's host enters itself there
        _start_own(cloud, "nova", python, "nova", str(INSIDE / "nova_all.py"))
        for url in layout.ports.urls.values():
            _wait_for(cloud, url.replace("/%(project_id)s", ""))
        _wait_for_hosts(cloud)
        if first:
            contents.make_images_and_flavors(layout)
        yield cloud
    finally:
        cloud.end()


def _start_wsgi(cloud: Processes, name: str, port: int, module: str, **env: str) -> None:
    layout = cloud.layout
    conf = ("--config-file", str(layout.etc / f"{name}.conf")) if name == "neutron" else ()
    serve = (str(INSIDE / "wsgi_api.py"), str(port), module, *conf)
    cloud.start(name, layout.program("python"), *serve, **env)


def _start_own(cloud: Processes, name: str, program: str, conf: str, *script: str) -> None:
    cloud.start(name, program, *script, "--config-file", str(cloud.layout.etc / f"{conf}.conf"))


def _wait_for(cloud: Processes, url: str) -> None:
    """Until the API at ``url`` answers anything but a failure."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in _attempts(cloud, url):
        try:
            with opener.open(url, timeout=10):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            continue


def _wait_for_hosts(cloud: Processes) -> None:
    """Until servers can be scheduled and volumes made: before that they go to ERROR."""
    admin = Session(cloud.layout.auth_url, "admin", PASSWORD, "admin")
    for _ in _attempts(cloud, "a host for servers and one for volumes"):
        try:
            hosts = admin("compute", "GET", "/os-hypervisors")["hypervisors"]
            found = admin("block-storage", "GET", "/os-services?binary=cinder-volume")["services"]
        except (OSError, Refused):
            continue
        if hosts and any(service["state"] == "up" for service in found):
            return


def _attempts(cloud: Processes, what: str) -> Iterator[None]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        cloud.check()
        yield
        time.sleep(0.2)
    raise RuntimeError(f"{what}: not there after {START_SECONDS:.0f} s")
