"""Which file becomes what, and what the vault cannot hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from barehub.migration import placement
from barehub.migration.placement import Place


def ssh_key(passphrase: bytes = b"", *, pem: bool = False) -> str:
    form = serialization.PrivateFormat
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else PLAIN
    made = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, form.PKCS8 if pem else form.OpenSSH, hidden
    )
    return made.decode()


PLAIN = serialization.NoEncryption()
KEY = ssh_key()


def place(path: str, text: str | bytes, **kwargs: Any) -> Place:
    content = text.encode() if isinstance(text, str) else text
    return placement.place(path, content, **({"shared": True} | kwargs))


@pytest.mark.parametrize(
    ("path", "text", "values"),
    [
        ("a.yaml", "t: x\nm: {n: 1, l: [1, a]}\n", {"t": "x", "m.n": 1, "m.l": [1, "a"]}),
        ("a.yml", "t: 0123\nf: 1.10\nu: 1_0\n", {"t": "0123", "f": "1.10", "u": "1_0"}),
        ("a.yaml", "e: 1e5\nx: 0x1F\ni: .inf\n", {"e": "1e5", "x": "0x1F", "i": ".inf"}),
        ("a.yaml", "y: yes\nb: true\nc: True\n", {"y": "yes", "b": True, "c": True}),
        ("a.yaml", "d: 2024-01-01\nf: 1.5\n", {"d": "2024-01-01", "f": 1.5}),
        ("a.yaml", "q: '12'\nm: |\n  a\n  b\ne: []\n", {"q": "12", "m": "a\nb\n", "e": []}),
        ("a.yaml", "m: {a.b: 1, c: 2}\n", {"m": {"a.b": 1, "c": 2}}),
        ("a.json", '{"n": 1.10, "b": 9007199254740993}', {"n": "1.10", "b": "9007199254740993"}),
        ("a.tfvars.json", '{"environment": {"a": "b"}}', {"environment.a": "b"}),
        ("a.yaml", "environment: production\n", {"environment": "production"}),
        ("a.yaml", "\ufefft: x\r\nu: y\r\n", {"t": "x", "u": "y"}),
    ],
)
def test_data_becomes_variables(path: str, text: str, values: dict[str, Any]) -> None:
    made = place(path, text)
    assert not made.kept
    wanted = {f"variables.{key}": value for key, value in values.items()}
    assert json.dumps(dict(made.values)) == json.dumps(wanted)


def test_the_vaults_own_sections_stay_those() -> None:
    made = place("a.yaml", "environment: {A: x}\nvariables: {b: {c: y}}\nssh: {private_key: z}\n")
    assert made.values == {"environment.A": "x", "variables.b.c": "y", "ssh.private_key": "z"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x 1\nb: *x\n", "line 1 has an anchor"),
        ("a: !!binary YQ==\n", "line 1 has a tag"),
        ("a: 1\n---\nb: 2\n", "several documents"),
        ("- a\n", "it is not a mapping"),
        ("a: 1\na: 2\n", "line 2 has a key for the second time"),
        ("a: ''\n", "variables.a is empty"),
        ("a: {b: null}\n", "variables.a.b is empty"),
        ("a: {b: }\n", "variables.a.b is empty"),
        ("1: a\n", "line 1 has a key that is no text"),
        ("? [a]\n: b\n", "line 1 has a key that is no text"),
        ("a b: c\n", "'a b' cannot be the name of a variable"),
        ("a: {b_unencrypted: c}\n", "SOPS would not encrypt it"),
        ("a: {ghp_0123456789012345678901234567890123456789: bob}\n", "looks like a secret"),
        ("a: b\nsops: {mac: x}\n", "it is encrypted by SOPS"),
        ("a: [\n", "is not YAML"),
        ("# nothing\n", "it is not a mapping"),
        ("environment: {TF_LOG: x}\n", "would make terraform write secrets elsewhere"),
        ("environment: {A: {b: c}}\n", "is not a text or a number"),
        ("[" * 3000 + "]" * 3000, "it is nested too deeply"),
        ("- " * 100_000, "it is nested too deeply"),
    ],
)
def test_what_the_vault_cannot_hold_is_kept(text: str, reason: str) -> None:
    made = place("dir/a.yaml", text)
    assert made.kept
    assert made.values == {}
    assert reason in made.reason
    assert made.content == text.encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1,}', "line 1 is not JSON"),
        ("[1]", "it is not a mapping"),
        ('{"a": NaN}', "which is not JSON"),
        ('{"a": 1, "a": 2}', "a key for the second time"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"a": "\\u0000"}', "zero byte"),
        ('{"": "x"}', "a key that is no name"),
        ("{}", "there is nothing in it"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_json_that_the_vault_cannot_hold_is_kept(text: str, reason: str) -> None:
    made = place("a.json", text)
    assert made.kept
    assert reason in made.reason


def test_shell_files_and_dotenv() -> None:
    made = place("keys_cc.sh", "export A=b TF_VAR_c=d\nexport TF_LOG=x SOPS_AGE_KEY=y E=\n")
    assert made.values == {"environment.A": "b", "variables.c": "d"}
    assert {left.name: left.settable for left in made.left} == {
        "environment.TF_LOG": False,
        "environment.SOPS_AGE_KEY": False,
        "environment.E": True,
    }
    assert made.kept, "a value that the vault refuses is not lost"
    assert not place("keys_cc.sh", "export A=b E=\n").kept
    long = place("x.sh", f"export A={'x' * 200_000}\n")
    assert long.kept and long.left[0].reason.startswith("is longer than an environment may hold")
    for path in (".env", "prod.env", ".env.production", "a/.env"):
        assert place(path, "A=b c\n").values == {"environment.A": "b c"}
    assert place("anything", "export A=b\n").values == {"environment.A": "b"}


def test_a_script_is_kept_as_well() -> None:
    made = place("deploy.sh", "export A=b\ncurl https://example.org\n")
    assert made.values == {"environment.A": "b"}
    assert made.kept
    assert place("deploy.sh", "curl x\n").kept
    assert place("deploy.sh", "echo 'x\n").reason.startswith("it is no shell file: line 1")


def test_ssh_keys() -> None:
    pem = ssh_key(pem=True)
    for path, text in (("id_ed25519", KEY), ("x", KEY), ("ssh/k.pem", pem)):
        assert place(path, text).values == {"ssh.private_key": text}
    assert place("server.key", pem) == Place("server.key", pem.encode(), kept=True)
    assert place("server.key", pem, key_beside=True).values
    for locked in (ssh_key(b"x"), ssh_key(b"x", pem=True)):
        assert place("id_x", locked).reason == "it is an SSH key with a passphrase"
    assert place("id", KEY.replace("AAAA", "BBBB")).reason == "it is a damaged SSH key"
    assert place("id", KEY * 2).reason == "there is more in it than an SSH key"


def test_all_else_is_kept() -> None:
    for path, content in (
        ("token", b"CANARY\n"),
        ("a.yaml", b"\xff\xfe"),
        ("a.env", b"A=\0"),
        ("a.tf.json", b"{}"),
        ("large.yaml", b"a: b\n" * 300_000),
    ):
        made = place(path, content)
        assert made.kept and not made.reason and made.content == content
    assert "Terraform state" in place("terraform.tfstate.backup", "{}").notes[0]
    empty = place("a.yaml", b"")
    assert not empty.kept and "nothing to protect" in empty.notes[0]


def test_comments_are_told() -> None:
    assert place("a.yaml", "a: b # c\n").notes
    assert place("a.yaml", "  # c\na: b\n").notes
    assert not place("a.yaml", "a: b#c\n").notes


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("openrc.sh", "export A=b\n#export OS_PASSWORD=CANARY\n"),
        ("openrc.sh", "export A=b\n# old: export CLOUDFLARE_TOKEN=CANARY\n"),
        ("openrc.sh", "export A=b\ncurl x # proxy password was: CANARY\n"),
        (".env", "A=b\n# TOKEN: CANARY\n"),
        ("a.yaml", "a: b\nc: d # api key: CANARY\n"),
        ("a.yaml", "a: b\n#\tghp_0123456789012345678901234567890123456789\n"),
        ("a.yaml", "a: &b c\n# password = 'CANARY'\n"),
    ],
)
def test_secrets_in_comments_are_told_by_line(path: str, text: str) -> None:
    made = place(path, text)
    assert made.comments == [2]
    assert "what looks like a secret in comments (line 2)" in made.notes[-1]
    assert not any("CANARY" in note for note in made.notes)
    harmless = text.split("\n")[0] + "\n# the region was: DE\n# password: $PASSWORD\n"
    assert place(path, harmless).comments == ()


def test_what_was_left_and_is_in_the_vault_already_is_not_told() -> None:
    made = place("openrc.sh", "read P\nexport A=$P B=$P C=\n")
    assert [left.name for left in made.left] == [f"environment.{x}" for x in "ABC"]
    own, shared = {"environment": {"A": "x"}}, {"environment": {"C": "x"}}
    (told,) = placement.unset([made], own, shared)
    assert [left.name for left in told.left] == ["environment.B"]


def settled(*places: Place, there: Any = None, replacing: bool = False) -> list[Place]:
    return placement.settled(places, there or {}, replacing=replacing)


def test_of_two_files_that_differ_the_later_is_kept() -> None:
    one, two = place("a.yaml", "x: 1\ny: 2\n"), place("b.yaml", "x: 2\nz: 3\n")
    first, second = settled(one, two)
    assert first == one
    assert second.kept and second.values == {}
    assert second.reason == "a.yaml gives variables.x another value"
    same = place("c.yaml", "x: 1\n")
    assert settled(one, same) == [one, same]
    assert settled(one, place("d.yaml", "x: true\n"))[1].kept
    assert settled(one, place("e.yaml", "x: 1.0\n"))[1].kept


def test_a_value_where_another_file_has_a_mapping() -> None:
    deep, flat = place("a.yaml", "x: {y: {z: 1}}\n"), place("b.yaml", "x: 1\n")
    for one, two in ((deep, flat), (flat, deep)):
        assert settled(one, two)[1].kept
    beside = place("c.yaml", "x: {y: {w: 1}}\n")
    assert not settled(deep, beside)[1].kept


def test_only_one_ssh_key_is_taken() -> None:
    other = ssh_key()
    one, two = place("a", KEY), place("b", other)
    assert [p.reason for p in settled(one, two)] == ["there are several SSH keys"] * 2
    assert settled(one, place("copy", KEY))[0] == one
    there = {"ssh": {"private_key": other}}
    assert settled(one, there=there)[0].reason == "the vault has another ssh.private_key"
    assert settled(one, there=there, replacing=True) == [one]
    assert settled(one, there={"ssh": {"private_key": KEY}}) == [one]


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({}, False),
        ({"variables": None}, False),
        ({"variables": {"a": {}}}, False),
        ({"variables": {"a": {"b": "x"}}}, False),
        ({"variables": {"a": {"b": "y"}}}, True),
        ({"variables": {"a": {"b": {"c": "x"}}}}, True),
        ({"variables": {"a": "x"}}, True),
        ({"variables": {"a": {"c": "x"}}}, False),
    ],
)
def test_conflicts_with_the_vault(there: dict[str, Any], taken: bool) -> None:
    values = {"variables.a.b": "x"}
    assert placement.conflicts(values, there) == (["variables.a.b"] if taken else [])
    assert placement.differ(values, there) is (there != {"variables": {"a": {"b": "x"}}})


def test_a_place_does_not_show_its_values() -> None:
    assert "CANARY" not in repr(place("a.yaml", "a: CANARY\n"))
