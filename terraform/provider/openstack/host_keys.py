"""Keeps the SSH host keys of machines in `known_hosts` beside the recipe; Terraform runs it.

    HOST_KEYS_ADDRESS=… HOST_KEYS_SERVER=… HOST_KEYS_WAIT_SECONDS=… python3 host_keys.py pin
    HOST_KEYS_ADDRESS=… python3 host_keys.py forget

`pin` reads the keys that cloud-init prints to a machine's console. It runs in the folder of the
recipe and needs Python 3.9 or later and openstacksdk, which finds the credentials where Terraform's
provider does: in OS_* or clouds.yaml. `forget` needs Python alone.
"""

# A program of its own, outside of the package: it prints.
# ruff: noqa: T201

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KNOWN_HOSTS = Path("known_hosts")
LOOK_SECONDS = 5.0

BLOCK = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
"""What cloud-init's keys_to_console writes (cloud-init, config/cc_keys_to_console.py)."""

KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) (AAAA[0-9A-Za-z+/]+={0,2})"
)


def keys_of(console: str) -> list[str]:
    """The host keys that a console shows, `TYPE BASE64` each; of the last boot that shows any."""
    blocks = BLOCK.findall(console)
    found = KEY.findall(blocks[-1]) if blocks else []
    return [f"{kind} {blob}" for kind, blob in found if _whole(kind, blob)]


def _whole(kind: str, blob: str) -> bool:
    """Whether it is a key to its end: a message of the kernel may stand in the middle of a line."""
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    fields = []
    while data:
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            return False
        fields.append(data[4 : 4 + size])
        data = data[4 + size :]
    return len(fields) > 1 and fields[0] == kind.encode()


@contextmanager
def alone() -> Iterator[None]:
    """While it is open, no other of these programs changes the file: there is one a machine."""
    folder = os.open(".", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write(address: str, keys: list[str]) -> None:
    """Have `known_hosts` hold `keys` for `address`, and no others; without a line it goes away."""
    with alone():
        lines = KNOWN_HOSTS.read_text(encoding="utf-8").splitlines() if KNOWN_HOSTS.exists() else []
        kept = [line for line in lines if line.split(" ", 1)[0] != address]
        kept += [f"{address} {key}" for key in keys]
        if not kept:
            KNOWN_HOSTS.unlink(missing_ok=True)
            return
        draft = KNOWN_HOSTS.with_suffix(".new")
        draft.write_text("\n".join(kept) + "\n", encoding="utf-8")
        draft.replace(KNOWN_HOSTS)


def pin() -> None:
    """Wait until the machine's console shows its host keys, and write them down."""
    address, server = os.environ["HOST_KEYS_ADDRESS"], os.environ["HOST_KEYS_SERVER"]
    seconds = float(os.environ["HOST_KEYS_WAIT_SECONDS"])
    deadline = time.monotonic() + seconds
    while True:
        shown, why, final = look(server)
        if keys := keys_of(shown):
            break
        left = deadline - time.monotonic()
        if final or left <= 0:
            within = "" if final else f" within {seconds:.0f} s"
            sys.exit(
                f"error: no host keys of {address}{within}: {why}\n"
                f"hint: openstack console log show {server}\n"
                'hint: module "provider": host_keys_from = "first-use" trusts the first connection'
            )
        print(f"waiting for the host keys of {address}: {why} ({left:.0f} s left)", flush=True)
        time.sleep(min(LOOK_SECONDS, left))
    write(address, keys)
    print(f"{len(keys)} host keys of {address} are in {KNOWN_HOSTS}")


def look(server: str) -> tuple[str, str, bool]:
    """What the server's console shows, why that is not enough, and whether waiting is in vain."""
    try:
        import openstack
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException
    except ImportError:
        return "", "openstacksdk is not installed (pip install openstacksdk)", True
    try:
        shown = str(openstack.connect().compute.get_server_console_output(server)["output"])
    except (ClientException, SDKException) as error:
        status = getattr(error, "http_status", getattr(error, "status_code", None))
        # no answer, a failure inside the cloud, or a server that is still being made
        passing = status is None or status in (408, 409, 429) or status >= 500
        return "", str(error).splitlines()[0], not passing
    return shown, "its console does not show them yet", False


def forget() -> None:
    """Take the machine's keys out: its address may be another's soon."""
    write(os.environ["HOST_KEYS_ADDRESS"], [])


if __name__ == "__main__":
    {"pin": pin, "forget": forget}[sys.argv[1]]()
