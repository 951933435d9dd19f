"""Every file that others write, in every shape that it must not have: an error with its name.

No traceback, no hang, no memory eaten up: each command is bounded by a watchdog and, on Linux, by
the size of its memory.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from . import slow_cloud
from .conftest import Cli

CANARY = "CANARY-odd-files-51c0"
SECONDS = 100
MEMORY = 2 * 1024**3
"""Bytes of address space: a file that is read for ever ends there, and not the machine."""


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def elsewhere(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def latin(path: Path) -> None:
    path.write_bytes(b"one: 1\ntwo = \xf6\xff\n")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(400 * 1024**2)


def brackets(path: Path) -> None:
    path.write_text("a = " + "[" * 100_000)


def nested(path: Path) -> None:
    path.write_text("a = " + "[" * 600 + "]" * 600 + "\n")


def mappings(path: Path) -> None:
    path.write_text('{"a": ' * 100_000)


def bomb(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12)]
    path.write_text("\n".join(lines) + "\n")


def scalar(path: Path) -> None:
    path.write_text("3\n")


def listed(path: Path) -> None:
    path.write_text("- creation_rules\n- {? [a, b] : c}\n")


def nothing(path: Path) -> None:
    path.write_text("")


def controls(path: Path) -> None:
    path.write_text("a\f\v\x00\u00a0= \u2028x\x85y\r")


ODD: list[Callable[[Path], None]] = [
    folder, pipe, endless, listening, loop, elsewhere, latin, huge, brackets, nested, mappings,
    bomb, scalar, listed, nothing, controls,
]  # fmt: skip

SETTINGS = "home/.config/sops/age/keys.txt"
FILES: dict[str, list[str]] = {
    ".sops.yaml": ["vault.show", "vault.check", "vault.recipients", "vault.whoami"],
    "secrets/shared.yaml": ["vault.show --name demo", "vault.check", "vault.recipients"],
    "secrets/demo.yaml": ["vault.show --name demo", "check --name demo"],
    "instances/demo/main.tf": ["list", "check --name demo", "status --name demo"],
    "instances/demo/more.tf": ["list", "check --name demo"],
    "instances/demo/more.tf.json": ["check --name demo"],
    "instances/demo/modules/dns/more.tf": ["check --name demo"],
    "instances/demo/.terraform.lock.hcl": ["check --name demo"],
    "instances/demo/.lock": ["list", "status --name demo"],
    "instances/demo/terraform.tfstate.sops": ["status --name demo", "vault.check"],
    ".gitattributes": ["vault.install-hooks"],
    ".git/hooks/pre-commit": ["vault.install-hooks"],
    SETTINGS: ["vault.show", "vault.whoami", "doctor"],
    "home/.ssh/id_ed25519": ["vault.whoami"],
    "home/.terraformrc": ["check --name demo"],
    "old/openrc.sh": ["import-recipe old --name other"],
    "old/main.tf": ["import-recipe old --name other"],
    "old/terraform.tfstate": ["import-recipe old --name other"],
    "old/extra.yaml": ["import-recipe old --name other"],
    "endpoints.txt": ["verify --file endpoints.txt"],
    "key": ["vault.import-git-crypt --repo . --key key", "vault.add-recipient bob key.pub"],
}


@pytest.fixture
def project(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    subprocess.run(["git", "init", "-q"], cwd=cli.root, check=True)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    old = cli.root / "old"
    shutil.copytree(cli.instance("demo"), old)
    (old / "openrc.sh").write_text("export OS_PASSWORD=x\n")
    (cli.root / "home").symlink_to(cli.env["HOME"])
    return cli


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_is_an_error_with_its_name(project: Cli, name: str) -> None:
    see(project, name, [pipe, endless, latin, nested], FILES[name][:1])


@pytest.mark.cloud  # it takes minutes
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FILES)
def test_every_odd_file_with_every_command(project: Cli, name: str) -> None:
    see(project, name, ODD, FILES[name])


def see(project: Cli, name: str, odd: list[Callable[[Path], None]], commands: list[str]) -> None:
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.read_bytes() if path.exists() else None
    faults = []
    for make in odd:
        if path.exists():
            path.unlink()
        make(path)
        for command in commands:
            result = bounded(project, command.split())
            if fault := what_is_wrong(result, path.name):
                faults.append(f"{make.__name__}: invoke {command}: {fault}\n{result}")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        if kept is not None:
            path.write_bytes(kept)
    assert not faults, "\n\n".join(faults)


def bounded(cli: Cli, argv: list[str]) -> subprocess.CompletedProcess[str] | None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    try:
        return subprocess.run(
            cli.argv(*argv),
            env=cli.env,
            cwd=cli.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            start_new_session=True,
            preexec_fn=limit,
        )
    except subprocess.TimeoutExpired:
        return None


def what_is_wrong(result: subprocess.CompletedProcess[str] | None, name: str) -> str:
    """The fault in how a command ended; empty if it is right."""
    if result is None:
        return "it hangs"
    said = result.stdout + result.stderr
    if "Traceback" in said or result.returncode not in range(9):
        return "a traceback"
    if CANARY in said:
        return "a secret"
    if result.returncode and "error: " not in result.stderr:
        return "no error"
    return ""
