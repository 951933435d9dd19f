"""Whom else but age sops would ask for a file's data key: the key services that its metadata name.

sops tries all that it finds, wherever they are. What it finds is more than stands there in plain
words: it takes a field of JSON in any case (encoding/json of Go), two blocks of metadata as one,
and what a merge key of YAML brings in. So a name that sops itself does not write counts as a
service, and what can be read in two ways is not read.
"""

from __future__ import annotations

from typing import Any

from barehub.vault import anatomy

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


def named(content: bytes) -> list[str]:
    """The fields of the metadata by which sops might ask somebody else than age.

    :raises anatomy.Malformed: sops could read the metadata otherwise than we do.
    """
    parts = anatomy.read(content)
    if parts.flaws:
        raise anatomy.Malformed(parts.flaws[0].text, parts.flaws[0].line)
    fields: Any = parts.metadata
    if not isinstance(fields, dict):
        return []
    empty: tuple[Any, ...] = (None, [], "", "null", "~")
    return [n for n in fields if n not in OWN and not (n in FOREIGN and fields[n] in empty)]
