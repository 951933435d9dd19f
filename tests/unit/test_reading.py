"""The reader of files that others wrote, on every kind of thing that a name may stand for."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from barehub import reading
from barehub.errors import RecipeError, VaultError


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def nowhere(path: Path) -> None:
    path.symlink_to("gone")


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "a folder, not a file"),
    "device": (device, "a device, not a file"),
    "pipe": (os.mkfifo, "a pipe, not a file"),
    "socket": (listening, "a socket, not a file"),
    "loop": (loop, "cannot be read: too many levels of symbolic links"),
    "nowhere": (nowhere, "a link to a file that does not exist"),
    "large": (lambda path: path.write_bytes(b"x" * 2049), "too large: more than 2 KiB"),
    "latin-1": (lambda path: path.write_bytes(b"one\ntw\xf6\n"), "line 2: not UTF-8"),
    "marked": (lambda path: path.write_bytes(b"\xef\xbb\xbf\n\n\xff"), "line 3: not UTF-8"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_readable_file_is_an_error_with_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = Path("odd")
    make, said = ODD[kind]
    make(path)
    with pytest.raises(RecipeError) as caught:
        reading.text(path, RecipeError, shown="demo/main.tf", most=2048)
    assert caught.value.problem.startswith("demo/main.tf") and said in caught.value.problem
    assert caught.value.hints


def test_a_missing_file_is_for_the_caller_to_judge(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reading.content(tmp_path / "none", VaultError)
    (tmp_path / "file").write_text("x")
    with pytest.raises(VaultError, match="cannot be read: not a directory"):
        reading.content(tmp_path / "file/none", VaultError)


def test_links_are_followed_where_they_make_sense(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r")
    (tmp_path / "link").symlink_to("real")
    assert reading.text(tmp_path / "link", VaultError) == "one\ntwo\n"
    with pytest.raises(VaultError, match="link: a link, not a file"):
        reading.text(tmp_path / "link", VaultError, links=False)


def test_the_pipe_of_a_shell_is_read_where_a_person_named_it() -> None:
    out, into = os.pipe()
    with open(out, "rb"), open(into, "wb") as writer:
        path = Path(f"/dev/fd/{out}")
        with pytest.raises(VaultError, match="a pipe"):
            reading.text(path, VaultError)
        writer.write(b"one")
        threading.Timer(0.05, writer.close).start()
        assert reading.text(path, VaultError, pipes=True) == "one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ("{\n'", "line 2, column 1: not JSON"),
        (b"\xff\xfe\xff", "not UTF-8"),
        ("9" * 10_000, "a number is too long"),
    ],
)
def test_json_that_is_none(text: str | bytes, said: str) -> None:
    with pytest.raises(VaultError) as caught:
        reading.parsed(text, VaultError, "a.json")
    assert said in caught.value.problem
