"""Where the sources of modules point to, and why git did not get there."""

from __future__ import annotations

import pytest

from barehub.ssh.git import repository
from barehub.ssh.refusal import explain

NEUROLIBRE = "neurolibre/terraform-binderhub.git"


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (
            f"git::ssh://git@github.com/{NEUROLIBRE}//terraform-modules/binderhub",
            f"ssh://git@github.com/{NEUROLIBRE}",
        ),
        (f"git@github.com:{NEUROLIBRE}?ref=v1", f"ssh://git@github.com/{NEUROLIBRE}"),
        (f"git::git@github.com:{NEUROLIBRE}//dns", f"ssh://git@github.com/{NEUROLIBRE}"),
        ("git::ssh://example.org:2222/a?ref=x//y", "ssh://example.org:2222/a"),
        ("git::https://github.com/a/b.git//c", None),
        ("github.com/a/b", None),
        ("../../terraform/provider/local", None),
        ("terraform-aws-modules/vpc/aws", None),
        ("", None),
    ],
)
def test_the_repository_of_a_source(source: str, url: str | None) -> None:
    found = repository(source)
    assert (found.url if found else None) == url


FRAMED = """
Error: Failed to download module
│ Could not download module "provider" (main.tf:2) source code from
│ "git::ssh://git@example.org:2222/a.git": error downloading
│ 'ssh://git@example.org:2222/a.git': /usr/bin/git exited with 128: Cloning
│ into '.terraform/modules/provider'...
│ No ED25519 host key is known for [example.org]:2222 and you have requested strict checking.
│ Host key verification
│ failed.
"""


def test_what_terraform_frames_is_understood() -> None:
    refusal = explain(FRAMED)
    assert refusal
    assert refusal.problem == "the host key of example.org is not known"
    assert "ssh-keyscan -p 2222 example.org >> instances/NAME/known_hosts" in refusal.fixes[1]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("git@h: Permission denied (publickey).", "h refuses the key"),
        ("Received disconnect: Too many authentication failures", "h was offered too many keys"),
        ("ERROR: Repository not found.", "h takes the key, and does not show it the repository"),
        ("ssh: connect to host h port 22: Connection timed out", "h cannot be reached: timed out"),
        ("ssh: Could not resolve hostname h: Name or service not known", "h cannot be reached"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "h shows another host key"),
    ],
)
def test_what_ssh_and_git_say(said: str, problem: str) -> None:
    refusal = explain(said, "h")
    assert refusal
    assert refusal.problem.startswith(problem)


def test_what_is_not_about_ssh_is_left_alone() -> None:
    assert explain("Error: Unreadable module directory") is None
    assert explain("The CLI configuration file at /home/me/.terraformrc does not exist") is None
    assert explain('Get "https://registry.terraform.io/": dial tcp: Connection refused') is None
