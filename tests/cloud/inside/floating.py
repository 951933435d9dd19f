"""The floating addresses: takes TCP on each of them and passes it to the server behind its port.

usage: floating.py FOLDER PORT...

Follows ``FOLDER/neutron/floating.json`` and ``FOLDER/wires``, as the drivers write them.
"""

import ctypes
import ipaddress
import json
import os
import selectors
import socket
import sys
import threading
from pathlib import Path

NEW_NETWORK = 0x40000000
LOOK_SECONDS = 0.1
LIBC = ctypes.CDLL(None, use_errno=True)


def dial(holder: int, address: str, port: int) -> socket.socket:
    """A connection made in the network namespace of the process ``holder``.

    A socket stays in the namespace that it was made in; the calling thread must end afterwards.
    """
    with open(f"/proc/{holder}/ns/net") as namespace:
        if LIBC.setns(namespace.fileno(), NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return socket.create_connection((address, port), timeout=10)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(visitor: socket.socket, wire: Path, port: int) -> None:
    with visitor:
        try:
            holder, address = json.loads(wire.read_text())
            server = dial(holder, address, port)
        except (OSError, ValueError):
            return
        with server:
            server.settimeout(None)
            back = threading.Thread(target=pump, args=(server, visitor), daemon=True)
            back.start()
            pump(visitor, server)
            back.join()


def wanted(folder: Path, ports: list[int]) -> dict[tuple[str, int], str]:
    """The port of neutron's behind each address and TCP port."""
    try:
        floating = json.loads((folder / "neutron" / "floating.json").read_text())
    except FileNotFoundError:
        return {}
    return {
        (address, port): behind
        for address, behind in floating.items()
        for port in ports
        if ipaddress.ip_address(address).is_loopback
    }


def main(folder: Path, ports: list[int]) -> None:
    listening: dict[tuple[str, int], tuple[str, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        while True:
            want = wanted(folder, ports)
            for where in [w for w, (behind, _) in listening.items() if want.get(w) != behind]:
                _, gone = listening.pop(where)
                selector.unregister(gone)
                gone.close()
            for where in want.keys() - listening.keys():
                sock = socket.create_server(where)
                selector.register(sock, selectors.EVENT_READ, where)
                listening[where] = (want[where], sock)
            for key, _ in selector.select(LOOK_SECONDS):
                visitor, _ = key.fileobj.accept()  # type: ignore[union-attr]
                wire = folder / "wires" / want[key.data]
                argued = (visitor, wire, key.data[1])
                threading.Thread(target=serve, args=argued, daemon=True).start()


main(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]])
