"""A podman of the tests' own: its storage, and a base image made with debootstrap, in the cache.

No registry is asked. The base is Debian of the Dockerfile's release, with this machine's
authorities for TLS; Terraform is the one that this machine has.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barehub.project import Project

ROOT = Path(__file__).resolve().parent.parent
STORE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub" / "podman"
"""Kept from run to run; known before a test moves its HOME."""

RELEASE = "trixie"
MIRROR = "http://deb.debian.org/debian"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PACKAGE_INDEX = ("/etc/pip.conf", "/etc/uv/uv.toml")
"""Where a machine may say which index of packages it uses."""


def podman(*args: str, check: bool = True, input: bytes = b"") -> str:
    """What podman prints."""
    done = subprocess.run(["podman", *args], input=input, capture_output=True)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace")


def names(*filters: str) -> list[str]:
    """The containers that there are, running or not."""
    return podman("ps", "--all", "--format", "{{.Names}}", *filters).split()


def limits() -> list[str]:
    """What a container of this machine may be given (see barehub.engine)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [f"nofile={soft}:{hard}", "nproc=4096:4096"]


def needed() -> None:
    """Skip where none of this can be: on macOS, and for users who may not make a root folder."""
    if os.geteuid() != 0 or not shutil.which("debootstrap") or not shutil.which("podman"):
        pytest.skip("needs podman and debootstrap, and root for the latter")


def settings(store: Path = STORE) -> dict[str, str]:
    """An environment in which podman, and barehub, work in a storage of the tests."""
    store.mkdir(parents=True, exist_ok=True)
    files = {
        "storage.conf": f'[storage]\ndriver = "{_driver()}"\n'
        f'graphroot = "{store}/images"\nrunroot = "{store}/run"\n',
        "containers.conf": f"[containers]\ndefault_ulimits = {limits()!r}\n",
    }
    for name, text in files.items():
        if not (store / name).exists() or (store / name).read_text() != text:
            (store / name).write_text(text)
    return {
        "CONTAINERS_STORAGE_CONF": str(store / "storage.conf"),
        "CONTAINERS_CONF": str(store / "containers.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "BAREHUB_ENGINE": "podman",
    }


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else makes an image meanwhile that we want, too."""
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ingredients() -> str:
    """The options of a build by which no registry and no release is asked for anything."""
    with alone():
        return f"--build-arg BASE={_base()} --build-arg TOOLS={_tools()}"


def _driver() -> str:
    """overlay where it can be mounted, as podman itself decides; vfs else."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("lower", "upper", "work", "merged"):
            Path(scratch, name).mkdir()
        layers = f"lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work"
        merged = f"{scratch}/merged"
        argv = ["mount", "-t", "overlay", "overlay", "-o", layers, merged]
        if subprocess.run(argv, capture_output=True).returncode:
            return "vfs"
        subprocess.run(["umount", merged], check=True)
        return "overlay"


def _base() -> str:
    """A small Debian, made once for these authorities and this index of packages."""
    there = [path for path in (AUTHORITIES, *map(Path, PACKAGE_INDEX)) if path.exists()]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in there)).hexdigest()[:12]
    image = f"localhost/barehub-test-base:{RELEASE}-{key}"
    if podman("images", "--quiet", image):
        return image
    with tempfile.TemporaryDirectory(dir=STORE) as scratch:
        folder = Path(scratch) / "root"
        argv = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
        subprocess.run([*argv, RELEASE, str(folder), MIRROR], check=True, capture_output=True)
        for path in there:
            target = folder / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        shutil.rmtree(folder / "var/cache/apt/archives")
        pack(folder, image)
    return image


def _tools() -> str:
    program = Project(ROOT).terraform.path.resolve()
    about = program.stat()
    image = f"localhost/barehub-test-tools:{about.st_size}-{about.st_mtime_ns}"
    if not podman("images", "--quiet", image):
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "tools").mkdir()
            shutil.copy(program, Path(scratch) / "tools" / Project(ROOT).terraform.name)
            pack(Path(scratch), image)
    return image


def pack(folder: Path, image: str) -> None:
    """Make an image of the files in ``folder``."""
    tar = subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["podman", "import", "-", image], stdin=tar.stdout, check=True)
    assert tar.wait() == 0
