"""The scripts that a fresh clone starts with, the lock files and .gitignore."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = """
from pathlib import Path
from invoke.tasks import task

@task
def where(c, file):
    print(Path(file).resolve())
"""


@pytest.fixture(autouse=True)
def _no_chosen_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAREHUB_PYTHON", raising=False)


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A finished process: its inherited environment, with ``env`` on top."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def pins(lock: str) -> dict[str, str]:
    """Each package of a lock file with its lines: version and hashes.

    Not its marker: a tool may need everywhere what barehub needs for an old Python only.
    """
    text = re.sub(r" ; [^\\\n]*", " ", (ROOT / lock).read_text())
    return {pin.split("==")[0]: pin for pin in re.findall(r"^[\w.-]+==[^#]*", text, re.MULTILINE)}


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    path.chmod(0o755)
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with nothing but the scripts, one task, a tofu, and a lock file of uv and invoke."""
    root = tmp_path / "a clone"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    (root / "tasks.py").write_text(TASKS)
    script(root / ".tools" / "bin" / "tofu", "OpenTofu v1.12.6")
    lock = pins("requirements.lock")
    (root / "requirements.lock").write_text(f"{lock['invoke']}# via\n{lock['uv']}# via\n")
    return root


@pytest.fixture
def ready(clone: Path) -> Path:
    """The clone with a .venv that counts as set up; its invoke is the one of these tests."""
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "invoke").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m invoke "$@"\n')
    (programs / "invoke").chmod(0o755)
    shutil.copy(clone / "requirements.lock", clone / ".venv")
    (clone / ".venv" / "made-in").write_text(f"{clone}\n")
    return clone


