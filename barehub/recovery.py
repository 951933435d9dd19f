"""After a crash: what was under way, and how each thing that it left is taken up again.

The journal knows of every resource whose making began, with its id once it was made; the state,
sealed again and again, is at most a second behind. What the two do not agree on is settled here,
before anything is planned:

- destroyed, and the state still has that very one: taken out of it
- half made, and the state knows it: replaced, because its provisioners may have done half of it
- made, and the state does not know it, but the journal has its id: imported
- begun or made, without an id, of a type that exists in the state alone: made again
- begun, without an id, in a cloud: looked up there. What is found and cannot be mistaken is
  imported and replaced, as nobody knows how far it came; all else a person imports or forgets
- failed, and the state does not know it: looked up as well, because a cloud may have done what it
  was asked for without being heard; not found, it is made again
- planned by a stage in which all in memory was lost, and not heard of: likewise, because the last
  that Terraform said was lost with it
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from barehub import clouds, edits, reconcile
from barehub import run as runs
from barehub.cloud.begun import Begun, certain, import_id, sighted
from barehub.cloud.things import Thing
from barehub.console import console
from barehub.errors import BarehubError, LeftoverError, TerraformError, UsageError
from barehub.ledger import Ledger
from barehub.plan.address import parse
from barehub.preparation import SEEING, open_state, terraform_of
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.reconcile import kind_of
from barehub.run import Run, Terms

STATE_ONLY = re.compile(r"(terraform_data|null_resource|(random|time|tls|local|template)_\w+)")
"""Types that leave nothing in a cloud."""

LOOK_UP = {
    "openstack_compute_instance_v2": "openstack server list",
    "openstack_compute_keypair_v2": "openstack keypair list",
    "openstack_blockstorage_volume_v3": "openstack volume list",
    "openstack_networking_floatingip_v2": "openstack floating ip list",
    "openstack_networking_network_v2": "openstack network list",
    "openstack_networking_subnet_v2": "openstack subnet list",
    "openstack_networking_router_v2": "openstack router list",
    "openstack_networking_port_v2": "openstack port list",
    "openstack_networking_secgroup_v2": "openstack security group list",
}
"""Where a person finds what may be there; of Cloudflare's, its dashboard."""

BEGINNINGS = ("spawn", "upgrade", "scale", "teardown")
ENDS = ("up", "stopped", "failed", "destroyed", "cut-off")
"""The events with which a run ends that is not killed."""


@dataclass(frozen=True)
class Account:
    """What a crash left between the journal and the state, by address."""

    half_made: list[str]
    unknown: dict[str, str]
    """The state does not know of them; with their ids."""

    begun: list[str]
    """The state does not know of them, and nobody their ids."""

    gone: list[str]
    """They were destroyed, and the state does not know that."""

    failed: list[str] = field(default_factory=list)
    """Their creation in a cloud failed, or was not heard of, and the state does not know them."""

    unheard: list[str] = field(default_factory=list)
    """A stage was about to make them when its run was cut off: those that are in the state alone,
    and not in this one."""

    there: dict[str, Thing] = field(default_factory=dict)
    """They were begun, or failed, and :func:`look_up` found them."""

    may_be: Mapping[str, Sequence[Thing]] = field(default_factory=dict)
    """What it found that those may be that were begun; empty before it has looked."""

    @property
    def in_a_cloud(self) -> list[str]:
        """What may be in a cloud, and was not found there without a doubt."""
        begun = [address for address in self.begun if not _in_state_only(address)]
        doubtful = [address for address in self.failed if self.may_be.get(address)]
        both = dict.fromkeys([*begun, *doubtful])
        return [address for address in both if address not in self.there]

    @property
    def empty(self) -> bool:
        return not (self.half_made or self.unknown or self.begun or self.gone)


def account(run: Run) -> Account:
    """Hold the journal against the state."""
    ledger = reconcile.ledger_of(run)
    made, begun, ids = ledger.made, ledger.begun, run.state.ids()
    ids |= {run.instance.journal.written(a): id for a, id in ids.items()}  # without secret keys
    gone = [a for a, id in ids.items() if _is_gone(ledger, a, id, ids.values())]
    known = ids.keys() - set(gone)
    aside = {(kind_of(o.address), o.id) for o in run.state.objects() if o.aside}
    known |= {a for a, id in made.items() if id and (kind_of(a), id) in aside}
    unknown = {a: id for a, id in made.items() if a not in known and id}
    lost = [a for a in dict.fromkeys([*made, *begun]) if a not in known and a not in unknown]
    unheard = [a for a in ledger.intended if a not in known]
    failed = [a for a in [*ledger.failed, *unheard] if a not in known and not _in_state_only(a)]
    replaced = [a for a in begun if a in known and _is_old(run, ledger, a)]
    lost += replaced
    # Terraform reports a failed provisioner before it marks the state, and may be killed in between
    marked = {run.instance.journal.written(a) for a in run.state.tainted()}
    stopped = [a for a in ledger.failed if a not in marked and not _is_old(run, ledger, a)]
    half_made = [a for a in [*begun, *stopped] if a in known and a not in replaced]
    return Account(half_made, unknown, lost, gone, failed, [*filter(_in_state_only, unheard)])


