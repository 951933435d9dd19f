"""Which backends are used as they stand, and what is said of their locks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barehub.errors import RecipeError
from barehub.project import Instance
from barehub.terraform import backend

CANARY = "CANARY-backend-secret"
INFO = """Error message: conditional request failed
Lock Info:
  ID:        6f1c-dead
  Operation: OperationTypeApply
  Who:       alice@laptop
  Created:   2026-11-25 10:00:00.0 +0000 UTC
"""


def _instance(tmp_path: Path, text: str, file: str = "main.tf") -> Instance:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / file).write_text(text)
    return Instance("demo", folder)


def _block(kind: str, arguments: str = "") -> str:
    return f'terraform {{\n  backend "{kind}" {{\n    {arguments}\n  }}\n}}\n'


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", ""),
        ('# backend "pg" {}\n', ""),
        ('terraform { backend "s3" {} }\n', "s3"),
        (_block("pg", 'conn_str = "postgres://hub@127.0.0.1/states"'), "pg"),
        (_block("http", 'address = "https://states.example.org/demo"'), "http"),
        (_block("gcs", 'credentials = "account.json"'), "gcs"),
        (_block("s3", 'bucket = "states"\n    key = "demo"'), "s3"),
    ],
)
@pytest.mark.parametrize("file", ["main.tf", "backend.tf"])
def test_a_backend_is_used_as_it_stands(tmp_path: Path, text: str, kind: str, file: str) -> None:
    instance = _instance(tmp_path, text, file)
    assert instance.backend == kind
    assert instance.living == bool(kind)
    backend.check(instance)


@pytest.mark.parametrize(
    ("kind", "argument", "variable"),
    [
        ("pg", f'conn_str = "postgres://hub:{CANARY}@127.0.0.1/states"', "PG_CONN_STR"),
        ("pg", f'conn_str = "host=127.0.0.1 password={CANARY}"', "PG_CONN_STR"),
        ("http", f'address = "https://me:{CANARY}@states.example.org/x"', "TF_HTTP_ADDRESS"),
        ("http", f'password = "{CANARY}"', "TF_HTTP_PASSWORD"),
        ("s3", f'secret_key = "{CANARY}"', "AWS_SECRET_ACCESS_KEY"),
        ("azurerm", f'access_key = "{CANARY}"', "ARM_ACCESS_KEY"),
        ("kubernetes", f'token = "{CANARY}"', "KUBE_TOKEN"),
    ],
)
def test_a_secret_in_it_is_refused(tmp_path: Path, kind: str, argument: str, variable: str) -> None:
    with pytest.raises(RecipeError) as refused:
        backend.check(_instance(tmp_path, _block(kind, argument)))
    assert f"invoke vault.set environment.{variable} --name demo" in str(refused.value)
    assert argument.split()[0] in refused.value.problem
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        _block("local"),
        _block("remote"),
        'terraform {\n  cloud {\n    organization = "us"\n  }\n}\n',
        '/*\nbackend "pg" {}\n*/\n' + _block("s3"),
        _block("s3") + _block("pg"),
    ],
)
def test_another_or_a_doubtful_one_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError):
        backend.check(_instance(tmp_path, text))


def test_a_holder_is_told_only_by_a_backend_that_knows(tmp_path: Path) -> None:
    told = backend.locked("s3", tmp_path / "demo", {}, INFO)
    assert "alice@laptop, since 2026-11-25 10:00:00" in told.problem
    assert "invoke unlock --name demo" in str(told)
    recipe = tmp_path / "demo"
    (recipe / ".terraform").mkdir(parents=True)
    record = {"backend": {"type": "http", "config": {"lock_address": "http://127.0.0.1:1/demo"}}}
    (recipe / ".terraform" / "terraform.tfstate").write_text(json.dumps(record))
    for kind in backend.OWN_INFO:
        untold = str(backend.locked(kind, recipe, {}, INFO))
        assert "alice" not in untold and "6f1c" not in untold
        assert "this backend does not tell whose" in untold
