"""The databases of a cloud: made once, kept as a template, and put where a cloud needs them."""

from __future__ import annotations

import getpass
import grp
import os
import sqlite3
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from .layout import INSIDE, PASSWORD, REGION, Layout

KEPT = ("db", "keystone/fernet", "glance/images", "nova/compute_id")


def make(layout: Layout) -> None:
    """Run every service's own commands for a new database; half a minute on two cores."""
    chains = (_keystone(layout), _glance_and_placement(layout), _nova(layout), _others(layout))
    with ThreadPoolExecutor(len(chains)) as threads:
        for future in [threads.submit(_run, layout, chain) for chain in chains]:
            future.result()


Command = list[str]


def _run(layout: Layout, chain: list[Command]) -> None:
    env = {**os.environ, "PYTHONPATH": str(INSIDE / "drivers"), "PYTHONWARNINGS": "ignore"}
    for command in chain:
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _manage(layout: Layout, program: str, conf: str) -> Command:
    return [layout.program(program), "--config-file", str(layout.etc / f"{conf}.conf")]


def _keystone(layout: Layout) -> list[Command]:
    manage = _manage(layout, "keystone-manage", "keystone")
    owner = ["--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getgid())[0]]
    urls = [
        word
        for interface in ("admin", "public", "internal")
        for word in (f"--bootstrap-{interface}-url", layout.auth_url)
    ]
    region = ["--bootstrap-region-id", REGION]
    return [
        [*manage, "db_sync"],
        [*manage, "fernet_setup", *owner],
        [*manage, "bootstrap", "--bootstrap-password", PASSWORD, *urls, *region],
    ]


def _glance_and_placement(layout: Layout) -> list[Command]:
    return [
        [*_manage(layout, "glance-manage", "glance-api"), "db_sync"],
        [*_manage(layout, "placement-manage", "placement"), "db", "sync"],
    ]


def _nova(layout: Layout) -> list[Command]:
    manage = _manage(layout, "nova-manage", "nova")
    cell0 = f"sqlite:///{layout.database('nova_cell0')}?timeout=30"
    return [
        [*manage, "api_db", "sync"],
        [*manage, "cell_v2", "map_cell0", "--database_connection", cell0],
        [*manage, "db", "sync"],
        [*manage, "cell_v2", "create_cell", "--name", "cell1"],
    ]


def _others(layout: Layout) -> list[Command]:
    schema = [layout.program("python"), str(INSIDE / "neutron_schema.py")]
    return [
        [*_manage(layout, "cinder-manage", "cinder"), "db", "sync"],
        [*schema, str(layout.database("neutron"))],
    ]


def keep(layout: Layout, template: Path) -> None:
    """Make ``template`` of a cloud that is not running."""
    fresh = template.with_suffix(".new")
    with tarfile.open(fresh, "w:gz") as tar:
        for name in KEPT:
            tar.add(layout.folder / name, name)
        tar.add(layout.folder / "made.json", "made.json")
    fresh.replace(template)


def put(template: Path, layout: Layout) -> None:
    """Unpack ``template`` into a cloud's folder, and write its own paths and ports into it."""
    with tarfile.open(template) as tar:
        tar.extractall(layout.folder, filter="data")
    made = Layout.load(layout.folder, "made.json")
    assert made is not None
    paths = (f"{made.folder}/", f"{layout.folder}/")
    replace = "UPDATE {0} SET {1} = replace({1}, ?, ?)"
    _change(layout, "nova_api", replace.format("cell_mappings", "database_connection"), *paths)
    _change(layout, "glance", replace.format("image_locations", "value"), *paths)
    point = "UPDATE endpoint SET url=? WHERE service_id IN (SELECT id FROM service WHERE type=?)"
    for service, url in layout.ports.urls.items():
        _change(layout, "keystone", point, url, service)


def _change(layout: Layout, name: str, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(layout.database(name))) as database, database:
        database.execute(statement, values)
