"""`--container` where it cannot be: one error, and nothing made. Needs no engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .conftest import Cli


@pytest.fixture
def bare(cli: Cli, tmp_path: Path) -> Cli:
    """A machine with all that barehub needs, and no engine."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "ssh-agent", "ssh-add", "terraform", "tofu", "python3"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    cli.env |= {"PATH": str(programs)}
    cli.env.pop("BAREHUB_ENGINE", None)
    return cli


@pytest.mark.parametrize(
    "command",
    [
        "spawn --name demo --recipe local --container",
        "teardown --name demo --container",
        "verify --url https://127.0.0.1:1 --container",
    ],
)
def test_without_an_engine_it_is_said_what_to_install(bare: Cli, command: str) -> None:
    result = bare(*command.split())
    assert result.code == 3, result
    assert result.out == ""
    assert result.err.count("error:") == 1
    assert "podman was not found; docker was not found" in result.err
    assert "hint: apt install podman" in result.err
    assert "it is optional" in result.err
    assert not (bare.root / "instances").exists()
    assert not (bare.root / ".sops.yaml").exists()


def test_doctor_tells_that_it_is_optional(bare: Cli) -> None:
    told = bare("doctor")
    assert "! container" in told.out and "it is optional" in told.out, told


def test_clean_needs_no_engine(bare: Cli) -> None:
    assert bare("clean").code == 0


def test_an_engine_that_does_not_answer_is_named(bare: Cli, tmp_path: Path) -> None:
    """A stand-in for a docker whose daemon is down."""
    docker = tmp_path / "programs" / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    docker.chmod(0o755)
    result = bare("spawn", "--name", "demo", "--recipe", "local", "--container")
    assert result.code == 3, result
    assert "docker does not work: Cannot connect to the Docker daemon" in result.err
    cleaned = bare("clean")
    assert cleaned.code == 0, cleaned
    assert "no containers are looked for in it" in cleaned.err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--html", "report.html"], "--html writes a file"),
        (["--ca-file", "/etc/hostname"], "the container sees only"),
    ],
)
def test_what_a_container_cannot_see_is_refused(
    bare: Cli, tmp_path: Path, option: list[str], said: str
) -> None:
    podman = tmp_path / "programs" / "podman"
    podman.write_text("#!/bin/sh\necho false\n")
    podman.chmod(0o755)
    url = "https://127.0.0.1:1"
    result = bare("verify", "--url", url, *option, "--container")
    assert result.code == 1, result
    assert said in result.err
    assert os.listdir(bare.root / "secrets") == [".gitkeep"]
