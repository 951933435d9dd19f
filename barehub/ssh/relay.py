"""Passes an ssh-agent's protocol on: listing and signing, with the given keys and no other.

    python relay.py FD SOCKET KEY…      started by agent.py

FD is a listening socket, SOCKET the agent behind it, each KEY a public key in base64. It ends with
its standard input. The protocol: https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import sys
import threading
import time

FAILURE, LIST, KEYS, SIGN, EXTENSION = 5, 11, 12, 13, 27
LONGEST = 256 * 1024
"""Bytes of a message that OpenSSH's agent takes."""

BIND = b"session-bind@openssh.com"
"""Tells an agent which host a connection goes to. It must pass: a key that is restricted to hosts
(ssh-add -h) signs for no other, and ssh sends it before it uses or forwards any agent."""

PAUSE = 0.05
"""Seconds between attempts to accept a connection."""


class Broken(Exception):
    """A message that is none."""


def receive(peer: socket.socket) -> bytes:
    """One message without its length; nothing at the end."""
    head = _exactly(peer, 4)
    if not head:
        return b""
    (length,) = struct.unpack(">I", head)
    if not 0 < length <= LONGEST:
        raise Broken
    return _exactly(peer, length)


def send(peer: socket.socket, message: bytes) -> None:
    peer.sendall(struct.pack(">I", len(message)) + message)


def _exactly(peer: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = peer.recv(count - len(parts))
        if not part:
            return b""
        parts += part
    return parts


def field(data: bytes) -> tuple[bytes, bytes]:
    """A string of the protocol, and what comes after it."""
    if len(data) < 4:
        raise Broken
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise Broken
    return data[4 : 4 + length], data[4 + length :]


def allowed(request: bytes, keys: set[bytes]) -> bool:
    """Whether a request may go on to the agent."""
    kind, body = request[0], request[1:]
    if kind == SIGN:
        return field(body)[0] in keys
    if kind == EXTENSION:
        return field(body)[0] == BIND
    return kind == LIST


def shown(answer: bytes, keys: set[bytes]) -> bytes:
    """The list of an agent's keys, without any but ``keys``."""
    if answer[:1] != bytes([KEYS]) or len(answer) < 5:
        return answer
    rest, kept, count = answer[5:], b"", 0
    while rest:
        blob, after = field(rest)
        _, after = field(after)
        if blob in keys:
            kept += rest[: len(rest) - len(after)]
            count += 1
        rest = after
    return bytes([KEYS]) + struct.pack(">I", count) + kept


def serve(peer: socket.socket, behind: str, keys: set[bytes]) -> None:
    """One connection, to its end."""
    try:
        with peer, socket.socket(socket.AF_UNIX) as agent:
            agent.connect(behind)
            while request := receive(peer):
                answer = bytes([FAILURE])
                if allowed(request, keys):
                    send(agent, request)
                    answer = receive(agent)
                    if not answer:
                        return
                    if request[0] == LIST:
                        answer = shown(answer, keys)
                send(peer, answer)
    except (OSError, Broken):
        return


def end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    listening = socket.socket(fileno=int(sys.argv[1]))
    keys = {base64.b64decode(key) for key in sys.argv[3:]}
    threading.Thread(target=end_with_input, daemon=True).start()
    while True:
        try:
            peer, _ = listening.accept()
        except OSError:  # too many connections: others wait until some have ended
            time.sleep(PAUSE)
            continue
        try:
            threading.Thread(target=serve, args=(peer, sys.argv[2], keys), daemon=True).start()
        except RuntimeError:  # no thread can be started
            peer.close()


if __name__ == "__main__":
    main()
