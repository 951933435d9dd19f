"""What of Terraform's resources may stand in a file that goes to git: the journal.

An id names a thing in a cloud, or is a secret: that of ``random_id`` is what it generates, that of
``local_sensitive_file`` the unsalted SHA-1 of the content, that of ``vsphere_license`` the key. So
ids are written in clear for types that are known to name a thing, and left out for all others.
Recovery then makes again what leaves nothing in a cloud, and asks a person for the rest.

A key of ``for_each`` is part of an address, and may be a secret that ``nonsensitive()`` let out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.errors import RecipeError

IN_A_CLOUD = re.compile(
    r"(openstack|cloudflare|aws|google|azurerm|digitalocean|hcloud|linode|vultr|scaleway|ovh"
    r"|exoscale|oci|libvirt|proxmox|kubernetes)_\w{1,100}"
    r"|helm_release|terraform_data|null_resource"
)
"""Types whose ids their clouds give, or people choose; of the last two Terraform, at random."""

ABOUT_SECRETS = re.compile(
    r"(?!kubernetes_secret(_v\d+)?$)\w{0,128}(?<!ssh)_(api_?key|key(?!_pair)|token|password|passphrase"
    r"|secret|credentials?|ciphertext|licen[cs]e|sas|tempurl|random)(?![a-z])\w{0,128}"
)
"""Types of the same that make a secret: ids of some are it (``aws_appsync_api_key``), of others a
hash or a part of it (``openstack_objectstorage_tempurl_v1``). ``kubernetes_secret`` has the id
``NAMESPACE/NAME``; a key pair and a key of ssh have names or numbers."""

GENERATED = re.compile(r"random_(id|string|password|bytes|uuid\w*)|tls_\w+|local_\w*file")
"""Types that make, or hold, secrets, and that leave nothing in a cloud."""

SECRET_ATTRIBUTES = frozenset(
    {"id", "result", "hex", "base64", "b64_std", "b64_url", "dec", "bcrypt_hash"}
    | {"content", "content_base64", "sensitive_content"}
    | {"private_key_pem", "private_key_openssh", "private_key_pem_pkcs8"}
)
"""Their attributes that are secret, whether Terraform marks them or not; the others are what a
recipe gives them, or public."""

SECRET_IDS = ("aws_appsync_api_key", "openstack_objectstorage_tempurl_v1")
"""Types of clouds whose id is known to be the secret, or a hash of it."""

HARMLESS = re.compile(r"(archive|template|time|tls)_\w+|local_file|random_(integer|shuffle)")
"""Types beside those of clouds whose id tells nothing that has to be made anew: a time, the hash of
a public key (hashicorp/tls hashes that alone), the hash of what is not called sensitive."""

HIDDEN = "***"

_KEY = r'\[(?:\d++|"(?:[^"\\]|\\.)*+")\]'
_MODULE = re.compile(rf"module\.[\w-]++(?:{_KEY})?+\.")
_RESOURCE = re.compile(rf"(?:data\.)?+([\w-]++)\.[\w-]++(?:{_KEY})?+")
_TEXT_KEY = re.compile(r'(?<=\[)"(?:[^"\\]|\\.)*+"(?=\])')


def type_of(address: str) -> str:
    """Return the type of the resource at ``address``; empty when that is not an address.

    Matched from the left, so that the time is linear in the length of what others have written.
    """
    at = 0
    while module := _MODULE.match(address, at):
        at = module.end()
    resource = _RESOURCE.fullmatch(address, at)
    return resource[1] if resource else ""


def id_is_public(address: str) -> bool:
    """Return whether the id of the resource at ``address`` names it, and is no secret."""
    type = type_of(address)
    return bool(IN_A_CLOUD.fullmatch(type)) and not ABOUT_SECRETS.fullmatch(type)


def tells_secret(address: str, id: str) -> bool:
    """Return whether ``id``, which stands somewhere in clear, may be a secret to be made anew."""
    type = type_of(address)
    if not type or id in ("", "none"):  # as hashicorp/random has it for random_password
        return False
    cloud = IN_A_CLOUD.fullmatch(type) and type not in SECRET_IDS
    return not (cloud or HARMLESS.fullmatch(type))


def without_keys(address: str) -> str:
    """Return ``address`` with ``[...]`` for each key that is a text: a name that may be told."""
    return _TEXT_KEY.sub("...", address)


def hidden_keys(address: str, redact: Callable[[str], str], folder: Path) -> str:
    """Return ``address`` with ``"***"`` for each key in which ``redact`` finds a secret.

    What the recipe in ``folder`` says in clear, and the instance's name, are no secrets, although
    the vault may have the same word.
    """

    def hidden(found: re.Match[str]) -> str:
        key = _plain(found[0])
        return found[0] if redact(key) == key or _said(key, folder) else f'"{HIDDEN}"'

    return _TEXT_KEY.sub(hidden, address)


def _plain(key: str) -> str:
    try:
        return str(json.loads(key)).replace("$${", "${").replace("%%{", "%{")
    except ValueError:
        return key[1:-1]


def _said(key: str, folder: Path) -> bool:
    if key in folder.name:
        return True
    for path in reading.below(folder, "*.tf"):
        with suppress(RecipeError, FileNotFoundError):  # what cannot be read says nothing
            if key in reading.lenient(path, RecipeError):
                return True
    return False


def texts(value: Any, marks: Any = True) -> Iterator[str]:
    """Yield every text in ``value`` that is marked.

    :param marks: ``True`` for all of it, or as ``sensitive_values`` of ``terraform show -json``
        has it (https://developer.hashicorp.com/terraform/internals/json-format): of the same shape,
        with ``true`` for what is sensitive.
    """
    if isinstance(value, dict):
        if value.keys() == {"value", "type"}:  # how a state holds a value of any type
            value = {"value": value["value"]}
        for key, one in value.items():
            yield from texts(one, marks if marks is True else _at(marks, key))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from texts(one, marks if marks is True else _at(marks, place))
    elif isinstance(value, str) and marks is True:
        yield value


def _at(marks: Any, key: Any) -> Any:
    try:
        return marks[key]
    except (KeyError, IndexError, TypeError):
        return False


def generated(type: str, attributes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the secrets that a resource of ``type`` made, or holds, whether marked or not."""
    if GENERATED.fullmatch(type):
        for name in SECRET_ATTRIBUTES & attributes.keys():
            yield from texts(attributes[name])
