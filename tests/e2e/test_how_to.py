"""The commands of docs/how-to, run as they stand there.

A block that begins with ```sh runs in the project; ```sh alice runs in Alice's clone, on a machine
of her own (another HOME). What a page calls $ALICE, $OLD, … is set between the blocks, as a person
would copy it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import registry
from endpoints import HOST, Servers, modern, routes
from postgres import Postgres
from sshd import Sshd, keygen, repository

from . import slow_cloud, working_hub
from .boxed import boxed
from .clones import with_drivers
from .conftest import INVOKE, ROOT, Cli

__all__ = ["boxed"]

PAGES = ROOT / "docs" / "how-to"

BLOCK = re.compile(r"^( *)```sh(?: (\w+))?\n(.*?)^ *```$", re.M | re.S)

KEY = re.compile(r"\bage1[0-9a-z]{58}\b")


@dataclass
class Machine:
    """A clone, and a person's home."""

    root: Path
    env: dict[str, str]

    def run(self, script: str) -> str:
        """What ``script`` printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Whose machine, and what runs there."""
    for _, who, script in BLOCK.findall((PAGES / page).read_text()):
        yield who, textwrap.dedent(script)


@pytest.fixture
def here(cli: Cli, tmp_path: Path) -> Machine:
    """A project in git, with a remote repository, a vault, and an instance's secrets."""
    programs = tmp_path / "bin"
    programs.mkdir()
    # GitHub's own program needs GitHub: this one keeps what it is given
    _program(programs / "gh", f'cat > "{tmp_path}/ci-secret"')
    _program(programs / "invoke", f'exec {INVOKE} --search-root "$PWD" "$@"')
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "A", f"GIT_{role}_EMAIL": "a@example.org"}
    machine = Machine(cli.root, env)
    machine.run(
        f"git init -q -b main . && git init -q --bare -b main {tmp_path}/remote\n"
        f"git remote add origin {tmp_path}/remote\n"
        "invoke vault.init && echo CANARY-a | invoke vault.set variables.token\n"
        "mkdir -p instances/demo && cp terraform/recipes/local.tf instances/demo/main.tf\n"
        "echo CANARY-b | invoke vault.set environment.OS_PASSWORD --name demo\n"
        "git add -A && git commit -qm 'A vault' && git push -qu origin main"
    )
    return machine


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def alice(here: Machine, tmp_path: Path) -> Machine:
    home = tmp_path / "alice"
    home.mkdir()
    here.run(f"git clone -q {tmp_path}/remote {home}/project")
    return Machine(home / "project", {**here.env, "HOME": str(home)})


def test_add_and_remove_a_person(here: Machine, alice: Machine, tmp_path: Path) -> None:
    for who, script in blocks("readers.md"):
        said = (alice if who == "alice" else here).run(script)
        if who == "alice" and "ALICE" not in here.env:
            here.env["ALICE"] = KEY.findall(said)[0]
        elif "gh secret set" in script:
            ci = (tmp_path / "ci-secret").read_text()
            runner = Machine(here.root, {**here.env, "HOME": str(tmp_path), "SOPS_AGE_KEY": ci})
            assert "CANARY-a" in runner.run("invoke vault.show --reveal")
    listed = (here.root / "reissue-alice.md").read_text()
    assert "- [ ] secrets/shared.yaml: variables.token" in listed
    alice.run("git pull -q")
    with pytest.raises(AssertionError, match=r"secrets/shared\.yaml is not for you"):
        alice.run("invoke vault.show")


def test_reissue_credentials(here: Machine) -> None:
    here.env["OLD"] = KEY.findall(here.run("invoke vault.whoami"))[0]
    before = here.run("invoke vault.show --name demo --reveal")
    for _, script in blocks("credentials.md"):
        if "$NEW" in script:
            until, new, after = script.partition("invoke vault.login --new\n")
            here.env["NEW"] = KEY.findall(here.run(until + new).replace(here.env["OLD"], ""))[0]
            script = after
        here.run(script)
    now = here.run("invoke vault.show --name demo --reveal")
    assert "CANARY-b" in before and "CANARY-b" not in now
    assert "CANARY-a" in now and "OPENSSH PRIVATE KEY" in now
    assert here.env["OLD"] not in (here.root / ".sops.yaml").read_text()


