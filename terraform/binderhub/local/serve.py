"""The hub itself: BinderHub with faked builds, over HTTPS, on a socket that it is given.

    hub/venv/bin/python -I serve.py FD      started by hub.py, its settings on standard input

FD is a listening socket. The settings are one JSON object: hub_token, cookie_secret,
tls_certificate, tls_key (PEM), abandon_seconds. It works for BinderHub 0.1.0 and for today's.
"""

# A program of its own, outside of the package: what it prints goes to the hub's log.
# ruff: noqa: T201

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import socket
import ssl
import sys
import tempfile
from types import SimpleNamespace
from typing import Any


def anonymous_file(text: str) -> tuple[str, int]:
    """Path and descriptor of a file with `text` that has no name and ends with the process."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("barehub")
    else:
        fd, name = tempfile.mkstemp()
        os.unlink(name)
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return f"/dev/fd/{fd}", fd


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """A server's TLS context from two PEM texts; ssl.SSLError where they do not fit together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate_path, certificate_fd = anonymous_file(certificate)
    key_path, key_fd = anonymous_file(key)
    try:
        # An empty password: OpenSSL would ask a terminal for the one of an encrypted key.
        context.load_cert_chain(certificate_path, key_path, password="")
    finally:
        os.close(certificate_fd)
        os.close(key_fd)
    return context


def offline(provider: type) -> type:
    """A provider of repositories like `provider` that resolves references without a network."""

    async def get_resolved_ref(self: Any) -> str:
        self.resolved_ref = hashlib.sha1(self.spec.encode(), usedforsecurity=False).hexdigest()
        return str(self.resolved_ref)

    return type(f"Offline{provider.__name__}", (provider,), {"get_resolved_ref": get_resolved_ref})


class NoImages:
    """A registry that holds nothing, so that every image has to be built."""

    async def get_image_manifest(self, *_: str) -> None:
        return


def fakes_of_today() -> dict[str, Any]:
    """Configuration of a BinderHub that takes its builder and registry from the configuration."""
    from binderhub.build import FakeBuild
    from binderhub.registry import FakeRegistry

    return {"build_class": FakeBuild, "registry_class": FakeRegistry}


def fakes_of_0_1() -> dict[str, Any]:
    """Configuration of BinderHub 0.1.x, which takes its fakes from tornado's settings."""
    from binderhub import builder

    class EndingBuild(builder.FakeBuild):  # type: ignore[misc]
        """A FakeBuild that ends: 0.1.0's never says 'Deleted', which its handler waits for."""

        def stream_logs(self) -> None:
            super().stream_logs()
            self.progress("pod.phasechange", "Deleted")

    builder.FakeBuild = EndingBuild
    no_cluster = SimpleNamespace(list_namespaced_pod=lambda *_, **__: SimpleNamespace(items=[]))
    return {"tornado_settings": {"fake_build": True, "kubernetes_client": no_cluster}}


def make_hub(settings: dict[str, Any]) -> Any:
    """A BinderHub with the hub token and cookie secret of `settings`, ready to serve."""
    from binderhub.app import BinderHub
    from traitlets.config import Config

    modern = hasattr(BinderHub, "build_class")
    options = {
        "builder_required": False,
        "use_registry": True,
        "hub_api_token": settings["hub_token"],
        **(fakes_of_today() if modern else fakes_of_0_1()),
    }
    if modern:
        options["build_token_secret"] = hmac.digest(
            settings["cookie_secret"].encode(), b"build token", "sha256"
        )
    # Without a JupyterHub a second attempt to launch can only fail like the first.
    hub = BinderHub.instance(config=Config(BinderHub=options, Launcher={"retries": 1}))
    for prefix in ("gh", "gist", "git", "gl"):
        hub.repo_providers[prefix] = offline(hub.repo_providers[prefix])
    hub.initialize([])
    if not modern:
        hub.tornado_app.settings["registry"] = NoImages()
    hub.tornado_app.settings["cookie_secret"] = settings["cookie_secret"]
    return hub


def end_unless_reached(application: Any, seconds: float) -> None:
    """End this process if nobody has had an answer from it after `seconds`.

    Terraform kills its provisioners when it is interrupted, so nobody may be left to stop it.
    """
    from tornado.ioloop import IOLoop

    log, reached = application.log_request, False

    def log_request(handler: Any) -> None:
        nonlocal reached
        reached = True
        log(handler)

    def check() -> None:
        if not reached:
            print("nobody has reached this hub: it ends", flush=True)
            IOLoop.current().stop()

    application.log_request = log_request
    IOLoop.current().call_later(seconds, check)


def main() -> None:
    """Serve until a signal ends the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    listening = socket.socket(fileno=int(sys.argv[1]))
    text = sys.stdin.read()
    if not text:
        sys.exit("error: no settings came: the command that started the hub was stopped")
    settings = json.loads(text)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    try:
        context = tls_context(settings["tls_certificate"], settings["tls_key"])
    except ssl.SSLError as error:
        sys.exit(f"error: tls_certificate and tls_key cannot be used: {error.reason or error}")

    hub = make_hub(settings)
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    listening.setblocking(False)
    # No proxy stands in front of it, so X-Forwarded-For is not to be believed.
    HTTPServer(hub.tornado_app, ssl_options=context, xheaders=False).add_socket(listening)
    end_unless_reached(hub.tornado_app, settings["abandon_seconds"])
    IOLoop.current().start()
    os._exit(0)


if __name__ == "__main__":
    main()
