"""Where an instance's hub is, and the step that verifies it."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from barehub.console import console
from barehub.errors import BarehubError, CheckFailed, NotReadyError, RecipeError
from barehub.journal_schema import Event
from barehub.project import Instance
from barehub.verify import Report, Target, parse, wait

if TYPE_CHECKING:
    from barehub.run import Run

TOLD = ("binder.not-binderhub", "binder.fake-builds")
"""The findings that a person wants to read of a hub that is up: what it is."""


FACTS = ("connect_to", "ca_file", "builds", "hub", "version", "service")
"""What a binderhub module may tell of its hub, beside the endpoint."""


def record_endpoint(run: Run) -> None:
    """Write into the journal where the hub is: `verify` and `list` need no vault then.

    :raises RecipeError: the modules do not tell it.
    """
    outputs = run.state.outputs()
    told = {key.removeprefix("barehub_"): value for key, value in outputs.items()}
    domain = told.get("dns_domain")
    url = told.get("binderhub_endpoint") or (f"https://{domain}" if domain else None)
    if url is None:
        raise RecipeError(
            'no module tells where the hub is: "dns" has no output domain, "binderhub" no endpoint',
            "terraform/dns/local/outputs.tf shows one",
        )
    facts = {name: told.get(f"binderhub_{name}") for name in FACTS}
    facts["connect_to"] = facts["connect_to"] or told.get("provider_public_ip")
    facts = {name: str(value) for name, value in facts.items() if value}
    facts["url"] = str(url)
    last = run.instance.journal.last("endpoint") or {}
    if {k: v for k, v in last.items() if k not in ("at", "event")} != facts:
        run.instance.journal.add("endpoint", **facts)


def verify_endpoint(run: Run, seconds: float) -> None:
    """Wait until the endpoint is what it must be.

    :raises CheckFailed: it is something else, and waiting will not heal it
    :raises NotReadyError: it was not there in time
    """
    started = time.monotonic()
    goal = target_of(run.instance)
    with run.interruptions.polled(), console.working("verify") as work:

        def stop() -> None:
            run.interruptions.check()
            work.go_on()

        report = wait(goal, seconds=seconds, now=work.now, stop=stop)
    if report.verdict == "pass":
        told = [f.message for f in report.findings if f.id in TOLD]
        console.step("verify", f"the hub is up: {'; '.join(told)}", time.monotonic() - started)
        return
    console.failed("verify", goal.url, time.monotonic() - started)
    for line in report.lines(console.paint):
        console.say(line)
    raise failure_of(report, f"invoke verify --name {run.instance.name}")


def failure_of(report: Report, *hints: str) -> BarehubError:
    """The error for a report that is no pass."""
    failed = [finding.id for finding in report.failures]
    if report.verdict == "not-ready":
        return NotReadyError(f"{report.target.url} is not ready: {', '.join(failed)}", *hints)
    return CheckFailed(f"{report.target.url} is not what it must be: {', '.join(failed)}", *hints)


def endpoint_of(instance: Instance) -> Event:
    """Where the instance's hub is, as its journal says.

    :raises RecipeError: it was never spawned.
    """
    event = instance.journal.last("endpoint")
    if event is None:
        raise RecipeError(
            f"{instance.name} has no endpoint yet", f"invoke spawn --name {instance.name}"
        )
    return event


def target_of(instance: Instance) -> Target:
    """What to verify of the instance: its endpoint, and how to get there.

    :raises CheckFailed: the CA's certificate that its module made is gone.
    """
    event = endpoint_of(instance)
    ca_file = instance.folder / event["ca_file"] if "ca_file" in event else None
    if ca_file and not ca_file.exists():
        raise CheckFailed(
            f"{instance.name}: {event['ca_file']} is missing; the module binderhub makes it",
            f"invoke teardown --name {instance.name}, then spawn it again",
        )
    goal = parse(
        event["url"],
        connect_to=event.get("connect_to"),
        ca_file=str(ca_file) if ca_file else None,
    )
    builds, hub, version = (event.get(name) for name in ("builds", "hub", "version"))
    return dataclasses.replace(goal, builds=builds, hub=hub, version=version)
