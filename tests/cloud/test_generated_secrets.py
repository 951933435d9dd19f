"""What Terraform generates is in no file that goes to git, whatever became of the run.

The values come from `random_id`, `random_string` and `random_password`: the real provider where
there is one, else what stands in for it, which makes them and their ids alike.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from barehub.lock import Lock
from tests.canary import holding, spellings
from tests.command_line import ROOT, Cli, Result, unseal
from tests.e2e import slow_cloud
from tests.processes import kill

from .providers import Providers

SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
TYPES = ("random_id", "random_string", "random_password")

PROVIDER = """
resource "random_id" "token" { byte_length = 16 }
resource "random_string" "salt" { length = 32 }
resource "random_password" "admin" { length = 32 }
resource "terraform_data" "ip" { input = "127.0.0.1" }
resource "terraform_data" "machine" {
  depends_on = [random_id.token, random_string.salt, random_password.admin]
  provisioner "local-exec" {
    command = "touch ${path.root}/begun; test -e ${path.root}/quick || sleep 60"
  }
}
resource "terraform_data" "login" {
  input      = sensitive(random_id.token.hex)
  depends_on = [terraform_data.machine]
  provisioner "local-exec" {
    command     = "test -e ${path.root}/good || sh ${path.root}/fail"
    environment = { TOKEN = random_id.token.hex, SALT = random_string.salt.result }
  }
}
output "public_ip" { value = terraform_data.ip.output }
"""


FAIL = """
echo asking
echo "error: the token $TOKEN of $SALT is not taken"
exit 1
"""


class Kept:
    """A project whose instance scripts/keep pushes to a remote on disk."""

    def __init__(self, cli: Cli, remote: Path) -> None:
        self.cli, self.remote, self.folder = cli, remote, cli.instance("demo")
        self.secrets: set[str] = set()
        self.said = ""

    def argv(self, *args: str) -> list[str]:
        keep = [sys.executable, "scripts/keep", "demo", "--every", "0.3", "--"]
        return [*keep, *self.cli.argv(*args)]

    def __call__(self, *args: str) -> Result:
        done = subprocess.run(
            self.argv(*args), cwd=self.cli.root, env=self.cli.env, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=200,
        )  # fmt: skip
        self.said += done.stdout + done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def git(self, *args: str) -> None:
        me = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        subprocess.run(("git", *me, *args), cwd=self.cli.root, check=True)

    def generated(self) -> dict[str, str]:
        """The secrets in the sealed state by type, which are remembered, too."""
        state = unseal(self.folder / "terraform.tfstate.sops")
        found = {}
        for resource in state["resources"]:
            if resource["type"] in TYPES:
                made = resource["instances"][0]["attributes"]
                found[resource["type"]] = made.get("hex") or made["result"]
                texts = (v for k, v in made.items() if k in ("id", "hex", "result", "b64_std"))
                self.secrets |= {text for text in texts if text != "none"}
        return found

    def clean(self) -> None:
        """No file of the instance's folder, and nothing that was ever pushed, holds one."""
        assert self.secrets
        listing = ("cat-file", "--batch-all-objects", "--batch", "--buffer")
        pushed = subprocess.run(
            ("git", *listing), cwd=self.remote, check=True, capture_output=True
        ).stdout
        assert b'"resource-done"' in pushed
        for secret in self.secrets:
            assert not holding(secret, self.folder)
            assert not [form for form in spellings(secret) if form in pushed], secret


@pytest.fixture
def kept(providers: Providers, cli: Cli, tmp_path: Path) -> Kept:
    providers.need("hashicorp/random")
    cli.env["TF_CLI_CONFIG_FILE"] = os.environ["TF_CLI_CONFIG_FILE"]
    slow_cloud.make(cli.instance("demo"))
    (cli.instance("demo") / "modules" / "provider" / "main.tf").write_text(PROVIDER)
    (cli.instance("demo") / "fail").write_text(FAIL)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-generated-vault").code == 0
    (cli.root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "keep", cli.root / "scripts" / "keep")
    remote = tmp_path / "remote"
    kept = Kept(cli, remote)
    kept.git("init", "-q", "--bare", "-b", "main", str(remote))
    kept.git("init", "-q", "-b", "main")
    kept.git("add", "-A")
    kept.git("commit", "-qm", "Begin")
    kept.git("remote", "add", "origin", str(remote))
    kept.git("push", "-qu", "origin", "main")
    return kept


