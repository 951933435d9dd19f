"""What the vault may hold, and how one layer lies over another."""

from __future__ import annotations

from typing import Any

import pytest

from barehub.errors import VaultError
from barehub.vault import sections
from barehub.vault.sections import Secrets


def test_mappings_merge_and_all_else_is_replaced() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": None}
    top = {"a": {"y": [3], "z": 4}, "b": {"n": 1}}
    assert sections.over(base, top) == {"a": {"x": 1, "y": [3], "z": 4}, "b": {"n": 1}}
    assert base["a"] == {"x": 1, "y": [1, 2]}


def test_leaves_and_what_of_them_must_be_hidden() -> None:
    tree = {
        "environment": {"PORT": 5000, "ON": True, "TEXT": "t"},
        "variables": {"list": [{"k": "v"}]},
        "ca": {
            "certificate": "-----BEGIN CERTIFICATE-----\nx",
            "key": "-----BEGIN PRIVATE KEY-----",
        },
    }
    secrets = Secrets.of(tree)
    assert secrets.environment == {"PORT": "5000", "ON": "true", "TEXT": "t"}
    assert "ca.certificate" in secrets.leaves()
    assert secrets.private() == {
        "environment.PORT": "5000",
        "environment.ON": "true",
        "environment.TEXT": "t",
        "variables.list.0.k": "v",
        "ca.key": "-----BEGIN PRIVATE KEY-----",
    }
    assert "5000" not in repr(secrets)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ([], "is not a mapping"),
        ({"enviroment": {}}, "unknown section 'enviroment'"),
        ({"variables": "canary"}, "variables is not a mapping"),
        ({"variables": {"a": {"b": ""}}}, "variables.a.b is empty"),
        ({"variables": {"a": None}}, "variables.a is empty"),
        ({"variables": {"a": "canary\0"}}, "variables.a has a zero byte"),
        ({"environment": {"A-B": "canary"}}, "environment.A-B is no name"),
        ({"environment": {"A": ["canary"]}}, "environment.A is not a text"),
        ({"ca": {"key": "canary"}}, "ca belongs into secrets/shared.yaml only"),
    ],
)
def test_what_is_refused(tree: Any, said: str) -> None:
    with pytest.raises(VaultError) as caught:
        sections.check(tree, "secrets/x.yaml", shared=False)
    assert said in str(caught.value)
    assert "secrets/x.yaml" in caught.value.problem
    assert "canary" not in str(caught.value)


def test_a_near_section_is_offered() -> None:
    with pytest.raises(VaultError) as caught:
        sections.check({"enviroment": {}}, "f", shared=True)
    assert caught.value.hints == ("did you mean environment?",)


def test_empty_sections_are_fine() -> None:
    tree: dict[str, Any] = {"environment": None, "variables": {}, "ca": {}}
    assert Secrets.of(sections.check(tree, "f", shared=False)) == Secrets({}, {}, {}, {})


def test_placed() -> None:
    tree = {"variables": {"a": 1}}
    assert sections.placed(tree, ("variables", "b", "c"), 2, "f") == {
        "variables": {"a": 1, "b": {"c": 2}}
    }
    with pytest.raises(VaultError, match="f: variables: a holds a value"):
        sections.placed(tree, ("variables", "a", "c"), 2, "f")
    with pytest.raises(VaultError, match="f: variables holds a mapping"):
        sections.placed(tree, ("variables",), 2, "f")
