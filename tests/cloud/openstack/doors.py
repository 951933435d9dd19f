"""Gates in front of some of a cloud's APIs, for one project: the others never notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from . import contents
from .gate import Gate
from .project import Project

SAME = {"volumev3": "block-storage"}
"""Types of service that are another's second name."""


@contextmanager
def gates(project: Project, *services: str) -> Iterator[dict[str, Gate]]:
    """Have ``project`` reach these types of service (``compute``, ``identity`` …) by gates.

    Its region becomes one of its own, whose catalog names the gates: take ``project.env``
    afterwards. The test's own calls (``project.call``) go to the services themselves.
    """
    ports = project.layout.ports
    doors = {
        "block-storage": ports.cinder,
        "compute": ports.nova,
        "identity": ports.keystone,
        "image": ports.glance,
        "network": ports.neutron,
    }
    with ExitStack() as stack:
        opened = {service: Gate(("127.0.0.1", doors[service])) for service in services}
        for gate in opened.values():
            stack.callback(gate.shut)
        stack.enter_context(_region(project, opened))
        yield opened


@contextmanager
def _region(project: Project, opened: dict[str, Gate]) -> Iterator[None]:
    admin, region, before = project.admin, f"gated-{project.name}", (project.region, project.door)
    admin("identity", "POST", "/regions", {"region": {"id": region}})
    made = []
    for service in admin("identity", "GET", "/services")["services"]:
        kind = service["type"]
        url = project.layout.ports.urls[kind]
        gate = opened.get(SAME.get(kind, kind))
        if gate:
            url = behind(gate, url)
        made.append(contents.make_endpoint(admin, service["id"], "public", region, url))
    project.region = region
    if "identity" in opened:
        project.door = behind(opened["identity"], project.layout.auth_url)
    try:
        yield
    finally:
        project.region, project.door = before
        for endpoint in made:
            admin("identity", "DELETE", f"/endpoints/{endpoint}")
        admin("identity", "DELETE", f"/regions/{region}")


def behind(gate: Gate, url: str) -> str:
    """``url`` with the gate's port instead of its own."""
    scheme, _, rest = url.partition("://")
    _, slash, path = rest.partition("/")
    return f"{scheme}://127.0.0.1:{gate.port}{slash}{path}"
