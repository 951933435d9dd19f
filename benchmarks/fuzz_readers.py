"""The package's readers of what others write, each with good samples, for fuzz.py."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import fuzz_endpoints, fuzz_inputs

ROOT = Path(__file__).resolve().parent.parent
ENC = (
    "ENC[AES256_GCM,data:YQ==,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,"
    "tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]"
)
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@dataclass(frozen=True)
class Kind:
    """Inputs of one kind: ``share`` of a run's inputs, and how one of them is read."""

    name: str
    share: int
    samples: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], None]
    """Takes an input and an empty folder in memory; raises what the reader raises."""

    tokens: tuple[bytes, ...] = ()
    make: Callable[[random.Random, Sequence[bytes]], bytes] | None = None

    @cached_property
    def good(self) -> Sequence[bytes]:
        return self.samples()

    def input(self, rng: random.Random) -> bytes:
        if self.make:
            return self.make(rng, self.good)
        return fuzz_inputs.made(rng, self.good, self.tokens)


def _expected(*more: type[BaseException]) -> suppress:
    """Ours, and what a reader's docstring says that it raises."""
    from barehub.errors import BarehubError

    return suppress(BarehubError, *more)


# -- recipes


def _recipes() -> list[bytes]:
    recipes = sorted((ROOT / "terraform" / "recipes").glob("*.tf"))
    return [path.read_bytes() for path in recipes] + [
        b'module "provider" {\n source = "./a"\n}\nmodule "dns" {\n source = "./a"\n x = <<EOT\n'
        b'${var.a}\nEOT\n}\nmodule "binderhub" {\n source = "./a"\n y = [for k in l : k]\n}\n'
        b'terraform {\n backend "pg" {\n conn_str = "postgres://u:p@h/d"\n }\n}\n'
        b'variable "a" {\n type = map(string)\n default = {}\n}\nlocals { b = "${local.c}" }\n'
        b'moved {\n from = module.dns.a\n to = module.dns.b\n}\noutput "o" { value = 1 }\n'
    ]


def _read_recipe(content: bytes, folder: Path) -> None:
    from barehub.migration import splitting
    from barehub.project import Instance
    from barehub.terraform import preflight, recipe, template

    (folder / "main.tf").write_bytes(content)
    instance = Instance("x", folder)
    text = content.decode(errors="replace")
    with _expected():
        known = recipe.read(instance)
        preflight.findings(known, preflight.Known({}, {}), {})
        template.arguments(text, known.calls, {})
    with _expected():
        splitting.split(text, "main.tf")


# -- the vault


def _policies() -> list[bytes]:
    from barehub.vault import policy

    kms = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    return [
        policy.new({"alice": AGE}).encode(),
        f"creation_rules:\n  - path_regex: ^secrets/.+$\n    age: >-\n      {AGE},\n      {AGE}\n"
        f"    kms: '{kms}'\n  - age: [{AGE}]  # bob\n".encode(),
        f"keys:\n  - &a {AGE}\ncreation_rules:\n  - path_regex: a[b-d]{{2,3}}(x|y)*\n    age:\n"
        "      - *a  # alice\n    pgp: ''\n    key_groups:\n      - age:\n"
        "          - *a\n".encode(),
    ]


def _read_policy(content: bytes, folder: Path) -> None:
    from barehub.vault import guard, policy

    (folder / policy.NAME).write_bytes(content)
    guard._rules(content)
    with _expected():
        rules = policy.Policy.read(folder)
        for step in (
            lambda: rules.check_keys(),
            lambda: rules.readers("secrets/demo.yaml"),
            lambda: rules.with_reader("carol", AGE[:-1] + "q"),
            lambda: rules.without_reader(AGE),
            lambda: policy.key_services(folder),
        ):
            with _expected():
                step()


