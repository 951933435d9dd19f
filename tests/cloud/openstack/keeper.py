"""The process that a cloud belongs to: starts it, and ends it with the test run that it is for.

usage: python -m tests.cloud.openstack.keeper FOLDER PID
       python -m tests.cloud.openstack.keeper --prepare

The cloud is up once ``FOLDER/cloud.json`` is there, and goes when the process ``PID`` has ended,
in whatever way, or when this one is told to. Should this one be killed, its services go with it.
``--prepare`` only installs OpenStack and makes the template, so that a start takes seconds.

To keep one between test runs, start it with the PID of your shell and export its folder as
``BAREHUB_CLOUD``.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from . import configuration, contents, databases, installation
from .layout import Layout, Ports
from .services import running


def template(venv: Path) -> Path:
    """Databases as new, made now if need be: a minute on two cores, once a machine."""
    path = installation.folder() / f"template-{installation.digest()}.tar.gz"
    with installation.alone(path.with_suffix(".lock")):
        if not path.exists():
            with TemporaryDirectory(prefix="barehub-cloud-") as folder:
                layout = Layout(Path(folder), venv, Ports.free(), "")
                configuration.write(layout)
                databases.make(layout)
                with running(layout, first=True):
                    pass
                layout.save("made.json")
                databases.keep(layout, path)
    return path


def keep(folder: Path, pid: int) -> None:
    """Have a cloud in ``folder`` as long as the process ``pid`` lives."""
    holder = os.pidfd_open(pid)
    venv = installation.installed()
    subnet = f"127.{random.randrange(64, 96)}.{random.randrange(256)}.0/24"
    layout = Layout(folder, venv, Ports.free(), subnet)
    configuration.write(layout)
    databases.put(template(venv), layout)
    with running(layout):
        contents.make_public_network(layout)
        layout.save()
        select.select([holder], [], [])


def stop(*_: object) -> None:
    raise SystemExit(0)


def main(arguments: list[str]) -> None:
    signal.signal(signal.SIGTERM, stop)
    if arguments == ["--prepare"]:
        template(installation.installed())
        return
    folder, pid = Path(arguments[0]), int(arguments[1])
    try:
        keep(folder, pid)
    finally:
        (folder / "cloud.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
