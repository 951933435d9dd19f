"""A door in front of one API or database, which a test can shut in the middle of a run.

To a client it is the service itself: when it is shut, connections break and new ones are refused,
as when the process behind them is killed. The service goes on with what it was asked for, as
nova-compute does when nova-api dies: that is the harder case. It can also reset its connections,
as a firewall does that was started anew, or hang, as a network that loses all that is sent.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress


class Gate:
    """Listens on a port of its own and passes bytes on to ``target``, until it is shut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._flows = threading.Event()
        self._listener: socket.socket | None = None
        self._shut_at: tuple[bytes, bool] | None = None
        self._last: socket.socket | None = None
        self.port = 0
        self.requests: list[str] = []
        """The request lines that came, such as ``POST /v2.1/servers``, in order."""
        self.open()

    def open(self) -> None:
        """Let clients in, on the same port as before; what hangs goes on."""
        self._flows.set()
        if self._listener:
            return
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Break every connection and refuse new ones, until :meth:`open`."""
        with self._lock:
            ends, self._open = self._open, set()
            listener, self._listener = self._listener, None
        for end in [*ends, *([listener] if listener else ())]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._flows.set()  # whoever hangs there finds it broken

    def hang(self) -> None:
        """Let clients in and pass nothing on, neither way, until :meth:`open` or :meth:`shut`."""
        self._flows.clear()

    def reset(self) -> None:
        """End every connection by a RST (tcp(7), SO_LINGER of 0 s); new ones are let in."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)  # wakes who waits for it, and sends nothing
            end.close()

    @property
    def is_shut(self) -> bool:
        return self._listener is None

    def shut_at(self, request: str, *, done: bool) -> None:
        """Shut it when a request comes that begins with ``request``, as ``POST /v2.1/servers``.

        With ``done`` the service does what it is asked and the client never hears of it; without,
        the request never reaches the service.
        """
        self._shut_at = (request.encode(), done)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            server = socket.create_connection(self._target, timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
        self._requests(client, server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self._flows.wait()
                line = data.split(b"\r\n", 1)[0]
                if b" HTTP/1." in line:
                    self.requests.append(line.split(b" HTTP/1.")[0].decode())
                if self._shut_at and line.startswith(self._shut_at[0]):
                    done, self._shut_at = self._shut_at[1], None
                    if not done:
                        self.shut()
                        return
                    self._last = server
                server.sendall(data)
        with suppress(OSError):  # also where the client reset it, having ended with bytes unread
            if server in self._open:
                server.shutdown(socket.SHUT_WR)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                self._flows.wait()
                if server is self._last:
                    self._last = None
                    self.shut()
                    return
                client.sendall(data)
        with self._lock:
            ends = self._open & {server, client}  # else somebody else ends them
            self._open -= ends
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
