"""A cloud is there for a run and gone after it; providers are what their pins say."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import ROOT

from .openstack.layout import Layout
from .providers import REGISTRIES, STAND_IN_FOR, Providers, builder

MAIN = "package main\n\nfunc main() { println(4) }\n"


def _processes_below(folder: Path) -> list[str]:
    """The command lines of living processes that name ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line:
            found.append(line.replace(b"\0", b" ").decode())
    return found


def _wait_until(true: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.mark.parametrize("killed", ["the run", "its keeper"])
def test_a_cloud_ends_however_its_run_does(killed: str, tmp_path: Path) -> None:
    folder, log = tmp_path / "cloud", tmp_path / "log"
    run = subprocess.Popen(["sleep", "600"])
    with log.open("wb") as out:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.cloud.openstack.keeper", str(folder), str(run.pid)],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _wait_until(lambda: Layout.load(folder) is not None, "no cloud", 200)
        assert _processes_below(folder)
        victim = run if killed == "the run" else keeper
        victim.kill()
        victim.wait()
        _wait_until(lambda: not _processes_below(folder), "services go on", 30)
    finally:
        for process in (run, keeper):
            process.kill()
            process.wait()
    if killed == "the run":
        assert not folder.exists(), log.read_text()


@pytest.fixture
def script() -> Any:
    """scripts/build-providers, as a module of this test's own."""
    return builder()


def _served(folder: Path, text: str) -> str:
    """A program as version 1.0.0 of a Go module, as a proxy of modules has it; its go.mod."""
    about = "module example.org/tiny\n\ngo 1.21\n"
    place = folder / "example.org" / "tiny" / "@v"
    place.mkdir(parents=True, exist_ok=True)
    (place / "v1.0.0.info").write_text('{"Version": "v1.0.0"}')
    (place / "v1.0.0.mod").write_text(about)
    with zipfile.ZipFile(place / "v1.0.0.zip", "w") as archive:
        archive.writestr("example.org/tiny@v1.0.0/go.mod", about)
        archive.writestr("example.org/tiny@v1.0.0/main.go", text)
    return folder.as_uri()


def _checksum(folder: Path) -> str:
    """What Go says of the module that the environment's proxy has."""
    command = ["go", "mod", "download", "-json", "example.org/tiny@v1.0.0"]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return str(json.loads(told.stdout)["Sum"])


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
def test_providers_are_built_once_and_only_from_what_was_pinned(
    script: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirror = tmp_path / "mirror"
    monkeypatch.setenv("GOPROXY", _served(tmp_path / "proxy", MAIN))
    monkeypatch.setenv("GOSUMDB", "off")
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    checksum = _checksum(tmp_path)
    tiny = script.Provider("somebody/tiny", "1.0.0", "example.org/tiny", checksum)
    absent = script.Provider("somebody/absent", "1.0.0", "example.org/absent", checksum)
    monkeypatch.setattr(script, "PROVIDERS", [absent, tiny])

    # one that cannot be reached does not hold up the others
    assert script.main([str(mirror)]) == 3
    said = capsys.readouterr()
    assert "not built: somebody/absent 1.0.0" in said.err and "hint: " in said.err
    assert said.out == f"{mirror}/barehub.tfrc\n"
    programs = [script.place(mirror, registry, tiny) for registry in REGISTRIES]
    for program in programs:
        assert subprocess.run([program], capture_output=True).stderr == b"4\n"

    # what is there is not built again
    monkeypatch.setattr(script, "PROVIDERS", [tiny])
    before = programs[0].stat().st_mtime_ns
    assert script.main([str(mirror)]) == 0
    assert programs[0].stat().st_mtime_ns == before

    # other content under the same version is refused, by name
    shutil.rmtree(mirror)
    shutil.rmtree(tmp_path / "modules")
    _served(tmp_path / "proxy", MAIN.replace("4", "5"))
    capsys.readouterr()
    assert script.main([str(mirror)]) == 3
    assert f"{checksum} is expected" in capsys.readouterr().err
    assert not programs[0].exists()
    assert not list(mirror.glob("new-*"))


def test_a_build_that_is_killed_leaves_nothing_half_built(tmp_path: Path) -> None:
    building = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "build-providers", tmp_path / "mirror"],
        env={**os.environ, "GOPROXY": "off", "GOMODCACHE": str(tmp_path / "cache")},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _wait_until(lambda: (tmp_path / "mirror").exists(), "it does not begin", 30)
    building.send_signal(signal.SIGTERM)
    # by the signal itself when Python has given its handlers up already
    assert building.wait(timeout=30) in (3, 130, -signal.SIGTERM)
    assert not list((tmp_path / "mirror").rglob("terraform-provider-*"))


def test_what_stands_in_is_used_only_where_the_real_one_is_not_there(tmp_path: Path) -> None:
    real, standins = tmp_path / "real", tmp_path / "standins"
    absent, *others = STAND_IN_FOR
    for mirror, names in ((real, others), (standins, STAND_IN_FOR)):
        for name in names:
            (mirror / REGISTRIES[0] / name).mkdir(parents=True)
    providers = Providers(real, standins)
    text = providers.configuration(tmp_path).read_text()
    assert text.count(str(real)) == text.count(str(standins)) == 1
    assert re.findall(r'"([^"]+)"', text.split("include")[1]) == [
        f"{registry}/{absent}" for registry in REGISTRIES
    ]
    providers.need(*STAND_IN_FOR)
    (real / REGISTRIES[0] / absent).mkdir(parents=True)
    assert str(standins) not in providers.configuration(tmp_path).read_text()
    with pytest.raises(AssertionError, match="somebody/absent is not there"):
        providers.need("somebody/absent")
