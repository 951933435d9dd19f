"""A fixed part of a fuzz run: no parser of foreign files hangs, or ends with an error not ours."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from barehub.errors import BarehubError
from barehub.migration import git_crypt, literals, plain_data, shell, splitting
from barehub.terraform import state
from barehub.vault import anatomy, scanning, services, strictness
from barehub.vault.identity import age_key
from barehub.vault.policy import Policy

ME = "age15f72wavj44jsfd6nzunllccn45e7dj28xe9vxlj364tqpj3yef3s0s6gww"
ENDED = (BarehubError, shell.NotShell, plain_data.Unfit, anatomy.Malformed)

OPENRC = b"""\
export OS_AUTH_URL=https://x:5000/v3
if [ -z "$OS_REGION_NAME" ]; then unset OS_REGION_NAME; fi
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT "A=x" B=${A:-x} C='q' D=$(echo b)
cat <<END
x
END
"""
POLICY = f"""\
creation_rules:
  - path_regex: ^secrets/[a-z-]+\\.yaml$
    age:
      - {ME}  # root
    kms: arn:aws:kms:us-east-1:123456789012:key/abc
  - age: >-
      {ME}
""".encode()
SEALED = f"""\
variables:
    token: ENC[AES256_GCM,data:2zTRH/s=,iv:x8ff,tag:hUkn,type:str]
sops:
    age:
        - recipient: {ME}
          enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==
            -----END AGE ENCRYPTED FILE-----
    mac: ENC[AES256_GCM,data:2zTRH/s=,iv:x8ff,tag:hUkn,type:str]
    version: 3.11.0
""".encode()
RECIPE = b"""\
locals { secret = "hunter2-Xy9$a8Q2zz" }
module "provider" {
  source = "git::https://u:tok@github.com/x/y.git" # c
  text = <<-END
    a ${local.secret} %{ if true }x%{ endif }
  END
  nb = { for k, v in var.x : k => v if v != "" }
}
module "dns" { n = [-0x1f, "\\u00e9\\"q", { a = 1 }] /* c */ }
module "binderhub" { f = jsonencode({ a = [1, 2, 3] }) }
"""
STATE = (
    b'{"version": 4, "serial": 3, "outputs": {"a": {"value": 1}}, "resources": [{"mode": "managed",'
    b' "type": "t", "name": "n", "instances": [{"index_key": 0, "attributes": {"id": "x"}}]}]}'
)
KEYS = f"# public key: {ME}\nAGE-SECRET-KEY-1XX\nAGE-PLUGIN-YUBIKEY-1QQQQ\n".encode()
GIT_CRYPT = b"\0GITCRYPTKEY\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0\0\3\0\0\0\x20" + b"k" * 32

PIECES = [
    *(bytes([number]) for number in (*range(128), 0xFF)),
    *(b"\xc2\xa0", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9"),
    *(b"${", b"$(", b"$[", b"$'", b"\\\n", b"<<E", b"<<: ", b"&a ", b"*a", b"!!set ", b"? "),
    *(b"---\n", b"%{", b"/*", b"*/", b"1e999", b"9" * 400, b"\\uD800", b"\\UFFFFFFFF", b"null"),
    *(b"sops:\n", b"SOPS:", b"-----BEGIN", b"AGE-SECRET-KEY-1", b"case ", b"fi\n", b":~", b"+="),
]


def sealed(content: bytes) -> None:
    strictness.judge(content)
    services.readers(content)
    list(scanning.flaws("a.yaml", content))
    anatomy.read(content)


def recipe(content: bytes) -> None:
    text = content.decode(errors="replace")
    for argument in literals.parse(text, "x").arguments:
        for leaf in argument.leaves():
            assert leaf.written is not None
    splitting.split(text, "x")


def policy(content: bytes) -> None:
    rules = Policy.parse(content.decode(errors="replace"))
    rules.check_keys()
    rules.readers("secrets/shared.yaml")


READERS: dict[str, tuple[Callable[[bytes], object], bytes, int]] = {
    "openrc": (lambda content: shell.read(content.decode(errors="replace")), OPENRC, 1500),
    "dotenv": (
        lambda content: shell.read(content.decode(errors="replace"), dotenv=True),
        OPENRC,
        1500,
    ),
    "policy": (policy, POLICY, 300),
    "sealed": (sealed, SEALED, 300),
    "yaml": (lambda content: plain_data.from_yaml(content.decode(errors="replace")), SEALED, 500),
    "json": (lambda content: plain_data.from_json(content.decode(errors="replace")), STATE, 500),
    "recipe": (recipe, RECIPE, 60),
    "state": (state.made, STATE, 500),
    "keys": (lambda content: age_key.parse(content, "keys.txt", ask=False), KEYS, 500),
    "git-crypt": (lambda content: git_crypt.key_of(content, "key"), GIT_CRYPT, 500),
}


def mutated(content: bytes, chance: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at, kind = chance.randrange(len(made) + 1), chance.randrange(4)
        if kind <= 1:
            made[at:at] = chance.choice(PIECES) * chance.choice([1, 1, 1, 3, 600])
        elif kind == 2:
            del made[at : at + chance.randrange(1, 40)]
        else:
            made[at:at] = made[at : at + 60] * chance.choice([1, 30])
    return bytes(made)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", READERS)
def test_every_mutation_is_read_or_refused(name: str) -> None:
    read, content, times = READERS[name]
    for number in range(times):
        given = mutated(content, random.Random(f"{name} {number}"))
        try:
            read(given)
        except ENDED:
            continue
        except Exception as error:
            raise AssertionError(f"{name}, mutation {number}: {given[:300]!r}") from error
