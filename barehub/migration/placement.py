"""Which file of another repository becomes what in the vault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from barehub import suspicion
from barehub.errors import VaultError
from barehub.migration import plain_data, shell
from barehub.vault import sections
from barehub.vault.sections import SECTIONS, Tree
from barehub.vault.store import KEY

SSH_KEY = "ssh.private_key"

_DATA = {".yaml": plain_data.from_yaml, ".yml": plain_data.from_yaml, ".json": plain_data.from_json}
_STATE = re.compile(r"\.tfstate(\.|$)")
_DOTENV = re.compile(r"\.env(\..+)?|.+\.env")
_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
_PEM = re.compile(r"-----BEGIN ((RSA|EC|DSA|ENCRYPTED) )?PRIVATE KEY-----")
_VARIABLE = "TF_VAR_"


@dataclass(frozen=True)
class Left:
    """What was not imported of a file: ``name`` is its key path, ``settable`` by a person."""

    name: str
    line: int
    reason: str
    settable: bool = True


@dataclass(frozen=True)
class Place:
    """What becomes of the file ``path``.

    ``values`` go into the vault by key path. The file is ``kept`` as it is, encrypted, when it is
    of no kind that has a place there, or for a ``reason``. ``notes`` are for the person;
    ``comments`` are the lines of comments with what looks like a secret.
    """

    path: str
    content: bytes = field(repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kept: bool = False
    reason: str = ""
    left: Sequence[Left] = ()
    notes: Sequence[str] = ()
    comments: Sequence[int] = ()

    def whole(self, reason: str = "") -> Place:
        """The same, but kept as it is."""
        return replace(self, values={}, kept=True, reason=reason, left=())

    def commented(self, text: str, *, slashes: bool = False) -> Place:
        """The same, with what looks like a secret in the comments of ``text``."""
        if not (lines := suspicion.in_comments(text, slashes=slashes)):
            return self
        note = f"has what looks like a secret in comments (line {', '.join(map(str, lines))})"
        return replace(self, comments=lines, notes=(*self.notes, note))


def place(path: str, content: bytes, *, shared: bool, key_beside: bool = False) -> Place:
    """Where the file belongs, by its name and what is in it.

    :param shared: for all instances, not for one.
    :param key_beside: whether there is a ``.pub`` file of the same name.
    """
    name = PurePosixPath(path).name.lower()
    suffix = PurePosixPath(name).suffix
    given = Place(path, content)
    if not content:
        return replace(given, notes=("is empty: there is nothing to protect",))
    if _STATE.search(name):
        return replace(given.whole(), notes=("is a Terraform state: it is kept, not taken over",))
    text = _text(content)
    if text is None or len(content) > plain_data.LARGEST or name.endswith(".tf.json"):
        return given.whole()
    if suffix in _DATA:
        given = given if suffix == ".json" else given.commented(text)
        return _data(given, text, suffix, shared=shared)
    if _OPENSSH in text or (_PEM.match(text) and (key_beside or "ssh" in path or "id_" in name)):
        return _ssh_key(given, text)
    dotenv = bool(_DOTENV.fullmatch(name))
    if dotenv or suffix == ".sh" or shell.exports(text):
        return _script(given.commented(text), text, dotenv=dotenv, shared=shared)
    return given.whole()


def variables(given: Place, tree: Mapping[str, Any], *, shared: bool) -> Place:
    """Each key of ``tree`` as a variable; the file is kept when the vault cannot hold them."""
    try:
        return _with_tree(given, {"variables": dict(tree)}, shared=shared)
    except plain_data.Unfit as unfit:
        return given.whole(str(unfit))


def unset(places: Sequence[Place], *trees: Tree) -> list[Place]:
    """``places`` without what was left that has a value in one of ``trees``."""

    def there(name: str) -> bool:
        return any(_at(tree, name) not in (None, {}) for tree in trees)

    return [replace(one, left=[x for x in one.left if not there(x.name)]) for one in places]


def settled(places: Sequence[Place], there: Tree, *, replacing: bool) -> list[Place]:
    """``places`` so that no key path gets two values: the later file is kept as it is.

    :param there: what the vault holds. An SSH key does not replace another one in it without
        ``replacing``, and of two neither is chosen.
    """
    present = (there.get("ssh") or {}).get("private_key")
    keys = [one for one in places if SSH_KEY in one.values]
    alone = len({one.values[SSH_KEY] for one in keys}) == 1
    taken: dict[str, tuple[Any, str]] = {}
    result = []
    for one in places:
        reason = ""
        if one in keys and not alone:
            reason = "there are several SSH keys"
        elif one in keys and not replacing and present not in (None, one.values[SSH_KEY]):
            reason = "the vault has another ssh.private_key"
        elif clash := next(_clashes(one.values, taken), None):
            reason = f"{clash[1]} gives {clash[0]} another value"
        one = one.whole(reason) if reason else one
        taken.update({key: (value, one.path) for key, value in one.values.items()})
        result.append(one)
    return result


def conflicts(values: Mapping[str, Any], there: Tree) -> list[str]:
    """The key paths of ``values`` that have another value in ``there``."""
    at = {key: _at(there, key) for key in values}
    return [k for k, value in values.items() if at[k] not in (None, {}) and not same(at[k], value)]


def differ(values: Mapping[str, Any], there: Tree) -> bool:
    """Whether ``there`` lacks any of ``values``."""
    return any(not same(_at(there, key), value) for key, value in values.items())


def _at(tree: Any, key: str) -> Any:
    """What is at a key path: None if nothing, and no value of ours if another is in the way."""
    for part in key.split("."):
        if tree is None:
            return None
        if not isinstance(tree, dict):
            return {"": tree}
        tree = tree.get(part)
    return tree


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1, 1.0 and true are three values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _clashes(
    values: Mapping[str, Any], taken: Mapping[str, tuple[Any, str]]
) -> Iterator[tuple[str, str]]:
    """Key paths of ``values`` that others have with another value, and the others' files."""
    above = {}
    for key in taken:
        parts = key.split(".")
        above.update({".".join(parts[:n]): key for n in range(1, len(parts))})
    for key, value in values.items():
        if key in taken and not same(taken[key][0], value):
            yield key, taken[key][1]
        parts = key.split(".")
        prefixes = (".".join(parts[:n]) for n in range(1, len(parts)))
        other = next((p for p in prefixes if p in taken), above.get(key))
        if other:
            yield other, taken[other][1]


