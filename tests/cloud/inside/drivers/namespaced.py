"""nova: a server is a process in namespaces of its own, with a real sshd (``machine.py``).

A network of neutron's is a bridge in a network namespace, and each server is plugged into it: the
servers of a network reach one another and nothing else, and the world reaches them by floating
addresses. All of them end with nova.
"""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nova.conf
from nova.compute import power_state
from nova.virt import fake

CONF = nova.conf.CONF
MACHINE = Path(__file__).resolve().parent.parent / "machine.py"
WITH_ME = ["setpriv", "--pdeathsig", "KILL"]
NAMESPACES = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL"]
HOLD = "ip link set lo up && echo up && exec sleep infinity"
BRIDGE = "ip link add bridge type bridge && ip link set bridge up"
LOGIN = "ubuntu"
Popen = subprocess.Popen[bytes]


class Driver(fake.FakeDriverWithoutFakeNodes):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._networks: dict[str, Popen] = {}
        self._running: dict[str, list[Popen]] = {}

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        *rest: Any,
        **more: Any,
    ) -> None:
        super().spawn(
            context, instance, image_meta, injected_files, admin_password, allocations,
            network_info, *rest, **more,
        )  # fmt: skip
        folder = self._folder(instance)
        folder.mkdir(parents=True)
        (folder / "user-data").write_bytes(base64.b64decode(instance.user_data or ""))
        ports = [(vif["id"], vif["network"]["id"], _addresses(vif)) for vif in network_info or ()]
        about = {
            "hostname": instance.hostname,
            "login": image_meta.properties.get("os_admin_user", LOGIN),
            "keys": [instance.key_data] if instance.key_data else [],
            "ports": ports,
            "image": str(Path(CONF.state_path, "images", instance.project_id)),
        }
        (folder / "machine.json").write_text(json.dumps(about))
        self._boot(instance)

    def _folder(self, instance: Any) -> Path:
        return Path(CONF.state_path, "instances", instance.uuid)

    def _boot(self, instance: Any) -> None:
        folder = self._folder(instance)
        ports = json.loads((folder / "machine.json").read_text())["ports"]
        holder = _new_network()
        self._running[instance.uuid] = [holder]
        for number, (port, network, addresses) in enumerate(ports):
            self._plug(holder.pid, f"eth{number}", port, network, addresses)
        inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        with (folder / "console.log").open("ab") as log:
            machine = subprocess.Popen(
                [*WITH_ME, *inside, *NAMESPACES, sys.executable, str(MACHINE), str(folder)],
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running[instance.uuid].append(machine)
        (folder / "pid").write_text(str(machine.pid))

    def _plug(self, server: int, card: str, port: str, network: str, addresses: list[str]) -> None:
        """Give the network namespace of a server a card in a network of neutron's."""
        if network not in self._networks:
            self._networks[network] = _new_network()
            _in_network(self._networks[network].pid, BRIDGE)
        end = f"p{port[:13]}"  # as neutron names them: 15 characters are the most
        bridge = self._networks[network].pid
        _in_network(bridge, f"ip link add {end} type veth peer name {card} netns {server}")
        _in_network(bridge, f"ip link set {end} master bridge up")
        _in_network(server, f"ip link set {card} up")
        for address in addresses:
            _in_network(server, f"ip address add {address} dev {card}")
        if addresses:
            _wire(port).write_text(json.dumps([server, addresses[0].split("/")[0]]))

    def get_console_output(self, context: Any, instance: Any) -> str:
        return (self._folder(instance) / "console.log").read_text(errors="replace")

    def _halt(self, instance: Any) -> None:
        for process in self._running.pop(instance.uuid, ()):
            process.kill()
            process.wait()

    def destroy(self, context: Any, instance: Any, *rest: Any, **more: Any) -> None:
        self._halt(instance)
        super().destroy(context, instance, *rest, **more)
        about = self._folder(instance) / "machine.json"
        if about.exists():
            for port, _, _ in json.loads(about.read_text())["ports"]:
                _wire(port).unlink(missing_ok=True)
        shutil.rmtree(self._folder(instance), ignore_errors=True)

    def power_off(self, instance: Any, *rest: Any, **more: Any) -> None:
        super().power_off(instance, *rest, **more)
        self._halt(instance)

    def power_on(self, context: Any, instance: Any, *rest: Any, **more: Any) -> None:
        super().power_on(context, instance, *rest, **more)
        self._boot(instance)

    def reboot(self, context: Any, instance: Any, *rest: Any, **more: Any) -> None:
        self._halt(instance)
        self._boot(instance)
        self.instances[instance.uuid].state = power_state.RUNNING


def _addresses(vif: Any) -> list[str]:
    """The fixed addresses of a port, each with its subnet's length: ``10.0.0.5/24``."""
    return [
        f"{ip['address']}/{subnet['cidr'].split('/')[1]}"
        for subnet in vif["network"]["subnets"]
        for ip in subnet["ips"]
    ]


def _new_network() -> Popen:
    """A process that holds an empty network namespace."""
    command = [*WITH_ME, "unshare", "--net", "sh", "-c", HOLD]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def _in_network(holder: int, script: str) -> None:
    command = ["nsenter", f"--net=/proc/{holder}/ns/net", "sh", "-c", script]
    subprocess.run(command, check=True)


def _wire(port: str) -> Path:
    """Says where a port of neutron's is: who holds its server's network, and its address there."""
    return Path(CONF.state_path).parent / "wires" / port
