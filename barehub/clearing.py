"""What `leftovers` does: looks in the clouds for what is left of instances, and removes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from barehub import clouds, reconcile, turn
from barehub.cloud import cloudflare, openstack, search
from barehub.cloud.attended import attended
from barehub.cloud.search import CLOUDFLARE, OPENSTACK, Found
from barehub.cloud.things import Thing, Traces, beside, resource_id
from barehub.console import console
from barehub.errors import LeftoverError, UsageError
from barehub.leftovers import Leftover
from barehub.preparation import hide
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.terraform import state
from barehub.vault.store import Secrets, Vault


@dataclass(frozen=True)
class Search:
    """One instance that is looked for: by what, where, and with which secrets."""

    instance: Instance
    traces: Traces
    asked: list[str]
    secrets: Secrets
    kept: frozenset[tuple[str, str]]
    """Kind and id of what its state still has, or what was released: nothing to remove."""

    released: list[Leftover]
    """What was taken out of the state on purpose, and is still there."""

    interruptions: Interruptions

    def find(self, known: Iterable[Thing] = ()) -> Found:
        """What is left of it in the clouds, and of ``known``, which was seen to be its own."""
        env = clouds.environment(self.secrets)
        ids = self.traces.ids | {(thing.kind, thing.id) for thing in known}
        traces = replace(self.traces, ids=ids)
        found = attended(
            "clouds", self.interruptions, lambda now: search.find(env, traces, self.asked, now)
        )
        found.own = beside(found.own, self.kept)
        return found


def clear(
    project: Project,
    vault: Vault,
    name: str,
    interruptions: Interruptions,
    *,
    delete: bool,
    agreed: bool,
    as_json: bool,
    no_wait: bool = False,
) -> None:
    """Tell what is left of ``name``, or of each instance without a state; remove it if asked to.

    :param agreed: nothing is asked before something is removed
    :raises UsageError: it is not said what to remove, or nobody is there to agree
    :raises LeftoverError: something is left, or a cloud could not be looked at
    """
    if delete and not name:
        raise UsageError("--delete needs --name", "invoke leftovers   # says what there is")
    named = [project.instance(name)] if name else [i for i in project.instances() if not i.living]
    found: dict[str, Found] = {}
    released: dict[str, list[Leftover]] = {}
    for instance in named:
        with _held(instance, interruptions, no_wait):
            searched = _search(project, vault, instance, interruptions)
            if not (searched.asked or searched.released or name):
                continue
            released[instance.name] = searched.released
            found[instance.name] = searched.find()
            if delete:
                found[instance.name] = _remove(searched, found[instance.name], agreed)
            _close(searched, found[instance.name])
    _tell(found, released, as_json)
    left = [name for name, seen in found.items() if clouds.leftovers(seen, name)]
    kept = [one for each in released.values() for one in each]
    if left or kept:
        deleting = {n: " --delete" if found[n].own else "" for n in left}
        raise LeftoverError(
            "; ".join([*filter(None, [_problem(found)]), *(one.what for one in kept)]),
            *(f"invoke leftovers --name {n}{how}" for n, how in deleting.items()),
            *(one.remove for one in kept),
        )
    console.step("leftovers", f"nothing of {', '.join(found)}" if found else "nothing to look for")


@contextmanager
def _held(instance: Instance, interruptions: Interruptions, no_wait: bool) -> Iterator[None]:
    """The instance's lock, where it has a folder: what a run is making is no leftover."""
    if not instance.folder.exists():
        yield
        return
    lock = turn.take(instance, "leftovers", interruptions, no_wait=no_wait)
    try:
        yield
    finally:
        lock.release(remove=True)


