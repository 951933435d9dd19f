"""Whether a file is strictly and wholly encrypted, found out without a key.

sops itself is satisfied with less: `sops filestatus` calls a file encrypted that has a plaintext
value among the others. The form of a value is that of sops' aes package
(https://github.com/getsops/sops/blob/main/aes/cipher.go): 32 bytes of iv, 16 of tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from barehub.vault.ciphertext import Flaw, obstacle
from barehub.vault.sections import SECTIONS

_B64 = "[A-Za-z0-9+/]"
ENC = re.compile(
    rf"ENC\[AES256_GCM,data:(?:{_B64}{{4}})*(?:{_B64}{{2}}==|{_B64}{{3}}=)?,iv:{_B64}{{43}}=,"
    rf"tag:{_B64}{{22}}==,type:(str|int|float|bool|bytes|time|comment)\]"
)

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'')
_COMMENT = re.compile(r"(?:^|\s)#(.*)$")

PLAIN_METADATA = {
    "lastmodified": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"),
    "version": re.compile(r"\d+\.\d+\.\d+"),
    "unencrypted_suffix": re.compile("_unencrypted"),  # what sops writes when no rule says else
}
KEYLESS_SERVICES = ("kms", "gcp_kms", "azure_kv", "hc_vault", "hckms", "pgp")


@dataclass(frozen=True)
class Leaf:
    """A value at the end of a key path."""

    path: tuple[str, ...]
    value: str | None
    line: int

    @property
    def name(self) -> str:
        return ".".join(self.path)


def flaws(content: bytes) -> Iterator[Flaw]:
    """All that keeps ``content`` from being strictly and wholly encrypted."""
    if found := obstacle(content):
        yield found
        return
    try:
        text = content.decode()
        is_json = text.lstrip().startswith("{")
        leaves, metadata = _read_json(text) if is_json else _read_yaml(text)
    except UnicodeDecodeError:
        yield Flaw("not text", fix="git log -p -- FILE")
        return
    except _Malformed as error:
        yield error.flaw
        return
    for leaf in leaves:
        yield from _leaf_flaws(leaf)
    if not is_json:
        yield from _comment_flaws(text)
    yield from _metadata_flaws(metadata)


def _leaf_flaws(leaf: Leaf) -> Iterator[Flaw]:
    if not leaf.value:
        if leaf.value == "" or leaf.path[0] not in SECTIONS or len(leaf.path) > 1:
            yield Flaw(f"{leaf.name} is empty, which SOPS does not protect", leaf.line, "edit it")
    elif not ENC.fullmatch(leaf.value):
        fix = "encrypt it, and reissue it if it was ever committed"
        yield Flaw(f"{leaf.name} is plaintext", leaf.line, fix)


def _comment_flaws(text: str) -> Iterator[Flaw]:
    for number, line in enumerate(text.splitlines(), 1):
        found = _COMMENT.search(_QUOTED.sub('""', line))
        if found and not ENC.fullmatch(found[1]):
            yield Flaw("a comment is plaintext", number, "remove it, and reissue what it names")


def _metadata_flaws(metadata: Any) -> Iterator[Flaw]:
    if not isinstance(metadata, dict):
        yield Flaw("its SOPS metadata are malformed", fix="git log -p -- FILE")
        return
    mac = str(metadata.get("mac", ""))
    if not ENC.fullmatch(mac):
        yield Flaw("its MAC is missing or malformed", fix="git log -p -- FILE")
    for name, value in metadata.items():
        if name in ("mac", "age") or (name in KEYLESS_SERVICES and not value):
            continue
        if name == "mac_only_encrypted" or name.endswith(("_regex", "_suffix")):
            if name != "unencrypted_suffix" or value != "_unencrypted":
                fix = "encrypt it whole: without partial-encryption rules"
                yield Flaw(f"sops.{name} leaves a part of it in clear", fix=fix)
        elif not (name in PLAIN_METADATA and PLAIN_METADATA[name].fullmatch(str(value))):
            yield Flaw(f"sops.{name} is not expected in the metadata", fix="remove it")
    yield from _reader_flaws(metadata.get("age"))


def _reader_flaws(readers: Any) -> Iterator[Flaw]:
    if not isinstance(readers, list) or not readers:
        yield Flaw("it has no age recipient", fix="sops updatekeys FILE")
        return
    for reader in readers:
        armored = isinstance(reader, dict) and re.fullmatch(
            r"\s*-----BEGIN AGE ENCRYPTED FILE-----[A-Za-z0-9+/=\s]+"
            r"-----END AGE ENCRYPTED FILE-----\s*",
            str(reader.get("enc", "")),
        )
        if not armored or set(reader) != {"recipient", "enc"}:
            yield Flaw("an age recipient in its metadata is malformed", fix="sops updatekeys FILE")


class _Malformed(Exception):
    def __init__(self, text: str, line: int = 0) -> None:
        self.flaw = Flaw(text, line, "git log -p -- FILE")


def _read_json(text: str) -> tuple[list[Leaf], Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) < len(items):
            raise _Malformed("a key is there twice")
        return dict(items)

    try:
        tree = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise _Malformed("not JSON", error.lineno) from None
    metadata = tree.pop("sops", None)
    return list(_json_leaves(tree, ())), metadata


def _json_leaves(tree: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _json_leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _json_leaves(value, (*path, str(index)))
    else:
        yield Leaf(path, None if tree is None else str(tree), 0)


def _read_yaml(text: str) -> tuple[list[Leaf], Any]:
    import yaml

    try:
        root = yaml.compose(text, Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _Malformed("not YAML", mark.line + 1 if mark else 0) from None
    if not isinstance(root, yaml.MappingNode):
        raise _Malformed("not a mapping")
    metadata = next((value for key, value in root.value if key.value == "sops"), None)
    body = [(key, value) for key, value in root.value if key.value != "sops"]
    if len(root.value) - len(body) > 1:
        raise _Malformed("it has two blocks of SOPS metadata")
    root.value = body
    plain = _construct(metadata) if metadata else None
    return list(_yaml_leaves(root, ())), plain


def _yaml_leaves(node: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
    if node.id == "mapping":
        seen = set()
        for key, value in node.value:
            if key.id != "scalar":
                raise _Malformed("a key is not a plain name", key.start_mark.line + 1)
            name = str(key.value)
            if name in seen:
                where = ".".join((*path, name))
                raise _Malformed(f"{where} is there twice", key.start_mark.line + 1)
            seen.add(name)
            yield from _yaml_leaves(value, (*path, name))
    elif node.id == "sequence":
        for index, value in enumerate(node.value):
            yield from _yaml_leaves(value, (*path, str(index)))
    else:
        null = node.tag == "tag:yaml.org,2002:null"
        yield Leaf(path, None if null else node.value, node.start_mark.line + 1)


def _construct(node: Any) -> Any:
    """The metadata as text, lists and mappings; a key given twice shows as an unexpected one."""
    if node.id == "mapping":
        made: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            made[f"{name} (twice)" if name in made else name] = _construct(value)
        return made
    if node.id == "sequence":
        return [_construct(item) for item in node.value]
    return "" if node.tag == "tag:yaml.org,2002:null" else node.value


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