def _is_old(run: Run, ledger: Ledger, address: str) -> bool:
    """Whether the state has at ``address`` what a begun creation was to replace, and that is in a
    cloud: the new one was to be made first, and may be there beside it."""
    if address not in ledger.made or _in_state_only(address):
        return False
    id, objects = ledger.made[address], run.state.objects()
    if any(one.address == address and one.aside for one in objects):
        return False
    return any(one.address == address and id in ("", one.id) for one in objects)


def _is_gone(ledger: Ledger, address: str, id: str, ids: Collection[str]) -> bool:
    """Whether the state, whose ``ids`` are given, is older than the journal at ``address``: what it
    has there was destroyed, or something else was made there since.

    An id that no event tells is none of an older state: a newer provider may word ids otherwise.
    """
    if address in ledger.destroyed:
        return ledger.destroyed[address] == id
    newest = ledger.made.get(address, "")
    return bool(newest) and newest != id and id in ledger.seen and newest not in ids


def look_up(run: Run, found: Account) -> Account:
    """Look in the clouds for what was begun there; without them nothing is found.

    What is not found may be there all the same: its cloud may still be at work on it.
    """
    addresses = [*found.in_a_cloud, *found.failed]
    if not addresses:
        return found
    names = _planned_names(run)
    begun = [Begun(address, _type(address), names.get(address, "")) for address in addresses]
    seen = clouds.look(run)
    for what in seen.unseen:
        console.warn(f"could not be looked at: {what}")
    known = {one.id for one in run.state.objects()}
    known |= {*run.instance.journal.ledger().made.values()}
    things = [thing for thing in (*seen.own, *seen.adrift) if thing.id not in known]
    may_be = sighted(begun, things)
    if seen.unseen:
        return replace(found, may_be={address: one for address, one in may_be.items() if one})
    looked_for = [one for one in begun if one.kind]
    free = [one for one in looked_for if one.address not in run.state.ids()]
    return replace(
        found,
        there=certain(free, may_be),
        may_be={one.address: may_be[one.address] for one in looked_for},
    )


def _planned_names(run: Run) -> dict[str, str]:
    """By address the name, or the description, of what a plan would make."""
    terraform = terraform_of(run)
    try:
        forecast = terraform.forecast()
        document = terraform.explain(forecast[0]) if forecast else {}
    except TerraformError:  # the run will meet it again, and say so
        return {}
    after = {c["address"]: c["change"]["after"] or {} for c in document.get("resource_changes", [])}
    named = ((address, of.get("name") or of.get("description")) for address, of in after.items())
    return {address: name for address, name in named if isinstance(name, str)}


def tell_cut_off(instance: Instance) -> None:
    """Say what was under way when the last run ended without a word, and write that down."""
    last = instance.journal.last(*BEGINNINGS, *ENDS)
    if last is None or last["event"] not in BEGINNINGS:
        return
    since = [event for event in instance.journal.life() if event["at"] >= last["at"]]
    stages = [e for e in since if e["event"] in ("stage", "stage-done")]
    stage = stages[-1]["stage"] if stages else None
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
    but = " but the recipe" if edits.unfinished(instance) else ""
    where = f" before anything{but} was changed"
    if stages:
        where = f" {'in' if stages[-1]['event'] == 'stage' else 'after'} stage {stage}"
    begun = instance.journal.ledger().begun
    doing = f", while it was making {', '.join(begun)}" if begun else ""
    console.warn(f"the {last['event']} of {at} was cut off{where}{doing}")
    instance.journal.add("cut-off", command=last["event"], stage=stage)


def tell(found: Account) -> None:
    """Say what a crash left, and what becomes of each."""
    for address in found.begun:
        if _in_state_only(address):
            console.say(f"  {address} was begun, and leaves nothing behind: it is made again")
    for address in found.unheard:
        console.say(f"  {address} was about to be begun: it is made, perhaps again")
    for address in found.gone:
        console.say(f"  {address} was destroyed, and the state did not know that yet")
    for address in found.half_made:
        console.warn(f"{address} was never finished, because a run was killed: to be made again")
    for address, id in found.unknown.items():
        console.warn(f"{address} ({id}) was made, and the state does not know it: to be imported")
    for address, thing in found.there.items():
        console.warn(f"{address} was begun, and is there: {thing} ({thing.id}): to be made again")


def tell_of_traces(found: Account) -> None:
    """Name, in a teardown, what Terraform cannot destroy because nobody has anything of it."""
    for address in [*filter(_in_state_only, found.begun), *found.unheard]:
        console.warn(
            f"{address} was begun, or about to be, when a run was cut off: what a provisioner of "
            "it may have made is still there, unless another resource removes it"
        )


