"""Modules fetched by git over a real sshd, with keys from the vault, an agent and files."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sshd import Sshd, keygen, repository

from tests import canary

from . import slow_cloud
from .conftest import Cli, unseal
from .terminal import Terminal

SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
UP_TO_VERIFY = 8
"""Exit code of a spawn of which all went well: nothing listens at this recipe's endpoint."""

CANARY = "CANARY-passphrase"


@dataclass
class Place:
    """A project whose modules come from ``sshd``, and two key pairs."""

    cli: Cli
    sshd: Sshd
    keys: Path
    public: dict[str, str]

    @property
    def known_hosts(self) -> Path:
        return self.cli.instance("demo") / "known_hosts"

    def to_vault(self, key: str) -> None:
        text = (self.keys / key).read_text()
        result = self.cli("vault.set", "ssh.private_key", input=text)
        assert result.code == 0, result

    def authorized(self) -> list[str]:
        state = unseal(self.cli.instance("demo") / "terraform.tfstate.sops")
        found = [r for r in state["resources"] if r["name"] == "authorized"]
        value: list[str] = found[0]["instances"][0]["attributes"]["input"]["value"]
        return value


@pytest.fixture
def place(cli: Cli, tmp_path: Path) -> Iterator[Place]:
    keys = tmp_path / "keys"
    keys.mkdir()
    public = {name: keygen(keys / name, comment=f"{name}@example") for name in ("team", "mine")}
    folder = cli.instance("demo")
    slow_cloud.make(folder)
    source = shutil.copytree(folder / "modules", tmp_path / "modules" / "modules").parent
    shutil.rmtree(folder / "modules")
    with (source / "modules" / "provider" / "main.tf").open("a") as file:
        file.write(
            'variable "ssh_authorized_keys" { default = [] }\n'
            'resource "terraform_data" "authorized" { input = var.ssh_authorized_keys }\n'
        )
    server = Sshd(tmp_path / "sshd", [public["team"]])
    recipe = folder / "main.tf"
    url = server.url(repository(source))
    recipe.write_text(recipe.read_text().replace('"./modules/', f'"git::{url}//modules/'))
    (folder / "known_hosts").write_text(server.known_hosts_line)
    cli.env.pop("SSH_AUTH_SOCK", None)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-token").code == 0
    yield Place(cli, server, keys, public)
    server.close()


@pytest.fixture
def agent(place: Place, tmp_path: Path) -> Iterator[str]:
    """The person's own agent, with both keys."""
    socket = str(tmp_path / "a.sock")
    child = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    env = {**os.environ, "SSH_AUTH_SOCK": socket}
    for name in ("team", "mine"):
        add = ["ssh-add", "-q", str(place.keys / name)]
        while subprocess.run(add, env=env, capture_output=True).returncode == 2:
            assert child.poll() is None
    place.cli.env["SSH_AUTH_SOCK"] = socket
    yield socket
    child.terminate()
    child.wait()


def test_the_teams_key_fetches_modules_and_is_told_and_admitted(place: Place) -> None:
    place.to_vault("team")
    with canary.Watch() as watch:
        result = place.cli(*SPAWN)
    assert result.code == UP_TO_VERIFY, result
    assert "(team@example), from the vault" in result.err
    assert place.authorized() == [place.public["team"]]
    secret = (place.keys / "team").read_text().splitlines()[2]
    assert not watch.holding(secret)
    assert canary.holding(secret, place.cli.root, Path(os.environ["HOME"])) == []
    sealed = unseal(place.cli.instance("demo") / "terraform.tfstate.sops")
    assert secret not in json.dumps(sealed)


def test_what_the_vault_admits_stands_above_the_keys_of_a_run(place: Place) -> None:
    place.to_vault("team")
    admitted = json.dumps({"variables": {"ssh_authorized_keys": ["ssh-ed25519 AAAA other"]}})
    (place.cli.root / "secrets" / "demo.yaml").write_text(admitted)
    assert place.cli("vault.encrypt", "secrets/demo.yaml").code == 0
    assert place.cli(*SPAWN).code == UP_TO_VERIFY
    assert place.authorized() == ["ssh-ed25519 AAAA other"]


@pytest.mark.usefixtures("agent")
def test_a_running_agent_is_used_where_the_vault_has_no_key(place: Place) -> None:
    result = place.cli(*SPAWN)
    assert result.code == UP_TO_VERIFY, result
    assert "(mine@example), from your ssh-agent" in result.err
    assert set(place.authorized()) == set(place.public.values())


@pytest.mark.usefixtures("agent")
def test_one_key_of_an_agent_is_all_that_is_offered(place: Place) -> None:
    place.cli.env["BAREHUB_SSH_KEY"] = str(place.keys / "team.pub")
    result = place.cli(*SPAWN)
    assert result.code == UP_TO_VERIFY, result
    assert place.authorized() == [place.public["team"]]
    place.sshd.admit([place.public["mine"]])
    shutil.rmtree(place.cli.instance("demo") / ".terraform")
    ssh = Path(os.environ["HOME"]) / ".ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(place.keys / "mine", ssh / "id_ed25519")  # what ssh would take by itself
    refused = place.cli(*SPAWN)
    assert refused.code == 2, refused
    assert "127.0.0.1 refuses the key" in refused.err