def _secrets() -> list[bytes]:
    metadata: dict[str, Any] = {
        "age": [{"recipient": AGE, "enc": "-----BEGIN AGE ENCRYPTED FILE-----\nYQ==\n-----END AGE "
                 "ENCRYPTED FILE-----\n"}],
        "lastmodified": "2026-01-01T00:00:00Z", "mac": ENC, "version": "3.11.0",
    }  # fmt: skip
    sealed = {"variables": {"a": ENC, "b": [ENC, {"c": ENC}]}, "sops": metadata}
    flow = f"environment:\n    A: {ENC}\n    #{ENC}\nsops: {json.dumps(metadata)}\n"
    block = (
        f"variables:\n    a: {ENC}\nsops:\n    age:\n        - recipient: {AGE}\n          enc: |\n"
    )
    return [
        json.dumps(sealed, indent=4).encode(),
        flow.encode(),
        f"{block}          enc: |\n            -----BEGIN AGE\n    mac: {ENC}\n".encode(),
        b'environment:\n  OS_PASSWORD: "x"\nvariables:\n  hub_token: abc\n  list: [1, 2]\nssh:\n'
        b"  private_key: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    YQ==\n",
        b'{"lineage": "a", "terraform_version": "1", "variables": {"a": 1e3}}',
        b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
    ]


def _read_secrets(content: bytes, folder: Path) -> None:
    from barehub.migration import plain_data
    from barehub.vault import anatomy, ciphertext, scanning, services, strictness
    from barehub.vault.document import Document
    from barehub.vault.sections import check

    strictness.judge(content)
    ciphertext.recipients(content)
    services.readers(content)
    list(scanning.flaws("secrets/demo.yaml", content))
    with _expected(anatomy.Malformed, UnicodeDecodeError):
        anatomy.read(content)
    text = content.decode(errors="replace")
    with _expected():
        Document(text, "secrets/demo.yaml")
    for reader in (plain_data.from_json, plain_data.from_yaml):
        with _expected(plain_data.Unfit):
            check(reader(text), "secrets/demo.yaml", shared=False)


# -- what is moved from elsewhere


def _field(number: int, data: bytes) -> bytes:
    return struct.pack(">II", number, len(data)) + data


def _git_crypt() -> list[bytes]:
    end = struct.pack(">I", 0)
    entry = _field(1, bytes(4)) + _field(3, b"a" * 32) + _field(5, b"h" * 64) + end
    head = b"\0GITCRYPTKEY" + struct.pack(">I", 2)
    return [
        head + end + entry,
        head + _field(1, b"ops") + end + entry + entry,
        b"\0GITCRYPT\0" + bytes(12) + b"x" * 90,
        b"-----BEGIN PGP MESSAGE-----\n\nabc",
    ]


def _read_git_crypt(content: bytes, folder: Path) -> None:
    from barehub.errors import BarehubError
    from barehub.migration import git_crypt, placement

    git_crypt.encrypted(content)
    key = git_crypt.key_of(_git_crypt()[0], "k")
    git_crypt.opened(content, [key])
    for name in ("keys/key", "a.yaml", "b.tfvars", "id_rsa", "c.json"):
        with _expected():
            placement.place(name, content, shared=False)
    (folder / "key").write_bytes(content)
    try:
        git_crypt.read_key(folder / "key")
    except BarehubError:
        return


OPENRC = b"""#!/usr/bin/env bash
# To use an OpenStack cloud you need to authenticate
export OS_AUTH_URL=https://arbutus.example.org:5000/v3
export OS_PROJECT_ID=abc
if [ -z "$OS_PROJECT_ID" ]; then unset OS_PROJECT_ID; fi
echo "Please enter your OpenStack Password for project $OS_PROJECT_NAME: "
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
export A='x y' B="a${OS_PROJECT_ID}b$(cat f)" C=$'q\\n' D=a\\ b
for i in 1 2 3; do export E$i=$((i+1)); done
case "$A" in x*) export F=1;; *) :;; esac
f() { local G=1; declare -x H=2; }
cat <<EOF
export I=no
EOF
"""


def _read_openrc(content: bytes, folder: Path) -> None:
    from barehub.migration import placement, shell

    text = content.decode(errors="replace")
    shell.exports(text)
    for dotenv in (False, True):
        with _expected(shell.NotShell):
            shell.read(text, dotenv=dotenv)
    for name in ("x-openrc.sh", ".env"):
        with _expected():
            placement.place(name, content, shared=False)


