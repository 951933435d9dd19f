"""No text in clear gets past the keyless check, wherever in an encrypted file it stands."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barehub.vault import anatomy, ciphertext, services, strictness
from barehub.vault.store import Vault

CANARY = "canary-7c1e"

WAYS = (
    "{}", " # {}", "\n# {}\n", "\n    {}: x\n", "\nx: {}\n", "\n- {}\n", " &{} ", " !{} ", ' "{}" ',
    "'{}'", "\n---\n{}\n", "\n...\n{}", "\n%{}\n", "| # {}\n", "|-\n  {}\n", "\n? {}\n: ",
    "\n? [{}]\n: ", "{{{}: 1}}", "[{}]", "\0{}", "\ufeff# {}", "\u2028# {}\u2028", "\r# {}\r\n",
    "\t# {}\n", ',"{}": ""', ',"x": "{}"', ',"{}"', ' {}: {{}}\n', "\nstores: {}", "\\n{}",
    '", "{}',
)  # fmt: skip
"""How a text can be put into YAML or JSON."""

TEXT = """\
# a comment
environment: {}
variables:
    token: secret
    list: [1, {x: 2.5}, true] # another
    "q 1": |
        more
        lines
    #
    last: text
ssh:
"""


@pytest.fixture
def sealed(vault: Vault) -> dict[str, str]:
    """What the real sops writes, by format."""
    return {
        kind: vault._sops.encrypt(TEXT.encode(), vault.file("demo"), "yaml", kind).decode()
        for kind in ("yaml", "json")
    } | {
        "binary": vault._sops.encrypt(b"\0\xff", vault.file("demo"), "binary", "binary").decode(),
    }


def flaws(text: str) -> list[str]:
    return [flaw.text for flaw in strictness.flaws(text.encode())]


def test_what_sops_writes_is_good(sealed: dict[str, str]) -> None:
    assert {kind: flaws(text) for kind, text in sealed.items()} == {k: [] for k in sealed}


def test_another_hand_may_format_it(sealed: dict[str, str]) -> None:
    """Prettier and its like: quotes, a document's start, CRLF."""
    text = sealed["yaml"]
    assert flaws(re.sub(r"(ENC\[.*str\])$", r'"\1"', text, flags=re.M)) == []
    assert flaws(f"---\n{text}") == []
    assert flaws(text.replace("\n", "\r\n")) == []
    assert flaws(json.dumps(json.loads(sealed["json"]))) == []


@settings(
    max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_canary_in_clear_is_found_anywhere(sealed: dict[str, str], data: Any) -> None:
    text = sealed[data.draw(st.sampled_from(sorted(sealed)))]
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.sampled_from([0, 0, 1, 20, 200]))
    way = data.draw(st.sampled_from(WAYS))
    changed = text[:at] + way.format(CANARY) + text[at + cut :]
    found = flaws(changed)
    if not any(CANARY in name for name in _names(changed)):
        assert found, changed
        assert CANARY not in str(found)


