"""After a crash: what was under way, and how each thing that it left is taken up again.

The journal knows of every resource whose making began, with its id once it was made; the state,
sealed again and again, is at most a second behind. What the two do not agree on is settled here,
before anything is planned:

- destroyed, and the state still has that very one: taken out of it
- half made, and the state knows it: replaced, because its provisioners may have done half of it
- made, and the state does not know it, but the journal has its id: imported
- begun, without an id, of a type that exists in the state alone: made again
- begun, without an id, in a cloud: nobody knows; a person looks it up, imports it or forgets it
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from barehub import run as runs
from barehub.console import console
from barehub.errors import BarehubError, LeftoverError, TerraformError, UsageError
from barehub.plan.address import parse
from barehub.preparation import SEEING, open_state, terraform_of
from barehub.process import Interruptions
from barehub.project import Instance, Project
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

    @property
    def in_a_cloud(self) -> list[str]:
        return [address for address in self.begun if not _in_state_only(address)]

    @property
    def empty(self) -> bool:
        return not (self.half_made or self.unknown or self.begun or self.gone)


def account(run: Run) -> Account:
    """Hold the journal against the state."""
    ledger = run.instance.journal.ledger()
    made, begun, ids = ledger.made, ledger.begun, run.state.ids()
    gone = [a for a, id in ledger.destroyed.items() if a in ids and ids[a] == id]
    known = ids.keys() - set(gone)
    unknown = {a: id for a, id in made.items() if a not in known and id}
    lost = [a for a in dict.fromkeys([*made, *begun]) if a not in known and a not in unknown]
    return Account([a for a in begun if a in known], unknown, lost, gone)


def tell_cut_off(instance: Instance) -> None:
    """Say what was under way when the last run ended without a word, and write that down."""
    last = instance.journal.last(*BEGINNINGS, *ENDS)
    if last is None or last["event"] not in BEGINNINGS:
        return
    since = [event for event in instance.journal.life() if event["at"] >= last["at"]]
    stage = next((e["stage"] for e in reversed(since) if e["event"] == "stage"), None)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
    where = f" in stage {stage}" if stage else " before anything was changed"
    begun = instance.journal.ledger().begun
    doing = f", while it was making {', '.join(begun)}" if begun else ""
    console.warn(f"the {last['event']} of {at} was cut off{where}{doing}")
    instance.journal.add("cut-off", command=last["event"], stage=stage)


def tell(found: Account) -> None:
    """Say what a crash left, and what becomes of each."""
    for address in found.begun:
        if _in_state_only(address):
            console.say(f"  {address} was begun, and leaves nothing behind: it is made again")
    for address in found.gone:
        console.say(f"  {address} was destroyed, and the state did not know that yet")
    for address in found.half_made:
        console.warn(f"{address} was never finished, because a run was killed: to be made again")
    for address, id in found.unknown.items():
        console.warn(f"{address} ({id}) was made, and the state does not know it: to be imported")


def recover(run: Run) -> None:
    """Settle what a crash left; what is not safe to be done unasked is asked for.

    :raises UsageError: nobody could be asked, or said no.
    :raises LeftoverError: something may be in a cloud that only a person can find.
    """
    found = account(run)
    tell(found)
    if found.in_a_cloud:
        raise unfound(run, found.in_a_cloud)
    if (found.half_made or found.unknown) and not run.terms.recover:
        name = run.instance.name
        console.confirm(f"type {name} to go on so:", name, f"invoke spawn --name {name} --recover")
    settle(run, found)


def settle(run: Run, found: Account) -> None:
    """Replace what is half made, import what the state does not know.

    :raises TerraformError: something could not be imported.
    """
    run.state.drop(found.gone)
    run.state.taint(found.half_made)
    for address, id in found.unknown.items():
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


def unfound(run: Run, addresses: list[str]) -> BarehubError:
    """The error for what may be in a cloud."""
    first, name = addresses[0], run.instance.name
    kind = _type(first)
    cloud = kind.split("_")[0]
    look = LOOK_UP.get(kind, f"look for a {cloud} resource of this name in the cloud")
    search = f"invoke leftovers --name {name}   finds it if it bears the instance's name"
    return LeftoverError(
        f"begun by a run that was killed, and perhaps there: {', '.join(addresses)}",
        *([search] if cloud in ("openstack", "cloudflare") else []),
        f"{look}   shows whether it is there",
        f"if it is: invoke terraform --name {name} -- import '{first}' ID",
        f"if not, or once you have removed it: invoke forget --name {name} --address '{first}'",
    )


def _type(address: str) -> str:
    parsed = parse(address)
    return parsed.type if parsed else ""


def _in_state_only(address: str) -> bool:
    return bool(STATE_ONLY.fullmatch(_type(address)))


def forget(project: Project, name: str, address: str, interruptions: Interruptions) -> None:
    """Take a resource out of the journal that was begun, or made, and is not there.

    :raises UsageError: the journal does not miss it, or the state knows it.
    """
    instance = project.existing(name)
    terms = Terms(recover=True)  # also where the state is lost
    with runs.opened(project, instance, "forget", interruptions, terms) as run:
        for step in SEEING if instance.backend else (open_state,):
            step(run)
        found = account(run)
        missed = [*found.begun, *found.unknown]
        if address not in missed:
            where = "the state has it" if address in run.state.resources() else "nothing misses it"
            told = (
                f"what is missed: {', '.join(missed)}"
                if missed
                else f"invoke history --name {name}"
            )
            raise UsageError(f"{address} cannot be forgotten: {where}", told)
        instance.journal.add("resource-forgotten", address=address)
    console.step("forget", address)
