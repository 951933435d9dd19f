"""What of a hub must not be lost by surprise: its master, volumes, public addresses, DNS names.

Known by the types of OpenStack and Cloudflare, and whatever the cloud, by what the stages tell of
themselves: that which ``public_ip`` of the provider or ``domain`` of dns is an attribute of, and
what is named master.
"""

from __future__ import annotations

import re
from typing import Any

from barehub.plan.address import Address, parse

LOSES = {
    "master": "the machine and its disk: the cluster, its certificates, all that runs there",
    "volume": "all that is stored on it",
    "address": "the public address, which DNS records and firewalls know",
    "name": "the hub's DNS name, until it is made again and has spread",
}
"""By role, what goes away with it."""

TYPES = (
    (re.compile(r"openstack_compute_instance_v2"), "master"),
    (re.compile(r"openstack_blockstorage_volume_v\d+"), "volume"),
    (re.compile(r"openstack_(networking|compute)_floatingip_v2"), "address"),
    (re.compile(r"cloudflare_(dns_)?record|openstack_dns_recordset_v2"), "name"),
)

NODE = re.compile(r"node|worker", re.IGNORECASE)
"""A machine that says so is none that the cluster depends on."""

MASTER = re.compile(r"(.*[_-])?master([_-].*)?", re.IGNORECASE)

OUTPUTS = (("provider", "public_ip", "address"), ("dns", "domain", "name"))


def role_of(address: str, document: dict[str, Any]) -> str:
    """A key of :data:`LOSES`, or empty.

    :param document: of ``terraform show -json``
    """
    parsed = parse(address)
    if parsed is None:
        return ""
    for pattern, role in TYPES:
        if pattern.fullmatch(parsed.type):
            return "" if role == "master" and NODE.search(parsed.name + parsed.key) else role
    if MASTER.fullmatch(parsed.name):
        return "master"
    return _told_by_outputs(parsed, document)


def _told_by_outputs(address: Address, document: dict[str, Any]) -> str:
    calls = document.get("configuration", {}).get("root_module", {}).get("module_calls", {})
    for stage, output, role in OUTPUTS:
        outputs = calls.get(stage, {}).get("module", {}).get("outputs", {})
        references = outputs.get(output, {}).get("expression", {}).get("references", [])
        if address.modules == (stage,) and f"{address.type}.{address.name}" in references:
            return role
    return ""
