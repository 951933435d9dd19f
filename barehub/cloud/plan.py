"""What a recipe wants of the clouds, read from the arguments of its modules.

The arguments have the names that NeuroLibre's modules and ours share. What the recipe does not
write out, and the vault does not fill, is not known before Terraform computes it, and left open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"\s*<[^<>]*>\s*")
_VARIABLE = re.compile(r"\$\{\s*var\.(\w+)\s*\}")

OPENSTACK_ARGUMENTS = ("os_flavor_master", "os_flavor_node")
CLOUDFLARE_ARGUMENTS = ("cloudflare_zone_id", "cloudflare_token", "zone_id")
ZONES = ("zone_id", "cloudflare_zone_id", "zone")
NETWORKS = ("public_network", "cc_private_network")
SUBDOMAINS = ("binderhub_subdomain", "grafana_subdomain", "prometheus_subdomain")

Arguments = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is known of a recipe before Terraform runs.

    :param arguments: by stage and name
    :param openstack: whether its provider makes machines in OpenStack
    :param cloudflare: whether it makes records at Cloudflare
    """

    arguments: Arguments
    openstack: bool
    cloudflare: bool

    @property
    def project(self) -> str | None:
        """The name with which the names of its things begin."""
        return self.text("project_name")

    def text(self, name: str, stage: str = "provider") -> str | None:
        """A text that the recipe or the vault gives, else nothing."""
        value = self.arguments.get(stage, {}).get(name)
        return value if isinstance(value, str) and value else None

    def number(self, name: str) -> int | None:
        """A whole number that the provider is given, which a recipe may write as a text."""
        value = self.arguments.get("provider", {}).get(name)
        try:
            return None if isinstance(value, bool) or value is None else int(value)
        except (TypeError, ValueError):
            return None

    def flag(self, name: str) -> bool:
        return str(self.arguments.get("provider", {}).get(name, "")).lower() == "true"

    @property
    def servers(self) -> dict[str, int]:
        """How many servers of each argument's flavor: one master, and the nodes."""
        nodes = self.number("nb_nodes")
        return {"os_flavor_master": 1} | ({"os_flavor_node": nodes} if nodes else {})

    @property
    def security_groups(self) -> int:
        """How many: ours keep apart who may reach the master and who the cluster."""
        return 2 if "ssh_cidrs" in self.arguments.get("provider", {}) else 1

    @property
    def own_network(self) -> bool:
        """Whether a network, a subnet and a router are made."""
        return not (self.text("cc_private_network") or self.flag("is_computecanada"))

    @property
    def domains(self) -> list[str]:
        """The DNS names that its records will have, the hub's first."""
        found = [self.text("domain", "dns"), self.text("domain", "binderhub")]
        if base := self.text("binderhub_domain", "binderhub"):
            subs = (self.text(name, "binderhub") for name in SUBDOMAINS)
            found += [f"{sub}.{base}" for sub in subs if sub]
        return list(dict.fromkeys(name.lower().rstrip(".") for name in found if name))

    @property
    def zones(self) -> list[str]:
        """Ids or names of Cloudflare zones that its modules are given."""
        found = [self.text(name, stage) for stage in ("dns", "binderhub") for name in ZONES]
        return list(dict.fromkeys(zone for zone in found if zone))


def of(
    calls: Arguments,
    variables: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> Plan:
    """The plan of a recipe.

    :param calls: the module calls of the recipe, by stage, as parsed
    :param variables: the vault's section of that name; it fills placeholders and what is left out
    :param defaults: of the recipe's own variables
    """
    named = {*OPENSTACK_ARGUMENTS, *CLOUDFLARE_ARGUMENTS, *ZONES, *NETWORKS, *SUBDOMAINS}
    asked = named | {"project_name", "nb_nodes", "instance_volume_size", "image_name", "domain"}
    filled = {}
    for stage, call in calls.items():
        given = {name: _value(name, value, variables, defaults) for name, value in call.items()}
        known = {name: value for name, value in given.items() if value is not None}
        filled[stage] = {
            **{n: variables[n] for n in asked & variables.keys() - call.keys()},
            **known,
        }
    return Plan(filled, _openstack(calls.get("provider", {})), _cloudflare(calls))


def _openstack(provider: Mapping[str, Any]) -> bool:
    source = str(provider.get("source", ""))
    return "openstack" in source or any(name in provider for name in OPENSTACK_ARGUMENTS)


def _cloudflare(calls: Arguments) -> bool:
    return any(
        "cloudflare" in str(call.get("source", ""))
        or any(name in call for name in CLOUDFLARE_ARGUMENTS)
        for call in calls.values()
    )


def _value(
    name: str, value: Any, variables: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Any | None:
    """What an argument will be; nothing when only Terraform can tell."""
    if not isinstance(value, str):
        return value
    if _PLACEHOLDER.fullmatch(value):
        return variables.get(name)
    if variable := _VARIABLE.fullmatch(value):
        return variables.get(variable[1], defaults.get(variable[1]))
    return None if "${" in value else value