def _kill_while_the_machine_is_made(kept: Kept) -> None:
    run = subprocess.Popen(
        kept.argv(*SPAWN), cwd=kept.cli.root, env=kept.cli.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    sealed = kept.folder / "terraform.tfstate.sops"
    while not ((kept.folder / "begun").exists() and sealed.exists() and len(kept.generated()) == 3):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    keepers = [pid for pid, _ in Lock(kept.folder / ".lock").keepers()]
    kill(run.pid, *keepers)
    run.wait(timeout=20)
    for home in Path(os.environ["XDG_RUNTIME_DIR"]).iterdir():
        shutil.rmtree(home)


def _without(kept: Kept, *types: str) -> None:
    """Have the state as it was before ``types`` were made, as after a loss of power."""
    state = unseal(kept.folder / "terraform.tfstate.sops")
    state["resources"] = [r for r in state["resources"] if r["type"] not in types]
    state["serial"] += 1
    (kept.folder / "errored.tfstate").write_text(json.dumps(state))


@pytest.mark.timeout(400)
def test_no_run_puts_a_generated_secret_into_git(kept: Kept) -> None:
    _kill_while_the_machine_is_made(kept)
    kept.clean()

    (kept.folder / "quick").touch()
    failed = kept(*SPAWN, "--recover")
    assert failed.code == 5, failed
    assert "error: stage provider: the token *** of *** is not taken" in failed.err
    first = kept.generated()
    assert not [secret for secret in kept.secrets if secret in failed.out + failed.err], failed
    kept.clean()
    journal = (kept.folder / "journal.jsonl").read_text()
    assert "the token *** of *** is not taken" in journal

    (kept.folder / "good").touch()
    done = kept(*SPAWN)
    assert done.code == 8, done
    kept.clean()

    _without(kept, *TYPES)
    made_again = kept(*SPAWN, "--recover")
    assert made_again.code == 8, made_again
    assert "leaves nothing behind: it is made again" in made_again.err
    second = kept.generated()
    assert second.keys() == first.keys() and not set(first.values()) & set(second.values())
    kept.clean()

    for command in (
        ("history", "--name", "demo", "--json"),
        ("status", "--name", "demo", "--json"),
        ("plan", "--name", "demo", "--json"),
        ("plan", "--name", "demo", "--markdown"),
    ):
        said = kept.cli(*command)
        assert said.code == 0, said
        assert not [one for one in kept.secrets if one in said.out + said.err], said
    gone = kept("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    kept.clean()


@pytest.mark.timeout(400)
def test_what_an_older_version_wrote_is_named_until_it_was_made_anew(kept: Kept) -> None:
    (kept.folder / "quick").touch()
    (kept.folder / "good").touch()
    assert kept(*SPAWN).code == 8
    old = kept.generated()["random_id"]
    address = "module.provider.random_id.token"
    journal = kept.folder / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        if event.get("address") == address:
            event["id"] = old
    journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    kept.git("commit", "-qam", "What an older version wrote")

    for command in (("history", "--name", "demo"), ("history", "--name", "demo", "--json")):
        assert old not in str(kept.cli(*command))
    found = kept.cli("vault.check")
    assert found.code == 4 and old not in str(found), found
    assert f"the id of {address} may be a secret" in found.out
    taint = f"invoke terraform --name demo -- taint '{address}'"
    assert f"hint: {taint}" in found.err
    assert kept.cli(*shlex.split(taint)[1:]).code == 0
    again = kept.cli(*SPAWN, "--yes")
    assert again.code == 8, again
    assert kept.generated()["random_id"] != old
    kept.git("commit", "-qam", "Made anew")
    assert kept.cli("vault.check").code == 0
