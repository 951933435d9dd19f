"""`leftovers` where no cloud can be had: what it says, and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints import NO_ANSWER, Servers, closed_port, routes

from barehub.journal import Journal
from barehub.lock import Holder, Lock
from tests.canary import holding

from .conftest import Cli
from .terminal import Terminal

CANARY = "CANARY-leftover-password"

SECRETS = """\
environment:
  OS_AUTH_URL: http://127.0.0.1:{port}/v3
  OS_USERNAME: somebody
  OS_PASSWORD: {canary}
  OS_PROJECT_NAME: lab-of-x
  OS_USER_DOMAIN_NAME: Default
  OS_PROJECT_DOMAIN_NAME: Default
  CLOUDFLARE_BASE_URL: http://127.0.0.1:{port}/client/v4
  CLOUDFLARE_API_TOKEN: {canary}
"""


def _open_vault(cli: Cli, port: int, names: tuple[str, ...] = ("OS_", "CLOUDFLARE_")) -> None:
    """A vault with the credentials of clouds that are on ``port``, those that begin so."""
    assert cli("vault.init").code == 0
    lines = SECRETS.format(port=port, canary=CANARY).splitlines()
    kept = [line for line in lines if line.strip().startswith(("environment", *names))]
    (cli.root / "secrets" / "shared.yaml").write_text("\n".join(kept) + "\n")
    assert cli("vault.encrypt", "secrets/shared.yaml").code == 0


@pytest.fixture
def unreachable(cli: Cli) -> Iterator[Cli]:
    """A project whose vault has the credentials of clouds that do not answer."""
    with closed_port() as port:
        _open_vault(cli, port)
        yield cli


def _local(cli: Cli, name: str) -> Path:
    folder = cli.instance(name)
    folder.mkdir(parents=True)
    shutil.copy(cli.root / "terraform" / "recipes" / "local.tf", folder / "main.tf")
    return folder


def test_an_instance_that_is_long_gone_is_looked_for_in_every_cloud(
    unreachable: Cli, tmp_path: Path
) -> None:
    done = unreachable("leftovers", "--name", "demo", "--json")
    assert done.code == 7, done
    (document,) = json.loads(done.out)
    assert document["left"] == []
    assert document["unseen"] == [
        "OpenStack: OpenStack does not answer at environment.OS_AUTH_URL: connection refused",
        "Cloudflare: Cloudflare does not answer at environment.CLOUDFLARE_BASE_URL:"
        " connection refused",
    ]
    assert "error: could not be looked at: OpenStack" in done.err
    assert done.err.endswith("hint: invoke leftovers --name demo\n"), "there is nothing to delete"
    assert CANARY not in done.out + done.err
    assert holding(CANARY, tmp_path) == []


def test_a_name_is_needed_to_delete(unreachable: Cli) -> None:
    done = unreachable("leftovers", "--delete")
    assert (done.code, done.out) == (1, "")
    assert "error: --delete needs --name\nhint: invoke leftovers" in done.err


def test_no_cloud_is_asked_for_an_instance_that_never_used_one(unreachable: Cli) -> None:
    _local(unreachable, "demo")
    for arguments in ((), ("--name", "demo")):
        done = unreachable("leftovers", *arguments)
        assert (done.code, done.out) == (0, ""), done


def test_what_a_run_is_making_is_no_leftover(unreachable: Cli) -> None:
    lock = Lock(_local(unreachable, "demo") / ".lock")
    lock.acquire(Holder.me("spawn"))
    try:
        done = unreachable("leftovers", "--name", "demo", "--delete", "--yes")
    finally:
        lock.release()
    assert done.code == 1 and "demo is in use by" in done.err, done


def test_a_vault_without_credentials_is_said(cli: Cli) -> None:
    assert cli("vault.init").code == 0
    done = cli("leftovers", "--name", "demo")
    assert done.code == 1 and "error: the vault has no credentials of a cloud" in done.err, done


def test_a_teardown_that_cannot_look_is_no_success(unreachable: Cli) -> None:
    """Its state is gone, and its journal knows of a server: what became of that is to be seen."""
    folder = _local(unreachable, "demo")
    journal = Journal(folder / "journal.jsonl")
    address = "module.provider.openstack_compute_instance_v2.master"
    journal.resource("done", address, "create", "c0ffee")
    journal.resource("done", address, "delete", "")
    done = unreachable("teardown", "--name", "demo", "--yes")
    assert done.code == 7, done
    assert "could not be looked at: OpenStack" in done.err, done
    assert done.err.count("hint: invoke leftovers --name demo\n") == 1
    assert CANARY not in done.out + done.err
    assert journal.last("gone") is None


@pytest.mark.cloud  # half a minute
def test_ctrl_c_does_not_wait_for_a_cloud(cli: Cli, tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        _open_vault(cli, servers.start(NO_ANSWER, None))
        running = cli.start("leftovers", "--name", "demo")
        assert running.stderr
        while "clouds" not in running.stderr.readline():
            assert running.poll() is None
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert time.monotonic() - began < 10
        running.communicate()


def test_a_terminal_is_asked_before_anything_is_removed(cli: Cli, tmp_path: Path) -> None:
    """Cloudflare is stood in for by a table of answers: a zone with one record, for ever."""

    def answer(result: object) -> tuple[int, str, str]:
        return (200, "application/json", json.dumps({"success": True, "result": result}))

    asked: list[str] = []
    record = {"id": "r1", "name": "demo.example.org", "type": "A", "content": "192.0.2.1"}
    answers = {
        "/client/v4/zones?page=1&per_page=50": answer([{"id": "z1", "name": "example.org"}]),
        "/client/v4/zones/z1/dns_records?page=1&per_page=50": answer([record]),
        "*": answer({}),
    }
    with Servers(tmp_path) as servers:
        _open_vault(cli, servers.start(routes(answers, asked), None), ("CLOUDFLARE_",))
        for typed, code in (("no", 1), ("demo", 7)):
            terminal = Terminal(cli, "leftovers", "--name", "demo", "--delete")
            terminal.expect("dns record demo.example.org 192.0.2.1")
            terminal.expect("type demo to go on:")
            terminal.type(f"{typed}\n")
            assert terminal.end() == code, terminal.raw
            assert ("/client/v4/zones/z1/dns_records/r1" in asked) == (typed == "demo")
            assert CANARY not in terminal.raw


def test_check_goes_on_where_a_cloud_cannot_be_asked(unreachable: Cli) -> None:
    folder = unreachable.instance("demo")
    (folder / "openstack").mkdir(parents=True)
    (folder / "openstack" / "main.tf").write_text('variable "os_flavor_master" {}\n')
    (folder / "main.tf").write_text(
        'module "provider" {\n  source = "./openstack"\n  os_flavor_master = "c2"\n}\n'
        'module "dns" {\n  source = "../../terraform/dns/local"\n  domain = "demo.localhost"\n'
        "  public_ip = 1\n}\n"
        'module "binderhub" {\n  source = "./openstack"\n  os_flavor_master = "c2"\n}\n'
    )
    done = unreachable("check", "--name", "demo", "--json")
    found = {one["id"]: one for one in json.loads(done.out)["findings"]}
    assert found["cloud.unreachable"]["severity"] == "unseen", done
    assert "connection refused" in found["cloud.unreachable"]["message"]
    assert not [id for id in found if id.startswith("dns.")], done
    assert CANARY not in done.out + done.err
