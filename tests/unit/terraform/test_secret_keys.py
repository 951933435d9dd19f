from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from barehub.errors import RecipeError
from barehub.terraform import secret_keys
from barehub.terraform.state import State

CANARY = "CANARY-secret-key"


def _document(type: str = "terraform_data", marks: object = True) -> dict[str, Any]:
    values = {"id": "7", "result": CANARY, "input": {"value": [CANARY], "type": "string"}}
    resource = {"type": type, "values": values, "sensitive_values": marks}
    child = {"child_modules": [{"resources": [resource]}]}
    return {"prior_state": {"values": {"root_module": child}}, "planned_values": {}}


def _refuse(
    folder: Path, address: str, document: dict[str, Any] | None, action: str = "create"
) -> None:
    def explain() -> dict[str, Any]:
        assert document is not None, "nothing was to be asked"
        return document

    secret_keys.refuse({"terraform_data.other": "create", address: action}, explain, folder)


@pytest.mark.parametrize("marks", [True, {"result": True}, {"input": [True]}, {"input": True}])
@pytest.mark.parametrize("key", [CANARY, f"hub-{CANARY}", "Q0FOQVJZLXNlY3JldC1rZXk="])
def test_a_generated_value_that_is_sensitive(tmp_path: Path, key: str, marks: object) -> None:
    document = _document(marks=marks)
    if marks == {"input": [True]}:  # not as a state has it
        resource = document["prior_state"]["values"]["root_module"]["child_modules"][0]
        resource["resources"][0]["values"]["input"] = [CANARY]
    with pytest.raises(RecipeError) as raised:
        _refuse(tmp_path, f'module.x["{key}"].a.b[0]', document)
    assert raised.value.problem.startswith("module.x[...].a.b[0]: a for_each key is a secret")
    assert CANARY not in str(raised.value) and key not in str(raised.value)


def test_a_value_of_a_type_that_generates_secrets(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is a secret"):
        _refuse(tmp_path, f'a.b["{CANARY}"]', _document("random_id", marks=False))
    _refuse(tmp_path, f'a.b["{CANARY}"]', _document("random_shuffle", marks=False))


def test_what_is_no_secret(tmp_path: Path) -> None:
    for key in ("string", "node-1", "CANARY", ""):
        _refuse(tmp_path, f'a.b["{key}"]', _document())
    _refuse(tmp_path, f'a.b["{CANARY}"]', _document(marks=False))
    (tmp_path / "main.tf").write_text(f'locals {{ names = ["{CANARY}"] }}')
    _refuse(tmp_path, f'a.b["{CANARY}"]', _document())


def test_the_way_out_is_open_and_nothing_is_asked_without_need(tmp_path: Path) -> None:
    for action in ("delete", "forget"):
        _refuse(tmp_path, f'a.b["{CANARY}"]', None, action)
    _refuse(tmp_path, "a.b[0]", None)


def test_a_state_redacts_what_terraform_generated(tmp_path: Path) -> None:
    plain = tmp_path / "state"
    state = State(plain, tmp_path / "sealed", lambda content, target: None)
    assert state.redact(CANARY) == CANARY  # before there is one

    def write(serial: int, type: str, attributes: dict[str, Any], *marked: str) -> None:
        paths = [[{"type": "get_attr", "value": name}] for name in marked]
        instance = {"attributes": attributes, "sensitive_attributes": paths}
        resource = {"mode": "managed", "type": type, "name": "x", "instances": [instance]}
        plain.write_text(json.dumps({"serial": serial, "resources": [resource]}))

    write(1, "terraform_data", {"input": {"value": {"a": CANARY}, "type": "string"}}, "input")
    assert state.redact(f"a string: {CANARY}") == "a string: ***"
    write(22, "random_id", {"hex": "CANARY-hex", "id": "CANARY-id", "prefix": "demo-x"})
    assert state.redact(f"CANARY-hex CANARY-id demo-x {CANARY}") == f"*** *** demo-x {CANARY}"
