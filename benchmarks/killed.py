"""What a killed spawn costs the next one: seconds more than a spawn takes that nothing disturbed.

Each round starts `spawn --recipe local` on nothing, sends SIGKILL at a random moment to what one of
``--kill`` names, and runs spawn again until a hub is up. Seeds are printed: ``--seed`` repeats one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.processes import descendants, named  # noqa: E402

AIM = 20.0
"""Seconds that the next spawn may take longer."""

KINDS = ("barehub", "terraform", "both", "all")
GIVE_UP = 300.0


@dataclass(frozen=True)
class Place:
    """A project folder with a vault, and the command line there."""

    root: Path
    env: dict[str, str]

    def argv(self, *args: str) -> list[str]:
        invoke = str(Path(sys.executable).with_name("invoke"))
        return [invoke, "--search-root", str(self.root), *args]

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*args),
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(*args),
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


SPAWN = ("spawn", "--name", "demo", "--recipe", "local", "--recover", "--yes")
TEARDOWN = ("teardown", "--name", "demo", "--yes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kill", choices=(*KINDS, "any"), default="any")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    kinds = KINDS if given.kill == "any" else (given.kill,)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory(dir="/dev/shm") as memory,
    ):
        place = _place(Path(folder), Path(memory))
        extra = []
        for number in range(given.kills):
            seed = given.seed + number
            kind = kinds[number % len(kinds)]
            extra.append(_round(place, seed, kind))
    print(f"{len(extra)} kills, seeds {given.seed} to {given.seed + len(extra) - 1}:")
    print(
        f"extra seconds: min {min(extra):.1f}, median {statistics.median(extra):.1f}, "
        f"max {max(extra):.1f} (aim: {AIM:.0f})"
    )


def _place(folder: Path, memory: Path) -> Place:
    project, home = folder / "project", folder / "home"
    for path in (project, home):
        path.mkdir()
    for part in ("tasks.py", "barehub", "terraform"):
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, project / part)
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    env = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(memory), "UV_CACHE_DIR": cache}
    env |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "CHECKPOINT_DISABLE": "1"}
    place = Place(project, env)
    if (done := place("vault.init")).returncode:
        sys.exit(done.stderr)
    return place


def _spawn_seconds(place: Place) -> float:
    started = time.monotonic()
    done = place(*SPAWN)
    if done.returncode:
        sys.exit(done.stderr)
    took = time.monotonic() - started
    _tear_down(place)
    return took


def _tear_down(place: Place) -> None:
    done = place(*TEARDOWN)
    if done.returncode:
        sys.exit(done.stderr)
    shutil.rmtree(place.root / "instances" / "demo")


def _round(place: Place, seed: int, kind: str) -> float:
    """Kill one spawn and bring the hub up after it; how many seconds longer that took than a spawn
    that was not disturbed, before it and after it: how busy the machine is changes."""
    before = _spawn_seconds(place)
    seconds, moment, told = _killed_seconds(place, seed, kind, before)
    undisturbed = (before + _spawn_seconds(place)) / 2
    extra = seconds - undisturbed
    print(
        f"seed {seed}: {kind} killed after {moment:.2f} s: {extra:+.1f} s "
        f"to {undisturbed:.1f} s, {told}",
        flush=True,
    )
    return extra


def _killed_seconds(
    place: Place, seed: int, kind: str, undisturbed: float
) -> tuple[float, float, str]:
    """From the kill until a hub is up; when the kill came, and what was said, too."""
    moment = random.Random(seed).uniform(0.0, undisturbed)
    run = place.start(*SPAWN)
    time.sleep(moment)
    _kill(run, kind)
    killed = time.monotonic()
    tries, said = 0, ""
    while True:
        tries += 1
        done = place(*SPAWN)
        if done.returncode == 0:
            break
        said = done.stderr.strip().splitlines()[-2 if "hint" in done.stderr else -1]
        if time.monotonic() - killed > GIVE_UP:
            sys.exit(f"seed {seed}, {kind} killed after {moment:.2f} s: {done.stderr}")
        time.sleep(0.5)
    seconds = time.monotonic() - killed
    run.wait()
    _tear_down(place)
    told = f"{tries} spawn{'s' * (tries > 1)}{f', of which one said: {said}' if said else ''}"
    return seconds, moment, told


def _kill(run: subprocess.Popen[bytes], kind: str) -> None:
    """Kill barehub, its Terraform, both, or all that they have started."""
    below = descendants(run.pid)
    terraform = [pid for pid in below if named(pid) in ("terraform", "tofu")]
    victims = {
        "barehub": [run.pid],
        "terraform": terraform,
        "both": [run.pid, *terraform],
        "all": [run.pid, *below],
    }[kind]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if kind == "terraform":
        run.wait()  # it lives, and ends by itself


if __name__ == "__main__":
    main()
