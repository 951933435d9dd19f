"""What `vault.import-git-crypt` does: reads, judges, and only then writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from barehub import suspicion
from barehub.console import console
from barehub.migration import placement
from barehub.migration.old_repository import OldRepository, Original
from barehub.migration.past import Exposed, Past
from barehub.migration.placement import Place
from barehub.migration.plan import Plan, Planning, Wish
from barehub.migration.shell import EMPTY, UNSET
from barehub.process import Interruptions
from barehub.project import Project
from barehub.vault import files
from barehub.vault.git import shown
from barehub.vault.history import Version
from barehub.vault.store import Vault

LABEL = "import"


def run(project: Project, vault: Vault, wish: Wish, interruptions: Interruptions) -> None:
    """Import, tell what became of each file, and print what must be reissued.

    :raises BarehubError: something cannot be imported; nothing was written then.
    """
    old = OldRepository(wish.repository, vault.scratch)
    keys = old.keys(wish.keys)
    with console.working(LABEL) as work:
        work.now(f"reading the last commit of {wish.repository}")
        originals = old.originals(keys)
        planning = Planning(project, vault, wish, interruptions)
        plan = planning.plan(originals)
        past = old.past(originals, keys, planning.names, work.now)
        changed = write(project, vault, wish, plan, work.now)
    opened = f"{len(originals)} file{'s' * (len(originals) != 1)}"
    console.step("git-crypt", f"{', '.join(key.origin for key in keys)} opened {opened}")
    report = Report(project, wish, plan, originals, past)
    report.tell(old.closed(originals))
    if not changed:
        console.step(LABEL, "all of it was there already: nothing was written")
    report.show()


def write(
    project: Project, vault: Vault, wish: Wish, plan: Plan, told: Callable[[str], None]
) -> bool:
    """Each file by one atomic write, so that after a kill the same import completes it; whether
    there was anything to write."""
    changed = not vault.exists
    if changed:
        identity = vault.init()
        console.step("vault", f"made secrets/shared.yaml; its key is in {identity.source}")
    if placement.differ(plan.values, vault.own(plan.file)):
        told(f"encrypting {len(plan.values)} values")
        vault.update(plan.file, plan.values)
        changed = True
    for number, (target, one) in enumerate(plan.sealed.items()):
        told(f"encrypting {len(plan.sealed)} files: {10 * number // len(plan.sealed)}0%")
        if not target.exists() or vault.unseal(target) != one.content:
            vault.seal(one.content, target)
            changed = True
    if plan.recipe and wish.instance and not wish.instance.recipe.exists():
        path = wish.instance.recipe
        files.replace(path, plan.recipe.text.encode(), project.relative(path))
        changed = True
    return changed


class Report:
    """What came of an import, for a person, and for a script."""

    def __init__(
        self,
        project: Project,
        wish: Wish,
        plan: Plan,
        originals: Sequence[Original],
        past: Past,
    ) -> None:
        self.project, self.wish, self.plan, self.past = project, wish, plan, past
        self.clear = [original.path for original in originals if original.clear]
        self.file = project.relative(plan.file)
        self.targets = {one.path: project.relative(t) for t, one in plan.sealed.items()}

    def show(self) -> None:
        """What must be reissued, on stdout."""
        console.say("what must be reissued, because git keeps it for all who ever had a key:")
        if self.wish.as_json:
            console.out(json.dumps(self.document(), indent=2))
        else:
            for line in self.checklist():
                console.out(line)

    def tell(self, closed: Sequence[str]) -> None:
        """What became of each file, on stderr."""
        for one in self.plan.places:
            if one.values or one.kept:
                console.step(LABEL, f"{shown(one.path)}: {self._becomes(one)}")
            for note in one.notes:
                console.warn(f"{shown(one.path)} {note}")
        for path in self.clear:
            console.warn(f"{shown(path)} was not encrypted, although .gitattributes say so")
        for path in closed:
            console.warn(f"{shown(path)} is not imported: its key was not given")
        self._tell_left()
        for path in self._clear_recipe():
            console.warn(f"{path} is NOT encrypted: read it before you commit it")
        if self.past.incomplete:
            where = self.wish.repository
            console.warn(f"{where} holds only a part of its history: the list may lack something")
            console.hint("git clone URL   # without --depth, and import from there once more")
        if self.past.unread:
            console.warn(f"{self.past.unread} old versions are under keys that were not given")

    def checklist(self) -> Iterator[str]:
        """What must be reissued, as Markdown."""
        yield f"# Reissue what git-crypt protected in {self.wish.repository}"
        yield ""
        yield "Whoever ever had a key can read all of its history, and git-crypt cannot take a key"
        yield "back. Each credential needs a new value, from whoever issued the old one."
        if self.past.users:
            yield f"Keys were given to the GPG users {', '.join(self.past.users)}, at least."
        read = [{"secret": path, "from": "NOT encrypted: read it"} for path in self._clear_recipe()]
        for title, items in (
            ("Before you commit", read),
            ("Credentials", self.imported(known=False)),
            ("Only in history", self._past(known=False)),
            ("Known to them, perhaps no credential", self._known()),
            ("In clear, for everyone who ever could read the repository", self._exposed()),
        ):
            if lines := [f"- [ ] {listed(item)}" for item in items]:
                yield from ("", f"## {title}", "", *lines)

    def document(self) -> dict[str, Any]:
        """The same for a script."""
        return {
            "vault": self.file,
            "imported": [
                {
                    "file": shown(one.path),
                    "keys": list(one.values),
                    "kept": self.targets.get(one.path),
                    "recipe": self._recipe(one) or None,
                    "reason": one.reason or None,
                    "notes": list(one.notes),
                    "left": [left.__dict__ for left in one.left],
                }
                for one in self.plan.places
            ],
            "not_encrypted": self._clear_recipe(),
            "reissue": list(self.imported(known=False)),
            "perhaps_no_credential": list(self._known()),
            "only_in_history": list(self._past(known=False)),
            "in_clear": list(self._exposed()),
            "gpg_users": list(self.past.users),
            "history_is_complete": not (self.past.incomplete or self.past.unread),
        }

    def _becomes(self, one: Place) -> str:
        parts = [self._recipe(one)] if self._recipe(one) else []
        if one.values:
            places = dict.fromkeys(key.split(".")[0] for key in one.values)
            number = f"{len(one.values)} value{'s' * (len(one.values) > 1)}"
            parts.append(f"{number} in {self.file} ({', '.join(places)})")
        if one.kept:
            reason = f", because {one.reason}" if one.reason else ""
            parts.append(f"kept whole in {self.targets[one.path]}{reason}")
        return "; ".join(parts)

    def _recipe(self, one: Place) -> str:
        if one.path != self.plan.recipe_path or not self.wish.instance:
            return ""
        return self.project.relative(self.wish.instance.recipe)

    def _tell_left(self) -> None:
        name = f" --name {self.wish.instance.name}" if self.wish.instance else ""
        hints = []
        for one in self.plan.places:
            empty = [left.name for left in one.left if left.reason in (EMPTY, UNSET)]
            if empty:
                console.warn(f"{shown(one.path)}: empty or unset, not imported: {', '.join(empty)}")
            for left in one.left:
                if left.name in empty:
                    continue
                console.warn(f"{shown(one.path)} line {left.line}: {left.name} {left.reason}")
                if left.settable:
                    hints.append(f"invoke vault.set {left.name}{name}")
        for hint in dict.fromkeys(hints):
            console.hint(hint)

    def _clear_recipe(self) -> list[str]:
        if not (self.plan.recipe and self.wish.instance):
            return []
        return [self.project.relative(self.wish.instance.recipe)]

    def imported(self, *, known: bool) -> Iterator[dict[str, str]]:
        """What the last commit holds: credentials, or what is ``known`` to be none."""
        for one in self.plan.places:
            for key, value in one.values.items():
                if _known_value(key.split(".")[-1], value) is known:
                    yield {"secret": f"{self.file}: {key}", "from": shown(one.path)}
            if one.kept and _public(one) is known:
                yield {"secret": self.targets[one.path], "from": shown(one.path)}
            for line in () if known else one.comments:
                yield {"secret": f"a comment in line {line}", "from": shown(one.path)}

    def _known(self) -> Iterator[dict[str, str]]:
        yield from self.imported(known=True)
        yield from self._past(known=True)

    def _past(self, *, known: bool) -> Iterator[dict[str, str]]:
        for version in () if known else self.past.deleted:
            yield {"secret": shown(version.path), "from": f"last in {_commit(version)}"}
        for (path, name), version in self.past.earlier.items():
            if name not in self.plan.values and _known_name(name) is known:
                yield {"secret": name, "from": f"{shown(path)}, last in {_commit(version)}"}

    def _exposed(self) -> Iterator[dict[str, str]]:
        for one in self.past.exposed:
            yield {"secret": shown(one.first.path), "from": _span(one)}


def _known_value(name: str, value: Any) -> bool:
    """Whether nothing in ``value`` is a credential, as far as that can be told."""
    if isinstance(value, dict):
        return all(_known_value(key, item) for key, item in value.items())
    if isinstance(value, list):
        return all(_known_value(name, item) for item in value)
    return suspicion.known(name, str(value).lower() if isinstance(value, bool) else str(value))


def _known_name(key: str) -> bool:
    """The same by the name alone: in an address there may have been a password."""
    name = key.split(".")[-1].lower()
    return suspicion.known(name, "") and not name.endswith(("url", "uri", "endpoint"))


def _public(one: Place) -> bool:
    """Whether a file that was kept whole is a public key."""
    return one.path.endswith(".pub") and suspicion.known("", one.content.decode(errors="replace"))


def _commit(version: Version) -> str:
    return f"{version.commit[:12]} of {version.date}"


def _span(one: Exposed) -> str:
    last = f", last in {_commit(one.last)}" if one.count > 1 else ""
    copied = f", as a copy of {shown(one.copy_of)}" if one.copy_of else ""
    return f"since {_commit(one.first)}{last}{copied}"


def listed(item: dict[str, str]) -> str:
    return f"{item['secret']} ({item['from']})"
