"""The key services that can decrypt beside age readers: which a policy may name, which a file does.

sops asks every service that it finds in a file's metadata, wherever that is. What it finds is more
than stands there in plain words: it takes a field of JSON in any case (encoding/json of Go), two
blocks of metadata as one, and what a merge key of YAML brings in. So a file is held to the form
that sops writes: all else in its metadata counts as a service that no policy can name, and what can
be read in two ways is not read.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from barehub.vault import anatomy
from barehub.vault.ciphertext import recipients

OWN = (
    "age",
    "lastmodified",
    "mac",
    "version",
    "shamir_threshold",
    "mac_only_encrypted",
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)
"""Fields of the metadata that lead nowhere but to age
(https://github.com/getsops/sops/blob/main/stores/stores.go)."""

FOREIGN = ("kms", "gcp_kms", "azure_kv", "hc_vault", "hckms", "pgp", "key_groups")
"""Fields that name services, and that some versions write although nothing is in them."""

_B64 = r"([A-Za-z0-9+/]{16,2000}={0,2})"
_WORD = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.A)


@dataclass(frozen=True)
class Kind:
    """A kind of key service, as sops writes it (getsops.io/docs, "Encrypting using …")."""

    field: str
    """Its list in ``.sops.yaml``."""

    metadata: str
    """Its list in a file."""

    id: re.Pattern[str]
    """Its form in ``.sops.yaml``; the groups are the fields of an entry in a file."""

    spelled: str
    """The same of those fields."""

    block: re.Pattern[str]
    """The data key in an entry, with its base64."""

    variables: str
    """How the variables begin that tell its credentials and its address."""

    credentials: tuple[str, ...]
    """One of these is there when there are credentials."""

    see: str
    """A command that says who we are to it."""

    empty: tuple[str, ...] = ()
    """Fields of an entry that could lead elsewhere, and that sops writes with nothing in them."""


KINDS = (
    Kind(
        "kms",
        "kms",
        re.compile(r"(?P<arn>arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(?:key|alias)/[\w/-]+)", re.A),
        "{arn}",
        re.compile(_B64),
        "AWS_",
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        ),
        "aws sts get-caller-identity",
        ("aws_profile",),
    ),
    Kind(
        "hc_vault_transit_uri",
        "hc_vault",
        re.compile(
            rf"(?P<vault_address>https://[a-z0-9.-]+(?::\d+)?)/v1/"
            rf"(?P<engine_path>{_WORD}(?:/{_WORD})*)/keys/(?P<key_name>{_WORD})",
            re.A,
        ),
        "{vault_address}/v1/{engine_path}/keys/{key_name}",
        re.compile(rf"vault:v\d+:{_B64}", re.A),
        "VAULT_",
        ("VAULT_TOKEN",),
        "vault token lookup",
    ),
)
"""One line more is one service more; these two are tried in tests/integration."""


def kind_of(id: str) -> Kind | None:
    """The kind of service that ``id`` names; None if it is none."""
    return next((kind for kind in KINDS if kind.id.fullmatch(id)), None)


def among(readers: Collection[str]) -> list[str]:
    """Those of ``readers`` that are key services."""
    return [one for one in readers if kind_of(one)]


def named(content: bytes) -> list[str]:
    """The services that sops would ask for the data key of ``content``, as a policy names them.

    What is not in the form that sops writes has a name here that no policy can have.

    :raises anatomy.Malformed: sops could read the metadata otherwise than we do.
    """
    return list(_entries(content))


def readers(content: bytes) -> list[str]:
    """All who can read ``content``, as its metadata say: people, CI and services."""
    try:
        return recipients(content) + named(content)
    except anatomy.Malformed:
        return recipients(content)


def blocks(metadata: Any) -> Iterator[tuple[str, str]]:
    """Each service of a file's metadata, with the data key as that encrypted it."""
    if not isinstance(metadata, dict):
        return
    unused: tuple[Any, ...] = (None, [], "", "null", "~")
    for name, value in metadata.items():
        if name in OWN or (name in FOREIGN and value in unused):
            continue
        kind = next((kind for kind in KINDS if kind.metadata == name), None)
        for entry in value if kind and isinstance(value, list) else [None]:
            yield (_id(kind, entry) if kind else "") or f"sops.{name}", _block(entry)


def base64_of(kind: Kind, block: str) -> str:
    """The base64 of a data key that a service of ``kind`` encrypted; empty if it is none."""
    found = kind.block.fullmatch(block)
    return found[1] if found else ""


def without(content: bytes, gone: Collection[str]) -> bytes:
    """``content`` without the services ``gone``, whom sops then cannot ask.

    :raises anatomy.Malformed: it is not laid out as sops does it.
    """
    leaving = set(_entries(content)) & set(gone)
    if not leaving:
        return content
    text = content.decode()
    as_json = text.lstrip().startswith("{")
    made = (_without_json if as_json else _without_yaml)(text, leaving).encode()
    if set(_entries(made)) != set(_entries(content)) - leaving:
        raise anatomy.Malformed("its metadata are not laid out as sops does it")
    return made


@functools.lru_cache(maxsize=8)
def _entries(content: bytes) -> Mapping[str, str]:
    parts = anatomy.read(content)
    if parts.flaws:
        raise anatomy.Malformed(parts.flaws[0].text, parts.flaws[0].line)
    return dict(blocks(parts.metadata))


def _id(kind: Kind, entry: Any) -> str:
    """What a policy calls the service of ``entry``; empty if the entry says more than that."""
    if not isinstance(entry, dict) or not all(isinstance(one, str) for one in entry.values()):
        return ""
    about = {name: entry.get(name, "") for name in kind.id.groupindex}
    if set(entry) != {*about, "created_at", "enc", *kind.empty} or any(map(entry.get, kind.empty)):
        return ""
    id = kind.spelled.format(**about)
    found = kind.id.fullmatch(id)
    exact = found and found.groupdict() == about and _TIME.fullmatch(entry["created_at"])
    return id if exact and base64_of(kind, entry["enc"]) else ""


def _block(entry: Any) -> str:
    return str(entry.get("enc", "")) if isinstance(entry, dict) else ""


def _without_json(text: str, gone: Collection[str]) -> str:
    tree = json.loads(text)
    for kind in KINDS:
        entries = tree["sops"].pop(kind.metadata, None) or []
        if kept := [one for one in entries if _id(kind, one) not in gone]:
            tree["sops"][kind.metadata] = kept
    return json.dumps(tree, ensure_ascii=False, indent="\t") + "\n"


def _without_yaml(text: str, gone: Collection[str]) -> str:
    """By lines: the rest stays as it is."""
    import yaml

    root: Any = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    block = next(value for key, value in root.value if key.value == "sops")
    lines = text.splitlines(keepends=True)
    ends = [key.start_mark.line for key, _ in block.value[1:]] + [block.end_mark.line]
    for (key, value), end in zip(block.value, ends, strict=True):
        kind = next((kind for kind in KINDS if kind.metadata == key.value), None)
        if kind is None or value.id != "sequence":
            continue
        starts = [item.start_mark.line for item in value.value]
        places = zip(value.value, starts, [*starts[1:], end], strict=False)
        out = [place[1:] for place in places if _id(kind, anatomy.plain(place[0])) in gone]
        if len(out) == len(starts):
            out = [(key.start_mark.line, end)]
        for start, stop in out:
            lines[start:stop] = [""] * (stop - start)
    return "".join(lines)
