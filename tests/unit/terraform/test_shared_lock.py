"""What of a backend is told to Terraform in the folder that holds the lock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from barehub import process
from barehub.errors import TerraformError
from barehub.project import Tool
from barehub.terraform import shared_lock
from barehub.terraform.shared_lock import COMMAND, NEVER, RUN


def _initialized(folder: Path, kind: str, config: dict[str, Any]) -> Path:
    """A recipe's folder as `terraform init` leaves it."""
    (folder / ".terraform").mkdir()
    record = {"version": 3, "backend": {"type": kind, "config": config, "hash": 1}}
    (folder / ".terraform" / "terraform.tfstate").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    ("kind", "config", "env", "held"),
    [
        ("pg", {"schema_name": "demo"}, {}, RUN),
        ("gcs", {"bucket": "b"}, {}, RUN),
        ("s3", {"bucket": "b", "use_lockfile": None, "dynamodb_table": None}, {}, NEVER),
        ("s3", {"bucket": "b", "use_lockfile": True}, {}, RUN),
        ("s3", {"bucket": "b", "dynamodb_table": "locks"}, {}, RUN),
        ("consul", {"path": "p", "lock": None}, {}, RUN),
        ("consul", {"path": "p", "lock": False}, {}, NEVER),
        ("http", {"address": "http://a", "lock_address": None}, {}, NEVER),
        ("http", {"address": "http://a", "lock_address": "http://a"}, {}, COMMAND),
        ("http", {"address": "http://a"}, {"TF_HTTP_LOCK_ADDRESS": "http://a"}, COMMAND),
    ],
)
def test_for_how_long_a_backend_is_locked(
    tmp_path: Path, kind: str, config: dict[str, Any], env: dict[str, str], held: str
) -> None:
    assert shared_lock.locking(_initialized(tmp_path, kind, config), env) == held


def test_files_are_found_from_the_other_folder_and_texts_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "kube").mkdir()
    for name in ("kube/config", "ca.pem", "demo"):
        (tmp_path / name).touch()
    given = {
        "config_path": "kube/config",
        "config_paths": ["kube/config", "not/there"],
        "ca_file": "ca.pem",
        "schema_name": "demo",
        "address": "https://x/${y}/%{z}",
        "insecure": True,
        "labels": None,
    }
    assert shared_lock._written(given, tmp_path) == {
        "config_path": str(tmp_path / "kube/config"),
        "config_paths": [str(tmp_path / "kube/config"), "not/there"],
        "ca_file": str(tmp_path / "ca.pem"),
        "schema_name": "demo",
        "address": "https://x/$${y}/%%{z}",
        "insecure": True,
    }


def test_a_console_that_ends_before_it_is_asked_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # in place of a terraform whose backend fails, or that a signal ends, in that moment
    script = tmp_path / "terraform"
    script.write_text('#!/bin/sh\n[ "$1" != console ] || { echo "no answer"; exit 1; }\n')
    script.chmod(0o755)
    start = process.start

    def ended(*args: Any, **kwargs: Any) -> process.Child:
        child = start(*args, **kwargs)
        child.wait()
        return child

    monkeypatch.setattr(process, "start", ended)
    recipe = _initialized(tmp_path, "pg", {"schema_name": "demo"})
    tool = Tool("terraform", script, "1.11.4")
    lock = shared_lock.SharedLock(tool, recipe, tmp_path / "lock", {}, process.Interruptions())
    with pytest.raises(TerraformError, match="backend pg does not answer"):
        lock.hold()
    assert lock.fds == ()
