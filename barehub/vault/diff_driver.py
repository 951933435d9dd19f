"""What git shows of an encrypted file in a diff: its keys, and that a value is another one.

A value stands there as a fingerprint, keyed by our identity: nobody else can try short values until
one fits, and the same value has the same fingerprint in every version, whatever its ciphertext is.
Of a file that is not for us, the ciphertext is hashed instead, which all can see anyway.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from barehub import reading
from barehub.errors import BarehubError, VaultError
from barehub.vault import anatomy, sections, services, strictness
from barehub.vault.identity.age_key import Identity
from barehub.vault.policy import Policy
from barehub.vault.sops import Sops, kind_of

MASK = "********"
DIGITS = 12
"""Of a fingerprint, in hex: enough to tell versions apart, too few to find a value by."""


def text(sops: Sops, file: Path) -> str:
    """What stands for the encrypted ``file`` in a diff: one line a key, no value.

    :param sops: one that asks nobody for a passphrase: git calls this for every version.
    """
    content = reading.content(file, VaultError)
    verdict = strictness.judge(content)
    try:
        shown = list(_values(sops, file, content, list(verdict.blocks)))
    except BarehubError:
        shown = list(_ciphertexts(content))
    shown += _comments(content)
    shown += _readers(sops.root, verdict.blocks)
    shown += [f"PROBLEM: {flaw.text}" for flaw in verdict.flaws]
    return "\n".join(shown)


def _values(sops: Sops, file: Path, content: bytes, readers: list[str]) -> Iterator[str]:
    kind = kind_of(file)
    if services.among([one.recipient for one in sops.identities(readers)]):
        raise VaultError("no key service is asked for a diff")
    plain = sops.decrypt(content, file, kind, "binary" if kind == "binary" else "json")
    ours = next(one for one in sops.identities(readers) if one.recipient in readers)
    key = _secret_of(ours)
    if kind == "binary":
        yield _line("content", hmac.digest(key, plain, "sha256"))
        return
    for name, value in sections.leaves(json.loads(plain)):
        said = json.dumps([name, value]).encode()
        yield _line(name, hmac.digest(key, said, "sha256"))


def _secret_of(ours: Identity) -> bytes:
    """A key that only the owner of the identity can make, and that does not give it away."""
    key = ours.key.encode()
    if ours.ssh:  # as text it is another one each time that it is unlocked
        from cryptography.hazmat.primitives import serialization as form

        load = form.load_pem_private_key
        if b"OPENSSH" in key.partition(b"\n")[0]:
            load = form.load_ssh_private_key
        private, der = load(key, None), form.PrivateFormat.PKCS8
        key = private.private_bytes(form.Encoding.DER, der, form.NoEncryption())
    return hmac.digest(key, b"barehub: fingerprints in git diff", "sha256")


def _ciphertexts(content: bytes) -> Iterator[str]:
    try:
        leaves = anatomy.read(content).leaves
    except anatomy.Malformed:
        return
    for leaf in leaves:
        sealed = strictness.is_encrypted(leaf.value or "")
        yield _line(leaf.name, _hash(leaf.value or "")) if sealed else f"{leaf.name}: {MASK}"


def _comments(content: bytes) -> Iterator[str]:
    try:
        said = "".join(text for _, text in anatomy.read(content).comments)
    except anatomy.Malformed:
        return
    if "#ENC[" in said:
        yield _line("comments", _hash(said))


def _readers(root: Path, blocks: Mapping[str, str]) -> Iterator[str]:
    try:
        names = Policy.read(root).names
    except VaultError:
        names = {}
    for key in blocks:
        shown = Identity(key, "", "").shown
        yield f"reader: {names[key]} ({shown})" if key in names else f"reader: {shown}"
    if blocks:
        yield f"data key: {_hash(''.join(blocks.values())).hex()[:DIGITS]}"


def _line(name: str, mark: bytes) -> str:
    shown = name if name.isprintable() else json.dumps(name)
    return f"{shown}: {MASK}  {mark.hex()[:DIGITS]}"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
