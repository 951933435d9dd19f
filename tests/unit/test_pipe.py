"""Bytes behind the name of a pipe."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from barehub.pipe import piped, piped_variables

LARGE = b"CANARY-pipe" * 20_000
"""More than a pipe holds (pipe(7))."""


def test_it_can_be_read_again_and_again_and_is_gone_at_the_end(tmp_path: Path) -> None:
    with piped(LARGE, tmp_path / "name") as path:
        assert stat.S_ISFIFO(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [path.read_bytes() for _ in range(3)] == [LARGE] * 3
    assert list(tmp_path.iterdir()) == []


def test_it_ends_without_a_reader_and_with_one_that_left(tmp_path: Path) -> None:
    with piped(LARGE, tmp_path / "unread"):
        pass
    with piped(LARGE, tmp_path / "left") as path:
        with path.open("rb") as reader:
            assert reader.read(10) == LARGE[:10]
        assert path.read_bytes() == LARGE
    assert list(tmp_path.iterdir()) == []


def test_the_end_comes_while_a_reader_waits(tmp_path: Path) -> None:
    with piped(LARGE, tmp_path / "slow") as path:
        fd = os.open(path, os.O_RDONLY)
        assert os.read(fd, 1)
        os.close(fd)
    assert list(tmp_path.iterdir()) == []


def test_variables_are_a_file_only_where_there_are_any(tmp_path: Path) -> None:
    with piped_variables({}, tmp_path) as path:
        assert path is None
    with piped_variables({"token": "CANARY-pipe"}, tmp_path) as path:
        assert path and path.name.endswith(".tfvars.json")
        assert json.loads(path.read_text()) == {"token": "CANARY-pipe"}
