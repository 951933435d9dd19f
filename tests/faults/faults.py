"""Each fault: what is done to a command that runs, and how the world is mended afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.canary import content

from .draw import Case
from .place import POLL_SECONDS, Place, kill


@dataclass
class Running:
    """A command that is disturbed, and what its fault starts beside it."""

    case: Case
    place: Place
    arguments: Sequence[str]
    command: subprocess.Popen[str]
    others: list[subprocess.Popen[str]] = field(default_factory=list)
    ends: list[tuple[int, str]] = field(default_factory=list)
    """Of the command and the others, once they have ended: the exit code, and stderr."""

    def ended(self) -> str:
        """Wait until all of it has ended; what it said on stderr."""
        for command in (self.command, *self.others):
            said = self.place.wait_for(command)
            self.ends.append((command.returncode, said))
        self.place.wait_for_all()
        return "".join(said for _, said in self.ends)


class Fault:
    """One kind of fault; the methods are called in this order, and do nothing of themselves."""

    @contextmanager
    def around(self, case: Case, place: Place) -> Iterator[None]:
        """From before the command starts until all has been judged."""
        yield

    def strike(self, run: Running) -> None:
        """Do it, at the moment of the case. ``run.command`` may have ended by then."""

    def mend(self, run: Running) -> None:
        """Bring the world in order, after all processes of the command have ended."""

    def judge(self, run: Running) -> None:
        """See that the command itself kept what it promises of such a fault."""


class Kill(Fault):
    """SIGKILL of barehub alone, so that Terraform goes on; of Terraform alone; or of both."""

    def __init__(self, *, barehub: bool, terraform: bool) -> None:
        self._barehub, self._terraform = barehub, terraform

    def strike(self, run: Running) -> None:
        victims = _waited_for(run, TERRAFORM) if self._terraform else []
        for pid in [*([run.command.pid] if self._barehub else []), *victims]:
            kill(pid)


class KillTree(Fault):
    """SIGKILL of all at once, as a group's end or a lack of memory does it; or of all but barehub.

    Unlike Terraform alone they do not leave a provisioner that goes on and finishes its thing.
    """

    def __init__(self, *, barehub: bool) -> None:
        self._barehub = barehub

    def strike(self, run: Running) -> None:
        _waited_for(run, TERRAFORM)
        for pid in run.place.living():
            if self._barehub or pid != run.command.pid:
                kill(pid)


class KillProvisioner(Fault):
    """SIGKILL of what makes or drops a thing: Terraform hears of a failure."""

    def strike(self, run: Running) -> None:
        for pid in _waited_for(run, (b"cloud.sh",)):
            kill(pid)


class LosePower(Fault):
    """Everything of the run is gone at once: its processes, and all that was in memory.

    With ``behind`` barehub has not had its turn for so many seconds before, at most, as on a
    machine that has too much to do: Terraform is ahead of what the journal and the disk have.
    """

    def __init__(self, behind: float = 0.0) -> None:
        self._behind = behind

    def strike(self, run: Running) -> None:
        if self._behind:
            kill(run.command.pid, signal.SIGSTOP)
            time.sleep(run.case.chance("behind").random() * self._behind)
        while left := run.place.living():
            for pid in left:
                kill(pid)
            run.command.poll()
        for home in run.place.memory.iterdir():
            shutil.rmtree(home)


class Signals(Fault):
    """A signal to barehub's group, as a terminal sends it: one, or several with pauses."""

    PAUSE = 0.6
    """The longest, in seconds."""

    def __init__(self, number: signal.Signals, times: int = 1) -> None:
        self._number, self._times = number, times

    def strike(self, run: Running) -> None:
        chance = run.case.chance("signals")
        for time_ in range(self._times):
            if time_:
                time.sleep(chance.random() * self.PAUSE)
            if run.command.poll() is None:
                os.killpg(run.command.pid, self._number)

    def judge(self, run: Running) -> None:
        """It was through, or was interrupted in order; early, Python itself may die of it. One that
        goes on from another may also have asked a person before the signal came."""
        ((code, said),) = run.ends
        allowed = {0, -self._number} | ({130} if self._number != signal.SIGHUP else set())
        if "was interrupted; it may exist in the cloud" in said:
            allowed.add(7)
        early = "KeyboardInterrupt" in said and "barehub/" not in said
        assert code in allowed or early, f"ENDED WITH {code}\n{said}"


class Race(Fault):
    """The same command once more, while the first is at work."""

    def strike(self, run: Running) -> None:
        run.others.append(run.place.cli.start(*run.arguments))

    def judge(self, run: Running) -> None:
        """Who has the instance is not disturbed, and who has not is told so."""
        for code, said in run.ends:
            assert code == 0 or "is in use by" in said, f"ENDED WITH {code}\n{said}"


class Full(Fault):
    """No room is left on a file system of the run's own, which only root can make."""

    def __init__(self, which: str, mebibytes: int) -> None:
        self._which, self._mebibytes = which, mebibytes

    @contextmanager
    def around(self, case: Case, place: Place) -> Iterator[None]:
        folder = self._folder(place)
        aside = folder.with_name(f"{folder.name}.aside")
        shutil.copytree(folder, aside, symlinks=True)
        size = f"size={self._mebibytes}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
        try:
            shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(aside)
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    def strike(self, run: Running) -> None:
        with suppress(OSError), self._filler(run.place).open("wb", buffering=0) as filler:
            while True:
                filler.write(b"\0" * 4096)

    def mend(self, run: Running) -> None:
        self._filler(run.place).unlink()

    def _folder(self, place: Place) -> Path:
        return place.memory if self._which == "memory" else place.instance

    def _filler(self, place: Place) -> Path:
        return self._folder(place) / "filler"


def _waited_for(run: Running, names: Sequence[bytes]) -> list[int]:
    """The processes whose command line names a program, as soon as there is one."""
    while run.command.poll() is None:
        if found := [pid for pid in run.place.living() if _runs(pid, names)]:
            return found
        time.sleep(POLL_SECONDS)
    return []


def _runs(pid: int, names: Sequence[bytes]) -> bool:
    words = content(Path(f"/proc/{pid}/cmdline")).split(b"\0")
    return any(word.rpartition(b"/")[2] in names for word in words[:2])


TERRAFORM = (b"terraform", b"tofu")

FAULTS: dict[str, Fault] = {
    "kill-barehub": Kill(barehub=True, terraform=False),
    "kill-terraform": Kill(barehub=False, terraform=True),
    "kill-both": Kill(barehub=True, terraform=True),
    "kill-tree": KillTree(barehub=False),
    "kill-all": KillTree(barehub=True),
    "kill-provisioner": KillProvisioner(),
    "power": LosePower(),
    "power-behind": LosePower(behind=1.5),
    **{f"sigint-{times}": Signals(signal.SIGINT, times) for times in (1, 2, 3)},
    "sigterm": Signals(signal.SIGTERM),
    "sighup": Signals(signal.SIGHUP),
    "race": Race(),
    "disk-full": Full("disk", 12),
    "memory-full": Full("memory", 24),
}