LOGIN = """
resource "terraform_data" "login" {
  connection {
    type     = "ssh"
    user     = "%s"
    host     = "127.0.0.1"
    port     = %s
    host_key = "%s"
    agent    = true
  }
  provisioner "remote-exec" { inline = ["ssh-add -D; ssh-add -L > %s"] }
}
"""


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("source", ["the person's agent", "the vault"])
def test_a_machine_that_terraform_logs_in_to_reaches_no_other_key(
    place: Place, tmp_path: Path, source: str
) -> None:
    seen = tmp_path / "seen"
    server = place.sshd
    login = LOGIN % (getpass.getuser(), server.port, server.host_key, seen)
    with (place.cli.instance("demo") / "main.tf").open("a") as file:
        file.write(login)
    if source == "the vault":
        place.to_vault("team")
    else:
        place.cli.env["BAREHUB_SSH_KEY"] = str(place.keys / "team.pub")
    result = place.cli(*SPAWN)
    assert result.code == UP_TO_VERIFY, result
    (line,) = seen.read_text().splitlines()
    assert line.split()[:2] == place.public["team"].split()[:2]  # forwarded, and that one alone


def test_the_persons_key_goes_before_the_vaults_when_it_is_said_so(
    place: Place, agent: str
) -> None:
    place.to_vault("mine")
    place.cli.env["BAREHUB_SSH_KEY"] = "agent"
    place.sshd.admit([place.public["team"]])
    result = place.cli(*SPAWN)
    assert result.code == UP_TO_VERIFY, result
    assert "(team@example), from your ssh-agent" in result.err


def test_a_passphrase_is_asked_for_on_a_terminal(place: Place) -> None:
    path = place.keys / "locked"
    public = keygen(path, passphrase=CANARY, comment="locked@example")
    place.sshd.admit([public])
    place.cli.env["BAREHUB_SSH_KEY"] = str(path)
    with canary.Watch() as watch:
        terminal = Terminal(place.cli, *SPAWN)
        terminal.expect(f"passphrase of {path}: ")
        assert not terminal.echoes
        terminal.type("wrong\n")
        terminal.expect("that is not its passphrase; once more")
        terminal.expect(f"once more\r\npassphrase of {path}: ")
        terminal.type(f"{CANARY}\n")
        assert terminal.end() == UP_TO_VERIFY, terminal.text
    assert f"(locked@example), from {path}" in terminal.text
    assert CANARY not in terminal.text
    assert not watch.holding(CANARY)
    assert canary.holding(CANARY, place.cli.root, Path(os.environ["HOME"])) == []
    assert place.authorized() == [public]


def test_nobody_waits_for_a_passphrase_without_a_terminal(place: Place) -> None:
    path = place.keys / "locked"
    keygen(path, passphrase=CANARY)
    place.cli.env["BAREHUB_SSH_KEY"] = str(path)
    result = place.cli(*SPAWN, timeout=30)
    assert result.code == 1, result
    assert "locked is protected by a passphrase, and there is no terminal" in result.err
    assert f"hint: give it to your agent: ssh-add {path}" in result.err


def test_a_locked_key_that_the_agent_has_open_needs_no_passphrase(place: Place, agent: str) -> None:
    path = place.keys / "team"
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", CANARY, "-P", "", "-f", path], check=True)
    place.cli.env["BAREHUB_SSH_KEY"] = str(path)
    result = place.cli(*SPAWN)
    assert result.code == UP_TO_VERIFY, result
    assert f"from your ssh-agent, as {path}" in result.err


def test_an_unknown_host_is_never_trusted(place: Place) -> None:
    place.to_vault("team")
    place.known_hosts.unlink()
    ssh = Path(os.environ["HOME"]) / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "config").write_text("Host *\n  StrictHostKeyChecking no\n")
    result = place.cli(*SPAWN)
    assert result.code == 2, result
    assert "the host key of 127.0.0.1 is not known" in result.err
    assert f"ssh-keyscan -p {place.sshd.port} 127.0.0.1 >> instances/demo/known_hosts" in result.err
    assert not (ssh / "known_hosts").exists()


def test_the_doctor_tries_the_key_and_says_what_to_do(place: Place) -> None:
    place.to_vault("team")
    assert "✓ ssh        demo: 127.0.0.1 takes ed25519" in place.cli("doctor").out
    place.sshd.admit([place.public["mine"]])
    told = place.cli("doctor").out
    assert "! ssh        demo: 127.0.0.1 refuses the key" in told
    assert "fix: give 127.0.0.1 its public half" in told
    place.known_hosts.write_text("")
    told = place.cli("doctor").out
    assert "the host key of 127.0.0.1 is not known" in told
    assert ">> instances/demo/known_hosts" in told
    place.known_hosts.write_text(
        place.sshd.known_hosts_line.split()[0] + " " + place.public["mine"] + "\n"
    )
    assert "shows another host key than the one that is known" in place.cli("doctor").out
    place.sshd.close()
    assert "127.0.0.1 cannot be reached: connection refused" in place.cli("doctor").out
