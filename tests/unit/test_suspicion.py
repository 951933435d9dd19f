"""What is taken for a secret, and what is not."""

from __future__ import annotations

import base64
import random
import secrets
import string
import time
from collections.abc import Callable

import pytest

from barehub import suspicion
from barehub.migration import placement, splitting

LONG = "0123456789" * 8


@pytest.mark.parametrize(
    "name",
    [
        "docker_password",
        "cloudflare_token",
        "apiKey",
        "API_KEY",
        "client-secret",
        "grafana_admin_password",
        "token",
        "pwd",
        "admin_pass",
        "basic_auth",
        "chpasswd",
        "private_key",
        "credentials",
        "registry_credential",
        "secret_access_key",
        "accessKey",
        "passphrase",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert suspicion.named(name)
    assert suspicion.secret(name, "word")


@pytest.mark.parametrize(
    "name",
    [
        "docker_id",
        "TLS_email",
        "ssh_private_key_path",
        "ssh_private_key_name",
        "ssh_authorized_keys",
        "password_file",
        "cloudflare_zone_id",
        "token_ttl",
        "secret_name",
        "public_key",
        "ssh_public_key",
        "access_key_id",
        "domain",
        "token_endpoint",
        "keypair",
        "secret_namespace",
    ],
)
def test_names_of_what_is_none(name: str) -> None:
    assert not suspicion.named(name)
    assert not suspicion.secret(name, "word")


FORMS = [
    f"ghp_{LONG[:36]}",
    f"github_pat_{LONG[:22]}",
    f"glpat-{LONG[:20]}",
    f"dckr_pat_{LONG[:27]}",
    f"AKIA{LONG[:16]}",
    f"xoxb-{LONG[:12]}",
    f"eyJ{LONG[:20]}.eyJ{LONG[:20]}.{LONG[:20]}",
    "AGE-SECRET-KEY-" + "1" + LONG[:58],
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "https://user:word@example.org/x",
]


@pytest.mark.parametrize("text", FORMS)
def test_well_known_forms_whatever_the_name(text: str) -> None:
    assert suspicion.formed(f"Bearer {text}")
    assert suspicion.secret("image_name", text)


@pytest.mark.parametrize(
    "text",
    [
        "c4-30gb-83",
        "Ubuntu-18.04.3-Bionic-x64-2020-01",
        "v0.2.0-n121.h6d936d7",
        "1.0.0-0.dev.git.3506.hba24eea",
        "git::ssh://git@github.com/a/b.git//c?ref=eb45710aa0123456789012345678901234567890",
        "binder-registry.conp.cloud",
        "https://cloud.example.org:5000/v3",
        "8f3b1c2d-1234-4bcd-9012-abcdefabcdef",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0q8f3b1c2d4e5f6 me@example.org",
        "a-rather-long-name-of-something-2024",
        "true",
        "<redacted>",
    ],
)
def test_what_is_no_secret_under_a_name_that_is_none(text: str) -> None:
    assert not suspicion.secret("flavor", text)


def test_public_keys_and_placeholders_are_no_secrets_under_any_name() -> None:
    assert not suspicion.secret("token", "<vault>")
    assert not suspicion.secret("token_required", "true")
    assert not suspicion.secret("private_key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI x")
    assert suspicion.secret("api_token", "8f3b1c2d-1234-4bcd-9012-abcdefabcdef")


def test_nearly_all_random_texts_are_found() -> None:
    chance = random.Random(7)
    letters = string.ascii_letters + string.digits
    kinds: list[Callable[[], str]] = [
        lambda: "".join(chance.choice(letters) for _ in range(32)),
        lambda: secrets.token_hex(16),
        lambda: secrets.token_urlsafe(24),
        lambda: base64.b64encode(secrets.token_bytes(30)).decode(),
    ]
    for kind in kinds:
        found = sum(suspicion.secret("x", kind()) for _ in range(500))
        assert found > 450


@pytest.mark.parametrize(
    ("comment", "cleaned"),
    [
        ('# docker_password = "hunter2"', '# docker_password = "<removed>"'),
        ("// api_token: hunter2, see there", "// api_token: <removed>, see there"),
        (f"# {FORMS[0]} was it", "# <removed> was it"),
        ('# password = "<redacted>"', '# password = "<redacted>"'),
        ("# token = var.token", "# token = var.token"),
        ("# domain = example.org, 4 cores", "# domain = example.org, 4 cores"),
        ("# password:\n# next line", "# password:\n# next line"),
        ("# old: TOKEN=abc", "# old: TOKEN=<removed>"),
        ("# note: password: 'a b', c", "# note: password: '<removed>', c"),
        ("# password was: a,b;c d", "# password was: <removed> d"),
        ("# the api key is: abc", "# the api key is: <removed>"),
        ("# the password is hunter2, yes", "# the password is <removed>, yes"),
        ("# the password is set there", "# the password is set there"),
        ("# curl --password abc x", "# curl --password <removed> x"),
        ('# token = "abc', '# token = "<removed>'),
        ("# password: $DB_PASS $password", "# password: $DB_PASS $password"),
        ("# password: $6$abc", "# password: <removed>"),
        ("# if token == x", "# if token == <removed>"),
    ],
)
def test_comments(comment: str, cleaned: str) -> None:
    assert suspicion.cleaned(comment) == cleaned


def test_a_key_in_a_comment_goes_wholly() -> None:
    comment = "# -----BEGIN RSA " + "PRIVATE KEY-----\n# MIIEabcd\n# -----END\n"
    cleaned = suspicion.cleaned(comment)
    assert "MIIE" not in cleaned
    assert cleaned.count("\n") == 3


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("OS_AUTH_URL", "https://cloud.example.org:5000/v3", True),
        ("OS_PROJECT_ID", "f3a9c1d27b8e4f60a1b2c3d4e5f60718", True),
        ("OS_REGION_NAME", "RegionOne", True),
        ("OS_INTERFACE", "public", True),
        ("OS_IDENTITY_API_VERSION", "3", True),
        ("sftp_ip_address", "198.51.100.7", True),
        ("username", "bob", True),
        ("enabled", "true", True),
        ("key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0q8f3b1c2d4e5f6 me@example.org", True),
        ("anything", "word", False),
        ("pin", "123456", False),
        ("password", "word", False),
        ("OS_AUTH_URL", "https://bob:word@cloud.example.org", False),
        ("url", "https://example.org/f3a9c1d27b8e4f60a1b2c3d4e5f60718", False),
        ("url", "https://example.org/?sig=x", False),
        ("webhook_url", "https://example.org/x", False),
        ("username", FORMS[0], False),
        ("credentials_file", "{\n}", False),
        ("connection_name", "host=x password=y", False),
    ],
)
def test_what_is_known_to_be_no_credential(name: str, text: str, known: bool) -> None:
    assert suspicion.known(name, text) is known


RUNS = [" ", "\n", "\t", '"', "'", "a", "a1", "-", "#", "=", "$", "${", "{", "\\", "/*", "\r", "0"]
RUNS += ["a ", "eyJ-", "://", "://a:", "password ", "login ", "token=", "token='", " #", "\n#", "`"]
RUNS += ["[", "- ", "-----BEGIN ", "<", "a:", "<<E\n", "api ", "is ", "/* ", "module ", "\n\n# a"]


@pytest.mark.parametrize("run", RUNS)
def test_nothing_takes_long(run: str) -> None:
    long = run * (30_000 // len(run))
    for text in (f"a: b{long}", f'a: b{long}"y', f'A=x{long}"y', f"# password {long}"):
        started = time.process_time()
        for path in ("a.yaml", ".env", "a.sh"):
            placement.place(path, text.encode(), shared=True)
        suspicion.cleaned(text)
        suspicion.known("x", text)
        suspicion.in_comments(text, slashes=True)
        splitting.is_recipe(text)
        assert time.process_time() - started < 2
