"""The module dns/cloudflare, applied by the provider, its record seen in a real DNS server.

The provider is a stand-in where the real one cannot be had (tests/cloud/standins).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.canary import holding

from .dns.cloudflare import EDGE, ZONE_ID, Cloudflare
from .modules import Recipe
from .providers import Providers

NAME = "demo.example.org"


@pytest.fixture
def recipe(cloudflare: Cloudflare, providers: Providers, tmp_path: Path) -> Recipe:
    providers.need("cloudflare/cloudflare")
    return Recipe.at(tmp_path / "instance", cloudflare.env)


def arguments(**others: Any) -> dict[str, Any]:
    given = {"source": "dns/cloudflare", "domain": NAME, "public_ip": "192.0.2.40"}
    return {**given, "project_name": "demo", **others}


def test_a_record_comes_moves_is_proxied_and_goes(cloudflare: Cloudflare, recipe: Recipe) -> None:
    recipe.calls(dns=arguments())
    recipe.settles()
    assert cloudflare.dns.ask(NAME) == ["192.0.2.40"]
    (record,) = cloudflare.records.values()
    assert (record["comment"], record["ttl"], record["proxied"]) == ("barehub:demo", 300, False)
    assert recipe.outputs()["dns"] == {"domain": NAME, "public_ip": "192.0.2.40", "proxied": False}

    recipe.calls(dns=arguments(public_ip="192.0.2.41"))
    assert list(recipe.planned().values()) == [["update"]]
    recipe.settles()
    assert cloudflare.dns.ask(NAME) == ["192.0.2.41"]

    recipe.calls(dns=arguments(public_ip="192.0.2.41", proxied=True))
    recipe.settles()
    assert cloudflare.dns.ask(NAME) == [EDGE]

    recipe.goes()
    assert cloudflare.dns.ask(NAME) == []
    assert holding(cloudflare.token, recipe.folder) == []


def test_with_the_zone_s_id_no_zone_is_looked_for(cloudflare: Cloudflare, recipe: Recipe) -> None:
    recipe.calls(dns=arguments(zone_id=ZONE_ID))
    recipe.settles()
    assert not [asked for asked in cloudflare.requests if asked == "GET /zones"]
    recipe.goes()


def test_a_record_that_is_left_over_is_not_taken_over(
    cloudflare: Cloudflare, recipe: Recipe
) -> None:
    recipe.calls(dns=arguments())
    recipe.settles()
    recipe.succeeds("state", "rm", "module.dns.cloudflare_record.hub")
    assert "already exists" in recipe.fails("apply", "-auto-approve")
    assert cloudflare.names() == [NAME]
    cloudflare.may_leave = True


def test_a_wrong_token_and_a_zone_of_somebody_else(
    cloudflare: Cloudflare, providers: Providers, tmp_path: Path
) -> None:
    providers.need("cloudflare/cloudflare")
    env = {**cloudflare.env, "CLOUDFLARE_API_TOKEN": "w" * 40}
    recipe = Recipe.at(tmp_path / "wrong", env)
    recipe.calls(dns=arguments())
    assert "Invalid access token" in recipe.fails("apply", "-auto-approve")
    recipe = Recipe.at(tmp_path / "elsewhere", cloudflare.env)
    recipe.calls(dns=arguments(domain="demo.example.com"))
    assert "no zone found" in recipe.fails("apply", "-auto-approve")
