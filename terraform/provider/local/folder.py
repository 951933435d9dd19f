"""Makes and removes the folder of a local hub, `hub/` beside the recipe; Terraform runs it.

    HUB_PORT=8443 python3 folder.py create
    python3 folder.py remove

It runs in the folder of the recipe and needs Python 3.9 or later, nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

HUB = Path("hub")
LOOPBACK = "127.0.0.1"


def is_taken(port: int) -> bool:
    """Whether something listens on `port` of the loopback address."""
    # The connection finds what binding alone can miss: on macOS a server on all addresses
    # leaves 127.0.0.1 free to bind.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return True
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return True
    return False


def is_ours(port: int) -> bool:
    """Whether the hub recorded in this folder has `port`: the new hub stops it before it binds."""
    try:
        record = json.loads((HUB / "process.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("port") == port


def create() -> None:
    """Make the folder, for its owner only, once the port is known to be free."""
    port = int(os.environ["HUB_PORT"])
    if not is_ours(port) and is_taken(port):
        sys.exit(
            f"error: port {port} on {LOOPBACK} is taken\n"
            'hint: give another `port` to module "provider" in main.tf, or stop what listens there'
        )
    HUB.mkdir(mode=0o700, exist_ok=True)
    HUB.chmod(0o700)


def remove() -> None:
    """Remove the folder and all that is in it; a link is removed, not what it points to."""
    if HUB.is_symlink():
        HUB.unlink()
    elif HUB.exists():
        shutil.rmtree(HUB)


if __name__ == "__main__":
    {"create": create, "remove": remove}[sys.argv[1]]()