def recover(run: Run) -> None:
    """Settle what a crash left; what is not safe to be done unasked is asked for.

    :raises UsageError: nobody could be asked, or said no.
    :raises LeftoverError: something may be in a cloud that only a person can find.
    """
    reconcile.catch_up(run)
    reconcile.warn_of_doubles(run.instance.name, run.state.objects())
    found = look_up(run, account(run))
    tell(found)
    if found.in_a_cloud:
        raise unfound(run, found)
    if (found.half_made or found.unknown or found.there) and not run.terms.recover:
        name = run.instance.name
        console.confirm(f"type {name} to go on so:", name, f"invoke spawn --name {name} --recover")
    settle(run, found)


def settle(run: Run, found: Account) -> None:
    """Import what the state does not know, and have the next plan replace what is half made.

    What is found in a cloud stays begun in the journal, so that it is half made until it is made.

    :raises TerraformError: something could not be imported.
    """
    drop(run, found.gone)
    ids = {address: import_id(thing) for address, thing in found.there.items()}
    for address, id in (found.unknown | ids).items():
        try:
            terraform_of(run).adopt(address, id)
        except TerraformError as error:
            name = run.instance.name
            raise TerraformError(
                f"{address} ({id}) was made and cannot be imported: {error.problem}",
                f"if it is gone: invoke forget --name {name} --address '{address}'",
            ) from None
        run.instance.journal.add("recovered", address=address, how="import")
        console.step("recover", f"imported {address}")
    run.state.taint([*found.half_made, *found.there])


def drop(run: Run, addresses: Sequence[str]) -> None:
    """Take what an older state still has out of it; what was not destroyed is named from now on."""
    ids, ledger = run.state.ids(), run.instance.journal.ledger()
    for address in addresses:
        if ids[address] not in {*ledger.destroyed_ids, ledger.destroyed.get(address)}:
            run.instance.journal.resource("done", address, "forget", ids[address])
    run.state.drop(addresses)


def unfound(run: Run, found: Account) -> BarehubError:
    """The error for what may be in a cloud; its hints are the ways on, as far as anybody looked."""
    name, hints = run.instance.name, []
    lost = run.instance.journal.ledger().made and not run.state.lineage
    recovering = " --recover" if lost else ""
    for address in found.in_a_cloud:
        take_in = f"invoke terraform --name {name}{recovering} -- import '{address}'"
        forget = f"invoke forget --name {name} --address '{address}'"
        if address in run.state.resources():  # the new one of a replacement; the old one stands
            known = found.may_be.get(address, ())
            hints += [
                f"{one.command}   if {one} is the one that was to replace it" for one in known
            ]
            hints.append(f"{forget}   once no new one is there beside the old one")
        elif seen := found.may_be.get(address):
            hints += [f"{take_in} {import_id(one)}   if it is the {one}" for one in seen]
            hints.append(f"{forget}   if it is none of them")
        elif address in found.may_be:
            hints.append(f"{forget}   nothing there that is {name}'s can be it")
        else:
            kind = _type(address)
            cloud = kind.split("_")[0]
            look = LOOK_UP.get(kind, f"look for a {cloud} resource of this name in the cloud")
            hints.append(f"{look}   shows whether it is there")
            hints.append(f"if it is: {take_in} ID")
            hints.append(f"if not, or once you have removed it: {forget}")
    return LeftoverError(
        f"creation of {', '.join(found.in_a_cloud)} was interrupted; it may exist in the cloud",
        *hints,
    )


def _type(address: str) -> str:
    parsed = parse(address)
    return parsed.type if parsed else ""


def _in_state_only(address: str) -> bool:
    return bool(STATE_ONLY.fullmatch(_type(address)))


def forget(
    project: Project, name: str, address: str, interruptions: Interruptions, *, no_wait: bool
) -> None:
    """Take a resource out of the journal that was begun, or made, and is not there.

    :raises UsageError: the journal does not miss it, or the state knows it.
    """
    instance = project.existing(name)
    terms = Terms(recover=True, no_wait=no_wait)  # also where the state is lost
    with runs.opened(project, instance, "forget", interruptions, terms) as run:
        for step in SEEING if instance.backend else (open_state,):
            step(run)
        found = account(run)
        missed = [*found.begun, *found.unknown, *found.failed]
        released = [at for at, _ in reconcile.released(instance.journal, run.state.objects())]
        if address in released and address not in missed:
            instance.journal.resource("forgotten", address, "forget", "")
        elif address in missed:
            instance.journal.add("resource-forgotten", address=address)
        else:
            where = "the state has it" if address in run.state.resources() else "nothing misses it"
            told = (
                f"what is missed: {', '.join([*missed, *released])}"
                if missed or released
                else f"invoke history --name {name}"
            )
            raise UsageError(f"{address} cannot be forgotten: {where}", told)
    console.step("forget", address)
