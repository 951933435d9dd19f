from __future__ import annotations

import socket
from pathlib import Path

import pytest

from barehub import leftovers
from barehub.project import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("demo", tmp_path)


def test_a_port_of_this_machine_that_still_answers_is_told(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (found,) = leftovers.of(instance, address)
    assert found.what == f"something still listens on {address}"
    assert leftovers.of(instance, address) == []


@pytest.mark.parametrize("address", ["192.0.2.7", "192.0.2.7:443", "127.0.0.1", "hub.example.org"])
def test_an_address_elsewhere_may_be_somebody_elses_by_now(
    instance: Instance, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it was asked"))
    assert leftovers.of(instance, address) == []
