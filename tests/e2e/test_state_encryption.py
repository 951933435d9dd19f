"""OpenTofu's own encryption of a state in a real PostgreSQL, with a key that barehub made."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from postgres import Postgres

from tests.canary import holding
from tests.cloud.providers import by_opentofu

from .conftest import Cli, unseal
from .team import SPAWN, make, server, share, spawned, unshare

__all__ = ["server"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(300)]  # minutes, together

TOKEN = "CANARY-encrypted-token"
OWN = """
terraform {
  encryption {
    method "unencrypted" "none" {}
    state { method = method.unencrypted.none }
  }
}
"""


@pytest.fixture
def ready(cli: Cli, server: Postgres) -> Cli:
    """An instance with a backend, and Terraform still."""
    make(cli, TOKEN, {"PG_CONN_STR": server.url}, "test -e ${path.root}/quick || sleep 4")
    share(cli)
    return cli


@pytest.fixture
def tofu(ready: Cli, tmp_path: Path) -> Cli:
    by_opentofu(ready, tmp_path / "bin")
    return ready


def _stored(server: Postgres) -> str:
    """The state as whoever reads the backend sees it."""
    return server.query("select data from demo.states where name = 'default'")


def _key(cli: Cli) -> str:
    shown = json.loads(cli("vault.show", "--name", "demo", "--reveal", "--json").out)
    (key,) = re.findall(r'passphrase = "([0-9a-f]{64})"', json.dumps(shown).replace("\\", ""))
    return str(key)


def test_who_reads_the_backend_reads_nothing(
    tofu: Cli, server: Postgres, tmp_path: Path, own_home: Path
) -> None:
    said = spawned(tofu).err
    assert "made a key for the state, stored encrypted as environment.TF_ENCRYPTION" in said
    assert "encrypted_data" in _stored(server) and TOKEN not in _stored(server)
    key = _key(tofu)
    assert "nobody has the state of demo in pg" in tofu("unlock", "--name", "demo").err
    again = spawned(tofu).err
    assert "nothing to change" in again and "made a key" not in again
    assert _key(tofu) == key
    clone = tmp_path / "clone"
    shutil.copytree(tofu.root, clone, ignore=shutil.ignore_patterns(".terraform"))
    assert "nothing to change" in spawned(Cli(clone, tofu.env)).err
    for secret in (key, TOKEN):
        assert secret not in said + again
        assert holding(secret, tofu.root, clone, own_home) == []
    shutil.rmtree(clone / "instances" / "demo" / ".terraform")
    terraform = Cli(clone)(*SPAWN)
    assert terraform.code == 5, terraform
    assert "is encrypted by OpenTofu, and there is no OpenTofu here that has its key" in (
        terraform.err
    )
    (clone / "secrets" / "demo.yaml").unlink()
    other = Cli(clone, tofu.env)(*SPAWN)
    assert other.code == 5, other
    assert "is encrypted with another key than the vault's" in other.err
    assert "git pull   # its key is environment.TF_ENCRYPTION in secrets/demo.yaml" in other.err
    gone = tofu("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone


def test_a_state_from_before_is_read_and_written_encrypted(
    ready: Cli, server: Postgres, tmp_path: Path
) -> None:
    spawned(ready)
    assert TOKEN in _stored(server)
    by_opentofu(ready, tmp_path / "bin")
    assert "made a key for the state" in spawned(ready).err
    recipe = ready.instance("demo") / "modules" / "dns" / "main.tf"
    recipe.write_text(recipe.read_text().replace("${var.domain} ", "${var.domain}  "))
    assert ready(*SPAWN, "--yes").code == 8
    assert "encrypted_data" in _stored(server) and TOKEN not in _stored(server)


def test_an_encrypted_state_moves_out_and_in(tofu: Cli, server: Postgres) -> None:
    spawned(tofu)
    back = tofu("state.migrate", "--name", "demo", "--back")
    assert back.code == 0, back
    unshare(tofu)
    assert (
        "nothing to change" in spawned(tofu).err
    )  # the key is none of the sealed state's business
    sealed = tofu.instance("demo") / "terraform.tfstate.sops"
    assert len(unseal(sealed)["resources"]) == 4
    share(tofu)
    there = tofu("state.migrate", "--name", "demo")
    assert there.code == 0, there
    assert "encrypted_data" in _stored(server) and TOKEN not in _stored(server)
    assert "nothing to change" in spawned(tofu).err


def test_what_a_dead_backend_did_not_take_is_sealed_and_given_to_it_encrypted(
    tofu: Cli, server: Postgres
) -> None:
    folder = tofu.instance("demo")
    (folder / "quick").unlink()
    run = tofu.start(*SPAWN)
    deadline = time.monotonic() + 60
    while not (folder / "log").exists():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.kill()
    _, said = run.communicate(timeout=100)
    server.start()
    assert run.returncode == 5 and "the backend did not take the newest state" in said, said
    assert "encrypted_data" in unseal(folder / "terraform.tfstate.errored.sops")
    assert "the pg backend took what it had not taken" in spawned(tofu).err
    assert "encrypted_data" in _stored(server)
    assert (folder / "log").read_text().split() == ["provider", "dns", "binderhub"]


def test_what_the_recipe_or_the_environment_says_of_it_stands(tofu: Cli, server: Postgres) -> None:
    extra = tofu.instance("demo") / "encryption.tf"
    extra.write_text(OWN)
    assert "made a key" not in spawned(tofu).err
    assert TOKEN in _stored(server)
    assert "nobody has demo in pg" in tofu("unlock", "--name", "demo").err
    extra.unlink()
    tofu.env["TF_ENCRYPTION"] = OWN.replace("terraform {\n  encryption {", "").replace("}\n}\n", "")
    assert "made a key" not in spawned(tofu).err
    assert not (tofu.root / "secrets" / "demo.yaml").exists()
