"""A keystone project of one test: its user, its things, its limits, and the end of them all."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import contents
from .layout import PUBLIC_NETWORK, REGION, Layout
from .rest import Refused, Session

END_SECONDS = 60.0
Thing = dict[str, Any]

KINDS = {
    "server": ("compute", "/servers/detail", "servers"),
    "floating address": ("network", "/v2.0/floatingips", "floatingips"),
    "volume": ("block-storage", "/volumes/detail", "volumes"),
    "router": ("network", "/v2.0/routers", "routers"),
    "port": ("network", "/v2.0/ports", "ports"),
    "subnet": ("network", "/v2.0/subnets", "subnets"),
    "network": ("network", "/v2.0/networks", "networks"),
    "security group": ("network", "/v2.0/security-groups", "security_groups"),
    "key pair": ("compute", "/os-keypairs", "keypairs"),
    "server group": ("compute", "/os-server-groups", "server_groups"),
    "image": ("image", "/v2/images?visibility=all", "images"),
}
"""What a project can hold: the service, where it lists them, and under which key.

In the order in which they can be deleted."""


@dataclass
class Project:
    """A project and its one user, an ordinary member with a canary as password."""

    layout: Layout
    name: str
    id: str
    password: str
    admin: Session
    region: str = REGION
    door: str = ""
    """Where its user finds keystone, when not at the usual place."""
    may_leave: bool = False
    """Whether the test may end with things in the project; else that is a failure."""
    call: Session = field(init=False)
    """REST as the user: ``project.call("network", "GET", "/v2.0/ports")``."""

    def __post_init__(self) -> None:
        self.call = Session(self.layout.auth_url, self.name, self.password, self.name)

    @classmethod
    def new(cls, layout: Layout) -> Project:
        admin = contents.administrator(layout)
        name = f"t{secrets.token_hex(5)}"
        password = f"CANARY-{secrets.token_hex(12)}"
        made = contents.make_project(admin, name)
        contents.make_user(admin, name, password, made, "member", "reader")
        return cls(layout, name, made, password, admin)

    @property
    def env(self) -> dict[str, str]:
        """What an openrc file exports: the vault's ``environment`` of a recipe."""
        return {
            "OS_AUTH_URL": self.door or self.layout.auth_url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_PASSWORD": self.password,
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_PROJECT_NAME": self.name,
            "OS_REGION_NAME": self.region,
            "OS_USERNAME": self.name,
            "OS_USER_DOMAIN_NAME": "Default",
        }

    def quota(self, **limits: int) -> None:
        """Set limits: ``instances``, ``cores``, ``ram`` (MiB); ``volumes``, ``gigabytes``; and
        neutron's ``floatingip``, ``port``, ``network``, ``security_group``, ``router``."""
        for service, path, key, names in (
            ("compute", f"/os-quota-sets/{self.id}", "quota_set", {"instances", "cores", "ram"}),
            ("block-storage", f"/os-quota-sets/{self.id}", "quota_set", {"volumes", "gigabytes"}),
            ("network", f"/v2.0/quotas/{self.id}", "quota", limits.keys()),
        ):
            mine = {name: limits.pop(name) for name in sorted(names & limits.keys())}
            if mine:
                self.admin(service, "PUT", path, {key: mine})

    def things(self) -> dict[str, list[Thing]]:
        """All that the project holds, by kind, but for what every project has."""
        return {kind: found for kind in KINDS if (found := self._list(kind))}

    def names(self) -> dict[str, list[str]]:
        """The names of :meth:`things`, sorted; an address is its own name."""
        return {
            kind: sorted(
                str(t.get("floating_ip_address") or t.get("name") or t["id"]) for t in found
            )
            for kind, found in self.things().items()
        }

    def _list(self, kind: str) -> list[Thing]:
        service, path, key = KINDS[kind]
        found: list[Thing] = self.call(service, "GET", path)[key]
        if kind == "key pair":
            found = [{"id": t["keypair"]["name"]} | t["keypair"] for t in found]
        if service == "network":  # others' networks are seen too: the public one
            found = [t for t in found if t["project_id"] == self.id]
        if service == "image":
            found = [t for t in found if t["owner"] == self.id]
        return [t for t in found if (kind, t.get("name")) != ("security group", "default")]

    def user_data(self, server: str) -> bytes:
        """What the server of this id was given as user data."""
        return (self._folder(server) / "user-data").read_bytes()

    def written(self, server: str) -> Path:
        """A folder with the files that the running server of this id has written or changed."""
        folder = self._folder(server)
        pid = (folder / "pid").read_text()
        return Path("/proc", pid, "root", *(folder / "disk" / "upper").parts[1:])

    def _folder(self, server: str) -> Path:
        return self.layout.folder / "nova" / "instances" / server

    def brings(self, files: Mapping[str, bytes]) -> None:
        """Have the image of every server to come hold these programs, beside this machine's."""
        for name, content in files.items():
            path = self._image / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755)

    @property
    def _image(self) -> Path:
        return self.layout.folder / "nova" / "images" / self.id

    def purge(self) -> None:
        """Delete all that the project holds, then the project.

        :raises AssertionError: something cannot be deleted.
        """
        _until(lambda: not self._delete_once(), "the project's things do not go")
        shutil.rmtree(self._image, ignore_errors=True)
        self.admin("identity", "DELETE", f"/users/{self.call.user_id}")
        for group in self.admin("network", "GET", f"/v2.0/security-groups?project_id={self.id}")[
            "security_groups"
        ]:
            self.admin("network", "DELETE", f"/v2.0/security-groups/{group['id']}")
        self.admin("identity", "DELETE", f"/projects/{self.id}")

    def _delete_once(self) -> bool:
        """Try to delete each thing; whether there was any."""
        things = self.things()
        for kind, found in things.items():
            service, path, _ = KINDS[kind]
            base = path.split("?")[0].removesuffix("/detail")
            for thing in found:
                try:
                    if kind == "router":
                        self._unplug(thing["id"])
                    self.call(service, "DELETE", f"{base}/{thing['id']}")
                except Refused:  # in use by another that goes first, or gone with one
                    continue
        return bool(things)

    def _unplug(self, router: str) -> None:
        for port in self.call("network", "GET", f"/v2.0/ports?device_id={router}")["ports"]:
            self.call("network", "PUT", f"/v2.0/routers/{router}/remove_router_interface",
                      {"port_id": port["id"]})  # fmt: skip

    def public_network(self) -> str:
        """The id of the network that floating addresses come from."""
        found = self.call("network", "GET", f"/v2.0/networks?name={PUBLIC_NETWORK}")["networks"]
        return str(found[0]["id"])


def _name(thing: Thing) -> str:
    return str(thing.get("floating_ip_address") or thing.get("name") or thing["id"])


def _until(done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)
