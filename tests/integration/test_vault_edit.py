"""Editing the vault: what a person may write, and what happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vaults import again, editor, fresh, plain_sops

from barehub.errors import UsageError, VaultError
from barehub.vault import guard
from barehub.vault.store import Vault


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    return fresh(tmp_path, runtime_dir, monkeypatch)


def test_an_edit_keeps_the_ciphertext_and_the_comments(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = vault.file(None)
    vault.update(file, {"variables.a": "aaaa", "variables.b": "bbbb"})
    before = file.read_text().splitlines()
    editor(own_home, monkeypatch, "path.write_text(text.replace('bbbb', '0123'.join('\"\"')))")
    assert again(vault).edit(file)
    assert again(vault).read(None).variables == {"a": "aaaa", "b": "0123"}
    gone = [line.split(":")[0].strip() for line in before if line not in file.read_text()]
    assert set(gone) <= {"b", "mac", "lastmodified"}
    assert b"# Terraform variables" in plain_sops(vault, "decrypt", "secrets/shared.yaml")


def test_an_edit_that_changes_nothing(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(own_home, monkeypatch, "path.write_text(text)")
    before = vault.file(None).read_bytes()
    assert not vault.edit(vault.file(None))
    assert not vault.edit(vault.file("demo"))
    assert vault.file(None).read_bytes() == before
    assert not vault.file("demo").exists()


def test_an_edit_of_a_file_that_is_not_there_makes_it(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(
        own_home, monkeypatch, "path.write_text(text.replace('variables: {}', 'variables: {a: b}'))"
    )
    assert vault.edit(vault.file("demo"))
    assert again(vault).read("demo").variables == {"a": "b"}
    assert guard.check(vault.root) == []


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_text_takes_nothing_out(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    vault.update(vault.file(None), {"variables.a": "b"})
    editor(own_home, monkeypatch, f"path.write_text({text!r})")
    with pytest.raises(UsageError, match="would remove every secret"):
        again(vault).edit(vault.file(None))
    assert again(vault).read(None).variables == {"a": "b"}


@pytest.mark.parametrize("text", ["{}\n", "variables:\n"])
def test_all_can_be_taken_out(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    vault.update(vault.file(None), {"variables.a": "b"})
    editor(own_home, monkeypatch, f"path.write_text({text!r})")
    assert again(vault).edit(vault.file(None))
    assert again(vault).read(None).variables == {}
    assert guard.check(vault.root) == []
    again(vault).update(vault.file(None), {"variables.a": "c"})
    assert again(vault).read(None).variables == {"a": "c"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("variables:\n  a: 'canary-1\n", "secrets/shared.yaml line "),
        ("variables:\n\ta: canary-1\n", "secrets/shared.yaml line 2"),
        ("variables:\n  pin: 0123456\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: 1.10\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: 1_000\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: 0x1F\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: 0e123456\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: 2024-01-02\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: 12345678901234567890123\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: True\n", "line 2: variables.pin without quotes"),
        ("variables:\n  pin: -0.0\n", "secrets/shared.yaml"),
        ("variables:\n  pin: .nan\n", "secrets/shared.yaml"),
        ("variables:\n  pin:\n", "variables.pin is empty"),
        ("variables:\n  a_unencrypted: canary-1\n", "would not be encrypted"),
        ("enviroment: {A: canary-1}\n", "unknown section 'enviroment'"),
        ("- canary-1\n", "not a mapping"),
    ],
)
def test_a_fault_in_an_edit_is_told_before_anything_is_written(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    before = vault.file(None).read_bytes()
    editor(own_home, monkeypatch, f"path.write_text({text!r})")
    with pytest.raises(UsageError) as caught:
        vault.edit(vault.file(None))
    assert said in caught.value.problem
    assert "canary-1" not in str(caught.value)
    assert vault.file(None).read_bytes() == before
    assert list(vault.scratch.iterdir()) == []


def test_an_editor_that_fails_or_is_not_there(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no terminal to edit on"):
        vault.edit(vault.file(None))
    editor(own_home, monkeypatch, "path.write_text('x'); sys.exit(3)")
    with pytest.raises(VaultError, match="ended with 3: nothing was changed"):
        vault.edit(vault.file(None))
    editor(own_home, monkeypatch, "path.unlink()")
    with pytest.raises(VaultError, match="did not leave a text"):
        vault.edit(vault.file(None))


def test_two_who_edit_at_the_same_time(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, theirs = vault.file(None), own_home / "theirs"
    vault.update(file, {"variables.a": "b"})
    theirs.write_bytes(file.read_bytes())
    vault.update(file, {"variables.a": "c"})
    code = "import shutil\npath.write_text(text.replace('a: c', 'a: d'))\n"
    editor(own_home, monkeypatch, f"{code}shutil.copy({str(theirs)!r}, {str(file)!r})")
    with pytest.raises(VaultError, match="was changed by another command"):
        vault.edit(vault.file(None))
    assert file.read_bytes() == theirs.read_bytes()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


EDIT = """
import pathlib, sys
from barehub.errors import BarehubError
from barehub.vault.store import Vault
vault = Vault(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
try:
    print("changed", vault.edit(vault.file(None)))
except BarehubError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("answer", "said"), [(b"yes\n", "changed True"), (b"no\n", "nothing was done")]
)
def test_on_a_terminal_a_fault_can_be_mended(
    vault: Vault,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    terminal: tuple[int, int],
    answer: bytes,
    said: str,
) -> None:
    editor(
        own_home,
        monkeypatch,
        "path.write_text('variables: {a: \"1\"}' if 'variables: {a: 01}' in text"
        " else 'variables: {a: 01}')",
    )
    ours, theirs = terminal
    child = subprocess.Popen(
        [sys.executable, "-c", EDIT, str(vault.root), str(vault.scratch)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.write(ours, answer)
    out, _ = child.communicate(timeout=60)
    assert said in out.decode()
    screen = os.read(ours, 10_000).decode()
    assert "variables.a without quotes" in screen
