"""Asking an http server of states who has its lock, without taking it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from state_servers import PASSWORD, USER, Place, http

from barehub.terraform import http_lock

LOCK = {"ID": "6f1c", "Who": "alice@laptop", "Created": "2026-11-25T10:00:00.123456Z"}
ENV = {"TF_HTTP_USERNAME": USER, "TF_HTTP_PASSWORD": PASSWORD}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with http(tmp_path) as made:
        yield made


@pytest.fixture
def arguments(place: Place) -> dict[str, str]:
    address = place.block.split('"')[3]
    return dict.fromkeys(("address", "lock_address", "unlock_address"), address)


def _lock(address: str) -> int:
    keys = urllib.request.HTTPPasswordMgrWithPriorAuth()
    keys.add_password(None, address, USER, PASSWORD, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(keys))
    request = urllib.request.Request(address, json.dumps(LOCK).encode(), method="LOCK")
    with opener.open(request) as answer:
        return int(answer.status)


def test_whoever_has_it_is_told_and_keeps_it(arguments: dict[str, str]) -> None:
    assert http_lock.holder(arguments, ENV) == ""
    assert _lock(arguments["address"]) == 200  # to have asked was not to take it
    for _ in range(2):
        assert http_lock.holder(arguments, ENV) == "alice@laptop, since 2026-11-25 10:00:00 UTC"


def test_a_server_that_does_not_say_is_not_guessed_at(arguments: dict[str, str]) -> None:
    _lock(arguments["address"])
    assert http_lock.holder(arguments, {**ENV, "TF_HTTP_PASSWORD": "wrong"}) == ""
    assert http_lock.holder({**arguments, "lock_address": "http://127.0.0.1:1/"}, ENV) == ""
    assert http_lock.holder({}, ENV) == ""
