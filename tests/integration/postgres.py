"""A real PostgreSQL of a test's own: a private cluster with a password, on loopback unless told."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from barehub.patience import Patience

PASSWORD = "CANARY-postgres-password"


class Postgres:
    """Started with :meth:`start`, as often as it was killed; :meth:`close` removes it.

    :param within: what runs its programs elsewhere, by root: in a network namespace
    :param room: MiB of a disk of its own, which :meth:`fill` fills, where we may mount one
    """

    def __init__(
        self, within: Sequence[str] = (), address: str = "127.0.0.1", room: int = 0
    ) -> None:
        # PostgreSQL does not run as root, and its own user may not enter pytest's folders
        self.folder = Path(tempfile.mkdtemp(prefix="barehub-postgres-"))
        self.has_disk = room > 0 and _mounted(self.folder, room)
        self.within, self.address = list(within), address
        self.user = "postgres" if os.geteuid() == 0 else ""
        self.port = _free_port()
        self._child: subprocess.Popen[bytes] | None = None
        word = self.folder / "password"
        word.write_text(PASSWORD)
        if self.user:
            own = pwd.getpwnam(self.user)
            for path in (self.folder, word):
                os.chown(path, own.pw_uid, own.pw_gid)
        self._run("initdb", "-A", "scram-sha-256", "-U", "hub", f"--pwfile={word}", "--no-sync")
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/24 scram-sha-256\n")

    @property
    def url(self) -> str:
        return f"postgres://hub:{PASSWORD}@{self.address}:{self.port}/postgres?sslmode=disable"

    def start(self) -> None:
        where = ["-h", self.address, "-p", str(self.port)]
        argv = self._argv("postgres", "-D", str(self.data), *where, "-k", str(self.folder), "-F")
        with (self.folder / "log").open("ab") as log:
            self._child = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/")
        patience = Patience(30)
        while self._run("pg_isready", "-q", *where, ok=(0, 1, 2)):
            assert self._child.poll() is None, (self.folder / "log").read_text()
            assert not patience.over()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash does: every connection is cut off."""
        assert self._child
        self._child.send_signal(signal.SIGQUIT)
        self._child.wait(timeout=30)

    def fill(self) -> None:
        """Leave it no room on its disk."""
        assert self.has_disk
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free)

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def query(self, sql: str) -> str:
        argv = [*self.within, _program("psql"), "-qtA", self.url, "-c", sql]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def close(self) -> None:
        if self.running:
            self.kill()
        if self.has_disk:
            subprocess.run(["umount", str(self.folder)], check=True)
        shutil.rmtree(self.folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _argv(self, program: str, *args: str) -> list[str]:
        change = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups"]
        return [*self.within, *(change if self.user else []), _program(program), *args]

    def _run(self, program: str, *args: str, ok: tuple[int, ...] = (0,)) -> int:
        env = {**os.environ, "PGDATA": str(self.data)}
        done = subprocess.run(
            self._argv(program, *args),
            env=env,
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert done.returncode in ok, done.stdout + done.stderr
        return done.returncode


def _mounted(folder: Path, room: int) -> bool:
    """Whether ``folder`` is a file system of ``room`` MiB now; only root can have that."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _program(name: str) -> str:
    """Debian keeps all but psql out of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ["PATH"]]))
    assert found, f"{name} is missing: scripts/test installs postgresql"
    return found
