"""A real sshd on loopback that serves git repositories, and keys for it."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path

SSHD = "/usr/sbin/sshd"
"""Debian's place and macOS's; sshd wants to be started by its whole path."""


def keygen(path: Path, *, kind: str = "ed25519", passphrase: str = "", comment: str = "") -> str:
    """A new key pair at ``path`` and ``path``.pub; the public half."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", path], check=True
    )
    return path.with_name(f"{path.name}.pub").read_text().strip()


class Sshd:
    """``admitted`` are public keys; what it is asked stands in ``log``; ``path`` is PATH there."""

    def __init__(self, folder: Path, admitted: list[str], path: str = "") -> None:
        folder.mkdir()
        self.log = folder / "log"
        self.host_key = keygen(folder / "host_key")
        self._admitted = folder / "admitted"
        self.admit(admitted)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd gives up its rights in there
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host_key\n"
            f"AuthorizedKeysFile {self._admitted}\nStrictModes no\nPidFile none\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            "LogLevel VERBOSE\nPermitRootLogin prohibit-password\n"
            + (f"SetEnv PATH={path}\n" if path else "")
        )
        with self.log.open("wb") as output:
            self._child = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", folder / "config"], stderr=output, stdin=subprocess.DEVNULL
            )
        self._await()

    def admit(self, public: list[str]) -> None:
        self._admitted.write_text("".join(f"{line}\n" for line in public))

    @property
    def known_hosts_line(self) -> str:
        return f"[127.0.0.1]:{self.port} {' '.join(self.host_key.split()[:2])}\n"

    def url(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._child.terminate()
        self._child.wait()

    def _await(self) -> None:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._child.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


def repository(folder: Path) -> Path:
    """Make what is in ``folder`` a git repository with one commit."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "A", f"GIT_{role}_EMAIL": "a@example.org"}
    for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Modules"]):
        subprocess.run(["git", *argv], cwd=folder, env=env, check=True)
    return folder
