"""What a person may give as an address, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.errors import UsageError
from barehub.verify.target import parse


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hub.example.org", "https://hub.example.org/"),
        ("https://Hub.Example.ORG.:443/", "https://hub.example.org/"),
        ("https://hub.example.org:8443/binder", "https://hub.example.org:8443/binder/"),
        ("https://hub.example.org/a%20b/ö", "https://hub.example.org/a%20b/%C3%B6/"),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443/"),
        ("https://[0:0::1]:8443/", "https://[::1]:8443/"),
        ("https://straße.example", "https://xn--strae-oqa.example/"),
        ("https://Bücher.example", "https://xn--bcher-kva.example/"),
        ("https://my_hub.localhost", "https://my_hub.localhost/"),
    ],
)
def test_an_address_in_its_plain_form(url: str, expected: str) -> None:
    assert parse(url).url == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hub.example.org",
        "https://",
        "https:///binder",
        "ftp://hub.example.org",
        "https://hub.example.org:port",
        "https://hub.example.org:70000",
        "https://hub.example.org:0",
        "https://hub..example.org",
        "https://-hub.example.org",
        "https://hub example.org",
        "https://hub.example.org/\r\nX: y",
        "https://hub.example.org/\x1b[2J",
        "https://hub.example.org/?token=1",
        "https://hub.example.org/#top",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://\u2488.example",
        "https://" + "a" * 64 + ".example",
        "https://" + "abc." * 70 + "example",
    ],
)
def test_what_is_no_address_of_a_hub_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(url)
    assert caught.value.hints


def test_http_is_answered_with_the_https_address() -> None:
    with pytest.raises(UsageError) as caught:
        parse("http://hub.example.org/binder/")
    assert caught.value.hints == ("--url https://hub.example.org/binder/",)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:canary-password@hub.example.org",
        "http://me:canary-password@hub.example.org",
        "me:canary-password@hub.example.org",
        "https://me:canary-password@hub.example.org:port",
    ],
)
def test_a_password_in_an_address_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(url)
    assert "canary-password" not in str(caught.value)


@pytest.mark.parametrize(
    ("connect_to", "expected"),
    [
        ("198.51.100.7:8443", ("198.51.100.7", 8443)),
        ("198.51.100.7", ("198.51.100.7", 6443)),
        ("[2001:db8::7]:8443", ("2001:db8::7", 8443)),
        ("2001:db8::7", ("2001:db8::7", 6443)),
        ("lb.example.org:8443", ("lb.example.org", 8443)),
    ],
)
def test_where_to_connect_to(connect_to: str, expected: tuple[str, int]) -> None:
    target = parse("https://hub.example.org:6443", connect_to=connect_to)
    assert target.connect_to == expected
    assert target.vantages == ("edge", "origin")


@pytest.mark.parametrize("connect_to", [":8443", "host:port", "host:0", "https://host", "a@b:1"])
def test_what_is_no_place_to_connect_to_is_refused(connect_to: str) -> None:
    with pytest.raises(UsageError):
        parse("https://hub.example.org", connect_to=connect_to)


def test_a_ca_file_must_hold_a_certificate(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing of the kind\n")
    for name in (empty, tmp_path / "missing.pem", tmp_path):
        with pytest.raises(UsageError, match=str(name)):
            parse("https://hub.example.org", ca_file=str(name))