def test_move_from_git_crypt(here: Machine, tmp_path: Path) -> None:
    old = tmp_path / "old-repository"
    (here.root / "instances" / "demo" / "main.tf").unlink()
    recipe = (ROOT / "terraform" / "recipes" / "local.tf").read_text()
    here.run(
        f"git init -q {old} && cd {old} && git-crypt init 2> /dev/null\n"
        "printf '* filter=git-crypt\\n.gitattributes !filter\\n' > .gitattributes\n"
        "printf 'export OS_USERNAME=CANARY-c OS_PASSWORD=$input\\n' > openrc.sh\n"
        "git add -A && git commit -qm Old && git-crypt export-key ../git-crypt-key"
    )
    (old / "main.tf").write_text(
        recipe.replace('hub_token       = "<vault>"', 'hub_token = "CANARY-d"')
    )
    here.run(f"cd {old} && git add -A && git commit -qm 'A recipe'")
    here.run("\n".join(script for _, script in blocks("move-from-git-crypt.md")))
    shown = here.run("invoke vault.show --name demo --reveal")
    assert "environment.OS_USERNAME: CANARY-c" in shown
    assert "variables.hub_token: CANARY-d" in shown
    assert "variables.hub_token (main.tf)" in (here.root / "reissue.md").read_text()
    assert "CANARY" not in here.run("git show")


def test_import_recipe(here: Machine, tmp_path: Path) -> None:
    old, keys = tmp_path / "old" / "my-hub", tmp_path / "my-keys"
    for folder in (old, keys):
        folder.mkdir(parents=True)
    slow_cloud.make(old)
    recipe = old / "main.tf"
    recipe.write_text(recipe.read_text().replace('"<vault>"', '"CANARY-g"'))
    (old / "def-openrc.sh").write_text("export OS_USERNAME=me OS_PASSWORD=$OS_PASSWORD_INPUT\n")
    here.run(
        f"cd {old} && terraform init > log && terraform apply -auto-approve > log\n"
        f"ssh-keygen -q -t ed25519 -N '' -f {keys}/id_rsa"
    )
    said = here.run("\n".join(script for _, script in blocks("import-recipe.md")))
    assert "terraform would change nothing" in said and "nothing stands in the way" in said
    assert "rm ../old/my-hub/terraform.tfstate\n" in said and "rm ../my-keys/id_rsa\n" in said
    assert "CANARY" not in said + here.run("git show")


def test_guard_and_merge(here: Machine) -> None:
    here.run("echo CANARY-e | invoke vault.set variables.one && git commit -qam One")
    with_drivers(here.root)
    said = "".join(here.run(script) for _, script in blocks("guard-and-merge.md"))
    assert "every secrets file is wholly encrypted" in said
    assert "variables.two: ********" in said and "CANARY" not in said
    shown = here.run("invoke vault.show --reveal")
    assert "variables.one: from-other" in shown and "variables.two: from-here" in shown


