"""How provider/openstack reads host keys from consoles, and keeps them in known_hosts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "terraform/provider/openstack/host_keys.py"

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGN4oLqXyr9cZGmV0tVn3nX4pQq8mJf8oYwqG2cH0m9v"


@pytest.fixture
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("host_keys", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def block(*lines: str) -> str:
    inner = "\r\n".join(lines)
    return (
        "[    9.1] cloud-init[712]: Cloud-init v. 24.1 running 'modules:final'\r\n"
        f"-----BEGIN SSH HOST KEY KEYS-----\r\n{inner}\r\n-----END SSH HOST KEY KEYS-----\r\n"
    )


def test_keys_of_a_console(program: ModuleType) -> None:
    assert program.keys_of(block(f"{ED25519} root@demo-master")) == [ED25519]
    assert program.keys_of(block(f"[   12.3] cloud-init[8]: {ED25519} root@demo")) == [ED25519]


def test_the_last_boot_counts(program: ModuleType) -> None:
    assert program.keys_of(block(f"{OTHER} root@a") + block(f"{ED25519} root@a")) == [ED25519]


@pytest.mark.parametrize(
    "line",
    [
        ED25519[:60] + "[   12.9] eth0: link up" + ED25519[60:],  # the kernel spoke in between
        ED25519[:60],
        ED25519.replace("ssh-ed25519", "ssh-rsa"),
        "ssh-ed25519 AAAA",
        "",
    ],
)
def test_what_is_no_whole_key_is_none(program: ModuleType, line: str) -> None:
    assert program.keys_of(block(line)) == []
    assert program.keys_of(block(line, f"{OTHER} root@demo")) == [OTHER]


def test_a_console_that_has_not_come_to_its_keys(program: ModuleType) -> None:
    assert program.keys_of("") == []
    assert program.keys_of(f"-----BEGIN SSH HOST KEY KEYS-----\n{ED25519} root@demo\n") == []


def test_openssh_reads_what_is_written(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program.write("203.0.113.40", [OTHER])
    program.write("10.77.0.5", [OTHER])
    program.write("203.0.113.40", [ED25519])
    found = subprocess.run(
        ["ssh-keygen", "-F", "203.0.113.40", "-f", "known_hosts"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.splitlines()[1:] == [f"203.0.113.40 {ED25519}"]


def test_a_line_of_somebody_s_own_stays(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = f"# the team's\n203.0.113.4 {OTHER}\n"
    Path("known_hosts").write_text(kept)
    program.write("203.0.113.40", [ED25519])
    program.write("203.0.113.40", [])
    assert Path("known_hosts").read_text() == kept


def test_with_the_last_line_the_file_goes(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program.write("203.0.113.40", [ED25519])
    program.write("203.0.113.40", [])
    program.write("203.0.113.40", [])
    assert list(tmp_path.iterdir()) == []


def test_machines_that_are_ready_at_once_do_not_lose_one_another_s(tmp_path: Path) -> None:
    """Terraform runs the program for ten machines side by side."""
    code = (
        f"import sys; sys.path.insert(0, {str(PROGRAM.parent)!r}); import host_keys\n"
        f"for n in range(20): host_keys.write(sys.argv[1], [{ED25519!r}])"
    )

    def pin(address: str) -> int:
        return subprocess.run(
            [sys.executable, "-B", "-c", code, address], cwd=tmp_path, check=False
        ).returncode

    addresses = [f"10.77.0.{n}" for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(pin, addresses)) == {0}
    lines = (tmp_path / "known_hosts").read_text().splitlines()
    assert sorted(lines) == [f"{address} {ED25519}" for address in addresses]
