"""A registry of providers on loopback, signed with real gpg; and folders of providers.

Its protocol: https://developer.hashicorp.com/terraform/internals/provider-registry-protocol. What
they give as providers are none: Terraform can install and hash them, and cannot start them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from barehub.terraform.plugins import PLATFORMS

HOST = "registry.example.test"
ADDRESS = f"{HOST}/acme/thing"
VERSION = "1.2.3"
BINARY = f"terraform-provider-thing_v{VERSION}"

REQUIRED = f"""
terraform {{
  required_providers {{
    thing = {{
      source = "{ADDRESS}"
    }}
  }}
}}
"""
"""What a recipe that uses the provider says."""


def program(platform: str) -> bytes:
    return f"#!/bin/sh\necho {platform}\n".encode()


def fill(folder: Path, *platforms: str) -> Path:
    """Make ``folder`` one of providers, with builds for ``platforms``."""
    for platform in platforms:
        place = folder / ADDRESS / VERSION / platform
        place.mkdir(parents=True)
        (place / BINARY).write_bytes(program(platform))
        (place / BINARY).chmod(0o755)
    return folder


class Registry:
    """What was asked of it is in ``asked``, each request with its Authorization."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        files = {f"thing_{VERSION}_{name}.zip": _packed(name) for name in PLATFORMS}
        sums = "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in files.items())
        key, signature = _signed(folder, sums.encode())
        files |= {"sums": sums.encode(), "sums.sig": signature}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, files, key))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def configuration(self) -> str:
        """The CLI configuration that finds it."""
        return (
            f'host "{HOST}" {{\n  services = {{\n    "providers.v1" = "{self.url}/v1/"\n  }}\n}}\n'
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _packed(platform: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        about = zipfile.ZipInfo(BINARY)
        about.external_attr = 0o755 << 16
        archive.writestr(about, program(platform))
    return content.getvalue()


def _signed(folder: Path, content: bytes) -> tuple[str, bytes]:
    """A new key, in ASCII, and its signature of ``content``."""
    folder.mkdir(mode=0o700)
    env = {**os.environ, "GNUPGHOME": str(folder)}

    def gpg(*args: str) -> bytes:
        argv = ["gpg", "--batch", "--quiet", "--passphrase", "", *args]
        done = subprocess.run(argv, input=content, env=env, capture_output=True, check=True)
        return done.stdout

    gpg("--quick-gen-key", "Acme", "rsa2048", "sign", "never")
    made = gpg("--armor", "--export").decode(), gpg("--detach-sign")
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=True)
    return made


def _handler(registry: Registry, files: dict[str, bytes], key: str) -> type[BaseHTTPRequestHandler]:
    platforms = [dict(zip(("os", "arch"), name.split("_"), strict=True)) for name in PLATFORMS]
    versions = {"versions": [{"version": VERSION, "protocols": ["5.0"], "platforms": platforms}]}

    def package(os_name: str, arch: str) -> dict[str, Any]:
        name = f"thing_{VERSION}_{os_name}_{arch}.zip"
        return {
            "protocols": ["5.0"],
            "os": os_name,
            "arch": arch,
            "filename": name,
            "download_url": f"{registry.url}/files/{name}",
            "shasums_url": f"{registry.url}/files/sums",
            "shasums_signature_url": f"{registry.url}/files/sums.sig",
            "shasum": hashlib.sha256(files[name]).hexdigest(),
            "signing_keys": {"gpg_public_keys": [{"key_id": "", "ascii_armor": key}]},
        }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append((self.path, self.headers.get("Authorization", "")))
            parts = self.path.strip("/").split("/")
            if parts[0] == "files":
                content = files[parts[1]]
            elif parts[-1] == "versions":
                content = json.dumps(versions).encode()
            else:
                content = json.dumps(package(*parts[-2:])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on our stderr."""

    return Handler
