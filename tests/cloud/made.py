"""What a hub is made of, made by hand in a real cloud, as modules of today name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from barehub.cloud.openstack import Cloud
from barehub.cloud.web import Environment

from .openstack.layout import IMAGE, PUBLIC_NETWORK

FROM_VOLUME, FROM_IMAGE = "m1.small", "m1.disk"

SECONDS = 60


@dataclass(frozen=True)
class Hub:
    """A master that starts from a volume, a node, a network of their own, and an address."""

    address: str
    volume: str
    floating_ip: str
    servers: tuple[str, str]


def hub(cloud: Cloud, project: str, cidr: str = "10.9.0.0/24") -> Hub:
    """NeuroLibre's names: the volume does not tell whose it is."""
    api: Any = cloud.connection
    image, external = api.image.find_image(IMAGE), api.network.find_network(PUBLIC_NETWORK)
    key = api.compute.create_keypair(name=f"{project}-keypair-ed25519")
    network = api.network.create_network(name=f"{project}-network")
    subnet = api.network.create_subnet(
        network_id=network.id, ip_version=4, cidr=cidr, name=f"{project}-subnet"
    )
    router = api.network.create_router(
        name=f"{project}-router", external_gateway_info={"network_id": external.id}
    )
    api.network.add_interface_to_router(router, subnet.id)
    group = api.network.create_security_group(name=f"{project}-secgroup-new")
    port = api.network.create_port(
        network_id=network.id, name=f"{project}-master", security_group_ids=[group.id]
    )
    volume = api.block_storage.create_volume(name="master-volume", size=1, image_id=image.id)
    api.block_storage.wait_for_status(volume, "available", interval=0.3, wait=SECONDS)
    disk = {
        "uuid": volume.id,
        "source_type": "volume",
        "destination_type": "volume",
        "boot_index": 0,
        "delete_on_termination": False,
    }
    master = api.compute.create_server(
        name=f"{project}-master",
        flavor_id=api.compute.find_flavor(FROM_VOLUME).id,
        key_name=key.name,
        networks=[{"port": port.id}],
        block_device_mapping=[disk],
    )
    node = api.compute.create_server(
        name=f"{project}-node1",
        flavor_id=api.compute.find_flavor(FROM_IMAGE).id,
        image_id=image.id,
        networks=[{"uuid": network.id}],
    )
    for server in (master, node):
        api.compute.wait_for_server(server, interval=0.3, wait=SECONDS)
    address = api.network.create_ip(floating_network_id=external.id, port_id=port.id)
    return Hub(address.floating_ip_address, volume.id, address.id, (str(master.id), str(node.id)))


def record(env: Environment, name: str, address: str, comment: str = "") -> str:
    """Make a DNS record through the interface that the product speaks; its id."""
    base = f"https://{env['CLOUDFLARE_API_HOSTNAME']}/client/v4"
    web = requests.Session()
    web.trust_env = False
    web.verify = env["SSL_CERT_FILE"]
    web.headers["Authorization"] = f"Bearer {env['CLOUDFLARE_API_TOKEN']}"
    zone = web.get(f"{base}/zones").json()["result"][0]["id"]
    asked = {"type": "A", "name": name, "content": address, "comment": comment, "ttl": 60}
    answer = web.post(f"{base}/zones/{zone}/dns_records", json=asked).json()
    assert answer["success"], answer
    return str(answer["result"]["id"])
