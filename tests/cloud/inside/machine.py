"""The first process of a server: a root of its own over this machine's, a user, and sshd.

usage: machine.py FOLDER, in new mount, UTS, IPC and PID namespaces

What the server writes is in memory and goes with it: ``FOLDER/disk/upper``, seen from outside as
``/proc/<FOLDER/pid>/root/FOLDER/disk/upper``. What the image brings is copied there first; this
machine's own files are below it, read only.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

SSHD = """
HostKey /etc/ssh/server_key
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
Subsystem sftp internal-sftp
"""


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def enter_own_root(folder: Path, image: Path) -> None:
    """Everything of this machine can be seen, and nothing of it can be changed."""
    disk, root = folder / "disk", folder / "root"
    for path in (disk, root):
        path.mkdir(exist_ok=True)
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "tmpfs", disk)
    (disk / "upper").mkdir()
    (disk / "work").mkdir()
    if image.is_dir():
        run("cp", "--recursive", f"{image}/.", disk / "upper")
    layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
    run("mount", "-t", "overlay", "overlay", "-o", layers, root)
    run("mount", "-t", "proc", "proc", root / "proc")
    run("mount", "--rbind", "/dev", root / "dev")
    for name in ("run", "tmp", "root", "home"):  # whatever is there is not the server's
        run("mount", "-t", "tmpfs", "-o", f"mode={'1777' if name == 'tmp' else '755'}", "tmpfs",
            root / name)  # fmt: skip
    os.chroot(root)
    os.chdir("/")


def add_user(login: str, keys: list[str]) -> None:
    """A user as of a cloud image: no password, let in by key, everything by sudo."""
    run("useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", login)
    Path("/etc/sudoers.d/90-cloud-init-users").write_text(f"{login} ALL=(ALL) NOPASSWD:ALL\n")
    ssh = Path("/home", login, ".ssh")
    ssh.mkdir(mode=0o700)
    (ssh / "authorized_keys").write_text("".join(f"{key.strip()}\n" for key in keys))
    run("chown", "-R", f"{login}:{login}", ssh)


def show_host_key(key: str) -> None:
    """On the console, as cloud-init does (cc_keys_to_console)."""
    begin, end = ("-----" + word + " SSH HOST KEY KEYS-----" for word in ("BEGIN", "END"))
    print(begin, key, end, sep="\n", flush=True)


def main(folder: Path) -> None:
    about = json.loads((folder / "machine.json").read_text())
    addresses = [a.split("/")[0] for _, _, found in about["ports"] for a in found]
    enter_own_root(folder, Path(about["image"]))
    socket.sethostname(about["hostname"])
    hosts = [f"{address} {about['hostname']}\n" for address in addresses[:1]]
    Path("/etc/hosts").write_text("".join(["127.0.0.1 localhost\n", *hosts]))
    Path("/etc/hostname").write_text(about["hostname"] + "\n")
    add_user(about["login"], about["keys"])
    Path("/run/sshd").mkdir()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/server_key")
    show_host_key(Path("/etc/ssh/server_key.pub").read_text().strip())
    Path("/etc/ssh/server_config").write_text(SSHD)
    os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/server_config"])


main(Path(sys.argv[1]))
