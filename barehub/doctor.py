"""What this machine has and lacks, each with its fix."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sys
import urllib.parse
from collections.abc import Callable
from dataclasses import asdict, dataclass

from barehub import engine, process, session, sources
from barehub.console import DIM, GREEN, RED, YELLOW, console
from barehub.errors import BarehubError, ToolError
from barehub.project import Project
from barehub.terraform import plugins
from barehub.vault import git_copy, hooks, identity, policy, sops
from barehub.vault.identity import keychain

NETWORK = ("github.com", 443)
"""Where modules usually come from; tried unless a proxy is set, which is tried instead."""

MARKS = {"ok": ("✓", GREEN), "warning": ("!", YELLOW), "missing": ("✗", RED)}


@dataclass(frozen=True)
class Check:
    """``status`` is ``ok``, ``warning`` (barehub runs without it) or ``missing``."""

    name: str
    status: str
    message: str
    fix: str | None = None


def show(project: Project, *, as_json: bool) -> None:
    """Print every check.

    :raises ToolError: something that barehub cannot run without is missing.
    """
    checks = [check(project) for check in CHECKS]
    checks += _sources(project, ask=not as_json)
    if as_json:
        console.out(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            _print(check)
    if missing := [check for check in checks if check.status == "missing"]:
        fixes = dict.fromkeys(check.fix for check in missing if check.fix)
        raise ToolError(f"missing: {', '.join(check.name for check in missing)}", *fixes)


def _print(check: Check) -> None:
    mark, color = MARKS[check.status]
    console.out(f"{console.paint(mark, color)} {check.name:<10} {check.message}")
    if check.fix:
        console.out(console.paint(f"  {'':<10} fix: {check.fix}", DIM))


def _python(project: Project) -> Check:
    return Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def _terraform(project: Project) -> Check:
    try:
        tool = project.terraform
    except ToolError as error:
        return Check("terraform", "missing", error.problem, "scripts/install-tools")
    return Check("terraform", "ok", f"{tool.name} {tool.version} ({tool.path})")


def _sops(project: Project) -> Check:
    try:
        path = sops.binary()
        said = process.run([path, "--version", "--disable-version-check"]).text.split("\n")[0]
        return Check("sops", "ok", f"{said.removeprefix('sops ')} ({path})")
    except BarehubError as error:
        return Check("sops", "missing", error.problem, "rm -r .venv && scripts/invoke --list")


def _program(name: str, why: str, fix: str, status: str = "missing") -> Callable[[Project], Check]:
    def check(project: Project) -> Check:
        if path := shutil.which(name, path=project.tools_path()):
            return Check(name, "ok", path)
        return Check(name, status, f"not found; {why}", fix)

    return check


def _identity(project: Project) -> Check:
    try:
        asked = policy.key_services(project.root)
        found = identity.search(ask=False, services=asked).identities[0]
    except BarehubError as error:
        return Check("identity", "warning", error.problem, "invoke vault.init")
    return Check("identity", "ok", f"{found.recipient}, from {found.source}")


def _hooks(project: Project) -> Check:
    try:
        found = hooks.Hooks(project.root)
        old, open_to = list(found.outdated()), list(found.changeable())
    except BarehubError as error:
        return Check("hooks", "warning", error.problem, error.hints[0])
    if old:
        return Check("hooks", "warning", old[0], git_copy.RENEW)
    if not found.there:
        return Check("hooks", "warning", "git does not look at the vault here", git_copy.RENEW)
    if open_to:
        return Check("hooks", "warning", open_to[0], "read a branch before you check it out")
    return Check("hooks", "ok", "git looks at the vault, by a copy of this barehub")


def _keyring(project: Project) -> Check:
    chosen = keychain.choose()
    if chosen.backend is not None:
        return Check("keyring", "ok", chosen.note)
    return Check(
        "keyring",
        "warning",
        f"{chosen.note}: an identity is kept in SOPS' key file instead",
        "start a Secret Service (gnome-keyring, KWallet), if you want the key in there",
    )


def _providers(project: Project) -> Check:
    try:
        found = plugins.mirror()
    except ToolError as error:
        return Check("providers", "missing", error.problem, error.hints[0])
    cached = f"what a registry gives is kept in {plugins.cache() / 'plugins'}"
    if found is None:
        return Check("providers", "ok", f"{cached}; there is no folder of providers")
    names = dict.fromkeys(address.partition("/")[2] for address in found.providers())
    has = ", ".join(names) or "nothing"
    return Check("providers", "ok", f"{found.folder} has {has}; {cached}")


def _memory(project: Project) -> Check:
    try:
        home = session.home()
    except ToolError as error:
        return Check("memory", "missing", error.problem, error.hints[0])
    if session.in_memory(home):
        return Check("memory", "ok", f"{home} is on tmpfs")
    return Check("memory", "warning", f"{home} is on a disk: this system has no tmpfs for users")


def _container(project: Project) -> Check:
    try:
        found = engine.find()
    except ToolError as error:
        return Check("container", "warning", error.problem, f"{error.hints[0]}; it is optional")
    whose = "as you" if found.rootless else "as root"
    return Check("container", "ok", f"{found.path}, which runs {whose}, for --container")


def _network(project: Project) -> Check:
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    parts = urllib.parse.urlsplit(proxy or "")
    host, port = (parts.hostname, parts.port or 443) if parts.hostname else NETWORK
    try:
        with socket.create_connection((host, port), timeout=5):
            return Check("network", "ok", f"{host}:{port} answers")
    except OSError as error:
        return Check(
            "network",
            "warning",
            f"{host}:{port} cannot be reached ({error.strerror or error})",
            "check the connection, or set HTTPS_PROXY; local modules work without",
        )


def _sources(project: Project, *, ask: bool) -> list[Check]:
    """Whether modules can be fetched by ssh, with the key that a run would use."""
    checks = []
    for trial in sources.tried(project, project.instances(), ask=ask):
        where, who = trial.repository, trial.instance.name
        if trial.refusal is None and where:
            checks.append(Check("ssh", "ok", f"{who}: {where.host} takes {trial.key}"))
        elif trial.refusal:
            fix = "; ".join(trial.refusal.fixes).replace("instances/NAME/", f"instances/{who}/")
            with_key = f" ({trial.key})" if trial.key else ""
            problem = f"{who}: {trial.refusal.problem}{with_key}"
            checks.append(Check("ssh", "warning", problem, fix or None))
    return checks


CHECKS: tuple[Callable[[Project], Check], ...] = (
    _python,
    _terraform,
    _sops,
    _program("git", "modules from git need it", "apt install git"),
    _program("uv", "the local recipe needs it", "rm -r .venv && scripts/invoke --list"),
    _program("ssh-agent", "an SSH key in the vault needs it", "apt install openssh-client"),
    _identity,
    _hooks,
    _keyring,
    _memory,
    _container,
    _providers,
    _network,
)
