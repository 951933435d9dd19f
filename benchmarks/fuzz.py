"""Feed the package's readers with what nobody would write: no exception but ours, and no hang.

    python benchmarks/fuzz.py                               100,000 inputs, another seed each time
    python benchmarks/fuzz.py --seed 7 --inputs 5000        the same 5,000 each time
    python benchmarks/fuzz.py --seconds 60 --only openrc,http
    python benchmarks/fuzz.py --seed 7 --only openrc --at 1234    one of them, with its traceback

Inputs are read in a worker process, whose memory is bounded, and which is killed when one input
takes longer than ``HANG_SECONDS``. The exit code is 1 if any input was bad.
"""

from __future__ import annotations

import argparse
import mmap
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.fuzz_readers import KINDS, Kind  # noqa: E402

INPUTS = 100_000
HANG_SECONDS = 10.0
MEMORY = 2 << 30
"""Bytes of address space that a reader may use (setrlimit(2), RLIMIT_AS)."""

_FORM = struct.Struct("=qd")
"""In memory that is shared with a worker: the number of the input that it reads, since when."""

_ENDED = -2


@dataclass(frozen=True)
class Bad:
    """An input that was not refused in our own words; ``what`` is the same for the same fault."""

    at: int
    what: str
    size: int


@dataclass
class Outcome:
    """What came of the inputs of one kind."""

    read: int = 0
    bad: dict[str, list[Bad]] = field(default_factory=dict)

    def add(self, bad: Bad) -> None:
        self.bad.setdefault(bad.what, []).append(bad)


def content(kind: Kind, seed: int, at: int) -> bytes:
    """Return the input with the number ``at``."""
    return kind.input(random.Random(f"{seed}:{kind.name}:{at}"))


def fuzz(kind: Kind, seed: int, numbers: Sequence[int], until: float = float("inf")) -> Outcome:
    """Read the inputs of ``kind`` with these ``numbers``, until then by time.monotonic()."""
    outcome = Outcome()
    left = list(numbers)
    _ = kind.good  # made once, not in each worker
    while left and time.monotonic() < until:
        worker = _Worker(kind, seed, left, until)
        why, at = worker.watch(outcome)
        if at == _ENDED:
            break
        outcome.add(Bad(at, why, len(content(kind, seed, at))))
        left = left[left.index(at) + 1 :]
    return outcome


class _Worker:
    """A process that reads inputs."""

    def __init__(self, kind: Kind, seed: int, numbers: Sequence[int], until: float) -> None:
        self._kind, self._seed, self._numbers, self._until = kind, seed, numbers, until
        self._shared = mmap.mmap(-1, _FORM.size)
        self._reads(numbers[0])
        self._pipe, writing = os.pipe()
        self._folder = Path(tempfile.mkdtemp(prefix="barehub-fuzz-", dir=_memory()))
        self._child = os.fork()
        if self._child == 0:
            self._work(writing)
        os.close(writing)

    def watch(self, outcome: Outcome) -> tuple[str, int]:
        """Return why it ended, and at which input; add what it told to ``outcome``."""
        why, told = "the process ended in the reader", bytearray()
        os.set_blocking(self._pipe, False)
        with os.fdopen(self._pipe, "rb", buffering=0) as pipe:
            running = True
            while running:
                running = os.waitpid(self._child, os.WNOHANG)[0] == 0
                told += pipe.read(1 << 20) or b""
                _, since = _FORM.unpack(self._shared[:])
                if running and time.monotonic() - since > HANG_SECONDS:
                    os.kill(self._child, signal.SIGKILL)
                    why = f"no end within {HANG_SECONDS:g} s"
                time.sleep(0.02 if running else 0)
            while part := pipe.read(1 << 20):
                told += part
        shutil.rmtree(self._folder, ignore_errors=True)  # here: a killed process cannot
        at, _ = _FORM.unpack(self._shared[:])
        while told:
            (size,) = struct.unpack_from("=I", told)
            outcome.add(pickle.loads(told[4 : 4 + size]))
            del told[: 4 + size]
        last = self._read() if at == _ENDED else self._numbers.index(at) + 1
        outcome.read += last
        return why, at

    def _read(self) -> int:
        return int(_FORM.unpack(self._shared[:])[1])

    def _reads(self, number: int) -> None:
        self._shared[:] = _FORM.pack(number, time.monotonic())

    def _work(self, pipe: int) -> None:
        """Read the inputs, tell of the bad ones, and end the process."""
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        count = 0
        nowhere = open(os.devnull, "w", errors="replace")  # noqa: SIM115 - until the process ends
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            for number in self._numbers:
                if time.monotonic() > self._until:
                    break
                self._reads(number)
                given = content(self._kind, self._seed, number)
                if what := judged(self._kind, given, self._folder):
                    said = pickle.dumps(Bad(number, what, len(given)))
                    os.write(pipe, struct.pack("=I", len(said)) + said)
                count += 1
        self._shared[:] = _FORM.pack(_ENDED, count)
        os._exit(0)


