"""How what became of a report gets into its file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from barehub.errors import UsageError
from barehub.verify.outputs import files


def test_the_new_one_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "hubs.prom"
    path.write_text("old")
    path.chmod(0o600)
    with path.open() as reader:
        files.write(path, "new ü")
        assert reader.read() == "old", "who has it open reads on in the whole old one"
    assert path.read_text("utf-8") == "new ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == [path.name]


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, there in ((folder, folder), (tmp_path / "missing" / "page.html", tmp_path)):
        with pytest.raises(UsageError, match=r"cannot be written: .+") as caught:
            files.write(path, "text")
        assert caught.value.hints == (f"ls -ld {there}",)
    assert os.listdir(tmp_path) == ["folder"]


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe, link, page = tmp_path / "pipe", tmp_path / "link", tmp_path / "page"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    page.write_text("old")
    link.symlink_to(page)
    files.write(link, "new")
    assert link.is_symlink() and page.read_text() == "new"


def test_a_full_device_is_said(tmp_path: Path) -> None:
    full = Path("/dev/full")
    with pytest.raises(UsageError, match="no space left on device"):
        files.write(full, "text")
    assert full.is_char_device()


def test_a_text_is_added_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    files.append(path, "one\n")
    files.append(path, "two\n")
    assert path.read_text() == "one\ntwo\n"
    with pytest.raises(UsageError, match="is a directory"):
        files.append(tmp_path, "text")
