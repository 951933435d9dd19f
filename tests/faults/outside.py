"""Faults of what is around a run: its backend, the network to a service, a provider's process."""

from __future__ import annotations

import time
from pathlib import Path

from tests.canary import content

from .faults import FAULTS as OF_A_RUN
from .faults import Fault, Running
from .place import POLL_SECONDS, Place, kill

HANG_SECONDS = 12.0
"""The longest that the network hangs: a command with a deadline gives up before that."""

AWAY_SECONDS = 3.0
"""The longest that what comes back while the command goes on is away."""


class KillBackend(Fault):
    """PostgreSQL crashes, and is started again: while the command goes on, or after it."""

    def __init__(self, *, back: bool) -> None:
        self._back = back

    def strike(self, run: Running) -> None:
        assert run.place.database
        run.place.database.kill()
        if self._back:
            time.sleep(run.case.chance("away").random() * AWAY_SECONDS)
            run.place.database.start()

    def mend(self, run: Running) -> None:
        assert run.place.database
        if not run.place.database.running:
            run.place.database.start()


class FillBackend(KillBackend):
    """PostgreSQL's disk is full: it refuses what is new, or crashes for its log."""

    def __init__(self) -> None:
        super().__init__(back=False)

    def strike(self, run: Running) -> None:
        assert run.place.database
        run.place.database.fill()

    def mend(self, run: Running) -> None:
        assert run.place.database
        run.place.database.make_room()
        super().mend(run)


class Network(Fault):
    """The way to services breaks and is refused, for a while or for good; or is reset once; or
    hangs until the command gives up, or for a while."""

    def __init__(self, how: str) -> None:
        self._how = how

    def strike(self, run: Running) -> None:
        chance = run.case.chance("network")
        doors = [run.place.doors[name] for name in sorted(run.place.doors)]
        for door in chance.sample(doors, chance.randint(1, len(doors))):
            {"break": door.shut, "flap": door.shut, "reset": door.reset, "hang": door.hang}[
                self._how
            ]()
        if self._how == "hang":
            _while_it_runs(run, chance.choice((1.0, AWAY_SECONDS, HANG_SECONDS)))
        elif self._how == "flap":
            _while_it_runs(run, chance.random() * AWAY_SECONDS)
        if self._how != "break":
            self.mend(run)

    def mend(self, run: Running) -> None:
        for door in run.place.doors.values():
            door.open()


def _while_it_runs(run: Running, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while run.command.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


class KillPlugin(Fault):
    """SIGKILL of a provider's process, which Terraform talks to."""

    def strike(self, run: Running) -> None:
        while run.command.poll() is None:
            if found := _plugins(run.place):
                for pid in found:
                    kill(pid)
                return
            time.sleep(POLL_SECONDS)


def _plugins(place: Place) -> list[int]:
    return [pid for pid in place.living() if b"/terraform-provider-" in _program(pid)]


def _program(pid: int) -> bytes:
    return content(Path(f"/proc/{pid}/cmdline")).split(b"\0")[0]


FAULTS: dict[str, Fault] = {
    **OF_A_RUN,
    "backend-killed": KillBackend(back=False),
    "backend-back": KillBackend(back=True),
    "backend-full": FillBackend(),
    "kill-plugin": KillPlugin(),
    **{f"network-{how}": Network(how) for how in ("break", "flap", "reset", "hang")},
}
