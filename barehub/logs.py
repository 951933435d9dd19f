"""`invoke logs`: the end of a hub's log, and what is written from then on."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from barehub import login, machines, preparation, process
from barehub.console import console
from barehub.errors import BarehubError, Interrupted, UsageError
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.streams import Foreign
from barehub.vault.store import Vault

POLL_SECONDS = 0.2
CHUNK = 64 * 1024

NUMBER = re.compile(r"[0-9]{1,9}")

DEPLOYMENT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""A name in Kubernetes; it becomes part of a line that a shell reads."""

REMOTE = """
if command -v k3s >/dev/null; then as='sudo -n' kube='k3s kubectl'
elif sudo -n test -e ADMIN 2>/dev/null; then as='sudo -n' kube='kubectl --kubeconfig ADMIN'
else as='' kube=kubectl; fi
where=$($as $kube get deployments --all-namespaces --field-selector metadata.name=NAME \
--output 'jsonpath={.items[*].metadata.namespace}') || exit
[ "$where" ] || { echo 'error: no namespace has a deployment NAME' >&2; exit 1; }
set -- $kube logs deployment/NAME --namespace "${where%% *}" --tail=LINES
"""
"""What sh runs on the master. k3s and kubeadm (``ADMIN``) keep their configuration to root."""

ONCE = '$as "$@"'

FOLLOW = """
$as sh -c '
exec 3<&0
"$@" </dev/null 3<&- & log=$!
exec 2>/dev/null
{ cat <&3; kill "$log"; } >/dev/null &
wait "$log"' sh "$@" --follow
"""
"""Until it ends, or our end of its input does: a log in which nothing happens would never see that
nobody reads it any more. Only root may end what sudo began, so all of that is done there."""

ADMIN = "/etc/kubernetes/admin.conf"


@dataclass(frozen=True)
class Wish:
    """The command line: whose log, how many ``lines`` of its end, and whether to go on."""

    of: str
    lines: str
    follow: bool


def show(
    project: Project,
    instance: Instance,
    wish: Wish,
    interruptions: Interruptions,
    vault: AbstractContextManager[Vault],
) -> int:
    """Print the log on stdout, without the vault's values; the exit code of what read it.

    :raises UsageError: the wish means nothing, or there is no log.
    :raises UnreachableError: the machine that has it cannot be reached.
    """
    if not NUMBER.fullmatch(wish.lines):
        raise UsageError(f"--lines {wish.lines} is no number of lines", "--lines 100")
    if not DEPLOYMENT.fullmatch(wish.of):
        raise UsageError(f"--of {wish.of!r} cannot be a deployment's name", "--of hub")
    _hide(vault, instance)
    if machines.runs_here(instance):
        with process.ending_with_the_terminal():
            _print(project, instance, wish, interruptions)
        return 0
    script = REMOTE + (FOLLOW if wish.follow else ONCE)
    for word, meant in (("ADMIN", ADMIN), ("NAME", wish.of), ("LINES", wish.lines)):
        script = script.replace(word, meant)
    words = ["sh", "-c", script]
    master = machines.choose(instance, "")
    return login.log_in(project, instance, master, words, interruptions, listening=True)


def _hide(opened: AbstractContextManager[Vault], instance: Instance) -> None:
    """Hide the values of an instance's vault in all output; warn if it cannot be read."""
    endpoint = str((instance.journal.last("endpoint") or {}).get("url", ""))
    try:
        with opened as vault:
            if vault.exists:
                domain = endpoint.partition("://")[2].partition(":")[0]
                preparation.hide(vault.read(instance.name), instance.name, domain)
    except Interrupted:
        raise
    except BarehubError as error:
        console.warn(f"values of the vault are not hidden: {error.problem}")


def _print(project: Project, instance: Instance, wish: Wish, interruptions: Interruptions) -> None:
    """The log of a hub on this machine."""
    path = instance.folder / "hub" / "hub.log"
    if not path.exists():
        raise UsageError(
            f"{project.relative(path)} is not there", f"invoke spawn --name {instance.name}"
        )
    shown = console.foreign()
    try:
        _pass_on(path, shown, wish, interruptions)
    finally:
        shown.end()


def _pass_on(path: Path, shown: Foreign, wish: Wish, interruptions: Interruptions) -> None:
    with path.open("rb") as log:
        for line in deque(log, int(wish.lines)):
            shown.feed(line)
        at = log.tell()
    while wish.follow and not process.unread():
        interruptions.check()
        try:
            with path.open("rb") as log:
                # a hub that was started again begins its log anew
                at = log.seek(at if at <= os.fstat(log.fileno()).st_size else 0)
                while chunk := log.read(CHUNK):
                    shown.feed(chunk)
                at = log.tell()
        except FileNotFoundError:  # the hub was torn down
            return
        time.sleep(POLL_SECONDS)
