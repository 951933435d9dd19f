"""Whether a file is strictly and wholly encrypted, found out without a key.

sops itself is satisfied with less: `sops filestatus` calls a file encrypted that has a plaintext
value among the others. The form of a value is that of sops' aes package
(https://github.com/getsops/sops/blob/main/aes/cipher.go): 32 bytes of iv, 16 of tag; that of a
reader's block is age's (https://age-encryption.org/v1): one stanza, and a data key of 32 bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from barehub import age_keys
from barehub.vault import anatomy, services
from barehub.vault.anatomy import DAMAGED, Leaf
from barehub.vault.ciphertext import Flaw, obstacle
from barehub.vault.sections import SECTIONS

ENC = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/]+={0,2}),iv:([A-Za-z0-9+/]{43}=),"
    r"tag:([A-Za-z0-9+/]{22}==),type:(?:str|int|float|bool|bytes|time|comment)\]"
)

PLAIN_METADATA = {
    "lastmodified": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", re.A),
    "version": re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}", re.A),
    "unencrypted_suffix": re.compile("_unencrypted"),  # what sops writes when no rule says else
}
RECIPIENT = re.compile(rf"({'|'.join(kind.form for kind in age_keys.TAKEN)})(?: [\w.-]+@[\w.-]+)?")
"""An SSH key may have its usual comment behind it, the owner's account."""

_ARMOR = re.compile(
    r"\s*-----BEGIN AGE ENCRYPTED FILE-----([A-Za-z0-9+/=\s]+)-----END AGE ENCRYPTED FILE-----\s*"
)
_B64 = rb"[A-Za-z0-9+/]"
_STANZAS = b"|".join(
    re.escape(kind.stanza).encode()
    + b"".join(b" %b{%d}" % (_B64, length) for length in kind.arguments)
    for kind in age_keys.TAKEN
)
_AGE = re.compile(
    rb"age-encryption\.org/v1\n-> (%(s)b)\n"
    rb"(?:%(b)b{64}\n)*%(b)b{0,63}\n--- %(b)b{43}\n.{64}" % {b"b": _B64, b"s": _STANZAS},
    re.S,
)

TAG = 6
"""Characters of the hash of an SSH key in its stanza; all else in one is new each time."""

READABLE = 32
"""Bytes of ciphertext that are all ASCII by chance once in four thousand million times."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a file, and the ``block`` of each of its readers."""

    flaws: tuple[Flaw, ...]
    blocks: Mapping[str, str]


def flaws(content: bytes) -> Iterator[Flaw]:
    """All that keeps ``content`` from being strictly and wholly encrypted."""
    return iter(judge(content).flaws)


def judge(content: bytes) -> Verdict:
    """What ``content`` is, as far as it can be said without a key."""
    if found := obstacle(content):
        return Verdict((found,), {})
    try:
        parts = anatomy.read(content)
    except anatomy.Malformed as error:
        return Verdict((error.flaw,), {})
    found_flaws = list(parts.flaws)
    for leaf in parts.leaves:
        found_flaws += _leaf_flaws(leaf)
    for line, text in parts.comments:
        if text != "#" and not (text[0] == "#" and is_encrypted(text[1:])):
            found_flaws.append(Flaw(anatomy.COMMENT, line, anatomy.REMOVE_COMMENT))
    if not parts.flaws:  # else nobody has looked at the metadata
        found_flaws += _metadata_flaws(parts.metadata)
    return Verdict(tuple(found_flaws), _blocks(parts.metadata))


def is_encrypted(text: str) -> bool:
    """Whether ``text`` is a value as sops writes it, and not words in the form of one."""
    found = ENC.fullmatch(text)
    return bool(found) and all(map(_is_ciphertext, found.groups() if found else ()))


def _is_ciphertext(text: str) -> bool:
    if len(text) % 4:
        return False
    content = base64.b64decode(text)
    return base64.b64encode(content).decode() == text and not (
        len(content) >= READABLE and content.isascii()
    )


def _leaf_flaws(leaf: Leaf) -> Iterator[Flaw]:
    if not leaf.value:
        if leaf.value == "" or leaf.path[0] not in SECTIONS or len(leaf.path) > 1:
            yield Flaw(f"{leaf.name} is empty, which SOPS does not protect", leaf.line, "EDIT")
    elif not is_encrypted(leaf.value):
        fix = (
            "git checkout HEAD FILE   # then invoke vault.set; reissue it if it was ever committed"
        )
        yield Flaw(f"{leaf.name} is plaintext", leaf.line, fix)


