"""The API of a real Kubernetes on loopback: etcd of Debian, kube-apiserver built from its source.

No node runs: what is put there is checked and kept, and no pod starts. The program is built once
with Go, from modules that Go's checksum database vouches for, into ~/.cache/barehub.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barehub.patience import Patience

VERSION = "1.36.3"
SECONDS = 90.0
TOKEN = "loopback-only-token"

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub"
"""Known before a test moves its HOME."""

GO = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
ETCD = shutil.which("etcd")

MAIN = """package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
"""

KUBECONFIG = """apiVersion: v1
kind: Config
clusters:
- name: c
  cluster: {{server: "https://127.0.0.1:{port}", insecure-skip-tls-verify: true}}
users: [{{name: u, user: {{token: {token}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


def built() -> Path:
    """kube-apiserver; made with Go the first time, which takes minutes."""
    place = CACHE / f"kube-apiserver-{VERSION}"
    place.mkdir(parents=True, exist_ok=True)
    with (CACHE / "kube-apiserver.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "kube-apiserver").exists():
            _build(place)
    return place / "kube-apiserver"


def _build(place: Path) -> None:
    source = place / "source"
    source.mkdir(exist_ok=True)
    (source / "main.go").write_text(MAIN)
    module = f"k8s.io/kubernetes@v{VERSION}"
    folder = _go("list", "-m", "-f", "{{.Dir}}", module, fetch=module)
    theirs = Path(folder.strip(), "go.mod").read_text()
    # its own parts are modules of their own, v0.x.y for v1.x.y
    staged = re.findall(r"^\s+(\S+) => \./staging", theirs, re.MULTILINE)
    ours = "".join(f"replace {name} => {name} v0.{VERSION[2:]}\n" for name in staged)
    head = "\n".join(re.findall(r"^(?:go|godebug) .*$", theirs, re.MULTILINE))
    (source / "go.mod").write_text(
        f"module api\n{head}\nrequire k8s.io/kubernetes v{VERSION}\n{ours}"
    )
    stamp = "k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion=v{VERSION} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor=36"
    _go("mod", "tidy", folder=source)
    _go("build", "-o", str(place / "new"), "-ldflags", flags, ".", folder=source)
    (place / "new").rename(place / "kube-apiserver")


def _go(*arguments: str, folder: Path | None = None, fetch: str = "") -> str:
    assert GO
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    if fetch:
        subprocess.run([GO, "mod", "download", fetch], check=True, env=environment, cwd="/")
    said = subprocess.run(
        [GO, *arguments],
        check=True,
        env=environment,
        cwd=folder or "/",
        stdout=subprocess.PIPE,
        text=True,
    )
    return said.stdout


@contextmanager
def api(folder: Path, kubectl: Path) -> Iterator[Path]:
    """A running API; the kubeconfig of its administrator."""
    program = built()
    folder.mkdir()
    kept, peer, port = _free_ports(3)
    (folder / "tokens").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    key = folder / "accounts.key"
    make_key = ["openssl", "genrsa", "-out", str(key), "2048"]
    subprocess.run(make_key, check=True, capture_output=True)
    config = folder / "kubeconfig"
    config.write_text(KUBECONFIG.format(port=port, token=TOKEN))
    client, other = f"http://127.0.0.1:{kept}", f"http://127.0.0.1:{peer}"
    commands: list[list[str | Path]] = [
        [str(ETCD), "--data-dir", folder / "etcd", "--unsafe-no-fsync",
         "--listen-client-urls", client, "--advertise-client-urls", client,
         "--listen-peer-urls", other, "--initial-advertise-peer-urls", other,
         "--initial-cluster", f"default={other}"],
        [program, f"--etcd-servers={client}", f"--secure-port={port}", "--bind-address=127.0.0.1",
         f"--cert-dir={folder}/certs", "--service-account-issuer=https://kubernetes.test",
         f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
         f"--token-auth-file={folder}/tokens", "--authorization-mode=RBAC",
         "--service-cluster-ip-range=10.43.0.0/16", "--allow-privileged=true",
         "--disable-admission-plugins=ServiceAccount"],
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        daemons = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    try:
        ready = [str(kubectl), "--kubeconfig", str(config), "get", "--raw", "/readyz"]
        patience = Patience(SECONDS)
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert not patience.over(), (folder / "log").read_text()[-2000:]
            time.sleep(0.5)
        yield config
    finally:
        for daemon in reversed(daemons):  # the API waits long for an etcd that is gone
            daemon.kill()
            daemon.wait()


def _free_ports(number: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
