"""A command on a terminal of its own: a pseudo-terminal that the test types into and hangs up."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
from pathlib import Path

from barehub.patience import Patience

from .conftest import Cli

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """``invoke`` with stdin (or a file there), stdout and stderr on a controlling terminal."""

    def __init__(self, cli: Cli, *args: str, stdin: Path | None = None) -> None:
        self._master, slave = pty.openpty()
        given = os.open(stdin, os.O_RDONLY) if stdin else slave
        termios.tcsetwinsize(slave, (40, 120))
        self.raw = ""
        self.child = subprocess.Popen(
            cli.argv(*args),
            stdin=given,
            stdout=slave,
            stderr=slave,
            env={**cli.env, "TERM": "xterm"},
            cwd=cli.root,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        if stdin:
            os.close(given)

    @property
    def text(self) -> str:
        """What was printed, without colours and cursor movements."""
        return ESCAPES.sub("", self.raw)

    def expect(self, text: str, seconds: float = 60) -> None:
        patience = Patience(seconds)
        while text not in self.text:
            assert not patience.over(), self.text
            assert self._read() or text in self.text, self.text

    def watch(self, seconds: float) -> None:
        """Read whatever is printed within ``seconds``."""
        patience = Patience(seconds)
        while not patience.over():
            self._read()

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self, seconds: float = 90) -> int:
        """Read to the end; the exit code."""
        patience = Patience(seconds)
        while self._read():
            assert not patience.over(), self.text
        os.close(self._master)
        return self.child.wait(timeout=10)

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does: the kernel sends SIGHUP."""
        os.close(self._master)

    def _read(self) -> bool:
        """Whether there may be more."""
        if not select.select([self._master], [], [], 0.2)[0]:
            return True
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # EIO: the last process on the other side is gone
            return False
        self.raw += chunk.decode(errors="replace")
        return bool(chunk)
