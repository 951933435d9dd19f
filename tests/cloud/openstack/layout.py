"""Where one cloud lies and listens."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

UP = "cloud.json"
INSIDE = Path(__file__).resolve().parent.parent / "inside"
REGION = "RegionOne"
PASSWORD = "made-for-tests"  # of the administrator and of the services
SERVICE_USERS = ("glance", "placement", "nova", "neutron", "cinder")
PUBLIC_NETWORK = "Public-Network"
IMAGE = "ubuntu-22.04"
LOGIN = "ubuntu"
"""The user of :data:`IMAGE` that a server's keys let in; it may use sudo."""
FLAVORS = {"m1.small": (2048, 0), "m1.disk": (2048, 20), "m1.huge": (1 << 24, 20)}
"""Names, with MiB of memory and GB of disk of their own.

A flavor without disk boots from a volume; no host has the memory of ``m1.huge``."""


@dataclass(frozen=True)
class Ports:
    """The TCP ports of 127.0.0.1 that the services listen on."""

    keystone: int
    glance: int
    placement: int
    nova: int
    neutron: int
    cinder: int

    @classmethod
    def free(cls) -> Ports:
        """Ports that were free a moment ago, each another one."""
        held = [socket.socket() for _ in cls.__dataclass_fields__]
        try:
            for sock in held:
                sock.bind(("127.0.0.1", 0))
            return cls(*(int(sock.getsockname()[1]) for sock in held))
        finally:
            for sock in held:
                sock.close()

    @property
    def urls(self) -> dict[str, str]:
        """Where each type of service of keystone's catalog is."""
        here = "http://127.0.0.1"
        return {
            "identity": f"{here}:{self.keystone}/v3",
            "image": f"{here}:{self.glance}",
            "placement": f"{here}:{self.placement}",
            "compute": f"{here}:{self.nova}/v2.1",
            "network": f"{here}:{self.neutron}",
            "block-storage": f"{here}:{self.cinder}/v3",
            "volumev3": f"{here}:{self.cinder}/v3/%(project_id)s",
        }


@dataclass(frozen=True)
class Layout:
    """One cloud: its folder, the environment that OpenStack is installed in, its ports."""

    folder: Path
    venv: Path
    ports: Ports
    public_subnet: str
    """Of 127/8, for floating addresses: no other cloud of this machine may have it."""

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def database(self, name: str) -> Path:
        return self.folder / "db" / f"{name}.db"

    def program(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    @property
    def auth_url(self) -> str:
        return self.ports.urls["identity"]

    def make_folders(self) -> None:
        for name in (
            "cinder/conv",
            "db",
            "etc",
            "glance/images",
            "glance/tmp/stage",
            "glance/tmp/tasks",
            "keystone/fernet",
            "lock",
            "log",
            "neutron",
            "nova/instances",
            "wires",
        ):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def save(self, name: str = UP) -> None:
        """Say in a file of the folder that the cloud is there, for :meth:`load`."""
        fields = asdict(self) | {"folder": str(self.folder), "venv": str(self.venv)}
        fresh = self.folder / f"{name}.new"
        fresh.write_text(json.dumps(fields))
        fresh.replace(self.folder / name)

    @classmethod
    def load(cls, folder: Path, name: str = UP) -> Layout | None:
        """The cloud that :meth:`save` spoke of, if it did."""
        try:
            fields = json.loads((folder / name).read_text())
        except FileNotFoundError:
            return None
        paths = {name: Path(fields[name]) for name in ("folder", "venv")}
        return cls(**fields | paths | {"ports": Ports(**fields["ports"])})
