"""What a person may write into a secrets file."""

from __future__ import annotations

import pytest

from barehub.errors import VaultError
from barehub.vault.document import Document


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("variables:\n  a: 'canary\n", "line "),
        ("variables:\n  a: *canary\n", "line 2"),
        ("variables:\n  a: &x canary\n", "line 2: anchors"),
        ("variables:\n  a: !!binary canary\n", "line 2: a tag"),
        ("variables:\n  a: canary\n  a: b\n", "line 3: variables.a is there twice"),
        ("variables:\n  1: canary\n", "line 2: a key is not a text"),
        ("variables:\n  yes: canary\n", "line 2: a key is not a text"),
        ("variables:\n  <<: {a: canary}\n", "line 2: a key is not a text"),
        ("variables:\n  a_unencrypted: canary\n", "variables.a_unencrypted would not be encrypted"),
        ("sops: canary\n", "line 1: the key sops"),
        ("- canary\n", "not a mapping"),
        ("a: b\n---\nc: canary\n", "line 2"),
        ("a: canary: b\n", "line 1"),
    ],
)
def test_what_is_refused_with_its_line_and_without_its_value(text: str, said: str) -> None:
    with pytest.raises(VaultError) as caught:
        Document(text, "secrets/x.yaml")
    assert said in caught.value.problem
    assert caught.value.problem.startswith("secrets/x.yaml line ")
    assert "canary" not in str(caught.value)


def test_nothing_and_comments_are_fine() -> None:
    assert Document("", "f").plain == {}
    assert Document("# only this\n", "f").plain == {}


@pytest.mark.parametrize(
    ("written", "stored"),
    [("1.10", "1.1"), ("0x1F", "31"), ("True", "true"), ("1e3", "1000"), ("1_0", "10")],
)
def test_a_scalar_that_comes_back_otherwise_is_refused(written: str, stored: str) -> None:
    document = Document(f"variables:\n  pin: {written}\n", "f")
    with pytest.raises(VaultError) as caught:
        document.refuse_losses(f'{{"variables": {{"pin": {stored}}}}}'.encode())
    assert caught.value.problem.startswith("f line 2: variables.pin without quotes")
    assert caught.value.hints == ('write it as pin: "…", with the quotes',)


def test_scalars_that_come_back_the_same_pass() -> None:
    document = Document('variables: {a: 5, b: 1.5, c: true, d: "0123", e: x y, f: [1, z]}\n', "f")
    document.refuse_losses(
        b'{"variables": {"a": 5, "b": 1.5, "c": true, "d": "0123", "e": "x y", "f": [1, "z"]}}'
    )
