"""`invoke logs`: the end of a hub's log, and what is written from then on."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass

from barehub import login, machines
from barehub.console import console
from barehub.errors import UsageError
from barehub.process import Interruptions
from barehub.project import Instance, Project

POLL_SECONDS = 0.2

DEPLOYMENT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""A name in Kubernetes; it becomes part of a line that a shell reads."""

REMOTE = """
kube() {
    if command -v k3s >/dev/null; then sudo -n k3s kubectl "$@"
    elif sudo -n test -e ADMIN 2>/dev/null; then sudo -n env KUBECONFIG=ADMIN kubectl "$@"
    else kubectl "$@"; fi
}
where=$(kube get deployments --all-namespaces --field-selector metadata.name=NAME \
--output 'jsonpath={.items[*].metadata.namespace}') || exit
[ "$where" ] || { echo 'error: no namespace has a deployment NAME' >&2; exit 1; }
kube logs deployment/NAME --namespace "${where%% *}" --tail=LINES FOLLOW
"""
"""What runs on the master. k3s and kubeadm (``ADMIN``) keep their configuration to root."""

ADMIN = "/etc/kubernetes/admin.conf"


@dataclass(frozen=True)
class Wish:
    """The command line: whose log, how many ``lines`` of its end, and whether to go on."""

    of: str
    lines: str
    follow: bool


def show(project: Project, instance: Instance, wish: Wish, interruptions: Interruptions) -> int:
    """Print the log as it is on stdout; the exit code of what read it.

    :raises UsageError: the wish means nothing, or there is no log.
    :raises UnreachableError: the machine that has it cannot be reached.
    """
    if not (wish.lines.isascii() and wish.lines.isdigit()):
        raise UsageError(f"--lines {wish.lines} is no number of lines", "--lines 100")
    if not DEPLOYMENT.fullmatch(wish.of):
        raise UsageError(f"--of {wish.of!r} cannot be a deployment's name", "--of hub")
    if machines.runs_here(instance):
        _print(project, instance, wish, interruptions)
        return 0
    line = REMOTE.strip().replace("ADMIN", ADMIN).replace("NAME", wish.of)
    line = line.replace("LINES", wish.lines)
    line = line.replace("FOLLOW", "--follow" if wish.follow else "").rstrip()
    master = machines.choose(instance, "")
    return login.log_in(project, instance, master, [line], interruptions)


def _print(project: Project, instance: Instance, wish: Wish, interruptions: Interruptions) -> None:
    """The log of a hub on this machine."""
    path = instance.folder / "hub" / "hub.log"
    if not path.exists():
        raise UsageError(
            f"{project.relative(path)} is not there", f"invoke spawn --name {instance.name}"
        )
    with path.open("rb") as log:
        for line in deque(log, int(wish.lines)):
            console.content(line)
        at = log.tell()
    while wish.follow and path.exists():
        interruptions.check()
        # a hub that was started again begins its log anew
        at = at if at <= path.stat().st_size else 0
        with path.open("rb") as log:
            log.seek(at)
            console.content(log.read())
            at = log.tell()
        time.sleep(POLL_SECONDS)