def _metadata_flaws(metadata: Any) -> Iterator[Flaw]:
    if not isinstance(metadata, dict):
        yield Flaw("its SOPS metadata are malformed", fix=DAMAGED)
        return
    if not is_encrypted(str(metadata.get("mac", ""))):
        yield Flaw("its MAC is missing or malformed", fix=DAMAGED)
    for name, value in metadata.items():
        if name in ("mac", "age") or name in services.FOREIGN:
            continue
        if name == "mac_only_encrypted" or name.endswith(("_regex", "_suffix")):
            if name != "unencrypted_suffix" or value != "_unencrypted":
                fix = "FILE   # encrypt it whole: without partial-encryption rules"
                yield Flaw(f"sops.{name} leaves a part of it in clear", fix=fix)
        elif not (name in PLAIN_METADATA and PLAIN_METADATA[name].fullmatch(str(value))):
            yield Flaw(f"sops.{name} is not expected in the metadata", fix="FILE   # remove it")
    yield from _reader_flaws(metadata.get("age"))
    yield from _service_flaws(metadata)


def _reader_flaws(readers: Any) -> Iterator[Flaw]:
    if not isinstance(readers, list) or not readers:
        yield Flaw("it has no age recipient", fix="invoke vault.sync")
        return
    if refused := next(filter(None, map(_refusal, readers)), ""):
        yield Flaw(refused, fix="invoke vault.sync")
    elif not all(map(_is_reader, readers)):
        yield Flaw("an age recipient in its metadata is malformed", fix="invoke vault.sync")
    elif len(set(map(_key, readers))) < len(readers):
        yield Flaw("an age recipient is there twice", fix="invoke vault.rotate")


def _service_flaws(metadata: Any) -> Iterator[Flaw]:
    found = list(services.blocks(metadata))
    for id, block in found:
        kind = services.kind_of(id)
        if kind is None:
            yield Flaw(f"{id} is not expected in the metadata", fix="FILE   # remove it")
        elif not _is_ciphertext(services.base64_of(kind, block)):
            yield Flaw("the data key of a key service is malformed", fix="invoke vault.rotate")
    if len(dict(found)) < len(found):
        yield Flaw("a key service is there twice", fix="invoke vault.rotate")


def _is_reader(reader: Any) -> bool:
    return (
        isinstance(reader, dict)
        and set(reader) == {"recipient", "enc"}
        and bool(RECIPIENT.fullmatch(str(reader["recipient"])))
        and _stanza(str(reader["enc"])) == _expected(_key(reader))
    )


def _refusal(reader: Any) -> str:
    """Say which reader has a key of a kind that barehub refuses, and why; else empty."""
    recipient = reader.get("recipient") if isinstance(reader, dict) else None
    if not isinstance(recipient, str):
        return ""
    kind = age_keys.kind_of(recipient)
    return f"it has a reader that cannot be one: {kind.refusal}" if kind and kind.refusal else ""


def _expected(recipient: str) -> str:
    """How a stanza for ``recipient`` begins (https://github.com/C2SP/C2SP/blob/main/age.md)."""
    kind = age_keys.kind_of(recipient)
    _, _, key = recipient.partition(" ")
    if not key:
        return kind.stanza if kind else ""
    wire = base64.b64decode(key) if len(key) % 4 == 0 else b""
    tag = base64.b64encode(hashlib.sha256(wire).digest()[:4]).decode()
    return f"{kind.stanza} {tag.rstrip('=')}" if kind else ""


def _stanza(armored: str) -> str:
    """How the only stanza begins of a data key encrypted by age; empty if it is none."""
    found = _ARMOR.fullmatch(armored)
    text = "".join(found[1].split()) if found else ""
    if len(text) % 4 or not re.fullmatch("[A-Za-z0-9+/]+={0,2}", text):
        return ""
    content = base64.b64decode(text)
    header = _AGE.fullmatch(content)
    if header is None or base64.b64encode(content).decode() != text:
        return ""
    kind, *arguments = header[1].decode().split()
    return " ".join([kind, *(one for one in arguments if len(one) == TAG)])


def _blocks(metadata: Any) -> dict[str, str]:
    readers = metadata.get("age") if isinstance(metadata, dict) else None
    given = readers if isinstance(readers, list) else []
    people = {_key(reader): str(reader["enc"]) for reader in given if _is_reader(reader)}
    return people | {id: block for id, block in services.blocks(metadata) if services.kind_of(id)}


def _key(reader: Mapping[str, str]) -> str:
    found = RECIPIENT.fullmatch(reader["recipient"])
    return found[1] if found else ""
