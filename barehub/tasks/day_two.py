"""The verbs for a hub that people use."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from barehub.tasks.verb import (
    NAME,
    behind_dashes,
    interruptions,
    only,
    project,
    verb,
)


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "json": "one JSON document on stdout",
    }
)
def status(c: Context, name: str = "", json: bool = False) -> None:
    """Show how an instance stands: stages, drift, endpoint, certificate, what there is to lose.

    Changes nothing. What it cannot look at, because another run has the instance or a cloud does
    not answer, it says, and is 0 all the same: `invoke verify` judges.

    Example: invoke status --name demo
    Example: invoke status --name demo --json
    """
    from barehub import status

    status.tell(project(), name or only("status"), interruptions(), as_json=json)


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

    Example: invoke logs --name demo --follow
    Example: invoke logs --name demo --of hub
    """
    from barehub import logs

    instance = project().existing(name or only("logs"))
    wanted = logs.Wish(of, lines, follow)
    if code := logs.show(project(), instance, wanted, interruptions()):
        raise Exit(code=code)
