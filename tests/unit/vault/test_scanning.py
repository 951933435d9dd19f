"""Keys, states and plans are found wherever they stand; what only speaks of them is not."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from barehub.vault import scanning

ROOT = Path(__file__).resolve().parents[3]

RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())


def said(content: bytes, name: str = "notes.txt") -> list[str]:
    return [flaw.text for flaw in scanning.flaws(name, content)]


def pem(key: PrivateKeyTypes, kind: form.PrivateFormat, passphrase: bytes = b"") -> bytes:
    closed = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    return key.private_bytes(form.Encoding.PEM, kind, closed)


KEYS = [
    pem(key, kind, passphrase)
    for key in (RSA, ED25519, P256)
    for kind in (form.PrivateFormat.PKCS8, form.PrivateFormat.OpenSSH)
    for passphrase in (b"", b"open sesame")
] + [
    pem(RSA, form.PrivateFormat.TraditionalOpenSSL),
    pem(P256, form.PrivateFormat.TraditionalOpenSSL),
    pem(RSA, form.PrivateFormat.TraditionalOpenSSL, b"open sesame"),
    pem(RSA, form.PrivateFormat.PKCS8).replace(b"\n", b"\r\n"),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.decode().splitlines()[0].strip("-"))
def test_private_keys_in_every_wrapping(key: bytes) -> None:
    text = key.decode()
    wrapped = [
        text,
        json.dumps({"private_key": text}),
        json.dumps({"inner": json.dumps({"private_key": text})}),
        f"key = {text!r}\n",
        "key: |\n" + "".join(f"    {line}\n" for line in text.splitlines()),
        "".join(f"# {line}\n" for line in text.splitlines()),
        "key = (\n" + "".join(f'    "{line}\\n"\n' for line in text.splitlines()) + ")\n",
        f"export KEY='{text}'",
    ]
    for one in wrapped:
        assert said(b"a line\n" + one.encode()) == ["a private key"], one
        assert said(one.encode("utf-16")) == ["a private key"]
    (flaw,) = scanning.flaws("notes.txt", b"one\ntwo\n" + key)
    assert flaw.line == 3
    assert key.splitlines()[1].decode() not in str(flaw)
    encoded = base64.b64encode(key)
    assert said(b"client-key-data: " + encoded) == ["a private key in base64"]
    lines = [encoded[at : at + 76].decode() for at in range(0, len(encoded), 76)]
    before = base64.b64encode(b"-----BEGIN CERTIFICATE-----!").decode()
    for one in ("\n".join(lines), "\r\n    ".join(lines), "\\n".join(lines)):
        assert said(f"x: {one}\n".encode()) == ["a private key in base64"]
        assert said(f'a "{before}" b "{one}"'.encode()) == ["a private key in base64"]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\n" + ("A: " + " " * 250) * 5 + "!",
        "-----BEGIN PRIVATE KEY-----\n" + "A: \\n" * 300_000,
        "-----BEGIN PRIVATE KEY-----" + " \n" * 500_000,
        "-----BEGIN PRIVATE KEY-----" + "\\" * 1_000_000,
        "-----BEGIN " + "A" * 1_000_000,
        "LS0tLS1CRUdJTi" * 70_000,
        "LS0tLS1CRUdJTi" + "\n" * 1_000_000,
        "LS0tLS1CRUdJTi" + "\\" * 1_000_000,
        "LS0tLS1CRUdJTi" + "a\\" * 500_000,
        "PK\1\2" * 250_000 + "tfplan",
    ],
    ids=range(10),
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    assert said(text.encode()) == []
    assert time.process_time() - began < 2


def test_identities_of_age_whose_checksum_is_right() -> None:
    key = str(pyrage.x25519.Identity.generate())
    assert said(f"# created\n{key}\n".encode()) == ["an age identity"]
    assert said(f'export SOPS_AGE_KEY="{key}"'.encode()) == ["an age identity"]
    other = "Q" if key[-1] != "Q" else "P"
    assert said(f"{key[:-1]}{other}".encode()) == []
    assert said(b"AGE-SECRET-KEY-1" + b"Q" * 58) == []
    assert said(b"AGE-SECRET-KEY-1... begins a key " * 9) == []
    assert said(key.lower().encode()) == ["an age identity"]
    for before in ("", "#", "# ", "# created: 2026\n# public key: age1\n"):
        encoded = base64.b64encode(f"{before}{key}\n".encode())
        assert said(b"age.agekey: " + encoded) == ["an age identity in base64"]
        assert said(encoded[:24] + b"\n  " + encoded[24:]) in ([], ["an age identity in base64"])
    assert said(base64.b64encode(f"{key[:-1]}{other}".encode())) == []


def test_a_key_of_putty() -> None:
    body = base64.b64encode(bytes(range(256))).decode()
    text = (
        "PuTTY-User-Key-File-3: ssh-rsa\r\nEncryption: none\r\nComment: x\r\nPublic-Lines: 1\r\n"
        f"{body[:64]}\r\nPrivate-Lines: 4\r\n{body[64:128]}\r\n{body[128:192]}\r\n"
    )
    assert said(text.encode()) == ["a private key of PuTTY"]
    assert said(text[: text.index("Private")].encode()) == []


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\n...\n-----END OPENSSH PRIVATE KEY-----\n" * 3,
        "It begins with -----BEGIN RSA PRIVATE KEY----- and then comes the body of the key itself",
        'KEY = "-----BEGIN PRIVATE KEY-----" and not re.search("[A-Za-z0-9+/]{40}", text) or text',
        "-----BEGIN PUBLIC KEY-----\n" + "A" * 64,
        "-----BEGIN CERTIFICATE-----\n" + "A" * 64,
        "-----BEGIN OPENSSH PRIVATE KEY-----\nshort\n-----END OPENSSH PRIVATE KEY-----\n" * 2,
    ],
)
def test_what_only_speaks_of_keys(text: str) -> None:
    assert said(text.encode()) == []


STATE = {"version": 4, "terraform_version": "1.6.0", "serial": 1, "lineage": "x", "outputs": {}}


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("terraform.tfstate", True),
        ("a/terraform.tfstate.backup", True),
        ("a/terraform.tfstate.d/x/other", False),
        ("errored.tfstate.1234.backup", True),
        ("terraform.tfstate.sops", False),
        ("terraform.tfstate.torn.sops", False),
        ("terraform.tfstate.sops\n", True),
        ("terraform.tfstate.a\nb", True),
        ("x.tfstate.notsops", True),
        ("prod.tfvars", True),
        ("a/prod.auto.tfvars.json", True),
        ("terraform.tfvars.example", False),
        ("tfvars.md", False),
        ("a/tfplan", True),
        ("x.tfplan", True),
        ("tfplan.py", False),
    ],
)
def test_names(name: str, bad: bool) -> None:
    assert bool(said(b"", name)) is bad


def test_states_and_plans_under_other_names() -> None:
    assert said(json.dumps(STATE).encode(), "saved.json") == [scanning.STATE]
    assert said(json.dumps({"x": STATE}).encode(), "saved.json") == []
    assert said(f"STATE = {STATE!r}".replace("'", '"').encode(), "test.py") == []
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("tfplan", "x")
        file.writestr("tfstate", "x")
    plan = archive.getvalue()
    assert said(plan, "out.bin") == [scanning.PLAN]
    version = plan.replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\x63")
    assert version != plan
    assert said(version) == [scanning.PLAN], "a version of zip that Python does not read, but Go"
    assert said(plan[:-9]) == [scanning.PLAN]
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("about-tfplan.txt", "x")
    assert said(other.getvalue(), "out.zip") == []


def test_a_key_file_of_git_crypt() -> None:
    assert said(b"\0GITCRYPTKEY\0\0\0\2" + b"x" * 130, "key") == ["a key of git-crypt"]


def test_this_project_passes_without_an_exception() -> None:
    folders = ("barehub", "tests", "docs", "scripts", "terraform", "benchmarks")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    paths += [path for path in ROOT.iterdir() if path.is_file()]
    paths = [path for path in paths if "__pycache__" not in path.parts]
    assert len(paths) > 100
    found = {
        str(path): said(path.read_bytes(), path.relative_to(ROOT).as_posix()) for path in paths
    }
    assert {path: texts for path, texts in found.items() if texts} == {}
