"""``.sops.yaml``: who may read the vault (https://getsops.io/docs/#using-sops-yaml-conf).

sops reads it itself when it encrypts. It is read here as well because sops takes a mistyped field
for none at all, and then the rule holds for every file. The name of a reader is the comment beside
the key, which sops and people read over:

    age:
      - age1…  # alice

Beside people a rule may name key services (see ``services``), which are readers as well: their key
is what sops calls them.
"""

from __future__ import annotations

import functools
import getpass
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub import age_keys, reading
from barehub.errors import UsageError, VaultError
from barehub.vault import files, path_pattern, reader_lists, services
from barehub.vault.git import shown

NAME = ".sops.yaml"

TEMPLATE = """\
# Who can read the vault: whoever has the private key of one of these. Change them with
# invoke vault.add-recipient and vault.remove-recipient, or here, and then: invoke vault.sync
creation_rules:
  - path_regex: ^(secrets/.+|instances/[^/]+/terraform\\.tfstate(\\.\\w+)?\\.sops)$
"""

TOP = ("creation_rules", "destination_rules", "stores", "keys")
"""What may stand at the top: sops' own, and the list that YAML anchors are usually put into."""

NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

LARGEST = 256 * 1024
"""Characters; a thousand readers have room in them."""

CONFLICT = re.compile(r"^(<<<<<<< |=======$|>>>>>>> )", re.M)

FIELDS = ("age", *(kind.field for kind in services.KINDS))
"""The lists of readers in a rule: people, CI with a key, and key services."""


@dataclass(frozen=True)
class Rule:
    """One creation rule: which files it is for, and who may read those."""

    pattern: re.Pattern[str]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """What ``.sops.yaml`` says: ``names`` has the name of each reader's key, where one stands."""

    text: str
    rules: tuple[Rule, ...]
    names: Mapping[str, str]

    @classmethod
    def read(cls, root: Path) -> Policy:
        """:raises VaultError: there is no policy, or it is malformed."""
        try:
            return cls.parse(_text(root))
        except FileNotFoundError:
            raise VaultError(
                f"there is no vault: {NAME} does not exist", "invoke vault.init"
            ) from None

    @classmethod
    @functools.lru_cache(maxsize=8)
    def parse(cls, text: str) -> Policy:
        """:raises VaultError: it is not what sops and barehub can both read."""
        rules: list[Rule] = []
        names: dict[str, str] = {}
        for number, node in enumerate(_rule_nodes(text), 1):
            rule = _rule(_plain(node), f"{NAME} rule {number}")
            rules.append(rule)
            names.update(_names(text, node, rule.readers))
        return cls(text, tuple(rules), names)

    def readers(self, file: str) -> tuple[str, ...]:
        """Who may read ``file`` (relative to the root): the recipients of the first rule that fits.

        :raises VaultError: no rule fits.
        """
        if len(file) > path_pattern.LONGEST:
            raise VaultError(
                f"{shown(file)} is too long a path for a rule", f"{NAME}   # see there"
            )
        for rule in self.rules:
            if rule.pattern.search(file):
                return rule.readers
        raise VaultError(f"{NAME} has no rule for {shown(file)}", f"{NAME}   # add one")

    def check_keys(self) -> None:
        """Check each reader's key: sops says no more than that it failed.

        :raises VaultError: a key cannot be encrypted for; names the line and the reason.
        """
        for key in self.everyone():
            if reason := refusal(key):
                lines = enumerate(self.text.split("\n"), 1)
                # YAML can spell it otherwise, by escapes or over two lines
                line = next((f" line {n}" for n, text in lines if key in text), "")
                raise VaultError(
                    f"{NAME}{line}: {key[:24]!r} is no whole age or SSH key: {reason}",
                    f"git diff {NAME}",
                    f"invoke vault.remove-recipient {shlex.quote(self.names.get(key, key))}",
                )

    def everyone(self) -> tuple[str, ...]:
        """The readers of any file."""
        return tuple(dict.fromkeys(key for rule in self.rules for key in rule.readers))

    def called(self, key: str) -> str:
        """The name of a reader, else the beginning of its key."""
        if name := self.names.get(key):
            return name
        kind, _, ssh = key.partition(" ")
        if ssh:  # all SSH keys of a kind begin alike
            return f"{kind} …{ssh[-12:]}"
        return key if len(key) < 24 else f"{key[:20]}…"

    def with_reader(self, name: str, key: str) -> str:
        """The text with ``key``, called ``name``, in every rule.

        :raises UsageError: that name or that key is there already, or it cannot be a name.
        :raises VaultError: the list stands in a form that only a person can edit.
        """
        if not NAMED.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a name: use letters, digits, and . _ @ -")
        for known, called in self.names.items():
            if called == name and known != key:
                raise UsageError(f"{NAME} has another key of {name} already: {known}")
        if all(key in rule.readers for rule in self.rules):
            raise UsageError(f"{NAME} lists that key already, as {self.called(key)}")
        return self._edited(lambda lines: [*(x for x in lines if x[0] != key), (key, name)])

    def without_reader(self, key: str) -> str:
        """The text without ``key``.

        :raises VaultError: nobody would be left, or only a person can edit the list.
        """
        if any(set(_lists(rule.readers)["age"]) == {key} for rule in self.rules):
            raise VaultError(
                f"{self.called(key)} is the only reader: nobody could read the vault any more",
                "invoke vault.add-recipient NAME KEY",
            )
        return self._edited(lambda lines: [x for x in lines if x[0] != key])

    def _edited(self, change: Callable[[list[tuple[str, str]]], list[tuple[str, str]]]) -> str:
        text = self.text
        wanted = []
        try:
            for node, rule in reversed(list(zip(_rule_nodes(text), self.rules, strict=True))):
                before = [(key, self.names.get(key, "")) for key in rule.readers]
                after = dict(change(before))
                lists = _lists(after)
                wanted.append(sorted(after))
                for field, keys in _lists(rule.readers).items():
                    if keys != lists[field]:  # of one list: it is about one key
                        named = [(key, after[key]) for key in lists[field]]
                        text = reader_lists.edited(text, node, field, named)
        except reader_lists.NotEditable:
            raise _by_hand() from None
        made = Policy.parse(text)
        if [sorted(rule.readers) for rule in reversed(made.rules)] != wanted:
            raise _by_hand()
        return text


