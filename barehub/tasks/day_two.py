"""The verbs for a hub that people use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from barehub.tasks.verb import (
    NAME,
    NO_WAIT,
    STAGE_TIMEOUT,
    WAIT,
    behind_dashes,
    interruptions,
    only,
    project,
    seconds,
    stage_limit,
    vault,
    verb,
)

if TYPE_CHECKING:
    from barehub.revision import Wish


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "json": "one JSON document on stdout",
        "no-wait": NO_WAIT,
    }
)
def status(c: Context, name: str = "", json: bool = False, no_wait: bool = False) -> None:
    """Show how an instance stands: stages, drift, endpoint, certificate, what there is to lose.

    Changes nothing. What it cannot look at, because another run has the instance or a cloud does
    not answer, it says, and is 0 all the same: `invoke verify` judges.

    Example: invoke status --name demo
    Example: invoke status --name demo --json
    """
    from barehub import status

    name = name or only("status")
    status.tell(project(), name, interruptions(), as_json=json, no_wait=no_wait)


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "node": "a node, by its number or name (default: the master)",
    }
)
def ssh(c: Context, name: str = "", node: str = "") -> None:
    """Log in to a hub's machine, or run what is given behind -- there.

    One argument behind -- is a line for the shell there; several are a program and its arguments.
    The exit code is that of the command; 255 when ssh did not get there.

    Example: invoke ssh --name demo
    Example: invoke ssh --name demo --node 1 -- 'df -h | grep vda'
    """
    from barehub import login, machines

    instance = project().existing(name or only("ssh"))
    machine = machines.choose(instance, node)
    code = login.log_in(project(), instance, machine, behind_dashes(), interruptions())
    if code:
        raise Exit(code=code)


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "of": "the deployment on Kubernetes: binder (default), hub, …",
        "lines": "how many lines from its end (100)",
        "follow": "go on with what is written, until Ctrl-C",
    }
)
def logs(
    c: Context, name: str = "", of: str = "binder", lines: str = "100", follow: bool = False
) -> None:
    """Print the end of a hub's log: BinderHub's, or that of another deployment beside it.

    Values of the vault are hidden in it, if the vault can be read here.

    Example: invoke logs --name demo --follow
    Example: invoke logs --name demo --of hub
    """
    from barehub import logs

    instance = project().existing(name or only("logs"))
    wanted = logs.Wish(of, lines, follow)
    if code := logs.show(project(), instance, wanted, interruptions(), vault()):
        raise Exit(code=code)


CHANGING = {
    "name": f"{NAME} (default: the only one)",
    "yes": "do not ask before something that exists is replaced or destroyed",
    "allow-replace": "an address that the guard lets go (repeatable)",
    "wait": WAIT,
    "no-wait": NO_WAIT,
    "stage-timeout": STAGE_TIMEOUT,
    "timeout": "seconds that the endpoint may take to become ready (900)",
}
"""What all verbs take that change a hub and take it back if that fails."""


@verb(
    help={**CHANGING, "binder-version": "what the recipe shall say, such as 1.0.0-0.dev.git.3983"},
    iterable=["allow_replace"],
)
def upgrade(
    c: Context,
    name: str = "",
    binder_version: str = "",
    yes: bool = False,
    allow_replace: Sequence[str] | None = None,
    wait: bool = False,
    no_wait: bool = False,
    stage_timeout: str = "",
    timeout: str = "900",
) -> None:
    """Bring a hub that is up to another version of BinderHub, or back if that fails.

    Changes one line of the recipe. Shows the plan first, and verifies the hub at the end.

    Example: invoke upgrade --name demo --binder-version 1.0.0-0.dev.git.3983.h383374de
    """
    from barehub.errors import UsageError
    from barehub.revision import VERSION, Wish

    if not VERSION.fullmatch(binder_version):
        told = f"{binder_version!r} is no version" if binder_version else "to which version?"
        raise UsageError(f"--binder-version: {told}", "--binder-version 1.0.0-0.dev.git.3983")
    wish = Wish("upgrade", "binderhub", "binder_version", "string", binder_version)
    _revise(wish, name, yes, allow_replace, wait, no_wait, stage_timeout, timeout)


@verb(
    help={**CHANGING, "nodes": "how many nodes there shall be beside the master"},
    iterable=["allow_replace"],
)
def scale(
    c: Context,
    name: str = "",
    nodes: str = "",
    yes: bool = False,
    allow_replace: Sequence[str] | None = None,
    wait: bool = False,
    no_wait: bool = False,
    stage_timeout: str = "",
    timeout: str = "900",
) -> None:
    """Give a hub that is up more nodes, or fewer; go back if that fails.

    Changes one line of the recipe. Shows the plan first, and verifies the hub at the end.

    Example: invoke scale --name demo --nodes 3
    """
    from barehub.errors import UsageError
    from barehub.revision import NUMBER, Wish

    if not NUMBER.fullmatch(nodes):
        told = f"{nodes!r} is no number of nodes" if nodes else "how many?"
        raise UsageError(f"--nodes: {told}", "--nodes 3")
    wish = Wish("scale", "provider", "nb_nodes", "number", str(int(nodes)))
    _revise(wish, name, yes, allow_replace, wait, no_wait, stage_timeout, timeout)


def _revise(
    wish: Wish,
    name: str,
    yes: bool,
    allow_replace: Sequence[str] | None,
    wait: bool,
    no_wait: bool,
    stage_timeout: str,
    timeout: str,
) -> None:
    from barehub import revision
    from barehub.console import console
    from barehub.run import Terms

    unasked = "--yes" if yes else "--allow-replace" if allow_replace else ""
    name = name or only(wish.command, unasked)
    endpoint = revision.revise(
        project(),
        name,
        wish,
        interruptions=interruptions(),
        terms=Terms(
            agreed=yes,
            allowed=frozenset(allow_replace or ()),
            wait=wait,
            no_wait=no_wait,
            stage_seconds=stage_limit(stage_timeout),
        ),
        seconds=seconds("timeout", timeout),
    )
    if endpoint:
        console.place(endpoint)
