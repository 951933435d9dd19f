"""What the system refuses: a full disk, a read-only one, a file of another; on real mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .conftest import ROOT, Cli
from .slow_cloud import make

CANARY = "CANARY-refused-token"

Refuse = Callable[[Path], None]

FULL, READ_ONLY = "no space left on device", "read-only file system"


@contextmanager
def _mounted(folder: Path, *how: str) -> Iterator[None]:
    mount = ["mount", *how, str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """What is in ``folder``, on a file system of its own without a free byte."""
    with ExitStack() as stack:
        copy = folder.parent / f"{folder.name}.copy"
        if folder.is_dir():
            shutil.copytree(folder, copy, symlinks=True)
        stack.callback(shutil.rmtree, copy, ignore_errors=True)
        stack.enter_context(_mounted(folder, "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs"))
        shutil.copytree(copy, folder, symlinks=True, dirs_exist_ok=True)
        with (folder / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 20, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError:
                    continue
        yield


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    with _mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


KINDS = {FULL: (_full, "df -h"), READ_ONLY: (_read_only, "findmnt -T")}

OLD = """
module "provider" {
  source       = "./modules/provider"
  project_name = "old"
}
"""


@pytest.fixture
def ready(cli: Cli, tmp_path: Path) -> Cli:
    """A clone with a vault, an instance, an old instance to import, and an editor."""
    subprocess.run(["git", "init", "-q"], cwd=cli.root, check=True)
    make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/CANARY/EDITED/' \"$1\"\n")
    editor.chmod(0o755)
    cli.env |= {"EDITOR": str(editor), "PYTHONDONTWRITEBYTECODE": "1"}
    old = tmp_path / "old"
    make(old)
    (old / "robot-openrc.sh").write_text("export OS_USERNAME=robot\nexport OS_PASSWORD=CANARYold\n")
    return cli


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "filler" and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    "args",
    [
        ("new", "--name", "other", "--recipe", "local"),
        ("spawn", "--name", "demo", "--timeout", "1"),
        ("vault.set", "variables.other"),
        ("vault.edit",),
        (
            "vault.add-recipient",
            "bob",
            "age1kp7xjrax7ev690f9ym4g8mgfujef0nr802kmnpnyq3tnmc2663xsww2rt9",
        ),
        ("vault.install-hooks",),
        ("import-recipe", "{old}"),
        ("verify", "--url", "https://127.0.0.1:1", "--junit", "report"),
        ("verify", "--url", "https://127.0.0.1:1", "--html", "report"),
        ("verify", "--url", "https://127.0.0.1:1", "--prometheus", "report"),
    ],
    ids=lambda args: f"{args[0]} {args[3]}" if args[0] == "verify" else args[0],
)
def test_a_clone_that_cannot_be_written(
    ready: Cli, tmp_path: Path, kind: str, args: tuple[str, ...]
) -> None:
    refuse, hint = KINDS[kind]
    before = _contents(ready.root)
    with refuse(ready.root):
        told = ready(*(arg.format(old=tmp_path / "old") for arg in args), input="x\n")
        after = _contents(ready.root)
    assert told.code != 0, told
    assert "Traceback" not in told.err, told
    free = "less than 8 MiB are free" in told.err  # said before anything is written
    assert kind in told.err.lower() or (free and kind == FULL), told
    assert f"hint: {hint} {ready.root}" in told.err, told
    assert "a file:" not in told.err
    assert after == before
    assert CANARY not in told.out + told.err


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("args", [("vault.init",), ("doctor",), ("vault.login", "--new")])
def test_a_home_that_cannot_be_written(cli: Cli, kind: str, args: tuple[str, ...]) -> None:
    refuse, hint = KINDS[kind]
    home = Path(os.environ["HOME"])
    before = _contents(home)
    with refuse(home):
        told = cli(*args)
        after = _contents(home)
    assert "Traceback" not in told.err, told
    assert after == before
    if args != ("doctor",):
        assert told.code != 0 and kind in told.err, told
        assert f"hint: {hint} {home}" in told.err, told


def test_a_memory_that_is_full(ready: Cli) -> None:
    memory = Path(os.environ["XDG_RUNTIME_DIR"])
    with _full(memory):
        told = ready("plan", "--name", "demo")
        left = sorted(path.name for path in memory.rglob("*") if path.name != "filler")
    assert told.code != 0 and "Traceback" not in told.err, told
    assert f"hint: df -h {memory}" in told.err, told
    assert [name for name in left if not name.startswith("barehub-")] == []


def test_a_journal_keeps_what_it_had_when_the_disk_fills_up(tmp_path: Path) -> None:
    from barehub.errors import BarehubError
    from barehub.journal import Journal

    folder = tmp_path / "small"
    folder.mkdir()
    journal = Journal(folder / "journal.jsonl")
    journal.add("spawn")
    with _full(folder):
        before = journal.path.read_bytes()
        with pytest.raises(BarehubError, match=FULL) as told:
            journal.add("failed", problem="x" * 200_000)
        assert journal.path.read_bytes() == before
        assert f"df -h {folder}" in str(told.value)


def test_a_run_of_keep_on_a_full_disk(ready: Cli) -> None:
    shutil.copytree(ROOT / "scripts", ready.root / "scripts")
    with _full(ready.root):
        done = subprocess.run(
            ["scripts/keep", "demo", "--", "true"],
            cwd=ready.root,
            env=ready.env,
            capture_output=True,
            text=True,
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr


def test_temporary_files_that_cannot_be_written(ready: Cli, tmp_path: Path) -> None:
    """What needs none goes on; what does, says which folder it is."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ready.env |= {"TMPDIR": str(temporary)}
    with _full(temporary):
        for args in (("plan", "--name", "demo"), ("vault.set", "variables.other")):
            told = ready(*args, input="x\n")
            assert "Traceback" not in told.err, told
            assert told.code == 0 or f"df -h {temporary}" in told.err, told
