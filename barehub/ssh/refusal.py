"""Why ssh did not get where git sent it, in the words that OpenSSH and git say it in."""

from __future__ import annotations

import re
from dataclasses import dataclass

GITHUB_KEYS = (
    "https://docs.github.com/authentication/keeping-your-account-and-data-secure/"
    "githubs-ssh-key-fingerprints"
)


@dataclass(frozen=True)
class Refusal:
    """``fixes`` are commands, or what to do."""

    problem: str
    fixes: tuple[str, ...] = ()


def explain(said: str, host: str = "", port: int = 22) -> Refusal | None:
    """What ``said`` means, if it is about ssh; Terraform breaks lines of it, and frames them."""
    text = re.sub(r"[\s│|]+", " ", said)
    if not host and "ssh:" not in text:  # Terraform tells of much else
        return None
    if not host and (url := re.search(r"ssh://(?:[^@/ ]+@)?([\w.-]+)(?::(\d+))?/", text)):
        host, port = url[1], int(url[2] or 22)
    host = host or "the host"
    at = f"-p {port} {host}" if port != 22 else host
    if "HOST IDENTIFICATION HAS CHANGED" in text:
        entry = f"[{host}]:{port}" if port != 22 else host
        return Refusal(
            f"{host} shows another host key than the one that is known",
            (
                "ask its owner; somebody may be in between",
                f"if it was changed: ssh-keygen -R '{entry}', and take it out of known_hosts",
            ),
        )
    if "Host key verification failed" in text:
        published = GITHUB_KEYS if host == "github.com" else "what its owner publishes"
        return Refusal(
            f"the host key of {host} is not known",
            (
                f"compare with {published}: ssh-keyscan {at} | ssh-keygen -lf -",
                f"if it is the same: ssh-keyscan {at} >> instances/NAME/known_hosts",
            ),
        )
    if "Too many authentication failures" in text:
        return Refusal(f"{host} was offered too many keys", ("BAREHUB_SSH_KEY=~/.ssh/THE-ONE.pub",))
    if "Permission denied" in text:
        return Refusal(
            f"{host} refuses the key",
            (
                f"give {host} its public half, as a user's or a deploy key",
                "or use another one: BAREHUB_SSH_KEY=vault, agent, or ~/.ssh/FILE",
            ),
        )
    if re.search("Repository not found|not appear to be a git repository|does not exist", text):
        return Refusal(
            f"{host} takes the key, and does not show it the repository",
            ("see that the address is right, and that the key may read it",),
        )
    if found := re.search(
        r"Could not resolve hostname|Connection refused|timed out|No route to host|unreachable",
        text,
        re.IGNORECASE,
    ):
        return Refusal(f"{host} cannot be reached: {found[0].lower()}", (f"ssh -v {at}",))
    return None
