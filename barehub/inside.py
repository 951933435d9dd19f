"""What runs first in a container: waits for the identity on standard input, then runs the command.

    python -m barehub.inside spawn --name demo

It is process 1. Standard input is JSON, one message a line: first the :class:`Letter`, then
``{"input": "…"}`` (what the person types), ``{"input": ""}`` (its end) and ``{"signal": 2}``. When
standard input itself ends, whoever started the container is dead: the command is ended in order.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from barehub import process

SEALED = "BAREHUB_SEALED"
"""Set in the environment of a command that runs in a container of `--container`."""

SSH_IDENTITY = "SOPS_AGE_SSH_PRIVATE_KEY_FILE"


@dataclass(frozen=True)
class Letter:
    """All that a command inside must know, and that no `inspect` may show."""

    environment: dict[str, str]
    terminals: list[bool]
    """Whether standard input, output and error are a terminal outside."""

    age: str = field(default="", repr=False)
    ssh: str = field(default="", repr=False)

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def sealed() -> bool:
    """Whether we run in a container that ends with this command."""
    return bool(os.environ.get(SEALED))


def main(command: list[str]) -> NoReturn:
    process.harden()
    letters, letter = os.pipe()
    typed, typing = os.pipe()
    child = os.fork()
    if child == 0:
        for fd in (letter, typing):
            os.close(fd)
        os.dup2(typed, 0)
        with open(letters, "rb") as pipe:
            told = pipe.read()
        _run(command, told)
    for fd in (letters, typed):
        os.close(fd)
    sys.exit(_Keeper(child, letter, typing).wait())


class _Keeper:
    """Process 1: hands on what comes in, and collects what ends, until the command has ended."""

    def __init__(self, child: int, letter: int, typing: int) -> None:
        self.child, self.letter, self.typing = child, letter, typing
        self._read, self._typed, self._typed_all = b"", b"", False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: self._signal(number))
        os.set_blocking(typing, False)

    def wait(self) -> int:
        """Until the command has ended; its exit code."""
        listening = [0]
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == self.child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code  # as shells report a signal
            if pid:
                continue
            writing = [self.typing] if self._typed else []
            ready, open_, _ = select.select(listening, writing, [], 0.05)
            if ready and not self._listen():
                listening = []
                self._signal(signal.SIGTERM)
            if open_:
                self._hand_on()

    def _listen(self) -> bool:
        """Read what came in; false at the end."""
        chunk = os.read(0, 65536)
        *lines, self._read = (self._read + chunk).split(b"\n")
        for line in lines:
            if self.letter >= 0:
                _write_all(self.letter, line)
                os.close(self.letter)
                self.letter = -1
            else:
                self._obey(json.loads(line))
        if not chunk and self.letter >= 0:
            os.close(self.letter)
            self.letter = -1
        return bool(chunk)

    def _obey(self, message: dict[str, Any]) -> None:
        if "signal" in message:
            self._signal(message["signal"])
        elif message["input"]:
            self._typed += str(message["input"]).encode("utf-8", "surrogateescape")
        else:
            self._typed_all = True
            self._hand_on()

    def _hand_on(self) -> None:
        try:
            if self._typed:
                self._typed = self._typed[os.write(self.typing, self._typed) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._typed, self._typed_all = b"", True
        if self._typed_all and not self._typed and self.typing >= 0:
            os.close(self.typing)
            self.typing = -1

    def _signal(self, number: int) -> None:
        try:
            os.kill(self.child, number)
        except ProcessLookupError:
            pass


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _run(command: list[str], told: bytes) -> NoReturn:
    """The command, as it would run outside."""
    if not told:
        sys.exit("error: nobody told this container who may read the vault")
    letter = Letter(**json.loads(told))
    os.environ.update(letter.environment)
    os.environ[SEALED] = "1"
    if letter.age:
        os.environ["SOPS_AGE_KEY"] = letter.age
    if letter.ssh:
        fd = os.memfd_create("barehub")
        _write_all(fd, letter.ssh.encode())
        os.environ[SSH_IDENTITY] = f"/proc/self/fd/{fd}"
    streams = ("stdin", "stdout", "stderr")
    for name, terminal in zip(streams, letter.terminals, strict=True):
        if terminal:
            setattr(sys, name, _Terminal(getattr(sys, name)))
    from invoke.main import program

    sys.argv = ["invoke", "--search-root", os.getcwd(), *command]
    program.run(sys.argv)
    sys.exit(0)


class _Terminal:
    """A stream whose other end is a terminal, outside of the container."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if __name__ == "__main__":
    main(sys.argv[1:])
