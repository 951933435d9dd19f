"""What the system refuses, in words."""

from __future__ import annotations

import errno
import functools
import os
from pathlib import Path

import pytest

from barehub import system_errors
from barehub.errors import VaultError


@pytest.mark.parametrize(
    ("number", "said", "hint"),
    [
        (errno.ENOSPC, "no space left on device", "df -h {0}"),
        (errno.EDQUOT, "disk quota exceeded", "quota -s; df -h {0}"),
        (errno.EROFS, "read-only file system", "findmnt -T {0}"),
        (errno.EACCES, "permission denied", "ls -ld {0}"),
        (errno.EPERM, "operation not permitted", "ls -ld {0}"),
        (errno.ENOTDIR, "not a directory", "ls -ld {0}"),
        (errno.EISDIR, "is a directory", "ls -ld {0}"),
        (errno.ENAMETOOLONG, "file name too long", "choose a shorter name: {0} takes 255 bytes"),
        (errno.EMFILE, "too many open files", "ulimit -n 4096   # then again"),
        (errno.EIO, "input/output error", "df {0}; dmesg | tail   # the disk may be failing"),
    ],
)
def test_each_has_its_words_and_its_remedy(
    tmp_path: Path, number: int, said: str, hint: str
) -> None:
    path = tmp_path / "none" / "file"
    with (
        pytest.raises(VaultError) as told,
        system_errors.attempt("written", path, VaultError, "the file"),
    ):
        raise OSError(number, os.strerror(number))
    assert told.value.problem == f"the file cannot be written: {said}"
    assert told.value.hints == (hint.format(tmp_path),)
    general = system_errors.general(OSError(number, "x", str(path)), [])
    assert general and general.problem == f"{path}: {said}"


def test_a_bug_stays_one() -> None:
    assert system_errors.general(OSError(errno.EINVAL, "Invalid argument"), []) is None
    assert system_errors.general(FileNotFoundError(errno.ENOENT, "x", "file"), []) is None


def test_the_folder_in_a_remedy_may_have_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "my hubs"
    folder.mkdir()
    error = OSError(errno.ENOSPC, "")
    assert system_errors.remedy(error, folder / "file") == f"df -h '{folder}'"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
def test_a_line_is_appended_whole_or_not(tmp_path: Path) -> None:
    from barehub.appending import append

    path = tmp_path / "lines"
    append(path, "one\n", functools.partial(os.open, path))
    path.write_text(path.read_text() + "torn")
    append(path, "two\n", functools.partial(os.open, path))
    assert path.read_text() == "one\ntorn\ntwo\n"
    with pytest.raises(OSError, match="No space"):
        append(Path("/dev/full"), "three\n", functools.partial(os.open, "/dev/full"))