def refusal(reader: str) -> str:
    """Say why nothing can be encrypted for ``reader``, a key without a comment; empty if it can."""
    return "" if services.kind_of(reader) else age_keys.refusal(reader)


def new(readers: Mapping[str, str]) -> str:
    """The text of a new policy: all that is sealed can be read by ``readers`` (key to name)."""
    lists = {
        field: [(key, readers[key]) for key in keys] for field, keys in _lists(readers).items()
    }
    return TEMPLATE + "".join(reader_lists.block("    ", *one) for one in lists.items() if one[1])


def own_name() -> str:
    """What a reader who makes a vault is called: ``ci`` in CI, else the name of the account."""
    if os.environ.get("CI") == "true":
        return "ci"
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # an account without a name, in a container
        name = ""
    return name if NAMED.fullmatch(name) else "me"


def write(root: Path, text: str) -> None:
    """Put ``text`` in the place of the old policy.

    :raises VaultError: it cannot be written.
    """
    files.replace(root / NAME, text.encode(), NAME)


def readers(root: Path, target: Path) -> tuple[str, ...]:
    """The recipients of ``target``, a path under ``root``.

    :raises VaultError: there is no policy, it is malformed, or no rule fits.
    """
    return Policy.read(root).readers(target.relative_to(root).as_posix())


def key_services(root: Path) -> list[str]:
    """Those that the policy of ``root`` names; none if it cannot be read."""
    try:
        text = _text(root)
        if not any(field in text for field in FIELDS[1:]):
            return []  # of most: a YAML parser takes long to load
        return services.among(Policy.parse(text).everyone())
    except (OSError, ValueError, VaultError):
        return []


def _text(root: Path) -> str:
    return reading.text(root / NAME, VaultError, shown=NAME, most=LARGEST, links=False)


def _rule_nodes(text: str) -> list[Any]:
    import yaml

    if age_keys.like_secret(text) or "PRIVATE KEY-----" in text:
        raise VaultError(
            f"{NAME} holds a PRIVATE key: consider it leaked",
            f"{NAME}   # put its public key (age1…) there, and make a new identity",
        )
    if conflict := CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        raise VaultError(f"{NAME} line {line}: conflict marker of git", f"edit {NAME}")
    if len(text) > LARGEST:
        raise VaultError(f"{NAME} is too large", f"git log --stat -- {NAME}")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line_of = f" line {mark.line + 1}" if mark else ""
        raise VaultError(f"{NAME}{line_of} is not YAML") from None
    except RecursionError:
        raise VaultError(f"{NAME} is nested too deeply", f"git log -p -- {NAME}") from None
    _see_no_shared_lists(root)
    fields = root if isinstance(root, yaml.MappingNode) else yaml.MappingNode("", [])
    rules = reader_lists.value(fields, "creation_rules")
    if not isinstance(rules, yaml.SequenceNode):
        raise VaultError(f"{NAME} has no list of creation_rules")
    for key, _ in fields.value:
        if key.value not in TOP:
            fix = f"{NAME}   # the fields are {', '.join(TOP)}"
            raise VaultError(f"{NAME}: unknown field {key.value!r}", fix)
    nodes: list[Any] = rules.value
    return nodes


