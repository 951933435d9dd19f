"""git over ssh, as a recipe's sources ask for it: how it is called, and where it goes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from barehub import process
from barehub.errors import ToolError
from barehub.ssh.refusal import Refusal, explain

ATTEMPT_SECONDS = 20.0
CONNECT_SECONDS = 10
"""How long a host may take to answer, and to take a connection at all."""

KNOWN_TO_ALL = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@dataclass(frozen=True)
class Repository:
    """A git repository that is fetched by ssh."""

    user: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port != 22 else ""
        return f"ssh://{user}{self.host}{port}/{self.path}"


def repository(source: str) -> Repository | None:
    """What the ``source`` of a module names, if git fetches it by ssh.

    The forms: https://developer.hashicorp.com/terraform/language/modules/sources#generic-git-repository.
    """
    bare = source.partition("?")[0].removeprefix("git::")
    url = re.fullmatch(r"ssh://(?:([^@/]+)@)?([^@:/]+)(?::(\d+))?/(.+)", bare)
    scp = re.fullmatch(r"([^@/:]+)@([^@:/]+):(?!//)(.+)", bare)
    if url:
        user, host, port, path = url[1] or "", url[2], int(url[3] or 22), url[4]
    elif scp:
        user, host, port, path = scp[1], scp[2], 22, scp[3]
    else:
        return None
    return Repository(user, host, port, path.partition("//")[0].lstrip("/"))


def settings(agent: Mapping[str, str], known_hosts: Path) -> dict[str, str]:
    """What makes git use the keys of ``agent`` (``SSH_AUTH_SOCK``), and never ask.

    A host's key must be known: by the person's own ``known_hosts``, the machine's, or
    ``known_hosts``, the instance's. All else of the person's ``ssh_config`` holds: names of hosts,
    jumps, ports.
    """
    places = " ".join(f'"{path}"' for path in (*KNOWN_TO_ALL, known_hosts))
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"GlobalKnownHostsFile={places}",
        f"ConnectTimeout={CONNECT_SECONDS}",
        "ForwardAgent=no",
        # a connection that is shared was opened with whatever key, and stays open behind us
        "ControlMaster=no",
        "ControlPath=none",
    ]
    if agent:
        options += ["IdentityAgent=SSH_AUTH_SOCK", "IdentitiesOnly=no", "IdentityFile=none"]
    command = shlex.join(["ssh", *(word for option in options for word in ("-o", option))])
    return {**agent, "GIT_SSH_COMMAND": command, "GIT_TERMINAL_PROMPT": "0"}


def attempt(repository: Repository, env: Mapping[str, str]) -> Refusal | None:
    """Ask for the repository as Terraform will; why that does not work, if it does not."""
    try:
        done = process.run(
            ["git", "ls-remote", "--quiet", repository.url, "HEAD"],
            env=env,
            timeout=ATTEMPT_SECONDS,
        )
    except ToolError as error:
        return Refusal(f"{repository.host}: {error.problem}")
    if done.code == 0:
        return None
    return explain(done.stderr.decode(errors="replace"), repository.host, repository.port)