def _names(text: str) -> list[str]:
    """The keys' names, which stay in clear."""

    def walk(tree: Any) -> list[str]:
        if isinstance(tree, dict):
            return [*map(str, tree), *(name for value in tree.values() for name in walk(value))]
        return [n for value in tree for n in walk(value)] if isinstance(tree, list) else []

    try:
        return walk(json.loads(text) if text.startswith("{") else yaml.load(text, yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return []


def other(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, replacement, text, count=1, flags=re.M)


WORDS = base64.b64encode(b"this is a text and no ciphertext").decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other("data:[^,]*,", f"data:{WORDS},"), "a comment is plaintext"),
        (other("(token: .*)data:[^,]*,", rf"\1data:{WORDS},"), "variables.token is plaintext"),
        (other("(token: .*)iv:[^,]*,", rf"\1iv:{WORDS},"), "variables.token is plaintext"),
        (other("(token: .*)tag:[^,]*,", r"\1tag:c2hvcnQ=,"), "variables.token is plaintext"),
        (other("(token: .*tag:.{21}).==", r"\1B=="), "variables.token is plaintext"),
        (other("(token: .*type:)str", r"\1word"), "variables.token is plaintext"),
        (other("token: (.*)", r"token: |-\n        \1"), None),
        (other("token: (.*)", r"token: |- # x\n        \1"), "a comment is plaintext"),
        (other("token: (.*)", r"token: &x \1"), "an anchor of YAML"),
        (other("token: (.*)", r"token: !x \1"), "a tag of YAML"),
        (other("^ssh:.*", "ssh: !!null words"), "a tag of YAML"),
        (other("^", "%YAML 1.1\n---\n"), "a directive of YAML"),
        (other("^ssh:.*", "ssh: {<<: *x}"), "an alias of YAML"),
        (other("    token:", '    a"b: ENC # words "\n    token:'), "variables.a\"b is plaintext"),
        (other("    token:", "    ? |\n      two\n      lines\n    :"), "a key is not a plain"),
        (other("    token:", f"    {'x' * 300}:"), "a key is not a plain name"),
        (other("^", "\ufeff"), "a byte order mark"),
        (other("recipient: age1(.*)", r"recipient: age1\1 words"), "recipient in its metadata"),
        (other("recipient: age1.", "recipient: age1b"), "recipient in its metadata"),
        (other("recipient: .*", "recipient: ssh-rsa AAAA words"), "recipient in its metadata"),
        (other("(BEGIN AGE.*\n.*)\n", r"\1words\n"), "recipient in its metadata"),
        (other("BEGIN AGE(.|\n)*---END", "BEGIN AGE ENCRYPTED FILE-----words---END"), "recipient"),
        (other("(FILE-----\n)(.|\n)*(\n.*---END)", rf"\1            {WORDS}\3"), "recipient"),
        (other("version: .*", "version: 1234.5.6"), "sops.version is not expected"),
        (other("    lastmodified:", "    kms: [words]\n    lastmodified:"), "sops.kms"),
        (other("    lastmodified:", "    kms: []\n    lastmodified:"), None),
        (other("    mac:", "    mac: x\n    mac:"), "not expected"),
        (other("^sops:", "sops: {}\nsops:"), "two blocks of SOPS metadata"),
        (other("(    age:\n)((.|\n)*AGE ENCRYPTED FILE-----\n)", r"\1\2\2"), "is there twice"),
        (lambda text: "a: " + "[" * 3000, "NOT encrypted"),
        (lambda text: text + "x: " + "[" * 3000, "nested too deeply"),
        (lambda text: "x: " + "[" * 200_000 + "\n" + text, "nested too deeply"),
        (lambda text: "x: " + "{a: " * 200_000 + "\n" + text, "nested too deeply"),
        (lambda text: "x:\n " + "- " * 200_000 + "\n" + text, "nested too deeply"),
    ],
)  # fmt: skip
def test_tricks(sealed: dict[str, str], change: Callable[[str], str], said: str | None) -> None:
    text = change(sealed["yaml"])
    assert text != sealed["yaml"]
    found = flaws(text)
    if said is None:
        assert found == []
    else:
        assert any(said in one for one in found), found
        assert "words" not in str(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other('"token": "[^"]*"', '"token": "words"'), "variables.token is plaintext"),
        (other('"token": "[^"]*"', '"token": 5'), "variables.token is plaintext"),
        (other('"token": "[^"]*"', '"token": NaN'), "variables.token is plaintext"),
        (other('"token": "[^"]*"', f'"token": {"1" * 5000}'), "variables.token is plaintext"),
        (other('"token": "[^"]*"', f'"token": {"[" * 200_000}'), "nested too deeply"),
        (other('"token":', '"token": "words", "token":'), "a key is there twice"),
        (other('"mac":', '"mac": "words", "mac":'), "a key is there twice"),
        (other('"sops": {', '"sops": {"note": "words",'), "sops.note is not expected"),
        (other('"token":', '"two\\\\nlines":'), "a key is not a plain name"),
        (lambda text: f"{text} words", "not JSON"),
        (lambda text: f"// words\n{text}", "not YAML"),
    ],
)
def test_tricks_of_json(sealed: dict[str, str], change: Callable[[str], str], said: str) -> None:
    text = change(sealed["json"])
    assert text != sealed["json"]
    found = flaws(text)
    assert any(said in one for one in found), found
    assert "words" not in str(found)


def test_all_flaws_of_a_file_are_named(sealed: dict[str, str]) -> None:
    text = re.sub(r"^(    (?:token|last)): .*", r"\1: words", sealed["yaml"], flags=re.M)
    text = re.sub("version: .*", "version: words", f"# words\n{text}")
    assert len(flaws(text)) == 4


def test_readers_of_every_kind(vault: Vault, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    def public(key: Any) -> str:
        openssh = form.Encoding.OpenSSH, form.PublicFormat.OpenSSH
        return str(key.public_key().public_bytes(*openssh).decode())

    keys = [
        public(ed25519.Ed25519PrivateKey.generate()),
        *(public(rsa.generate_private_key(65537, bits)) for bits in (2048, 4096)),
    ]
    with (vault.root / ".sops.yaml").open("a") as rules:
        rules.writelines(f"      - {key} me@host-{len(key)}\n" for key in keys)
    sealed = vault._sops.encrypt(b"x: y", vault.file("demo"), "yaml", "yaml")
    verdict = strictness.judge(sealed)
    assert verdict.flaws == ()
    assert list(verdict.blocks)[1:] == keys
    blocks = list(verdict.blocks.values())
    pieces = re.split(r"enc: \|\n(?:.*\n)*?.*---END.*\n", sealed.decode())
    assert len(pieces) == 5
    for place in range(4):
        for kind in range(4):
            moved = pieces[0]
            for number, rest in enumerate(pieces[1:]):
                block = blocks[kind if number == place else number]
                moved += f"enc: {json.dumps(block)}\n{rest}"
            told = flaws(moved)
            assert told == (
                [] if kind == place else ["an age recipient in its metadata is malformed"]
            )


@pytest.mark.parametrize(
    "text",
    [
        "sops:\n a: " + "{a: " * 100_000,
        "sops:\n  " + "- " * 100_000,
        "sops:\n a: " + "[a, " * 100_000,
        '{"sops": ' + "[" * 100_000,
        "sops: &a [*a]\n",
    ],
)
def test_metadata_that_nothing_can_be_made_of_name_nobody(text: str) -> None:
    assert ciphertext.recipients(text.encode()) == []
    with pytest.raises(anatomy.Malformed):
        services.named(text.encode())