def _search(
    project: Project, vault: Vault, instance: Instance, interruptions: Interruptions
) -> Search:
    secrets = vault.read(instance.name)
    wanted = clouds.plan_of(instance, secrets)
    hide(secrets, instance.name, next(iter(wanted.domains), ""))
    asked = clouds.used(instance, wanted)
    if not asked and not instance.recipe.exists():  # nothing is known but a name
        env = clouds.environment(secrets)
        there = {
            OPENSTACK: openstack.has_credentials(env),
            CLOUDFLARE: cloudflare.has_credentials(env),
        }
        asked = [cloud for cloud, known in there.items() if known]
        if not asked:
            raise UsageError(
                "the vault has no credentials of a cloud",
                "invoke vault.set environment.OS_AUTH_URL",
            )
    traces = clouds.traces(project, instance, wanted)
    made = _made(vault, instance)
    objects = [state.Object(address, id) for address, id in made.items()]
    released = reconcile.released(instance.journal, objects)
    kept = frozenset(found for pair in [*made.items(), *released] if (found := resource_id(*pair)))
    told = reconcile.still_there(instance.name, released)
    return Search(instance, traces, asked, secrets, kept, told, interruptions)


def _made(vault: Vault, instance: Instance) -> dict[str, str]:
    """Address to id of what the instance has by its state, or where that is in a backend by its
    journal."""
    if instance.sealed_state.exists():
        return state.made(vault.unseal(instance.sealed_state))
    return instance.journal.ledger().made if instance.backend else {}


def _remove(searched: Search, found: Found, agreed: bool) -> Found:
    """Remove what was found, after a person has agreed; what is left then."""
    name = searched.instance.name
    if searched.instance.living:
        raise UsageError(
            f"{name} is living: only a teardown removes what it has",
            f"invoke teardown --name {name}",
        )
    if not found.own:
        return found
    for thing in found.own:
        console.say(f"  {thing}")
    if not agreed:
        console.confirm(
            f"these {len(found.own)} things are removed for good; type {name} to go on:",
            name,
            f"invoke leftovers --name {name} --delete --yes",
        )
    env = clouds.environment(searched.secrets)
    attended(
        "remove",
        searched.interruptions,
        lambda now: search.remove(env, found.own, _told, now),
    )
    return searched.find(found.own)  # what hung on something else is known by its id alone now


def _told(thing: Thing, problem: str) -> None:
    if problem:
        console.failed("kept", f"{thing}: {problem}")
    else:
        console.step("removed", str(thing))


def _close(searched: Search, found: Found) -> None:
    """Write into the journal of an instance that was that nothing of it is left."""
    instance = searched.instance
    if not instance.journal.life() or instance.living or instance.journal.ledger().begun:
        return  # what a killed run was making may bear no name
    if searched.asked and not clouds.leftovers(found, instance.name):
        instance.journal.add("gone")


def _tell(found: dict[str, Found], released: dict[str, list[Leftover]], as_json: bool) -> None:
    if as_json:
        rows = [_document(name, seen, released[name]) for name, seen in found.items()]
        console.out(json.dumps(rows, indent=2))
        return
    table = [
        (name, thing.kind, thing.name or "-", thing.address or "-", thing.command)
        for name, seen in found.items()
        for thing in seen.own
    ]
    if table:
        console.table(("INSTANCE", "KIND", "NAME", "ADDRESS", "REMOVED BY"), table)
    for seen in found.values():
        for thing, other in seen.doubtful.items():
            console.warn(f"not touched: {thing}, by its name of an instance {other!r}")
        for other in sorted(seen.others):
            console.say(f"left alone: all of {other}, whose master is there")
        for what in seen.unseen:
            console.warn(f"could not be looked at: {what}")


def _document(name: str, seen: Found, released: list[Leftover]) -> dict[str, Any]:
    return {
        "instance": name,
        "left": [thing.document() for thing in seen.own],
        "doubtful": [{**t.document(), "of": other} for t, other in seen.doubtful.items()],
        "released": [{"what": one.what, "remove": one.remove} for one in released],
        "left_alone": sorted(seen.others),
        "unseen": seen.unseen,
    }


def _problem(found: dict[str, Found]) -> str:
    count = sum(len(seen.own) + len(seen.doubtful) for seen in found.values())
    unseen = [what for seen in found.values() for what in seen.unseen]
    told = [f"{count} things are left" if count != 1 else "1 thing is left"] if count else []
    told += [f"could not be looked at: {what}" for what in dict.fromkeys(unseen)]
    return "; ".join(told)
