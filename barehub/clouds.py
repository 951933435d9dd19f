"""An instance's clouds: what its recipe wants there, and by what its things are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from barehub import reconcile
from barehub.cloud import ahead, openstack, plan, search
from barehub.cloud.attended import attended
from barehub.cloud.plan import Plan
from barehub.cloud.search import CLOUDFLARE, OPENSTACK, Found
from barehub.cloud.things import Traces, beside, resource_id
from barehub.errors import BarehubError
from barehub.finding import Finding
from barehub.leftovers import Leftover
from barehub.project import Instance, Project
from barehub.run import Run
from barehub.terraform.hcl import parse
from barehub.terraform.recipe import Recipe
from barehub.vault.store import Secrets

FLOATING = ("openstack_networking_floatingip_v2", "openstack_compute_floatingip_v2")
"""Terraform's types of what is an address that goes back to its cloud."""

SERVER = "openstack_compute_instance_v2"

NOTHING = Plan({}, openstack=False, cloudflare=False)


def findings(run: Run) -> list[Finding]:
    """What the clouds say of the recipe before anything is made."""
    wanted = plan_of(run.instance, run.secrets)
    if not (wanted.openstack or wanted.cloudflare):
        return []
    made = {
        found
        for pair in run.instance.journal.ledger().made.items()
        if (found := resource_id(*pair))
    }
    imported = run.instance.living and not made  # by no run of ours
    known = traces(run.project, run.instance, wanted)
    assert run.recipe, "read_recipe comes first"
    asked = ahead.Asked(
        wanted, known, None if imported else frozenset(made), where=run.recipe.where
    )
    env = environment(run.secrets)
    return attended("clouds", run.interruptions, lambda now: ahead.findings(env, asked, now))


def look(run: Run) -> Found:
    """What is left of the instance in the clouds that it used."""
    wanted = plan_of(run.instance, run.secrets)
    known = traces(run.project, run.instance, wanted)
    asked = used(run.instance, wanted)
    env = environment(run.secrets)
    found = attended("clouds", run.interruptions, lambda now: search.find(env, known, asked, now))
    found.own = beside(found.own, released(run.instance))
    return found


def released(instance: Instance) -> frozenset[tuple[str, str]]:
    """Kind and id of what was let stay there on purpose: no leftover, and nothing to remove."""
    pairs = reconcile.released(instance.journal, ())
    return frozenset(found for pair in pairs if (found := resource_id(*pair)))


def faults(run: Run) -> list[str]:
    """Why servers of the instance failed, where their cloud says so: the provider does not tell.

    :raises CloudError: the cloud does not answer
    """
    made = run.state.attributes("id", SERVER)
    env = environment(run.secrets)
    if not made or not openstack.has_credentials(env):
        return []
    told = attended("clouds", run.interruptions, lambda now: openstack.Cloud(env).faults())
    return [f"openstack server show {id}   (failed: {told[id]})" for id in made if id in told]


def leftovers(found: Found, name: str) -> list[Leftover]:
    """What was found of ``name``, and what could not be seen, each with what to do about it."""
    own = [Leftover(f"{thing} is still there", thing.command) for thing in found.own]
    doubtful = [
        Leftover(
            f"{thing} is still there, by its name of an instance {other!r}",
            f"invoke leftovers --name {other}",
        )
        for thing, other in found.doubtful.items()
    ]
    unseen = [
        Leftover(f"could not be looked at: {what}", f"invoke leftovers --name {name}")
        for what in found.unseen
    ]
    return [*own, *doubtful, *unseen]


def used(instance: Instance, wanted: Plan) -> list[str]:
    """The clouds that an instance uses or used, by its recipe and its journal."""
    journal, ledger = instance.journal, instance.journal.ledger()
    named = (address for address, _ in journal.named())
    types = " ".join([*named, *ledger.begun, *ledger.failed, *ledger.intended])
    asks = {OPENSTACK: wanted.openstack, CLOUDFLARE: wanted.cloudflare}
    return [cloud for cloud, asked in asks.items() if asked or f"{cloud.lower()}_" in types]


def environment(secrets: Secrets) -> Mapping[str, str]:
    """The credentials: the vault's section ``environment``.

    NeuroLibre's modules take Cloudflare's token as a variable, too.
    """
    token = secrets.variables.get("cloudflare_token")
    return ({"CLOUDFLARE_API_TOKEN": token} if isinstance(token, str) else {}) | secrets.environment


def plan_of(instance: Instance, secrets: Secrets | None = None) -> Plan:
    """What the instance's recipe wants; nothing when there is none, or none that can be read."""
    try:
        recipe = Recipe(instance, parse(instance.recipe))
    except BarehubError:
        return NOTHING
    return plan.of(recipe.calls, secrets.variables if secrets else {}, _defaults(recipe))


def _defaults(recipe: Recipe) -> dict[str, Any]:
    blocks = [block for named in recipe.content.get("variable", []) for block in named.items()]
    return {name: block["default"] for name, block in blocks if "default" in block}


def traces(project: Project, instance: Instance, wanted: Plan) -> Traces:
    """By what the instance's things are known: its recipe, its journal, and who else is there."""
    others = {o.name: plan_of(o) for o in project.instances() if o.name != instance.name}
    ids = {found for pair in instance.journal.named() if (found := resource_id(*pair))}
    return Traces(
        wanted.project or instance.name,
        frozenset(ids),
        addresses=frozenset(_addresses(instance)),
        domains=frozenset([*wanted.domains, *_hosts(instance)]),
        zones=frozenset(wanted.zones),
        others=frozenset(other.project or name for name, other in others.items()),
        other_domains=frozenset(domain for other in others.values() for domain in other.domains),
    )


def _hosts(instance: Instance) -> list[str]:
    events = [e for e in instance.journal.events() if e["event"] == "endpoint"]
    return [host for e in events if (host := urlsplit(e.get("url", "")).hostname)]


def _addresses(instance: Instance) -> list[str]:
    """The floating IPs that the instance had; a machine that was there before keeps its address."""
    events = instance.journal.events()
    return [str(event["address"]) for event in events if event["event"] == "releasing"]


def note_addresses(run: Run) -> None:
    """Write into the journal which addresses a teardown is about to give back."""
    known = set(_addresses(run.instance))
    for address in run.state.attributes("address", *FLOATING):
        if address not in known:
            run.instance.journal.add("releasing", address=address)
