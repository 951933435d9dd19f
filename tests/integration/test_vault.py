"""The vault on the real sops: reading, changing, sealing, and what is said when it cannot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyrage
import pytest
from vaults import again, fresh, plain_sops

from barehub.errors import UsageError, VaultError
from barehub.vault import guard, identity, policy
from barehub.vault.store import Vault

CANARY = 'canary "7f3a" & 100% ütf'


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    return fresh(tmp_path, runtime_dir, monkeypatch)


def test_init_makes_a_vault_and_says_where_the_identity_is(vault: Vault, own_home: Path) -> None:
    assert vault.exists
    me = again(vault).init()
    assert me.source == "~/.config/sops/age/keys.txt"
    assert policy.readers(vault.root, vault.file(None)) == (me.recipient,)
    assert guard.check(vault.root) == []
    assert again(vault).read(None) == again(vault).read("demo")
    assert plain_sops(vault, "decrypt", "secrets/shared.yaml").startswith(b"# ")


def test_init_twice_changes_nothing(vault: Vault) -> None:
    before = {p: p.read_bytes() for p in vault.root.rglob("*") if p.is_file()}
    again(vault).init()
    assert {p: p.read_bytes() for p in vault.root.rglob("*") if p.is_file()} == before


def test_init_does_not_touch_a_vault_of_others(vault: Vault) -> None:
    before = {p: p.read_bytes() for p in vault.root.rglob("*") if p.is_file()}
    identity.key_file().unlink()
    with pytest.raises(VaultError) as caught:
        again(vault).init()
    (me,) = identity.find()
    assert f"does not list you: you are {me.recipient}" in caught.value.problem
    assert {p: p.read_bytes() for p in vault.root.rglob("*") if p.is_file()} == before


def test_init_without_the_policy_of_a_vault_that_is_there(vault: Vault) -> None:
    rules = vault.root / policy.NAME
    before = rules.read_text()
    rules.unlink()
    assert [problem.file for problem in guard.check(vault.root)][:1] == [policy.NAME]
    again(vault).init()
    assert rules.read_text() == before


def test_init_of_a_vault_that_has_lost_its_shared_secrets(vault: Vault) -> None:
    vault.file(None).unlink()
    with pytest.raises(VaultError, match=r"secrets/shared\.yaml is missing"):
        again(vault).init()
    assert [problem.file for problem in guard.check(vault.root)] == ["secrets/shared.yaml"]


def test_one_layer_over_the_other(vault: Vault) -> None:
    vault.update(
        vault.file(None), {"variables.a": "shared", "variables.m.x": 1, "environment.E": "e"}
    )
    vault.update(vault.file("demo"), {"variables.a": "own", "variables.m.y": True})
    secrets = again(vault).read("demo")
    assert secrets.variables == {"a": "own", "m": {"x": 1, "y": True}}
    assert secrets.environment == {"E": "e"}
    assert again(vault).read("other").variables == {"a": "shared", "m": {"x": 1}}
    secrets.variables["m"]["x"] = "changed by a caller"
    assert vault.read(None).variables["m"] == {"x": 1}


VALUES = [CANARY, "0123456", "1.10", "true", "null", "~", "a\nb\n", "  x", "y: z", "- a", "#", "'"]


def test_strings_stay_the_strings_they_are(vault: Vault) -> None:
    for file in (vault.file(None), vault.file("demo")):
        values = {f"variables.v{number}": value for number, value in enumerate(VALUES)}
        vault.update(file, values)
    assert list(again(vault).read("demo").variables.values()) == VALUES
    assert guard.check(vault.root) == []


def test_an_update_keeps_all_other_ciphertext(vault: Vault) -> None:
    file = vault.file("demo")
    vault.update(file, {"variables.a": "aaaa", "variables.b": "bbbb", "environment.C": "cccc"})
    before = file.read_text().splitlines()
    vault.update(file, {"variables.b": "changed", "variables.d": "new"})
    after = file.read_text().splitlines()
    gone = [line.split(":")[0].strip() for line in before if line not in after]
    assert gone == ["b", "lastmodified", "mac"] or gone == ["b", "mac"]
    vault.update(file, {"variables.b": "changed"})
    assert file.read_text().splitlines() == after


@pytest.mark.parametrize(
    ("key", "value", "error", "said"),
    [
        ("variables", "canary-1", UsageError, "is not a key of the vault"),
        ("variable.x", "canary-1", UsageError, "no section 'variable'"),
        ("variables.x y", "canary-1", UsageError, "is not a key of the vault"),
        ("variables.x_unencrypted", "canary-1", UsageError, "would not be encrypted"),
        ("variables.x", "", VaultError, "variables.x is empty"),
        ("variables.x", float("nan"), VaultError, "not a number"),
        ("variables.there.x", "canary-1", VaultError, "there holds a value"),
        ("variables.map", "canary-1", VaultError, "map holds a mapping"),
        ("environment.A-B", "canary-1", VaultError, "environment.A-B is no name"),
        ("ca.key", "canary-1", VaultError, "ca belongs into secrets/shared.yaml only"),
        ("variables.big", 9007199254740993, VaultError, "sops would store another value"),
    ],
)
def test_what_cannot_be_set(
    vault: Vault, key: str, value: Any, error: type[Exception], said: str
) -> None:
    file = vault.file("demo")
    vault.update(file, {"variables.there": "v", "variables.map.x": "v"})
    before = file.read_bytes()
    with pytest.raises(error) as caught:
        again(vault).update(file, {key: value})
    assert said in str(caught.value)
    assert "canary-1" not in str(caught.value)
    assert file.read_bytes() == before


def mutated(text: str, pattern: str, replacement: str) -> str:
    changed = re.sub(pattern, replacement, text, count=1, flags=re.M)
    assert changed != text
    return changed


@pytest.mark.parametrize(
    ("pattern", "replacement", "said"),
    [
        (r"(token: ENC\[AES256_GCM,data:)...", r"\1AAA", "a value fails authentication"),
        (r"token: .*", "token: canary-1", "variables.token is plaintext"),
        (r"token: .*\n", "", "MAC mismatch"),
        (r"    token:", "    taken:", "fails authentication"),
        (r"    mac: .*\n", "", "MAC is missing"),
        (r"^sops:(.|\n)*", "", "its SOPS metadata are missing"),
        (r"(.|\n)*", "variables: {token: canary-1}", "secrets/demo.yaml: NOT encrypted"),
        (r"(.|\n)*", "", "empty"),
        (r"^variables:", "=======\nvariables:", "line 3: conflict marker"),
        (r"token: .*", "token: ''", "variables.token is empty"),
        (r"^", "newcomer: {}\n", "unknown section 'newcomer'"),
        (
            r"-----BEGIN AGE(.|\n)*END AGE",
            "-----BEGIN AGE ENCRYPTED FILE-----END AGE",
            "secrets/demo",
        ),
    ],
)
def test_a_file_that_was_changed_by_other_means(
    vault: Vault, pattern: str, replacement: str, said: str
) -> None:
    file = vault.file("demo")
    vault.update(file, {"environment.A": "aaaa", "variables.token": "canary-1", "variables.u": "u"})
    text = file.read_text()
    file.write_text(mutated(text, pattern, replacement))
    with pytest.raises(VaultError) as caught:
        again(vault).read("demo")
    assert said in str(caught.value)
    assert "secrets/demo.yaml" in caught.value.problem
    assert "canary-1" not in str(caught.value)
    assert caught.value.hints


def test_a_wrong_identity_names_both_sides(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = pyrage.x25519.Identity.generate()
    identity.key_file().unlink()
    monkeypatch.setenv("SOPS_AGE_KEY", str(stranger))
    with pytest.raises(VaultError) as caught:
        again(vault).read(None)
    assert f"you are {stranger.to_public()} (from SOPS_AGE_KEY)" in caught.value.problem
    assert f"its readers are {policy.own_name()}" in caught.value.problem
    asked = f"ask one of them: invoke vault.add-recipient NAME {stranger.to_public()}"
    assert caught.value.hints == (asked,)


def test_no_identity(vault: Vault) -> None:
    identity.key_file().unlink()
    with pytest.raises(VaultError, match="no age identity: looked in SOPS_AGE_KEY"):
        again(vault).read(None)


def test_no_vault(own_home: Path, tmp_path: Path, runtime_dir: Path) -> None:
    empty = Vault(tmp_path, runtime_dir)
    assert not empty.exists
    for action in (
        lambda: empty.read(None),
        lambda: empty.update(empty.file(None), {"variables.a": "b"}),
        lambda: empty.seal(b"x", tmp_path / "instances/a/terraform.tfstate.sops"),
    ):
        with pytest.raises(VaultError, match="there is no vault") as caught:
            action()
        assert caught.value.hints == ("invoke vault.init",)


def test_no_instance_may_take_the_name_of_the_shared_file(vault: Vault) -> None:
    with pytest.raises(UsageError, match="no instance can be named 'shared'"):
        vault.file("shared")


def test_the_second_of_two_readers_can_read(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = policy.readers(vault.root, vault.file(None))
    other = pyrage.x25519.Identity.generate()
    policy.write(vault.root, policy.new(dict.fromkeys([*mine, str(other.to_public())], "")))
    vault.update(vault.file("demo"), {"variables.a": "b"})
    state = vault.root / "instances/demo/terraform.tfstate.sops"
    vault.seal(b"state", state)
    monkeypatch.setenv("SOPS_AGE_KEY", str(other))
    assert again(vault).unseal(state) == b"state"
    vault.update(vault.file("demo"), {"variables.a": "c"})
    assert [p.file for p in guard.check(vault.root)] == ["secrets/shared.yaml"]


@pytest.mark.parametrize("content", [b'{"a": 1}', b"\0\xff\xfe\r\n", "ü".encode() * 200_000])
def test_what_is_sealed_comes_back(vault: Vault, content: bytes) -> None:
    state = vault.root / "instances/demo/terraform.tfstate.sops"
    vault.seal(content, state)
    assert again(vault).unseal(state) == content
    assert guard.check(vault.root) == []
    assert plain_sops(vault, "decrypt", str(state.relative_to(vault.root))) == content


def test_sealing_needs_no_identity(vault: Vault) -> None:
    identity.key_file().unlink()
    again(vault).seal(b"state", vault.root / "instances/demo/terraform.tfstate.sops")
    with pytest.raises(VaultError, match="has no rule for other/terraform"):
        again(vault).seal(b"state", vault.root / "other/terraform.tfstate.sops")


def test_a_state_that_cannot_be_unsealed(vault: Vault) -> None:
    state = vault.root / "instances/demo/terraform.tfstate.sops"
    with pytest.raises(VaultError, match=r"terraform\.tfstate\.sops cannot be read: no such file"):
        vault.unseal(state)
    vault.seal(b"canary-1" * 100, state)
    good = state.read_text()
    for bad, said in (
        (good[:200], "metadata are missing"),
        ('{"version": 4, "x": "canary-1"}', "NOT encrypted"),
        (good.replace("data:A", "data:B").replace("data:C", "data:D"), ""),
        (mutated(good, r'("data": "ENC\[AES256_GCM,data:)....', r"\1AAAA"), "authentication"),
    ):
        state.write_text(bad)
        if bad == good:
            continue
        with pytest.raises(VaultError) as caught:
            again(vault).unseal(state)
        assert said in caught.value.problem
        assert "instances/demo/terraform.tfstate.sops" in caught.value.problem
        assert "canary-1" not in str(caught.value)


def test_a_file_in_clear_is_encrypted_in_its_place(vault: Vault) -> None:
    file = vault.file("demo")
    file.write_text("environment:\n  A: CANARY-clear # a note\n")
    vault.encrypt(file)
    assert b"CANARY" not in file.read_bytes() and b"note" not in file.read_bytes()
    assert guard.check(vault.root) == []
    assert again(vault).read("demo").environment == {"A": "CANARY-clear"}
    with pytest.raises(UsageError, match="is encrypted already"):
        vault.encrypt(file)
    for text, said in (
        ("environment:\n  PIN: 0123\n", "without quotes"),
        ("enviroment: {}\n", "unknown section"),
        ("a: b: c\n", "line 1"),
    ):
        file.write_text(text)
        with pytest.raises(VaultError, match=said):
            vault.encrypt(file)
        assert file.read_text() == text
    with pytest.raises(UsageError, match="is no secrets file"):
        vault.encrypt(vault.root / "other.yaml")


def test_a_value_that_sops_cannot_show_as_text_is_not_offered_for_editing(vault: Vault) -> None:
    vault.update(vault.file(None), {"variables.tabbed": "\tCANARY\nb\n\n"})
    assert again(vault).read(None).variables["tabbed"] == "\tCANARY\nb\n\n"
    with pytest.raises(VaultError, match=r"variables\.tabbed cannot be edited as text"):
        again(vault).edit(vault.file(None))
