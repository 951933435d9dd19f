"""What is made without asking, and what is left alone."""

from __future__ import annotations

import re

import pytest

from barehub.errors import VaultError
from barehub.vault import authority, generate
from barehub.vault.store import Vault

ALL = ("hub_token", "cookie_secret", *generate.TLS)
DOMAIN = "demo.localhost"


def complete(vault: Vault, *wanted: str, name: str = "demo", domain: str = DOMAIN) -> list[str]:
    return generate.complete(vault, name, vault.read(name), wanted, domain)


def test_all_that_the_local_modules_need(vault: Vault) -> None:
    written = complete(vault, *ALL)
    assert sorted(written) == sorted(
        ["ca.certificate", "ca.key", *(f"variables.{name}" for name in ALL)]
    )
    secrets = vault.read("demo")
    have = secrets.variables
    for name in generate.RANDOM:
        assert re.fullmatch("[0-9a-f]{64}", have[name])
    assert have["ca_certificate"] == secrets.ca["certificate"] == vault.read(None).ca["certificate"]
    assert authority.good(
        have["tls_certificate"], have["tls_key"], secrets.ca["certificate"], DOMAIN
    )
    assert not vault.read(None).variables


def test_a_second_time_nothing_is_written(vault: Vault) -> None:
    complete(vault, *ALL)
    before = {path: path.read_bytes() for path in (vault.file(None), vault.file("demo"))}
    assert complete(vault) == []
    assert {path: path.read_bytes() for path in before} == before


def test_instances_share_the_authority_and_nothing_else(vault: Vault) -> None:
    complete(vault, *ALL)
    assert "ca.key" not in complete(vault, *ALL, name="two", domain="two.localhost")
    one, two = vault.read("demo"), vault.read("two")
    assert one.ca == two.ca
    for name in ("hub_token", "cookie_secret", "tls_key"):
        assert one.variables[name] != two.variables[name]


def test_only_what_is_wanted(vault: Vault) -> None:
    assert complete(vault, "hub_token") == ["variables.hub_token"]
    assert complete(vault, "something_else") == []
    assert not vault.read("demo").ca


def test_our_certificate_is_renewed_for_another_domain(vault: Vault) -> None:
    complete(vault, *ALL)
    before = vault.read("demo").variables
    written = complete(vault, domain="other.localhost")
    assert sorted(written) == ["variables.tls_certificate", "variables.tls_key"]
    after = vault.read("demo").variables
    assert after["hub_token"] == before["hub_token"]
    assert authority.good(
        after["tls_certificate"], after["tls_key"], after["ca_certificate"], "other.localhost"
    )


def test_our_certificate_is_renewed_with_the_authority(vault: Vault) -> None:
    complete(vault, *ALL)
    certificate, key = authority.create()
    vault.update(vault.file(None), {"ca.certificate": certificate, "ca.key": key})
    assert sorted(complete(vault)) == sorted(f"variables.{name}" for name in generate.TLS)
    assert vault.read("demo").variables["ca_certificate"] == certificate


def test_a_persons_own_certificate_is_left_alone(vault: Vault) -> None:
    theirs = {"variables.tls_certificate": "of another authority", "variables.tls_key": "theirs"}
    vault.update(vault.file("demo"), theirs)
    assert complete(vault, "ca_certificate") == []
    assert vault.read("demo").variables["tls_key"] == "theirs"


def test_a_public_name_needs_a_certificate_of_its_own(vault: Vault) -> None:
    with pytest.raises(VaultError, match=r"only names under localhost, not hub\.example\.org"):
        complete(vault, *ALL, domain="hub.example.org")
    assert not vault.file("demo").exists()