def _see_no_shared_lists(root: Any) -> None:
    """An alias to a list or a mapping can stand for more than memory holds, or for itself."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or node.id == "scalar":
            continue
        if id(node) in seen:
            line = node.start_mark.line + 1
            raise VaultError(
                f"{NAME} line {line}: an alias stands for a whole list or mapping",
                f"{NAME}   # write it out, or give an alias to each key in it",
            )
        seen.add(id(node))
        for child in node.value:
            waiting += child if isinstance(child, tuple) else [child]


def _plain(node: Any) -> Any:
    """The value of a node; a field that is given twice counts as unknown.

    :raises VaultError: a key is a list or a mapping; names the line.
    """
    if node.id == "mapping":
        if odd := next((key for key, _ in node.value if key.id != "scalar"), None):
            line = odd.start_mark.line + 1
            raise VaultError(f"{NAME} line {line}: a key is not a text", f"git diff {NAME}")
        names = [key.value for key, _ in node.value]
        made = {key.value: _plain(value) for key, value in node.value}
        return made | {f"{name} (twice)": "" for name in names if names.count(name) > 1}
    return [_plain(item) for item in node.value] if node.id == "sequence" else node.value


def _rule(rule: Any, where: str) -> Rule:
    if not isinstance(rule, dict):
        raise VaultError(f"{where} is not a mapping")
    for name in rule:
        if str(name).endswith(("_regex", "_suffix")) and name != "path_regex":
            raise VaultError(f"{where}: {name} leaves a part in clear; remove it")
        if name not in ("path_regex", *FIELDS):
            fix = f"{NAME}   # only path_regex, {', '.join(FIELDS)} are read"
            raise VaultError(f"{where}: unknown field {name!r}", fix)
    try:
        pattern = path_pattern.compiled(rule.get("path_regex", ""))
    except ValueError:
        raise VaultError(
            f"{where}: path_regex is not a regular expression, or not a plain one: "
            "barehub reads simpler patterns only",
            f"{NAME}   # use letters, . [classes] with * + ? {{2}}, (these|or those)? ^ and $",
        ) from None
    lists = {field: _listed(rule.get(field) or "") for field in FIELDS}
    recipients = tuple(name for names in lists.values() for name in names)
    if not lists["age"]:
        raise VaultError(f"{where} names no age recipient")
    if len(set(recipients)) < len(recipients):
        raise VaultError(f"{where} names a recipient twice")
    for recipient in lists.pop("age"):
        kind = age_keys.kind_of(recipient)
        if kind is None or not (kind.stanza or kind.identity):
            known = ", ".join(kind.recipient.strip() for kind in age_keys.TAKEN)
            raise VaultError(
                f"{where}: {recipient.split()[0][:24]!r} is no kind of recipient that sops knows",
                f"a recipient begins with {known}",
            )
    for field, names in lists.items():
        for name in names:
            if _field(name) != field:
                raise VaultError(f"{where}: {name[:90]!r} is no {field} that barehub knows")
    return Rule(pattern, recipients)


def _listed(given: Any) -> list[str]:
    listed = given if isinstance(given, list) else str(given).split(",")
    return [name for name in map(reader_lists.bare, listed) if name]


def _field(reader: str) -> str:
    """The list of a rule that ``reader`` belongs in."""
    kind = services.kind_of(reader)
    return kind.field if kind else "age"


def _lists(readers: Iterable[str]) -> dict[str, list[str]]:
    """``readers`` by the list that they belong in; people first."""
    made: dict[str, list[str]] = {field: [] for field in FIELDS}
    for reader in readers:
        made[_field(reader)].append(reader)
    return made


def _names(text: str, rule: Any, readers: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    for field, keys in _lists(readers).items():
        value = reader_lists.value(rule, field)
        if value is None or value.id != "sequence" or value.flow_style:
            continue
        for item in value.value:
            key = reader_lists.bare(item.value)
            line = lines[item.end_mark.line] if item.end_mark.line < len(lines) else ""
            behind = line[item.end_mark.column :].strip()
            if key in keys and behind.startswith("#") and (name := behind.strip("# ")):
                yield key, name


def _by_hand() -> VaultError:
    return VaultError(
        f"the list of readers in {NAME} has a form that barehub does not edit",
        f"edit {NAME} by hand, then: invoke vault.sync",
    )
