"""The forms of a module's source, as Terraform's documentation lists them."""

from __future__ import annotations

import pytest

from barehub.terraform.source import GIT, LOCAL, OTHER, REGISTRY, Source

COMMIT = "eb4571085c49c54490bdf488807ddbb342d9e280"


@pytest.mark.parametrize(
    ("text", "kind", "host", "subfolder"),
    [
        ("../../terraform/dns/local", LOCAL, "..", ""),
        ("git::ssh://git@github.com/o/r.git//a/b", GIT, "github.com", "a/b"),
        ("git::https://example.org:8443/o/r.git//a?ref=v1", GIT, "example.org", "a"),
        ("git@github.com:o/r.git//a", GIT, "github.com", "a"),
        ("github.com/o/r//a?ref=main", GIT, "github.com", "a"),
        ("https://example.org/r.git", GIT, "example.org", ""),
        ("terraform-aws-modules/vpc/aws", REGISTRY, "terraform-aws-modules", ""),
        ("app.terraform.io/o/r/aws//x", REGISTRY, "app.terraform.io", "x"),
        ("https://example.org/m.zip", OTHER, "example.org", ""),
        ("s3::https://s3.example.org/b/m.zip", OTHER, "s3.example.org", ""),
    ],
)
def test_kinds(text: str, kind: str, host: str, subfolder: str) -> None:
    source = Source(text)
    assert source.kind == kind
    assert source.subfolder == subfolder
    if kind != LOCAL:
        assert source.host == host


@pytest.mark.parametrize(
    ("source", "pinned"),
    [
        (Source("./m"), True),
        (Source("git::ssh://git@github.com/o/r.git//a"), False),
        (Source("git::ssh://git@github.com/o/r.git//a?ref=v1.0.0"), False),
        (Source(f"git::ssh://git@github.com/o/r.git//a?ref={COMMIT[:12]}"), False),
        (Source(f"git::ssh://git@github.com/o/r.git//a?depth=1&ref={COMMIT}"), True),
        (Source("o/r/aws"), False),
        (Source("o/r/aws", "~> 1.2"), False),
        (Source("o/r/aws", ">= 1.2.3"), False),
        (Source("o/r/aws", "1.2.3"), True),
        (Source("o/r/aws", "= 1.2.3"), True),
        (Source("https://example.org/m.zip"), False),
        (Source("https://example.org/m.zip?checksum=sha256:aa"), True),
    ],
)
def test_what_is_the_same_tomorrow(source: Source, pinned: bool) -> None:
    assert source.pinned is pinned


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("git::ssh://git@github.com/o/r.git//a/b?ref=x", "ssh://git@github.com/o/r.git"),
        ("github.com/o/r//a", "https://github.com/o/r"),
        ("git@github.com:o/r.git//a", "git@github.com:o/r.git"),
        ("git::file:///srv/r//a?ref=x", "file:///srv/r"),
    ],
)
def test_what_git_is_asked(text: str, repository: str) -> None:
    assert Source(text).repository == repository


def test_a_password_in_it_is_not_shown() -> None:
    assert "CANARY" not in Source("git::https://CANARY-token@example.org/r.git").shown
    assert "CANARY" not in Source("git::https://me:CANARY-pw@example.org/r.git").shown
    assert Source("git::ssh://git@github.com/r.git").shown == "git::ssh://git@github.com/r.git"


@pytest.mark.parametrize(
    ("text", "manifest"),
    [
        (
            "git::ssh://git@github.com/o/r.git//a?ref=x",
            "git::ssh://git@github.com/o/r.git//a?ref=x",
        ),
        ("github.com/o/r//a?ref=x", "git::https://github.com/o/r.git//a?ref=x"),
        ("o/r/aws", "registry.terraform.io/o/r/aws"),
        ("o/r/aws//x", "registry.opentofu.org/o/r/aws//x"),
    ],
)
def test_the_manifest_of_terraform_writes_it_in_full(text: str, manifest: str) -> None:
    assert Source(text).same(manifest)
    assert not Source(text).same(manifest.replace("r", "s"))