def _text(content: bytes) -> str | None:
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _data(given: Place, text: str, suffix: str, *, shared: bool) -> Place:
    try:
        tree = _DATA[suffix](text)
        ours = set(tree) <= set(SECTIONS) and all(isinstance(s, dict) for s in tree.values())
        ours &= not given.path.endswith(".tfvars.json")
        made = _with_tree(given, tree if ours else {"variables": tree}, shared=shared)
    except plain_data.Unfit as unfit:
        return given.whole(str(unfit))
    if suffix != ".json" and re.search(r"^[ \t]*#|\s#\s", text, re.M):
        return replace(made, notes=("has comments, which are not taken over", *made.notes))
    return made


def _with_tree(given: Place, tree: Tree, *, shared: bool) -> Place:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
        sections.check(tree, given.path, shared=shared)
    except UnicodeEncodeError:
        raise plain_data.Unfit("it has half a character in it") from None
    except VaultError as error:
        raise plain_data.Unfit(error.problem.removeprefix(f"{given.path}: ")) from None
    names = (name for section in tree.values() for name in section)
    if bad := next((name for name in names if not KEY.fullmatch(name)), None):
        raise plain_data.Unfit(f"{bad!r} cannot be the name of a variable")
    values = dict(_values(tree))
    if not values:
        raise plain_data.Unfit("there is nothing in it")
    return replace(given, values=values)


def _values(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Key path to value; a mapping with keys that are no part of a key path is one value."""
    named = isinstance(tree, dict) and all(KEY.fullmatch(key) for key in tree)
    if len(path) < 2 or (tree and named):
        for key, value in tree.items():
            yield from _values(value, (*path, key))
    else:
        yield ".".join(path), tree


def _ssh_key(given: Place, text: str) -> Place:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if not re.fullmatch(r"\s*-----BEGIN [A-Z ]+-----[^-]*-----END [A-Z ]+-----\s*", text):
        return given.whole("there is more in it than an SSH key")
    load = serialization.load_pem_private_key
    if _OPENSSH in text:
        load = serialization.load_ssh_private_key
    try:
        load(text.strip().encode() + b"\n", password=None)
    except TypeError:
        return given.whole("it is an SSH key with a passphrase")
    except (ValueError, UnsupportedAlgorithm) as error:
        locked = "password" in str(error).lower() or "encrypted" in str(error).lower()
        return given.whole(
            "it is an SSH key with a passphrase" if locked else "it is a damaged SSH key"
        )
    return replace(given, values={SSH_KEY: text})


def _script(given: Place, text: str, *, dotenv: bool, shared: bool) -> Place:
    try:
        script = shell.read(text, dotenv=dotenv)
    except shell.NotShell as error:
        return given.whole(f"it is no shell file: {error}")
    values: dict[str, str] = {}
    left = [Left(_key(one.name), one.line, one.reason) for one in script.left]
    for name, value in script.values.items():
        section, _, key = _key(name).partition(".")
        try:
            sections.check({section: {key: value}}, given.path, shared=shared)
            values[f"{section}.{key}"] = value
        except VaultError as error:
            reason = error.problem.removeprefix(f"{given.path}: {section}.{key} ")
            left.append(Left(f"{section}.{key}", script.lines[name], reason, settable=False))
    made = replace(given, values=values, left=left)
    if not (values or left):
        return given.whole()
    if script.more or not all(one.settable for one in left):
        return replace(made, kept=True, reason="there is more in it")
    return made


def _key(name: str) -> str:
    if name.startswith(_VARIABLE) and name != _VARIABLE:
        return f"variables.{name.removeprefix(_VARIABLE)}"
    return f"environment.{name}"
