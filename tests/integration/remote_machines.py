"""Machines for the tests of modules that go to them by SSH.

Each is a real sshd on an address of the loopback network, with a host key of its own. A command
runs in mount and process namespaces where /etc, /run, /usr/local, /var/lib and the home folder are
the machine's own, as root there.

What stands in, because no package index has it or it would change this machine: `k3s` with its
kubectl (a Kubernetes that keeps what it is told in files), `systemctl`, `journalctl`, `ss`, `ip`
and `iptables`. `helm` stands in for what it does to a cluster, but the real helm renders the chart
with the values that arrive. They write down how they were called.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mirrors import Mirror, chart, tar

from barehub.patience import Patience

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
# Why these tests cannot run here.
LACKING = (
    "machines are namespaces and loopback addresses of Linux"
    if sys.platform != "linux"
    else "there is no sshd here; its package would also start one for everybody"
    if not SSHD
    else ""
)

JOIN_TOKEN = "K10f00d::CANARY.jointoken8e21"

STAND_INS = {
    "systemctl": """
unit=${!#}
case $1 in
is-active) [ -e "$MACHINE/active-$unit" ] ;;
restart | start)
    if [ -e "$CLUSTER/broken-$unit" ]; then exit 1; fi
    if [ -e "$CLUSTER/slow-$unit" ]; then sleep 60; fi
    touch "$MACHINE/active-$unit"
    name=$(sed -n 's/.*"node-name": "\\([^"]*\\)".*/\\1/p' /etc/rancher/k3s/config.yaml)
    mkdir -p "$CLUSTER/nodes"
    printf '%s\\n' "$ADDRESS" >"$CLUSTER/nodes/$name"
    ;;
disable) rm -f "$MACHINE/active-$unit" ;;
esac
""",
    "journalctl": "echo 'level=fatal msg=\"made to fail\"'",
    "ip": "true",
    "ss": 'cat "$MACHINE/listening" 2>/dev/null | grep "${!###*:} " || true',
    "iptables-save": "true",
    "iptables-restore": "cat >/dev/null",
    "ip6tables-save": "true",
    "ip6tables-restore": "cat >/dev/null",
}

RECORD = """#!/bin/bash
{ printf '%q ' "${0##*/}" "$@"; echo; } >>"$MACHINE/calls"
"""

K3S_PROGRAM = """
if [ "$1" = token ]; then echo "$JOIN_TOKEN"; exit; fi
shift # kubectl
for argument; do
    shift
    case $argument in --request-timeout=*) ;; *) set -- "$@" "$argument" ;; esac
done
seconds=1
case "$*" in *--timeout=*) seconds=${*##*--timeout=} seconds=${seconds%%s*} ;; esac
case "$*" in
"get --raw /readyz") ;;
"get --raw "*/health)
    if [ -e "$CLUSTER/unhealthy" ]; then echo 'Error: 503' >&2; exit 1; fi
    echo '{"ok": true}'
    ;;
