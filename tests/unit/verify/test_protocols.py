"""The greeting that asks for an old version of TLS, byte by byte (RFC 4346, 7.4.1.2)."""

from __future__ import annotations

import pytest

from barehub.verify import protocols


class Bytes:
    def __init__(self, data: bytes) -> None:
        self._left = data

    def take(self, count: int) -> bytes:
        assert len(self._left) >= count
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def sized(self, width: int) -> Bytes:
        return Bytes(self.take(self.number(width)))

    def __bool__(self) -> bool:
        return bool(self._left)


def extensions(greeting: bytes, version: int) -> dict[int, Bytes]:
    record = Bytes(greeting)
    assert (record.number(1), record.number(2)) == (22, 0x0301)
    message = record.sized(2)
    assert not record
    assert message.number(1) == 1
    body = message.sized(3)
    assert not message
    assert body.number(2) == version
    body.take(32)
    assert not body.sized(1)
    suites = body.sized(2)
    while suites:
        assert suites.number(2) >> 8 != 0x13  # those of TLS 1.3
    assert body.take(2) == b"\x01\x00"
    listed, found = body.sized(2), {}
    assert not body
    while listed:
        number = listed.number(2)
        assert number not in found
        found[number] = listed.sized(2)
    return found


@pytest.mark.parametrize("version", [0x0301, 0x0302])
def test_the_greeting_names_the_host(version: int) -> None:
    found = extensions(protocols.hello("hub.example.org", version), version)
    names = found[0].sized(2)
    assert names.number(1) == 0
    assert names.sized(2).take(15) == b"hub.example.org"
    assert {10, 11} <= set(found)
    assert 43 not in found  # supported_versions would ask for newer ones


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_not_sent_as_a_name(host: str) -> None:
    assert 0 not in extensions(protocols.hello(host, 0x0301), 0x0301)


def test_no_two_greetings_are_the_same() -> None:
    assert protocols.hello("a.test", 0x0301) != protocols.hello("a.test", 0x0301)
