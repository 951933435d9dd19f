"""What may stand nowhere in git: private keys, tokens, Terraform's states, plans and tfvars.

Each pattern asks for the key itself, not for the words around it, so that documentation and tests
may speak of keys.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator

from barehub import age_keys, tokens
from barehub.vault.ciphertext import Flaw

LARGEST = 32 * 1024 * 1024
"""Bytes above which a file is only judged by its name."""

SMALLEST = 64
"""Bytes below which there is no room for a key."""

GIT_CRYPT_KEY = b"\0GITCRYPTKEY"
"""How a key file of git-crypt begins."""

UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""How a text begins that PowerShell has written."""

STATE = "a Terraform state, which holds secrets in clear"
PLAN = "a Terraform plan, which holds secrets in clear"

_NAMES = (
    (re.compile(r"\.tfstate(\.(?!([^/]*\.)?sops\Z)[^/]*)?$"), STATE),
    (re.compile(r"\.tfvars(\.json)?$"), "Terraform variables, which belong into the vault"),
    (re.compile(r"(^|/)tfplan$|\.tfplan$"), PLAN),
)

_BETWEEN = rb"(?:[\s\"'#>|,]|\\{1,16}[nrt])"
"""Between the lines of a key, also where it stands in a string or in a comment."""

_PEM = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----%(b)b++"
    rb"(?:[A-Za-z-]++: [^\n\\]{0,200}+(?=\n|\\+[nr])%(b)b++){0,5}+[A-Za-z0-9+/]{40}"
    % {b"b": _BETWEEN}
)
_ENCODED = re.compile(
    rb"LS0tLS1CRUdJTi(?:(?!LS0tLS1CRUdJTi)(?:[A-Za-z0-9+/]|%(b)b))++" % {b"b": _BETWEEN}
)
"""A PEM in base64, as a kubeconfig has it, or wrapped as base64(1) does."""

_PLAN = re.compile(rb"PK\x01\x02.{24}\x06\0.{16}tfplan", re.S)
"""An entry of that name in a zip's directory (APPNOTE.TXT, 4.3.12), of whatever version it is."""

_PUTTY = re.compile(rb"PuTTY-User-Key-File-\d.{0,4000}Private-Lines: \d+\s+[A-Za-z0-9+/]{40}", re.S)
_AGE = re.compile(rf"(?i:{age_keys.SECRET})(?![A-Za-z0-9])".encode())


def flaws(name: str, content: bytes) -> Iterator[Flaw]:
    """All reasons why the file ``name`` may not be in git."""
    yield from _by_name(name)
    if content.startswith(UTF16):
        content = content.replace(b"\0", b"")
    yield from private_keys(content)
    yield from _tokens(content)
    if content.startswith(GIT_CRYPT_KEY):
        yield Flaw("a key of git-crypt", fix=_out("make new credentials of all that it opens"))
    if _is_state(content):
        yield Flaw(STATE, fix=_out())
    if _is_plan(content):
        yield Flaw(PLAN, fix=_out())


def _by_name(name: str) -> Iterator[Flaw]:
    for pattern, what in _NAMES:
        if pattern.search(name):
            yield Flaw(what, fix=_out())


def private_keys(content: bytes) -> Iterator[Flaw]:
    """Find every whole private key in ``content``."""
    lowered = content.lower()
    for marker, pattern, what, is_one in _KEYS:
        if marker not in lowered:  # cheap: most files end here
            continue
        for found in pattern.finditer(content):
            if is_one(found[0]):
                line = content.count(b"\n", 0, found.start()) + 1
                yield Flaw(what, line, _out("if it ever left this machine, make a new one"))


def recipients_in(content: bytes) -> list[str]:
    """Compute the recipients of the identities of age that stand in ``content``."""
    found = (age_keys.opened(one[0].decode().upper()) for one in _AGE.finditer(content))
    return [opened[0] for opened in found if opened]


def _is_identity(text: bytes) -> bool:
    return age_keys.is_secret(text.decode())


def _tokens(content: bytes) -> Iterator[Flaw]:
    text = content.decode("latin-1")
    for issuer, start in tokens.certain(text):
        line = text.count("\n", 0, start) + 1
        yield Flaw(f"a token ({issuer})", line, _out("if it ever left this machine, reissue it"))


def _holds_key(text: bytes) -> bool:
    whole = re.sub(_BETWEEN, b"", text)
    return bool(_PEM.search(base64.b64decode(whole[: len(whole) // 4 * 4])))


def _holds_identity(text: bytes) -> bool:
    run = re.findall(rb"[A-Za-z0-9+/]+", re.sub(_BETWEEN, b"", text))[0]
    run = run[: len(run) - (len(run) % 4 == 1)]
    decoded = base64.b64decode(run + b"=" * (-len(run) % 4))
    return any(_is_identity(found[0]) for found in _AGE.finditer(decoded))


def _in_base64(beginning: bytes) -> Iterator[tuple[bytes, re.Pattern[bytes]]]:
    """Give the text that stands for ``beginning`` in base64, with 0, 1 and 2 bytes before it in
    its group of three, and a pattern that begins with that group."""
    for before, unknown in enumerate((0, 2, 3)):
        known = base64.b64encode(bytes(before) + beginning)[
            unknown : (before + len(beginning)) * 8 // 6
        ]
        yield known, re.compile(rb"[A-Za-z0-9+/]{%d}%b(?s:.){0,250}" % (unknown, re.escape(known)))


_KEYS: tuple[tuple[bytes, re.Pattern[bytes], str, Callable[[bytes], bool]], ...] = (
    (b"private key", _PEM, "a private key", bool),
    (b"ls0tls1crudjti", _ENCODED, "a private key in base64", _holds_key),
    (b"putty-user-key-file-", _PUTTY, "a private key of PuTTY", bool),
    (b"age-", _AGE, "an age identity", _is_identity),
    *(
        (mark.lower(), pattern, "an age identity in base64", _holds_identity)
        for mark, pattern in _in_base64(b"AGE-SECRET-KEY-")
    ),
)


def _is_state(content: bytes) -> bool:
    if b'"lineage"' not in content or b'"terraform_version"' not in content:
        return False
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and {"lineage", "terraform_version"} <= tree.keys()


def _is_plan(content: bytes) -> bool:
    """A zip with an entry of that name (https://developer.hashicorp.com/terraform/internals)."""
    return b"tfplan" in content and bool(_PLAN.search(content))


def _out(then: str = "") -> str:
    return "git rm --cached FILE" + (f"   # and {then}" if then else "")