def test_two_first_calls_at_once_set_up_once(clone: Path, tmp_path: Path) -> None:
    command = [str(clone / "scripts" / "invoke"), "where", "--file", "x"]
    start = partial(subprocess.Popen[str], cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True)
    calls = [start(command), start(command)]
    outputs = [call.communicate() for call in calls]
    assert [call.returncode for call in calls] == [0, 0], outputs
    assert [out for out, _ in outputs] == [f"{tmp_path / 'x'}\n"] * 2
    assert "".join(err for _, err in outputs).count("setting up .venv (once)") == 1

    again = run(*command, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")

    # A package with another hash is not installed, and the call says so instead of going on.
    lock = clone / "requirements.lock"
    lock.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", lock.read_text()))
    shutil.rmtree(next((clone / ".venv").glob("lib/python*/site-packages/invoke-*.dist-info")))
    refused = run(*command, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Hash mismatch" in refused.stderr
    assert "error: uv cannot install what requirements.lock names" in refused.stderr


def test_invoke_from_elsewhere_keeps_relative_paths(ready: Path, tmp_path: Path) -> None:
    link = tmp_path / "barehub"
    link.symlink_to(ready / "scripts" / "invoke")
    for script in (ready / "scripts" / "invoke", link):
        done = run(script, "where", "--file", "ca.pem", cwd=tmp_path)
        assert (done.stdout, done.stderr) == (f"{tmp_path / 'ca.pem'}\n", "")


def test_a_moved_clone_does_not_run_the_environment_of_its_old_place(
    ready: Path, tmp_path: Path
) -> None:
    moved = ready.rename(tmp_path / "moved")
    done = run(moved / "scripts" / "invoke", "--list", cwd=tmp_path, BAREHUB_PYTHON="no-such")
    assert done.returncode == 3
    assert "Python 3.11 or newer is needed" in done.stderr


def test_no_suitable_python_is_one_clear_error(clone: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cmp", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").write_text("#!/bin/sh\necho Python 3.9.2\nexit 1\n")
    (programs / "python3").chmod(0o755)
    done = run(clone / "scripts" / "invoke", "--list", cwd=tmp_path, PATH=str(programs))
    assert (done.returncode, done.stdout) == (3, "")
    first, *hints = done.stderr.splitlines()
    assert first == "error: Python 3.11 or newer is needed, and PATH has none"
    assert hints
    assert all(hint.startswith("hint: ") for hint in hints)
    assert not (clone / ".venv").exists()


# scripts/install-tools


def load() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(
        "install_tools", str(ROOT / "scripts" / "install-tools")
    )
    spec = importlib.util.spec_from_loader("install_tools", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def released(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A mirror on loopback with a release that says its version: its address, and the archive."""
    tools = load()
    folder = tmp_path / "mirror" / f"v{tools.VERSION}"
    folder.mkdir(parents=True)
    archive = folder / f"tofu_{tools.VERSION}_{tools.machine()}.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("tofu", f"#!/bin/sh\necho OpenTofu v{tools.VERSION}\n")
    handler = partial(Quiet, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", archive
        server.shutdown()


def bare(tmp_path: Path, releases: str) -> dict[str, str]:
    """An environment without Terraform, Go or a cache."""
    (tmp_path / "empty").mkdir(exist_ok=True)
    return {
        "PATH": str(tmp_path / "empty"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "BAREHUB_RELEASES": releases,
        "no_proxy": "127.0.0.1",
    }


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_download_with_another_checksum_is_refused(
    released: tuple[str, Path], tmp_path: Path
) -> None:
    command = (sys.executable, ROOT / "scripts" / "install-tools", tmp_path / "tools")
    done = run(*command, cwd=tmp_path, **bare(tmp_path, released[0]))
    assert (done.returncode, done.stdout) == (3, "")
    assert hashlib.sha256(released[1].read_bytes()).hexdigest() in done.stderr
    assert "go is not on PATH" not in done.stderr, "a changed download is no reason to try another"
    assert left(tmp_path / "tools") == left(tmp_path / "cache") == []


def test_a_download_with_the_right_checksum_is_installed_and_cached(
    released: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bare(tmp_path, released[0]).items():
        monkeypatch.setenv(name, value)
    tools = load()
    tools.SHA256[tools.machine()] = hashlib.sha256(released[1].read_bytes()).hexdigest()
    first = tools.install(tmp_path / "one")
    assert tools.version(first) == tools.numbers(tools.VERSION)
    released[1].unlink()
    second = tools.install(tmp_path / "two")
    assert tools.version(second) == tools.numbers(tools.VERSION)
    assert left(tmp_path / "one") == left(tmp_path / "two") == ["tofu"]


def test_no_way_to_a_tool_says_what_was_tried_and_what_to_do(tmp_path: Path) -> None:
    command = (sys.executable, ROOT / "scripts" / "install-tools", tmp_path / "tools")
    done = run(*command, cwd=tmp_path, **bare(tmp_path, "http://127.0.0.1:1"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "http://127.0.0.1:1/v" in done.stderr
    assert "go is not on PATH" in done.stderr
    assert "hint: " in done.stderr
    assert left(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("name", "lines", "good"),
    [
        ("terraform", ["Terraform v1.6.0"], True),
        ("terraform", ["Terraform v1.5.7"], False),
        ("tofu", ["OpenTofu v1.10.0"], True),
        ("tofu", ["OpenTofu v1.6.3"], False),
        # What OpenTofu prints first when TF_CLI_CONFIG_FILE names no file.
        ("tofu", ["", "Warning: Unable to open CLI configuration file", "OpenTofu v1.7.0"], True),
        ("terraform", ["no version of terraform is set"], False),
    ],
)
def test_a_tool_counts_only_when_its_version_is_good(
    name: str, lines: list[str], good: bool, tmp_path: Path
) -> None:
    env = bare(tmp_path, "http://127.0.0.1:1")
    program = script(tmp_path / "empty" / name, *lines)
    # A clone of its own, as this one may have a .tools.
    installer = tmp_path / "clone" / "scripts" / "install-tools"
    installer.parent.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "install-tools", installer)
    done = run(sys.executable, installer, cwd=tmp_path, **env)
    assert done.stdout == (f"{program}\n" if good else "")
    assert done.returncode == (0 if good else 3)


# The lock files and .gitignore


def test_the_development_lock_holds_the_very_pins_of_the_other() -> None:
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert len(runtime) > 20
    assert {name: development.get(name) for name in runtime} == runtime
    assert all("--hash=sha256:" in pin for pin in development.values())


def test_the_locks_hold_every_dependency_and_no_host_or_path() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]["dev"]
    for lock, wanted in (
        ("requirements.lock", project["project"]["dependencies"]),
        ("requirements-dev.lock", project["project"]["dependencies"] + groups),
    ):
        names = {re.split(r"[<>=!~ ;\[]", line)[0].lower() for line in wanted}
        assert names <= set(pins(lock))
        text = (ROOT / lock).read_text()
        assert not re.search(r"https?:|--(extra-)?index|--find-links|(^|\s)/\w", text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    run("git", "init", "-q", tmp_path, cwd=tmp_path)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    return tmp_path


SECRET = """\
.env .env.local id_rsa id_ed25519 keys/id_rsa server.pem ca.key keys.txt project-openrc.sh
keys_cc.sh gitcrypt-key clouds.yaml terraform.tfstate instances/x/terraform.tfstate.backup
errored.tfstate instances/x/terraform.tfstate.1700000000.backup x.tfplan instances/x/x.tfvars
instances/x/x.auto.tfvars.json instances/x/barehub.tf.json instances/x/barehub_override.tf.json
instances/x/.terraform/terraform.tfstate instances/x/hub/config.json instances/x/.lock crash.log
secrets/x.txt secrets/shared.dec.yaml"""
KEPT = """\
instances/x/main.tf instances/x/known_hosts instances/x/terraform.tfstate.sops .sops.yaml
instances/x/journal.jsonl instances/x/.terraform.lock.hcl secrets/shared.yaml id_rsa.pub
requirements.lock barehub/vault/identity.py terraform/provider/local/main.tf"""


@pytest.mark.parametrize(("paths", "ignored"), [(SECRET, True), (KEPT, False)])
def test_git_ignores_secrets_and_plaintext_state_alone(
    paths: str, ignored: bool, repository: Path
) -> None:
    done = run("git", "check-ignore", "--no-index", *paths.split(), cwd=repository)
    assert done.stdout.split() == (paths.split() if ignored else [])
