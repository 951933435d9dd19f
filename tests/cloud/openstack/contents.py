"""What a new cloud holds before its first user comes."""

from __future__ import annotations

from .layout import (
    FLAVORS,
    IMAGE,
    LOGIN,
    PASSWORD,
    PUBLIC_NETWORK,
    REGION,
    SERVICE_USERS,
    Layout,
)
from .rest import Session

SERVICE_NAMES = {
    "image": "glance",
    "placement": "placement",
    "compute": "nova",
    "network": "neutron",
    "block-storage": "cinder",
    "volumev3": "cinderv3",
}
IMAGE_BYTES = 1 << 20


def administrator(layout: Layout) -> Session:
    return Session(layout.auth_url, "admin", PASSWORD, "admin")


def make_users_and_catalog(layout: Layout) -> None:
    """The users that the services are, and where each service is. Needs keystone alone."""
    admin = administrator(layout)
    project = make_project(admin, "service")
    for name in SERVICE_USERS:
        make_user(admin, name, PASSWORD, project, "admin", "service")
    for kind, name in SERVICE_NAMES.items():
        made = admin("identity", "POST", "/services", {"service": {"name": name, "type": kind}})
        for interface in ("public", "internal", "admin"):
            make_endpoint(admin, made["service"]["id"], interface, REGION, layout.ports.urls[kind])


def make_endpoint(admin: Session, service: str, interface: str, region: str, url: str) -> str:
    """The new endpoint's id."""
    endpoint = {"service_id": service, "interface": interface, "url": url, "region_id": region}
    made = admin("identity", "POST", "/endpoints", {"endpoint": endpoint})
    return str(made["endpoint"]["id"])


def make_project(admin: Session, name: str) -> str:
    """The new project's id."""
    body = {"project": {"name": name, "domain_id": "default"}}
    return str(admin("identity", "POST", "/projects", body)["project"]["id"])


def make_user(admin: Session, name: str, password: str, project: str, *roles: str) -> str:
    """The new user's id; it has ``roles`` in ``project``, and no other."""
    body = {"user": {"name": name, "password": password, "domain_id": "default"}}
    user = str(admin("identity", "POST", "/users", body)["user"]["id"])
    known = {r["name"]: r["id"] for r in admin("identity", "GET", "/roles")["roles"]}
    for role in roles:
        admin("identity", "PUT", f"/projects/{project}/users/{user}/roles/{known[role]}")
    return user


def make_images_and_flavors(layout: Layout) -> None:
    """One public image, and flavors with and without a disk."""
    admin = administrator(layout)
    image = {
        "name": IMAGE,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "min_disk": 1,
        "os_admin_user": LOGIN,
    }
    made = admin("image", "POST", "/v2/images", image)
    octets = {"Content_Type": "application/octet-stream"}
    admin("image", "PUT", f"/v2/images/{made['id']}/file", b"\0" * IMAGE_BYTES, **octets)
    for name, (memory, disk) in FLAVORS.items():
        flavor = {"name": name, "ram": memory, "vcpus": 2, "disk": disk}
        admin("compute", "POST", "/flavors", {"flavor": flavor})


def make_public_network(layout: Layout) -> None:
    """Where floating addresses come from."""
    admin = administrator(layout)
    network = {
        "name": PUBLIC_NETWORK,
        "router:external": True,
        "provider:network_type": "flat",
        "provider:physical_network": "outside",
    }
    made = admin("network", "POST", "/v2.0/networks", {"network": network})["network"]
    subnet = {
        "network_id": made["id"],
        "ip_version": 4,
        "cidr": layout.public_subnet,
        "enable_dhcp": False,  # with DHCP neutron refuses a subnet of 127/8
    }
    admin("network", "POST", "/v2.0/subnets", {"subnet": subnet})
