"""Clouds that do not answer, or with something else: one error of ours, and no credential in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from endpoints import MIDDLE, Servers, closed_port, issue, routes, says

from barehub.cloud import ahead, plan, web
from barehub.cloud.cloudflare import Cloudflare
from barehub.cloud.openstack import Cloud, has_credentials
from barehub.cloud.search import CLOUDFLARE, OPENSTACK, find
from barehub.cloud.things import Traces
from barehub.errors import CloudError
from barehub.finding import UNSEEN

CANARY = "CANARY-cloud-password"

LOGIN = {
    "OS_USERNAME": "somebody",
    "OS_PASSWORD": CANARY,
    "OS_PROJECT_NAME": "lab",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
}

CHAIN = (issue(MIDDLE, sans=("127.0.0.1",)), MIDDLE)

Ask = Callable[[dict[str, str]], object]


def _openstack(env: dict[str, str]) -> object:
    return Cloud(env).flavors()


def _cloudflare(env: dict[str, str]) -> object:
    return Cloudflare(env).zones()


CLOUDS = pytest.mark.parametrize(
    ("ask", "address"),
    [(_openstack, "OS_AUTH_URL"), (_cloudflare, "CLOUDFLARE_BASE_URL")],
    ids=[OPENSTACK, CLOUDFLARE],
)


def _env(address: str, url: str, **more: str) -> dict[str, str]:
    return {**LOGIN, "CLOUDFLARE_API_TOKEN": CANARY, address: url, **more}


@contextmanager
def _refused(words: str) -> Iterator[None]:
    with pytest.raises(CloudError, match=words) as caught:
        yield
    assert CANARY not in str(caught.value)
    assert caught.value.code == 6


@CLOUDS
def test_nobody_listens(ask: Ask, address: str) -> None:
    with closed_port() as port, _refused(f"environment.{address}: connection refused"):
        ask(_env(address, f"http://127.0.0.1:{port}/v3"))


@CLOUDS
def test_nobody_has_that_name(ask: Ask, address: str) -> None:
    with _refused(f"environment.{address}: its name (is unknown|cannot be resolved)"):
        ask(_env(address, "https://cloud.invalid/v3"))


@CLOUDS
def test_it_never_says_anything(
    ask: Ask, address: str, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "ANSWER_SECONDS", 0.5)
    port = servers.start(says(b"", end=False), None)
    began = time.monotonic()
    with _refused(f"environment.{address}: no answer in time"):
        ask(_env(address, f"http://127.0.0.1:{port}/v3"))
    assert time.monotonic() - began < 10


@CLOUDS
def test_its_certificate_is_nobodys(ask: Ask, address: str, servers: Servers) -> None:
    port = servers.start(routes({}), CHAIN)
    with _refused(f"environment.{address}: its certificate is not trusted"):
        ask(_env(address, f"https://127.0.0.1:{port}/v3"))


@CLOUDS
def test_its_ca_is_trusted_when_the_vault_names_it(
    ask: Ask, address: str, servers: Servers
) -> None:
    port = servers.start(routes({}), CHAIN)
    with _refused("something else|cannot be asked|no service"):
        ask(_env(address, f"https://127.0.0.1:{port}/v3", SSL_CERT_FILE=str(servers.ca)))


def test_the_ca_of_openstack_may_be_a_file_or_a_text(servers: Servers) -> None:
    port = servers.start(routes({}), CHAIN)
    for ca in (str(servers.ca), servers.ca.read_text()):
        with _refused("cannot be asked|no service"):
            _openstack(_env("OS_AUTH_URL", f"https://127.0.0.1:{port}/v3", OS_CACERT=ca))


@CLOUDS
def test_a_ca_file_that_is_not_there_is_said(ask: Ask, address: str, servers: Servers) -> None:
    port = servers.start(routes({}), CHAIN)
    with _refused("the CA file does not exist"):
        ask(_env(address, f"https://127.0.0.1:{port}/v3", SSL_CERT_FILE="/nowhere/ca.pem"))


def test_a_page_is_no_answer(servers: Servers) -> None:
    port = servers.start(says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p/>"), None)
    with _refused("answers 200 with something else"):
        _cloudflare(_env("CLOUDFLARE_BASE_URL", f"http://127.0.0.1:{port}/client/v4"))


def test_this_processs_own_environment_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {openstack: {auth: {auth_url: http://x}}}\n")
    monkeypatch.chdir(tmp_path)
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OS_CLOUD", "openstack")
    with closed_port() as port:
        monkeypatch.setenv("OS_AUTH_URL", f"http://127.0.0.1:{port}/v3")
        assert has_credentials(os.environ)
        assert not has_credentials({})
        found = find({}, Traces("demo"), [OPENSTACK, CLOUDFLARE], lambda now: None)
    assert [what.partition(":")[0] for what in found.unseen] == [OPENSTACK, CLOUDFLARE]
    assert all("the vault has no credentials" in what for what in found.unseen)


def test_a_cloud_that_cannot_be_reached_is_one_finding() -> None:
    wanted = plan.of({"provider": {"os_flavor_master": "c2"}, "dns": {"zone_id": "1"}}, {}, {})
    asked = ahead.Asked(wanted, Traces("demo"))
    with closed_port() as port:
        url = f"http://127.0.0.1:{port}"
        env = _env("OS_AUTH_URL", f"{url}/v3", CLOUDFLARE_BASE_URL=url)
        found = ahead.findings(env, asked, lambda now: None)
    assert [(one.id, one.severity) for one in found] == [
        ("cloud.unreachable", UNSEEN),
        ("dns.unreachable", UNSEEN),
    ]
    assert CANARY not in str(found)


def test_a_vault_without_credentials_is_told_for_each_cloud_that_a_recipe_uses() -> None:
    wanted = plan.of({"provider": {"os_flavor_master": "c2"}, "dns": {"zone_id": "1"}}, {}, {})
    found = ahead.findings({}, ahead.Asked(wanted, Traces("demo")), lambda now: None)
    assert [(one.id, one.severity) for one in found] == [
        ("cloud.unasked", UNSEEN),
        ("dns.unasked", UNSEEN),
    ]
    assert "invoke vault.set environment.OS_AUTH_URL" in found[0].fixes[0]


def test_nothing_is_asked_of_a_cloud_that_a_recipe_does_not_use() -> None:
    wanted = plan.of({"provider": {"source": "./local"}, "dns": {"source": "./local"}}, {}, {})
    with closed_port() as port:
        env = _env("OS_AUTH_URL", f"http://127.0.0.1:{port}/v3")
        assert ahead.findings(env, ahead.Asked(wanted, Traces("demo")), lambda now: None) == []


def test_a_token_for_more_than_one_zone_or_an_account_is_told(servers: Servers) -> None:
    """Only Cloudflare has such tokens: a table of answers stands in for it."""

    def answer(*result: dict[str, str]) -> tuple[int, str, str]:
        return (200, "application/json", json.dumps({"success": True, "result": result}))

    zones = ({"id": "1", "name": "example.org"}, {"id": "2", "name": "example.net"})
    refusal = {"success": False, "errors": [{"code": 9109, "message": "Unauthorized"}]}
    narrow = {
        "/zones?page=1&per_page=50": answer(zones[0]),
        "/accounts": answer(),
        "/user/tokens": (403, "application/json", json.dumps(refusal)),
        "*": answer(),
    }
    wide = narrow | {
        "/zones?page=1&per_page=50": answer(*zones),
        "/accounts": answer({"id": "a"}),
        "/user/tokens": answer({"id": "t"}),
    }
    wanted = plan.of({"dns": {"source": "./cloudflare", "domain": "demo.example.org"}}, {}, {})
    asked = ahead.Asked(wanted, Traces("demo"))
    told = []
    for answers in (narrow, wide):
        url = f"http://127.0.0.1:{servers.start(routes(answers), None)}"
        env = {"CLOUDFLARE_BASE_URL": url, "CLOUDFLARE_API_TOKEN": CANARY}
        told.append([(f.id, f.message) for f in ahead.findings(env, asked, lambda now: None)])
    what = "the whole account, other tokens, 2 zones"
    message = f"the Cloudflare token reaches more than the hub's zone: {what}"
    assert told == [[], [("dns.scope", message)]]
