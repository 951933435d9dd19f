"""The door that tests shut in front of an API or a database ends connections as a network does."""

from __future__ import annotations

import socket
import struct

from tests.cloud.openstack.gate import Gate


def test_a_client_that_resets_its_connection_is_gone_for_the_service_too() -> None:
    # as Terraform does that ends with bytes unread; a database would keep its lock for ever
    with socket.create_server(("127.0.0.1", 0)) as service:
        gate = Gate(("127.0.0.1", service.getsockname()[1]))
        try:
            client = socket.create_connection(("127.0.0.1", gate.port))
            server, _ = service.accept()
            server.settimeout(60)
            client.sendall(b"hello")
            assert server.recv(5) == b"hello"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with server:
                assert server.recv(1) == b""
        finally:
            gate.shut()
