"""What the keyless guard finds in files that sops calls encrypted."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from barehub import overview
from barehub.vault import guard, policy
from barehub.vault.ciphertext import Flaw, obstacle
from barehub.vault.store import Vault

CANARY = "canary-7c1e"


@pytest.fixture
def file(vault: Vault) -> Path:
    path = vault.file("demo")
    vault.update(
        path, {"variables.token": CANARY, "environment.A": "aaaa", "variables.n": [1, True]}
    )
    vault.seal(b'{"version": 4}', vault.root / "instances/demo/terraform.tfstate.sops")
    return path


def after(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, replacement, text, count=1, flags=re.M)


def test_a_new_vault_is_good(vault: Vault, file: Path) -> None:
    (vault.root / "secrets/.gitkeep").touch()
    assert guard.check(vault.root) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: f"variables:\n    token: {CANARY}\n", "NOT encrypted"),
        (lambda text: "", "empty"),
        (lambda text: text[: text.index("sops:")], "its SOPS metadata are missing"),
        (after(r"token: .*", f"token: {CANARY}"), "variables.token is plaintext"),
        (after(r"token: .*", "token: ''"), "variables.token is empty"),
        (after(r"token: .*", "token:"), "variables.token is empty"),
        (after(r"token: .*", "token: ENC[canary]"), "variables.token is plaintext"),
        (after(r"token: (.*)data:", r"token: \1data:!"), "variables.token is plaintext"),
        (after(r"iv:....", "iv:"), "is plaintext"),
        (after(r"^variables:", f"variables: # {CANARY}"), "a comment is plaintext"),
        (after(r"^", f"# {CANARY}\n"), "line 1: a comment is plaintext"),
        (after(r"^", "<<<<<<< HEAD\n"), "line 1: conflict marker"),
        (after(r"^", "variables: {}\n"), "variables is there twice"),
        (after(r"^", "a: b: c\n"), "line 1: not YAML"),
        (after(r"    mac: .*\n", ""), "MAC is missing"),
        (after(r"    mac: .*", f"    mac: {CANARY}"), "MAC is missing or malformed"),
        (after("unencrypted_suffix: .*", "unencrypted_regex: .*"), "leaves a part of it in clear"),
        (after("unencrypted_suffix: .*", "mac_only_encrypted: true"), "leaves a part of it"),
        (after("(    version: .*)", rf"\1\n    note: {CANARY}"), "sops.note is not expected"),
        (after("version: .*", f"version: {CANARY}"), "sops.version is not expected"),
        (after(r"enc: \|\n", f"note: {CANARY}\n          enc: |\n"), "recipient in its metadata"),
        (after(r"BEGIN AGE.*\n.*", f"BEGIN AGE {CANARY}"), "recipient in its metadata"),
        (after(r"(recipient: age1)(.)(.*)", r"\1\3\2"), "can read it and is not in .sops.yaml"),
    ],
)
def test_what_it_finds(vault: Vault, file: Path, change: Callable[[str], str], said: str) -> None:
    text = file.read_text()
    assert change(text) != text
    file.write_text(change(text))
    problems = guard.check(vault.root)
    found = [f"line {p.line}: {p.text}" for p in problems]
    assert any(said in line for line in found), found
    assert all(p.file == "secrets/demo.yaml" and p.fix for p in problems)
    assert CANARY not in str(problems)


def test_other_files_among_the_secrets(vault: Vault, file: Path) -> None:
    folder = vault.root / "secrets"
    (folder / "id_rsa").write_text(CANARY)
    (folder / "blob").write_bytes(b"\0GITCRYPT\0" + b"x" * 12)
    (folder / "deep").mkdir()
    (folder / "deep" / "link.yaml").symlink_to("/etc/hostname")
    (folder / ".gitkeep").write_text(CANARY)
    found = {p.file: p.text for p in guard.check(vault.root)}
    assert "NOT encrypted" in found["secrets/id_rsa"] + found["secrets/.gitkeep"]
    assert "git-crypt" in found["secrets/blob"]
    assert "a link" in found["secrets/deep/link.yaml"]


def test_sealed_states_are_looked_at(vault: Vault, file: Path) -> None:
    state = vault.root / "instances/demo/terraform.tfstate.sops"
    text = state.read_text()
    state.write_text(re.sub(r'"data": "[^"]*"', f'"data": "{CANARY}"', text))
    (problem,) = guard.check(vault.root)
    assert (problem.file, problem.text) == (
        "instances/demo/terraform.tfstate.sops",
        "data is plaintext",
    )
    state.write_text('{"version": 4}')
    (problem, *_) = guard.check(vault.root)
    assert "NOT encrypted" in problem.text


def test_a_reader_who_was_added_to_the_policy_only(vault: Vault, file: Path) -> None:
    (mine,) = policy.readers(vault.root, file)
    other = str(pyrage.x25519.Identity.generate().to_public())
    policy.write(vault.root, policy.new({mine: "", other: ""}))
    texts = [p.text for p in guard.check(vault.root)]
    assert texts == [f"{other[:20]}… cannot read it and is in .sops.yaml"] * 3


def test_without_a_policy_nobody_knows_who_may_read(vault: Vault, file: Path) -> None:
    (vault.root / ".sops.yaml").unlink()
    vault.file(None).unlink()
    assert [str(p) for p in guard.check(vault.root)] == [
        ".sops.yaml: missing (not staged)",
        "secrets/shared.yaml: missing (not staged)",
    ]


def test_a_command_in_a_hint_is_one_whatever_the_name() -> None:
    flaw = Flaw("x", fix="git rm --cached FILE   # EDIT")
    for name in ("k; touch PWNED #", "-f", ":/x", "a\nb", "\x1bcé\udcff'", "FILE EDIT"):
        line = flaw.remedy(name).partition("   #")[0]
        assert line.isprintable()
        words = ["bash", "-c", f'git() {{ printf %s "$3"; }}; {line}']
        typed = subprocess.run(words, capture_output=True, check=True).stdout
        assert os.fsdecode(typed).removeprefix("./") == name


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("secrets/a b.yaml", b"x: y", "invoke vault.encrypt 'secrets/a b.yaml'   # and"),
        ("secrets/id_rsa", b"x", "git rm --cached secrets/id_rsa   # and"),
        ("secrets/a.yaml", b" \n", "git checkout HEAD secrets/a.yaml   # or"),
        ("secrets/a.yaml", b"<<<<<<< x\n", "hooks && git checkout -m secrets/a.yaml"),
    ],
)
def test_what_helps_can_be_typed(name: str, content: bytes, hint: str) -> None:
    flaw = obstacle(content)
    assert flaw and hint in flaw.remedy(name)


def test_no_vault_no_problems(tmp_path: Path) -> None:
    assert guard.check(tmp_path) == []


def test_names_of_keys_are_shown_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    overview.show_secrets({"a\x1b[2J\nb": CANARY}, reveal=False, as_json=False)
    assert capsys.readouterr().out == f"'a\\x1b[2J\\nb': {overview.MASK}\n"
