"""Files are replaced whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from barehub.errors import VaultError
from barehub.vault import files

FULL = """
import pathlib, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from barehub.errors import VaultError
from barehub.vault import files
path = pathlib.Path(sys.argv[1])
try:
    files.replace(path, b"n" * 100_000, "secrets/x.yaml")
except VaultError as error:
    print(error)
"""

COUNT = """
import pathlib, sys
from barehub.vault import files
path = pathlib.Path(sys.argv[1])
for _ in range(50):
    with files.alone(path.parent):
        number = int(path.read_text())
        files.replace(path, str(number + 1).encode(), "number")
"""


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("old")
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert "secrets/x.yaml cannot be written: file too large" in said
    assert "the file that was there is untouched" in said
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.yaml"]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small tmpfs of its own")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    script = FULL.replace("(4096, 4096)", "(10**9, 10**9)")
    mount = f'mount -t tmpfs -o size=64k none "{tmp_path}" && echo old > "{tmp_path}/x.yaml"'
    shell = f'{mount} && "$0" -c "$1" "{tmp_path}/x.yaml" && cat "{tmp_path}/x.yaml"'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", shell, sys.executable, script],
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert "no space left on device; the file that was there is untouched" in done.stdout
    assert f"hint: df -h {tmp_path}" in done.stdout
    assert done.stdout.endswith("old\n")


def test_what_a_killed_writer_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    (tmp_path / ".x.yaml.unfinished").write_text("half")
    files.replace(path, b"new", "x.yaml")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x.yaml"]


def test_writers_wait_for_one_another(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    writers = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert path.read_text() == "150"


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    files.replace(tmp_path / "a/b", b"x", "b")
    assert (tmp_path / "a/b").read_bytes() == b"x"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(VaultError, match="b cannot be written"):
        files.replace(tmp_path / "a/b", b"x", "b")