def judged(kind: Kind, given: bytes, folder: Path) -> str:
    """Return what is wrong with how ``given`` was read: the exception and its place, or nothing."""
    for path in folder.iterdir():
        path.unlink()
    try:
        kind.read(given, folder)
    except BaseException as error:  # a panic of a library in Rust is no Exception
        return f"{type(error).__name__} at {_place(error)}"
    return ""


def _place(error: BaseException) -> str:
    """Return the innermost line of the package's own that the exception came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{ROOT}/barehub/" in frame.filename] or list(frames)
    return f"{ours[-1].filename.removeprefix(f'{ROOT}/')}:{ours[-1].lineno}" if ours else "nowhere"


def _memory() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def shares(inputs: int, kinds: Sequence[Kind]) -> Iterator[tuple[Kind, int]]:
    """Split ``inputs`` between ``kinds``: readers that take long get fewer of them."""
    whole = sum(kind.share for kind in kinds)
    for kind in kinds:
        yield kind, max(1, -(-inputs * kind.share // whole))


def main() -> int:
    options = _options()
    kinds = [kind for kind in KINDS if not options.only or kind.name in options.only]
    if options.at is not None:
        return _again(kinds, options.seed, options.at)
    print(f"seed {options.seed}", flush=True)
    failed = total = 0
    for kind, number in shares(options.inputs, kinds):
        started = time.monotonic()
        share = options.seconds * kind.share / sum(one.share for one in kinds)
        until = started + share if options.seconds else float("inf")
        outcome = fuzz(kind, options.seed, range(number), until)
        bad = sum(map(len, outcome.bad.values()))
        failed, total = failed + bad, total + outcome.read
        took = time.monotonic() - started
        print(f"{kind.name:<12}{outcome.read:>8} read{bad:>6} bad  {took:.0f} s", flush=True)
        for what, inputs in outcome.bad.items():
            least = min(inputs, key=lambda one: one.size)
            again = f"--seed {options.seed} --only {kind.name} --at {least.at}"
            print(
                f"    {len(inputs)} x {what}, again with ({least.size} bytes): {again}", flush=True
            )
    print(f"{'all':<12}{total:>8} read{failed:>6} bad")
    return 1 if failed else 0


def _again(kinds: Sequence[Kind], seed: int, at: int) -> int:
    """Read one input in this process, and show it with what became of it."""
    (kind,) = kinds
    given = content(kind, seed, at)
    print(given if len(given) < 20_000 else given[:2000] + b" ... " + given[-500:])
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        kind.read(given, Path(folder))
    print("read without a fault")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--inputs", type=int, default=INPUTS, help="in all")
    parser.add_argument("--seconds", type=float, default=0.0, help="at most, in all")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="kinds")
    parser.add_argument("--at", type=int, help="the number of one input, of one kind")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
