"""Values that a child reads once, and that nothing inherits."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from barehub.pipe import piped_variables

VALUES = {"token": "CANARY-pipe", "list": ["a", "b"]}
LARGE = {"token": "CANARY-pipe" * 20_000}
"""More than a pipe holds (pipe(7))."""


def _cat(path: str, fds: tuple[int, ...]) -> bytes:
    return subprocess.run(["cat", path], pass_fds=fds, capture_output=True, check=True).stdout


@pytest.mark.parametrize("values", [VALUES, LARGE], ids=["small", "large"])
def test_it_is_read_once(tmp_path: Path, values: dict[str, object]) -> None:
    with piped_variables(values, tmp_path) as private:
        assert private and private.path.endswith(".tfvars.json")
        assert json.loads(_cat(private.path, private.fds)) == values
        assert _cat(private.path, private.fds) == b""  # as a provisioner would
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [VALUES, LARGE], ids=["small", "large"])
def test_what_is_not_read_does_not_stay(tmp_path: Path, values: dict[str, object]) -> None:
    with piped_variables(values, tmp_path) as private:
        assert private
        inherited = os.dup(private.fds[0])  # by what outlives the child
    assert os.read(inherited, 10) == b""
    os.close(inherited)
    with piped_variables(LARGE, tmp_path) as private:
        assert private and os.read(private.fds[0], 10)
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_file_without_a_value(tmp_path: Path) -> None:
    with piped_variables({}, tmp_path) as private:
        assert private is None
