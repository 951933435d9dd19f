"""What --repo may be, and whose server a token is sent to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barehub import verify
from barehub.errors import UsageError
from barehub.verify.launching import stopping
from barehub.verify.launching.launch import REPO, akin, parse_repo


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (REPO, REPO),
        ("https://github.com/o/n", "gh/o/n/HEAD"),
        ("https://github.com/o/n.git", "gh/o/n/HEAD"),
        ("https://www.github.com/o/n.x/", "gh/o/n.x/HEAD"),
        ("https://github.com/o/n/tree/fix/it", "gh/o/n/fix/it"),
        ("gh/o/n", "gh/o/n/HEAD"),
        ("zenodo/10.5281/zenodo.3242074", "zenodo/10.5281/zenodo.3242074"),
        (
            "git/https%3A%2F%2Fexample.org%2Fx.git/main",
            "git/https%3A%2F%2Fexample.org%2Fx.git/main",
        ),
    ],
)
def test_what_a_repository_may_be_called(text: str, spec: str) -> None:
    assert parse_repo(text) == spec


@pytest.mark.parametrize(
    "text",
    ["", "x", "gh/", "gh/o", "gh/../x/y", "https://example.org/o/n", "gh/o/n?x=1", "gh/o/n/a b",
     "gh/o/n/\r\nX: y", "git@github.com:o/n.git", "https://github.com/o", "gh/o/n/" + "x" * 3000],
)  # fmt: skip
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(UsageError, match="hint: --repo"):
        parse_repo(text)


@pytest.mark.parametrize(
    ("host", "other", "hub", "trusted"),
    [
        ("binder.example.org", "hub.example.org", None, True),
        ("binder.example.org", "hub.binder.example.org", None, True),
        ("binder.example.org", "hub.example.net", None, False),
        ("binder.example.org", "evilexample.org", None, False),
        ("binder.co.uk", "evil.co.uk", None, False),
        ("binder.gouv.fr", "evil.gouv.fr", None, False),
        ("binder.github.io", "evil.github.io", None, False),
        ("binder.x.co.uk", "hub.x.co.uk", None, True),
        ("example.org", "evil.org", None, False),
        ("binder.example.org", "hub.example.net", "https://hub.example.net/", True),
        ("10.0.0.1", "20.0.0.1", None, False),
    ],
)
def test_whose_notebook_it_is(host: str, other: str, hub: str | None, trusted: bool) -> None:
    target = replace(verify.parse(f"https://{host}"), hub=hub)
    assert akin(target, verify.parse(f"https://{other}")) is trusted


def test_a_hubs_token_does_not_go_to_a_host_beside() -> None:
    target = verify.parse("https://binder.example.org")
    place = stopping.user_of("https://hub.example.org/jupyter/user/a%20b/")
    assert place and (place[0].url, place[1]) == ("https://hub.example.org/jupyter/", "a%20b")
    assert stopping.hub_site(target, place[0]) is None
    assert stopping.hub_site(replace(target, hub="https://hub.example.net/"), place[0]) is None
    assert stopping.hub_site(replace(target, hub="/jupyter/"), place[0]) is None
    named = replace(target, hub="https://hub.example.org/")
    assert stopping.hub_site(named, place[0]) is not None
