"""What a cloud has to choose from, by the arguments of a recipe that name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from barehub.asking import Offer
from barehub.console import console
from barehub.errors import CloudError


class Offers:
    """The lists of the clouds that the vault has credentials for; each is asked for once.

    :param environment: the vault's section of that name
    :param attended: what a cloud is asked in, so that a Ctrl-C does not end in a library's hands
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        attended: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._environment, self._attended = environment, attended
        self._known: dict[Callable[[], list[Offer]], list[Offer]] = {}
        self._kinds: dict[str, Callable[[], list[Offer]]] = {
            "os_flavor_master": self._flavors,
            "os_flavor_node": self._flavors,
            "image_name": self._images,
            "public_network": self._external,
            "cc_private_network": self._internal,
            "zone": self._zones,
            "zone_id": self._zone_ids,
        }

    def of(self, name: str) -> list[Offer]:
        """The values for the argument ``name``; none where no cloud tells them."""
        kind = self._kinds.get(name)
        if kind is None:
            return []
        if kind not in self._known:
            try:
                with self._attended(), console.working("cloud", "asking what there is"):
                    self._known[kind] = kind()
            except CloudError as error:
                console.warn(f"{error.problem}: names are not offered, and can be typed")
                self._known[kind] = []
        return self._known[kind]

    def _flavors(self) -> list[Offer]:
        from barehub.cloud import openstack

        if not openstack.has_credentials(self._environment):
            return []
        return [
            Offer(f.name, f"{f.vcpus} cores, {f.ram_mb / 1024:.3g} GiB, disk {f.disk_gb} GB")
            for f in openstack.Cloud(self._environment).flavors()
        ]

    def _images(self) -> list[Offer]:
        from barehub.cloud import openstack

        if not openstack.has_credentials(self._environment):
            return []
        images = openstack.Cloud(self._environment).images()
        newest = {image.name: image for image in reversed(images)}
        return [Offer(i.name, f"of {i.updated[:10]}") for i in reversed(newest.values()) if i.name]

    def _external(self) -> list[Offer]:
        return self._networks(external=True)

    def _internal(self) -> list[Offer]:
        return self._networks(external=False)

    def _networks(self, *, external: bool) -> list[Offer]:
        from barehub.cloud import openstack

        if not openstack.has_credentials(self._environment):
            return []
        found = openstack.Cloud(self._environment).networks()
        return [Offer(network.name) for network in found if network.external is external]

    def _zones(self) -> list[Offer]:
        from barehub.cloud import cloudflare

        if not cloudflare.has_credentials(self._environment):
            return []
        return [Offer(zone.name) for zone in cloudflare.Cloudflare(self._environment).zones()]

    def _zone_ids(self) -> list[Offer]:
        from barehub.cloud import cloudflare

        if not cloudflare.has_credentials(self._environment):
            return []
        zones = cloudflare.Cloudflare(self._environment).zones()
        return [Offer(zone.id, zone.name) for zone in zones]