# -- journals


def _journals() -> list[bytes]:
    events: list[dict[str, Any]] = [
        {"event": "spawn", "command": "spawn"},
        {"event": "stage", "stage": "provider", "creates": ["module.provider.a", "module.dns.b"]},
        {"event": "resource-start", "address": "module.provider.a", "action": "create"},
        {"event": "resource-done", "address": "module.provider.a", "action": "create", "id": "7"},
        {"event": "resource-failed", "address": "module.dns.b", "action": "delete"},
        {"event": "resource-imported", "address": "module.dns.b", "id": "8", "action": "import"},
        {"event": "stage-done", "stage": "provider"},
        {"event": "machines", "nodes": ["10.0.0.1"], "public_ip": "10.0.0.2", "admin_user": "u"},
        {"event": "endpoint", "url": "https://a.localhost:8443", "connect_to": "127.0.0.1"},
        {"event": "revised", "argument": "x", "was": "1", "now": "2"},
        {"event": "up"},
        {"event": "teardown"},
        {"event": "failed", "problem": "no"},
        {"event": "destroyed"},
        {"event": "gone"},
    ]
    lines = [json.dumps({"at": 1.5e9 + at, **event}) for at, event in enumerate(events)]
    return ["\n".join(lines).encode() + b"\n", "\n".join(lines[:11]).encode() + b"\n"]


def _read_journal(content: bytes, folder: Path) -> None:
    from barehub import chronicle, endpoint, overview, status
    from barehub.project import STAGES, Instance

    instance = Instance("x", folder)
    instance.journal.path.write_bytes(content)
    instance.sealed_state.touch()
    for look in (
        lambda: overview.show([instance], as_json=False),
        lambda: chronicle.show(instance, whole=True, as_json=False),
        lambda: chronicle.show(instance, whole=False, as_json=True),
        lambda: instance.journal.named(),
        lambda: instance.journal.of_stage(),
        lambda: instance.journal.is_up(),
        lambda: status._last(instance, busy=False),
        lambda: status._stages(instance, [f"module.{stage}.a" for stage in STAGES]),
        lambda: endpoint.target_of(instance),
        lambda: instance.journal.add("up"),
    ):
        with _expected():
            look()


KINDS = (
    Kind("recipe", 3, _recipes, _read_recipe, (b'module "dns" {', b"var.", b"<<-EOT", b"for_each")),
    Kind("policy", 15, _policies, _read_policy,
         (b"age:", b"path_regex:", b"creation_rules:", AGE.encode(), b"key_groups:", b"ssh-rsa ")),
    Kind("secrets", 15, _secrets, _read_secrets,
         (b"sops:", ENC.encode(), b"ssh:", b"_unencrypted")),
    Kind("git-crypt", 12, _git_crypt, _read_git_crypt, (b"\0GITCRYPT\0", b"\0GITCRYPTKEY")),
    Kind("openrc", 15, lambda: [OPENRC, *OPENRC.splitlines(True)], _read_openrc,
         (b"export ", b"$(", b"${A:-", b"<<-'X'\n", b"$'", b"if ", b"fi\n", b"done\n", b"esac\n")),
    Kind("journal", 15, _journals, _read_journal,
         (b'{"event": "resource-done"}', b'{"event": 1}', b'"address"', b'"at"')),
    Kind("certificate", 10, fuzz_endpoints.certificates, fuzz_endpoints.read_certificate,
         make=fuzz_inputs.der),
    Kind("http", 12, lambda: fuzz_endpoints.ANSWERS, fuzz_endpoints.read_answer,
         (b"\r\n\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"<title>",
          b"Location: ", b'{"checks": [', b"Date: ", b"max-age=")),
    Kind("dns", 3, fuzz_endpoints.dns_answers, fuzz_endpoints.read_dns,
         (b"\xc0\x0c", b"\xc0\x00", b"\x3f")),
)  # fmt: skip
