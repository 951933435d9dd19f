"""Real clouds for the tests marked ``cloud``: OpenStack, DNS, providers.

- ``project``: a keystone project with a user of its own, in a real OpenStack that all tests of a
  run share; it must be empty again at the end of the test
- ``gates``: the same, with APIs that the test can shut in the middle of a run
- ``cloudflare``: Cloudflare's API over TLS, and the DNS server behind it
- ``providers``: the provider plugins, which Terraform is told to use; some may be stand-ins
- ``cli``: barehub's command line in a project folder (``tests/command_line.py``)
- ``tool``: the test runs twice, by Terraform and by the newest OpenTofu
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.command_line import Cli, cli

from .dns.cloudflare import Cloudflare
from .dns.cloudflare import cloudflare as cloudflare_in
from .openstack import doors, shared
from .openstack.gate import Gate
from .openstack.layout import Layout
from .openstack.project import Project
from .providers import Providers, built, by_opentofu

__all__ = ["cli"]

SECONDS = 300  # of a test, with a cloud to start, and to build once a machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("cloud")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def cloud() -> Layout:
    """The OpenStack of this run: its addresses, its folders, its logs. It ends with the run."""
    missing = [name for name in ("sshd", "knotd", "unshare", "nsenter", "ip") if not _which(name)]
    assert not missing, f"not installed: {missing}; scripts/test --cloud does it"
    assert os.geteuid() == 0, "the servers of the cloud are namespaces, which only root can make"
    return shared.cloud()


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@pytest.fixture
def project(cloud: Layout) -> Iterator[Project]:
    """A project in the cloud, which the test leaves empty unless it sets ``may_leave``."""
    made = Project.new(cloud)
    yield made
    left = made.names()
    made.purge()
    assert made.may_leave or not left, f"the test left {left}"


@pytest.fixture
def gates(project: Project) -> Iterator[Callable[..., dict[str, Gate]]]:
    """``gates("compute", "network")["compute"].shut()``: APIs of ``project`` that can break.

    Call it before ``project.env`` is used: the project's region changes.
    """
    with ExitStack() as stack:
        yield lambda *services: stack.enter_context(doors.gates(project, *services))


@pytest.fixture
def cloudflare(tmp_path: Path) -> Iterator[Cloudflare]:
    """An account with the zone example.org and a token that is a canary; empty at the end."""
    folder = tmp_path / "cloudflare"
    folder.mkdir()
    with cloudflare_in(folder, f"CANARY--{secrets.token_hex(16)}") as account:
        yield account
        assert account.may_leave or not account.records, f"the test left {account.names()}"


@pytest.fixture
def providers(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Providers:
    """The ring's providers; Terraform finds them, and nothing else, whoever starts it."""
    found = built()
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(found.configuration(tmp_path)))
    return found


@pytest.fixture(params=["terraform", "tofu"])
def tool(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> str:
    """The name of the program by which barehub runs the recipes of this test."""
    if request.param == "tofu":
        by_opentofu(cli, tmp_path / "bin")
    return str(request.param)