def test_verify(here: Machine, tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        here.env["HUB"] = f"https://{HOST}:{servers.start(routes(modern()))}"
        here.env["CA"] = str(servers.ca)
        said = "".join(here.run(script) for _, script in blocks("verify.md"))
    assert "is a working BinderHub" in said
    assert "barehub_endpoint_up" in (here.root / "barehub.prom").read_text()
    assert json.loads((here.root / "verify.json").read_text())["verdict"] == "pass"


MASTER = """
variable "project_name" {}
variable "port" {}
variable "nb_nodes" {}
module "machine" {
  source       = "../../terraform/provider/local"
  project_name = var.project_name
  port         = var.port
}
resource "terraform_data" "master" { triggers_replace = "nodes: ${var.nb_nodes}" }
resource "terraform_data" "node" { count = var.nb_nodes }
output "public_ip" { value = module.machine.public_ip }
output "port" { value = module.machine.port }
"""
"""A provider that replaces its master when it is given another node, as many do."""


@pytest.fixture
def hub(here: Machine) -> Machine:
    """A hub on this machine, that is up."""
    folder = here.root / "instances" / "demo"
    (here.root / "instances" / "provider").mkdir()
    (here.root / "instances" / "provider" / "main.tf").write_text(MASTER)
    (folder / "main.tf").unlink()
    recipe = here.root / "terraform" / "recipes" / "nodes.tf"
    local = (ROOT / "terraform" / "recipes" / "local.tf").read_text()
    recipe.write_text(local.replace("../../terraform/provider/local", "../provider"))
    recipe.write_text(
        recipe.read_text().replace("  port         = 8443", "  port = 8443\n  nb_nodes = 1", 1)
    )
    here.run("invoke spawn --name demo --recipe nodes")
    here.env["ADDRESS"] = "module.provider.terraform_data.master"
    return here


@pytest.mark.timeout(300)
def test_change_a_hub(hub: Machine) -> None:
    scripts = [script for _, script in blocks("change-a-hub.md")]
    recipe = hub.root / "instances" / "demo" / "main.tf"
    recipe.write_text(recipe.read_text().replace("nb_nodes = 1", "nb_nodes = 2"))
    said = hub.run(scripts[0])
    assert f"replace: {hub.env['ADDRESS']} (triggers_replace: nb_nodes); loses the machine" in said
    hub.run(scripts[1])
    assert json.loads((hub.root / "plan.json").read_text())["counts"]["replace"] == 1
    assert "The guard refuses this" in (hub.root / "comment.md").read_text()
    with pytest.raises(AssertionError, match="the guard keeps demo from this plan"):
        hub.run(scripts[2])
    with pytest.raises(AssertionError, match="cannot be forgotten: the state has it"):
        hub.run(scripts[3])  # nothing was released here
    assert "left as they are: module.provider" in hub.run(scripts[5])
    assert "✓ provider   2 created, 1 destroyed" in hub.run(scripts[4])


@pytest.mark.timeout(300)
def test_day_two(here: Machine, tmp_path: Path) -> None:
    folder = here.root / "instances" / "demo"
    with working_hub.served(folder, tmp_path):
        here.run(
            "echo CANARY-h | invoke vault.set variables.api_token\n"
            f"invoke vault.set ssh.private_key < {tmp_path}/key\n"
            "invoke spawn --name demo --timeout 20"
        )
        here.env["VERSION"] = "2.0"
        said = "".join(here.run(script) for _, script in blocks("day-two.md"))
    assert "demo: up" in said and "load average" in said and "a line of deployment/hub" in said
    assert json.loads((here.root / "status.json").read_text())["state"] == "up"
    assert 'binder_version = "2.0"' in (folder / "main.tf").read_text()
    assert "nb_nodes = 2" in (folder / "main.tf").read_text()
    assert "CANARY" not in said


@pytest.mark.timeout(300)
def test_after_a_crash(hub: Machine) -> None:
    journal = hub.root / "instances" / "demo" / "journal.jsonl"
    hub.env["ADDRESS"] = "module.provider.openstack_compute_instance_v2.master"
    begun = {"at": 0, "event": "resource-start", "address": hub.env["ADDRESS"], "action": "create"}
    with journal.open("a") as file:
        file.write(json.dumps(begun) + "\n")
    scripts = [script for _, script in blocks("after-a-crash.md")]
    assert hub.env["ADDRESS"] in hub.run(scripts[0])
    with pytest.raises(AssertionError, match="was interrupted; it may exist in the cloud"):
        hub.run(scripts[1])
    said = "".join(hub.run(script) for script in [scripts[2], scripts[1], *scripts[3:]])
    assert "nobody has demo" in said and "module.provider.terraform_data.master" in said


@pytest.mark.timeout(300)
def test_share_state(hub: Machine) -> None:
    folder = hub.root / "instances" / "demo"
    recipe, page = folder / "main.tf", (PAGES / "share-state.md").read_text()
    block = page.partition("```hcl\n")[2].partition("```")[0]
    server = Postgres()
    try:
        server.start()
        hub.env["URL"] = server.url
        recipe.write_text(block + recipe.read_text())
        said = [hub.run(script) for _, script in blocks("share-state.md")]
    finally:
        server.close()
    recipe.write_text(recipe.read_text().replace(block, ""))
    assert "in pg now" in said[1] and "nothing to change" in said[1]
    assert "nobody has demo in pg" in said[2]
    assert "sealed in instances/demo/terraform.tfstate.sops now" in said[3]
    assert "nothing to change" in hub.run("invoke plan --name demo")


@pytest.mark.cloud
@pytest.mark.timeout(600)
def test_container(boxed: Cli, here: Machine) -> None:
    said = "".join(here.run(script) for _, script in blocks("container.md"))
    assert "the hub is up" in said and "ends with it" in said
    assert "no process, no port, no state" in said


def test_leftovers(here: Machine, tmp_path: Path) -> None:
    """Cloudflare is stood in for by a table of answers: a zone without records."""
    zone = '{"success": true, "result": [{"id": "1", "name": "example.org"}]}'
    with Servers(tmp_path) as servers:
        asked: list[str] = []
        answers = {
            "/zones?page=1&per_page=50": (200, "application/json", zone),
            "*": (200, "application/json", '{"success": true, "result": []}'),
        }
        port = servers.start(routes(answers, asked), None)
        for name, value in (("BASE_URL", f"http://127.0.0.1:{port}"), ("API_TOKEN", "CANARY-f")):
            here.run(f"echo {value} | invoke vault.set environment.CLOUDFLARE_{name}")
        said = "".join(here.run(script) for _, script in blocks("leftovers.md"))
    assert "nothing of old-hub" in said and "CANARY" not in said
    assert any(path.startswith("/zones/1/dns_records?") for path in asked)


def test_ssh_keys(here: Machine, tmp_path: Path) -> None:
    public = keygen(tmp_path / "key", comment="team@example")
    server = Sshd(tmp_path / "sshd", [public])
    url = server.url(repository(here.root / "terraform" / "dns"))
    recipe = here.root / "instances" / "demo" / "main.tf"
    recipe.write_text(recipe.read_text().replace("../../terraform/dns", f"git::{url}/"))
    here.env |= {"KEY": str(tmp_path / "key"), "HOST": "127.0.0.1", "PORT": str(server.port)}
    try:
        said = "".join(here.run(script) for _, script in blocks("ssh-keys.md"))
    finally:
        server.close()
    assert "demo: 127.0.0.1 takes ed25519 SHA256:" in said
    assert "(team@example), from the vault" in said


def test_openstack(here: Machine, tmp_path: Path) -> None:
    """Up to where a cloud is needed: tests/cloud/test_openstack_recipe.py goes on from there."""
    here.run("rm -r instances secrets/* .sops.yaml")
    keygen(tmp_path / "key")
    here.env |= {
        "OS_AUTH_URL": "http://127.0.0.1:1/v3",
        "OS_APPLICATION_CREDENTIAL_ID": "CANARY-g",
        "OS_APPLICATION_CREDENTIAL_SECRET": "CANARY-h",
        "CLOUDFLARE_API_TOKEN": "CANARY-i",
        "docker_id": "CANARY-j",
        "docker_password": "CANARY-k",
        "TLS_email": "ops@barehub.test",
        "KEY": str(tmp_path / "key"),
        "HTTPS_PROXY": "http://127.0.0.1:1",
    }
    said = "".join(here.run(script) for _, script in blocks("openstack.md"))
    assert "OpenStack does not answer" in said and "Cloudflare does not answer" in said
    assert "✓ check      hub" in said and "CANARY" not in said


def test_closed_networks(here: Machine, tmp_path: Path) -> None:
    here.env["FOLDER"] = str(registry.fill(tmp_path / "providers", "linux_amd64"))
    said = "".join(here.run(script) for _, script in blocks("closed-networks.md"))
    assert f"providers  {tmp_path}/providers has acme/thing; " in said


def test_ci(here: Machine) -> None:
    """The workflows themselves are run by test_ci.py."""
    with_drivers(here.root)
    shutil.copy(ROOT / "scripts" / "keep", here.root / "scripts")
    shutil.copytree(PAGES / "ci", here.root / "docs" / "how-to" / "ci")
    said = "".join(here.run(script) for _, script in blocks("ci.md"))
    assert "to create" in said
    assert (here.root / ".github" / "workflows" / "spawn.yml").exists()
    assert (here.root / ".gitlab-ci.yml").exists()
    assert "barehub/demo" not in here.run("git ls-remote origin")


def test_every_page_is_run() -> None:
    text = Path(__file__).read_text()
    assert [page.name for page in PAGES.glob("*.md") if f'"{page.name}"' not in text] == []
