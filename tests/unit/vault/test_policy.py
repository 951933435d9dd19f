"""What `.sops.yaml` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.errors import VaultError
from barehub.vault import policy


def test_what_is_written_is_read(tmp_path: Path) -> None:
    policy.write(tmp_path, ["age1a", "age1b"])
    for name in ("secrets/shared.yaml", "instances/demo/terraform.tfstate.sops"):
        assert policy.readers(tmp_path, tmp_path / name) == ("age1a", "age1b")
    for name in ("secrets/a/b.yaml", "instances/demo/main.tf", "x/secrets/shared.yaml"):
        with pytest.raises(VaultError, match=f"no rule for {name}"):
            policy.readers(tmp_path, tmp_path / name)


def test_there_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(VaultError) as caught:
        policy.readers(tmp_path, tmp_path / "secrets/shared.yaml")
    assert caught.value.hints == ("invoke vault.init",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("creation_rules:\n  - path_regx: x\n    age: age1a\n", "unknown field 'path_regx'"),
        ("creation_rules:\n  - agee: age1a\n", "unknown field 'agee'"),
        ("creation_rules:\n  - age: ''\n", "names no age recipient"),
        ("creation_rules:\n  - age: age1a, age1a\n", "names a recipient twice"),
        ("creation_rules:\n  - path_regex: '('\n    age: age1a\n", "not a regular expression"),
        ("creation_rules:\n  - age: age1a\n    encrypted_regex: x\n", "leaves a part in clear"),
        ("creation_rules:\n  - age: AGE-SECRET-KEY-1ABC\n", "PRIVATE key"),
        ("creation_rules: 3\n", "no list of creation_rules"),
        ("a: b: c\n", "line 1 is not YAML"),
        ("- 1\n", "no list of creation_rules"),
    ],
)
def test_what_sops_would_take_for_something_else(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / policy.NAME).write_text(text)
    with pytest.raises(VaultError) as caught:
        policy.readers(tmp_path, tmp_path / "secrets/shared.yaml")
    assert said in str(caught.value)
    assert "1ABC" not in str(caught.value)


def test_a_list_of_recipients(tmp_path: Path) -> None:
    (tmp_path / policy.NAME).write_text("creation_rules:\n  - age: [age1a, age1b]\n")
    assert policy.readers(tmp_path, tmp_path / "anything") == ("age1a", "age1b")
