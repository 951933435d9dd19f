"""OpenStack's programs, installed once for all clones of a person, in their cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = Path(__file__).resolve().parent.parent / "openstack-2025.1.lock"
PYTHON = ">=3.11,<3.13"  # what OpenStack 2025.1 runs on
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub"


def folder() -> Path:
    """Holds ``venv`` and the ``template`` of a cloud; named after what the lock file says."""
    return KEPT / f"openstack-{hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]}"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process is in a block with this ``lock``."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def installed() -> Path:
    """The environment with OpenStack in it, made now if need be: ten seconds and 470 MB."""
    venv = folder() / "venv"
    with alone(folder() / "venv.lock"):
        if not (venv / "whole").exists():
            shutil.rmtree(venv, ignore_errors=True)
            _uv("venv", "--no-python-downloads", "--python", PYTHON, venv)
            _uv(
                "pip", "sync", "--require-hashes", "--compile-bytecode",
                "--python", venv / "bin" / "python",
                "--build-constraints", LOCK_FILE, LOCK_FILE,
            )  # fmt: skip
            (venv / "whole").touch()
    return venv


def _uv(*arguments: str | Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, *arguments[:1], "--quiet", *arguments[1:]], check=True)


def digest() -> str:
    """Changes with what a new cloud's databases depend on besides the lock file."""
    names = ("configuration.py", "contents.py", "databases.py", "layout.py")
    files = [Path(__file__).with_name(name) for name in names]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
