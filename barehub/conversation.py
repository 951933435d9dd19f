"""A short program's input, output and errors, to their end, with a sign of life."""

from __future__ import annotations

import subprocess
import threading
from contextlib import ExitStack, suppress
from typing import IO

from barehub.console import console
from barehub.patience import Patience

MOMENT_SECONDS = 1.0
"""What takes longer shows that it is waited for."""


def to_the_end(
    child: subprocess.Popen[bytes], input: bytes, patience: Patience, name: str
) -> tuple[bytes, bytes]:
    """Give ``input`` to a process and read its output and errors to their end.

    :raises subprocess.TimeoutExpired: it took too long.
    """
    # Popen.communicate goes on reading after a timeout, but does not go on writing
    writing, child.stdin = child.stdin, None
    assert writing
    threading.Thread(target=_feed, args=(writing, input), daemon=True).start()
    with ExitStack() as stack:
        work = None
        while True:
            try:
                return child.communicate(timeout=min(MOMENT_SECONDS, patience.seconds))
            except subprocess.TimeoutExpired:
                if patience.over(child.pid):
                    raise
            if work:
                work.go_on()
            elif threading.current_thread() is threading.main_thread():
                work = stack.enter_context(console.working("wait", f"waiting for {name}"))


def _feed(pipe: IO[bytes], content: bytes) -> None:
    with suppress(BrokenPipeError), pipe:
        pipe.write(content)
