"""Runs checks in processes of their own: one that hangs or crashes ends no other, and no report.

A check may be stuck where no timeout of an event loop and no thread gets a turn: in a library
written in C, in an endless loop. The kernel ends such a process: its alarm (setitimer(2), SIGALRM)
is put off by the event loop several times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import select
import signal
import struct
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NoReturn

from barehub.verify.finding import Findings
from barehub.verify.probe import probe
from barehub.verify.report import Report
from barehub.verify.target import Target
from barehub.verify.waiting import until_ready

STALL_SECONDS = 15.0
"""How long a process's event loop may be kept from going on; a loaded machine stays below it."""

PULSE_SECONDS = 0.25
TICK_SECONDS = 0.1

_LENGTH = struct.Struct("=I")
_PIECE = 1 << 16

Tell = Callable[..., None]
"""Sends a message, a tuple of picklable values, to the process that waits for it."""

Work = Callable[[Tell], Coroutine[Any, Any, None]]


class Worker:
    """A process that does ``work`` and tells of it: a copy of this one, which starts at once."""

    def __init__(self, work: Work) -> None:
        self._reading, writing = os.pipe()
        self._buffer = bytearray()
        self._code: int | None = None
        parent = os.getpid()
        self._process = os.fork()
        if self._process == 0:
            os.close(self._reading)
            _child(work, writing, parent)
        os.close(writing)
        os.set_blocking(self._reading, False)

    @property
    def ended(self) -> bool:
        """Whether it has ended, and all that it told was taken."""
        return self._code is not None

    @property
    def crash(self) -> str:
        """Why it ended before its work did; empty if it did not."""
        if not self._code:
            return ""
        if self._code == -signal.SIGALRM:
            return f"a check did not end within {STALL_SECONDS:g} s"
        return f"the process of the check ended by itself (code {self._code})"

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to take."""
        return self._reading

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """Take what it told since the last time."""
        while not self.ended:
            try:
                piece = os.read(self._reading, _PIECE)
            except BlockingIOError:
                break
            if not piece:
                self._reap()
            self._buffer += piece
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            message = pickle.loads(self._buffer[_LENGTH.size : end])  # noqa: S301 - our own copy's
            del self._buffer[:end]
            yield message

    def interrupt(self) -> None:
        """Ask it to stop in order: its work is cancelled."""
        if not self.ended:
            os.kill(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        if not self.ended:
            os.kill(self._process, signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        os.close(self._reading)
        _, status = os.waitpid(self._process, 0)
        self._code = os.waitstatus_to_exitcode(status)


def _child(work: Work, writing: int, parent: int) -> NoReturn:
    """Do the work in the new process, and end it without what this one would do at its end."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGHUP):  # of the terminal, which are for the parent
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, STALL_SECONDS)
        _let_go(writing)

        def tell(*message: Any) -> None:
            said = pickle.dumps(message)
            left = memoryview(_LENGTH.pack(len(said)) + said)
            while left:
                left = left[os.write(writing, left) :]

        asyncio.run(_alive(work(tell), parent))
        code = 0
    finally:
        os._exit(code)


def _let_go(kept: int) -> None:
    """Give up the descriptors that were inherited: a lock must end with the run that holds it.

    Their numbers stay taken, since objects that know them may still close them.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    names: list[str] = []
    with contextlib.suppress(OSError):  # a sandbox without /dev
        names = os.listdir("/dev/fd")
    for descriptor in map(int, names):
        if descriptor > 2 and descriptor not in (kept, nothing):
            with contextlib.suppress(OSError):  # that of the listing itself
                os.fstat(descriptor)
                os.dup2(nothing, descriptor)


async def _alive(work: Coroutine[Any, Any, None], parent: int) -> None:
    """Do ``work``, and put the alarm off; cancel it when asked to, or when nobody waits for it."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.set_exception_handler(lambda _, context: None)  # it would print what is raised as well
    while not task.done():
        signal.setitimer(signal.ITIMER_REAL, STALL_SECONDS)
        if os.getppid() != parent:
            task.cancel()
        await asyncio.wait({task}, timeout=PULSE_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, STALL_SECONDS)
    if not task.cancelled():
        task.result()


def drain(worker: Worker, take: Callable[..., None], stop: Callable[[], None]) -> None:
    """Take what ``worker`` tells until it has ended; ``stop`` is called several times a second.

    When ``stop`` raises, the worker is asked to stop in order, and waited for.
    """
    try:
        while not worker.ended:
            _wait([worker])
            for message in worker.messages():
                take(*message)
            stop()
    finally:
        worker.interrupt()
        while not worker.ended:
            _wait([worker])
            for message in worker.messages():
                take(*message)


def _wait(workers: Sequence[Worker]) -> set[int]:
    """Wait for the first message; return whose descriptors are readable."""
    look = select.poll()
    for worker in workers:
        look.register(worker.fileno(), select.POLLIN)
    return {descriptor for descriptor, _ in look.poll(TICK_SECONDS * 1000)}


def look_at_each(
    targets: Sequence[Target],
    done: Callable[[Report], None],
    *,
    seconds: float,
    now: Callable[[Target, str], None],
    stop: Callable[[], None],
) -> None:
    """See :func:`barehub.verify.verify_each`: all in one process, side by side.

    When that hangs or crashes, each endpoint that has no report yet is looked at once more, in a
    process of its own, which tells which of them it was. (One stopped by Ctrl-Z seems to hang.)
    """
    until = time.monotonic() + seconds if seconds else 0.0
    left = dict(enumerate(targets))
    again: list[int] = []
    running: dict[Worker, int | None] = {}
    """The one endpoint that each looks at; None for all that are left."""

    def start(numbers: Sequence[int]) -> Worker:
        those = {number: targets[number] for number in numbers}
        return Worker(lambda tell: _looked(those, until, tell))

    def take(number: int, told: Report | str) -> None:
        if isinstance(told, str):
            now(targets[number], told)
        else:
            del left[number]
            done(told)

    try:
        running = {start(list(left)): None} if left else {}
        while running:
            ready = _wait([*running])
            for worker in [worker for worker in running if worker.fileno() in ready]:
                for message in worker.messages():
                    take(*message)
                if not worker.ended:
                    continue
                alone = running.pop(worker)
                if alone is None:
                    again = [*left]
                elif alone in left:
                    take(alone, _unjudged(left[alone], worker.crash))
            if again and len(running) < AT_ONCE:  # one at a time: all at once would stall
                number = again.pop(0)
                running[start([number])] = number
            stop()
    finally:
        for worker in running:
            worker.kill()


AT_ONCE = 64
"""How many endpoints are looked at side by side, in one process or in as many."""


async def _looked(targets: dict[int, Target], until: float, tell: Tell) -> None:
    """Look at all ``targets`` side by side, and tell the report of each by its number.

    :param until: when to stop waiting for them, by time.monotonic(); 0 for one look.
    """
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, target: Target) -> None:
        async with free:
            if until:
                seconds = max(0.0, until - time.monotonic())
                report = await until_ready(target, seconds, lambda text: tell(number, text))
            else:
                report = await probe(target)
            tell(number, report)

    await asyncio.gather(*(one(number, target) for number, target in targets.items()))


def _unjudged(target: Target, why: str) -> Report:
    found = Findings(target.vantages[0])
    found.unjudged(why)
    return Report(target, found)