"get node "*--output*) cat "$CLUSTER/nodes/$3" ;;
"get node "*) [ -e "$CLUSTER/nodes/$3" ] ;;
"get nodes "*) ls "$CLUSTER/nodes" ;;
"wait "*certificate/*) [ ! -e "$CLUSTER/no-certificate" ] || { sleep "$seconds"; exit 1; } ;;
"wait "*) ;;
"label "* | "taint "* | "drain "*) ;;
"delete node "*) rm "$CLUSTER/nodes/$3" ;;
"delete secret "*) ;;
"apply "*)
    if [ -e "$CLUSTER/no-apply" ]; then echo 'error: no matches for kind' >&2; exit 1; fi
    cat >>"$CLUSTER/applied"; echo >>"$CLUSTER/applied"
    ;;
"get deployment binder "*) [ -e "$CLUSTER/values-binderhub.json" ] ;;
"rollout status "*) [ ! -e "$CLUSTER/stuck" ] || { sleep "$seconds"; exit 1; } ;;
"rollout restart "*) ;;
"get pods "*) echo 'hub-0 CrashLoopBackOff' ;;
"get challenges "*) echo 'no such name' ;;
"get "*) ;;
*) echo "unknown: $*" >&2; exit 64 ;;
esac
"""

HELM_PROGRAM = """
[ "$1 $2" = "upgrade --install" ] || exit 64
if [ -e "$CLUSTER/broken-helm" ]; then echo 'Error: UPGRADE FAILED: made to fail' >&2; exit 1; fi
cat >"$CLUSTER/values-$3.json"
if [ -n "$REAL_HELM" ]; then
    "$REAL_HELM" template "$3" "$4" --namespace "$6" --values "$CLUSTER/values-$3.json" \\
        >"$CLUSTER/rendered-$3.yaml" || exit 1
fi
"""

STAND_IN_PROGRAMS = ((RECORD + K3S_PROGRAM).encode(), (RECORD + HELM_PROGRAM).encode())

# What a command finds before it runs; `unshare` maps a user of the tests to root.
ENTRY = """#!/bin/bash
export MACHINE={folder} CLUSTER={cluster} ADDRESS={address} JOIN_TOKEN={token} REAL_HELM={helm}
export HOME={folder}/home PATH={bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
exec unshare {map} --mount --pid --fork --mount-proc bash -c '
for place in etc run usr/local var/lib; do mount --bind "$MACHINE/$place" "/$place"; done
exec bash -c "$SSH_ORIGINAL_COMMAND"'
"""

ETC = ("passwd", "group", "nsswitch.conf", "os-release", "alternatives", "ssl", "hosts")


class Machines:
    """Some machines, the mirror that they download from, and what stands in for their cluster."""

    def __init__(self, folder: Path, helm: Path | None, count: int = 2) -> None:
        self.folder, self.helm = folder, helm
        self.cluster = folder / "cluster"
        self.bin = folder / "bin"
        self.mirror = Mirror(folder / "mirror")
        self.user = getpass.getuser()
        # 127.x.y.z: tests that run at the same time each have a network of their own
        net = os.getpid() % 250 + 1
        self.addresses = [f"127.77.{net}.{number}" for number in range(1, count + 1)]
        self.port = _free_port(self.addresses)
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Machines:
        self.cluster.mkdir(parents=True)
        self.bin.mkdir()
        if os.getuid() == 0:  # sshd wants it, and only its service makes it
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name, text in STAND_INS.items():
            _program(self.bin / name, RECORD + text)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key")
        for address in self.addresses:
            self._make(address)
            self.start(address)
        self.mirror.start()
        return self

    def __exit__(self, *error: object) -> None:
        for daemon in self._daemons:
            daemon.terminate()
            daemon.wait()
        self.mirror.stop()

    def at(self, address: str) -> Path:
        """The folder of a machine: `etc`, `home` …, and `calls` of what stands in."""
        return self.folder / address

    def calls(self) -> str:
        """How what stands in was called, on all machines."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*/calls")))

    def forget_calls(self) -> None:
        for path in self.folder.glob("*/calls"):
            path.unlink()

    def flag(self, name: str) -> Path:
        """A file that makes something in the cluster go wrong while it is there."""
        return self.cluster / name

    def release(
        self,
        k3s: str,
        helm: str,
        cert_manager: str,
        *binderhub: str,
        programs: tuple[bytes, bytes] = STAND_IN_PROGRAMS,
    ) -> None:
        """Put k3s and helm, or what stands in, and charts of these versions on the mirror."""
        mirror, machine = self.mirror, "amd64" if platform.machine() == "x86_64" else "arm64"
        suffix = "" if machine == "amd64" else f"-{machine}"
        mirror.put(f"github.com/k3s-io/k3s/releases/download/{k3s}/k3s{suffix}", programs[0])
        mirror.put(
            f"get.helm.sh/helm-{helm}-linux-{machine}.tar.gz",
            tar({f"linux-{machine}/helm": programs[1]}),
        )
        mirror.put(
            f"charts.jetstack.io/charts/cert-manager-{cert_manager}.tgz",
            chart("cert-manager", cert_manager.removeprefix("v")),
        )
        for version in binderhub:
            mirror.put(
                f"jupyterhub.github.io/helm-chart/binderhub-{version}.tgz",
                chart("binderhub", version),
            )

    def new_host_key(self, address: str) -> None:
        """As after a reinstallation: another host key, on the same address."""
        key = self.at(address) / "host_key"
        key.unlink()
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        self.stop(address)
        self.start(address)

    def stop(self, address: str) -> None:
        daemon = self._daemons[self.addresses.index(address)]
        daemon.terminate()
        daemon.wait()

    def start(self, address: str) -> None:
        place = self.at(address)
        with (place / "sshd.log").open("ab") as log:
            command: list[str | Path] = [str(SSHD), "-D", "-e", "-f", place / "sshd_config"]
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        number = self.addresses.index(address)
        self._daemons[number : number + 1] = [daemon]
        _until_listening(address, self.port)

    def _make(self, address: str) -> None:
        place = self.at(address)
        for folder in ("etc", "run/systemd/system", "usr/local/bin", "var/lib", "home"):
            (place / folder).mkdir(parents=True)
        for name in ETC:
            source = Path("/etc", name)
            if source.is_dir():
                shutil.copytree(source, place / "etc" / name, symlinks=True)
            elif source.exists():
                shutil.copy(source, place / "etc" / name)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "host_key")
        entry = ENTRY.format(
            folder=place,
            cluster=self.cluster,
            address=address,
            bin=self.bin,
            token=shlex.quote(JOIN_TOKEN),
            helm=self.helm or "''",
            map="" if os.getuid() == 0 else "--map-root-user",
        )
        _program(place / "entry", entry)
        (place / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress {address}\nHostKey {place}/host_key\n"
            f"AuthorizedKeysFile {self.folder}/key.pub\nForceCommand {place}/entry\n"
            "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nMaxStartups 100\n"
        )


@contextmanager
def agent(key: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A real ssh-agent that holds a key: what to add to an environment."""
    place = folder / "agent.sock"
    daemon = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
    try:
        patience = Patience(10)
        while not place.exists() and not patience.over():
            time.sleep(0.02)
        environment = {"SSH_AUTH_SOCK": str(place)}
        subprocess.run(
            ["ssh-add", "-q", key], check=True, env={**os.environ, **environment}, timeout=20
        )
        yield environment
    finally:
        daemon.terminate()
        daemon.wait()


def rendered_values(machines: Machines, release: str) -> dict[str, Any]:
    """The values that the real helm saw, as the chart of :func:`chart` tells them."""
    import yaml

    secret = yaml.safe_load(machines.flag(f"rendered-{release}.yaml").read_text())
    values: dict[str, Any] = json.loads(secret["stringData"]["values"])
    return values


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def _free_port(addresses: list[str]) -> int:
    with socket.create_server((addresses[0], 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _until_listening(address: str, port: int) -> None:
    patience = Patience(20)
    while not patience.over():
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"sshd does not listen on {address}:{port}")
