"""One cloud for a whole test run, also when several processes run the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import installation
from .layout import Layout

START_SECONDS = 400.0  # with the installation and the template, on a busy machine
REPOSITORY = Path(__file__).resolve().parents[3]


def cloud() -> Layout:
    """The cloud of this test run; whoever comes first starts it. It ends with the run.

    ``BAREHUB_CLOUD`` names the folder of one that is up (``keeper.py`` says how) and stays.

    :raises AssertionError: it does not start; says why.
    """
    if given := os.environ.get("BAREHUB_CLOUD"):
        kept = Layout.load(Path(given))
        assert kept is not None, f"BAREHUB_CLOUD: no cloud is up in {given}"
        return kept
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    base = Path(tempfile.gettempdir()) / f"barehub-clouds-{os.getuid()}"
    folder = base / str(run)
    with installation.alone(base / f"{run}.lock"):
        if (up := Layout.load(folder)) is None:
            up = _start(folder, run)
    return up


def _start(folder: Path, run: int) -> Layout:
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.cloud.openstack.keeper", str(folder), str(run)],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while (up := Layout.load(folder)) is None:
        assert keeper.poll() is None, log.read_text()
        if time.monotonic() > deadline:
            keeper.terminate()
            raise AssertionError(f"no cloud after {START_SECONDS:.0f} s: {log.read_text()}")
        time.sleep(0.1)
    return up
