"""What stands in on the machines of a cloud for binderhub/kubernetes, recorded as it is called.

A server has no way out of its cloud and neither systemd nor a kernel of its own. So its image
brings `systemctl`, and a `curl` that finds in the image what would be downloaded: `k3s`, with a
kubectl that says yes to everything, `helm`, and charts that are empty.
"""

from __future__ import annotations

import io
import platform
import tarfile

K3S, HELM, CERT_MANAGER, BINDERHUB = (
    "v1.99.0+k3s1",
    "v4.99.0",
    "v1.99.0",
    "1.0.0-0.test.1.haaaaaaa",
)
"""Versions that nobody has a checksum of."""

JOIN_TOKEN = "K10f00d::CANARY.jointoken4c19"
PLACE = "var/lib/stand-ins"
VALUES = "values-binderhub.json"
"""What helm was told, in :data:`PLACE`: the cluster's secret stands in there."""

RECORD = f"""#!/bin/bash
place=/{PLACE}
{{ printf '%q ' "${{0##*/}}" "$@"; echo; }} >>$place/calls
"""

SYSTEMCTL = """
case $1 in
is-active) [ -e "$place/active-${!#}" ] ;;
restart | start) touch "$place/active-${!#}" ;;
esac
"""

CURL = """
while [ $# -gt 2 ]; do
    shift
    if [ "$1" = -o ]; then break; fi
done
cp "$place/mirror/${3#https://}" "$2" || exit 22
"""

K3S_PROGRAM = f"""
case "$*" in
"token create "*) echo '{JOIN_TOKEN}' ;;
*" get node "*InternalIP*) hostname -I | cut -d ' ' -f 1 ;;
*/health) echo '{{"ok": true}}' ;;
*" apply "*) cat >>$place/applied ;;
*" get deployment binder "*) [ -e "$place/{VALUES}" ] ;;
esac
"""

HELM_PROGRAM = """cat >"$place/values-$3.json"
"""


def image() -> dict[str, bytes]:
    """The files of such an image, by their paths."""
    machine = "amd64" if platform.machine() == "x86_64" else "arm64"
    suffix = "" if machine == "amd64" else f"-{machine}"
    k3s = f"github.com/k3s-io/k3s/releases/download/{K3S.replace('+', '%2B')}/k3s{suffix}"
    mirrored = {
        k3s: (RECORD + K3S_PROGRAM).encode(),
        f"get.helm.sh/helm-{HELM}-linux-{machine}.tar.gz": _archive(f"linux-{machine}/helm"),
        f"charts.jetstack.io/charts/cert-manager-{CERT_MANAGER}.tgz": b"cert-manager",
        f"jupyterhub.github.io/helm-chart/binderhub-{BINDERHUB}.tgz": b"binderhub",
    }
    programs = {"systemctl": SYSTEMCTL, "curl": CURL}
    return {
        **{f"usr/local/bin/{name}": (RECORD + text).encode() for name, text in programs.items()},
        **{f"{PLACE}/mirror/{path}": content for path, content in mirrored.items()},
    }


def _archive(program: str) -> bytes:
    buffer, content = io.BytesIO(), (RECORD + HELM_PROGRAM).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo(program)
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
