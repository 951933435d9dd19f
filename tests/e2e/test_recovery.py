"""After a crash: what was under way is said, and everything it left is taken up again or named.

What only a real cloud could leave is played by a line in the journal, as a run writes it before
Terraform begins with a resource.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from barehub.lock import Lock
from tests.processes import kill

from . import slow_cloud
from .conftest import Cli, Result, unseal

CANARY = "CANARY-recovery-token"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
MACHINE = "module.provider.terraform_data.machine"
HUB = "module.binderhub.terraform_data.hub"
SERVER = "module.provider.openstack_compute_instance_v2.master"


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"), "test -e ${path.root}/quick || sleep 60")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    return cli


@pytest.fixture
def up(ready: Cli) -> Cli:
    (ready.instance("demo") / "quick").touch()
    _spawned(ready)
    return ready


def _spawned(cli: Cli, *args: str) -> Result:
    result = cli(*SPAWN, *args)
    assert result.code == 8, result  # nothing listens at this recipe's endpoint
    return result


def _lose_power(cli: Cli, after: str) -> None:
    """Everything of a run is gone at once: its processes, and all that was in memory.

    ``after`` is a file of the instance that appears first; the machine is being made then, and the
    address is known.
    """
    run = cli.start(*SPAWN)
    folder = cli.instance("demo")
    deadline = time.monotonic() + 60
    journal = folder / "journal.jsonl"
    while not (
        all((folder / name).exists() for name in (after, "log"))
        and "resource-done" in journal.read_text()
    ):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    _cut(cli, run)
    (folder / "quick").touch()


def _cut(cli: Cli, run: subprocess.Popen[str]) -> None:
    keepers = [pid for pid, _ in Lock(cli.instance("demo") / ".lock").keepers()]
    assert run.pid in keepers and len(keepers) > 1
    kill(*keepers)
    run.communicate(timeout=20)
    for home in Path(os.environ["XDG_RUNTIME_DIR"]).iterdir():
        shutil.rmtree(home)


def _without(cli: Cli, name: str) -> str:
    """The state as it was before ``name`` was made; the id of that."""
    sealed = cli.instance("demo") / "terraform.tfstate.sops"
    state = unseal(sealed)
    (gone,) = (r for r in state["resources"] if r["name"] == name)
    state["resources"].remove(gone)
    state["serial"] += 1
    (cli.instance("demo") / "errored.tfstate").write_text(json.dumps(state))
    return str(gone["instances"][0]["attributes"]["id"])


def test_after_a_loss_of_power_the_next_run_says_what_was_under_way(ready: Cli) -> None:
    _lose_power(ready, after="terraform.tfstate.sops")
    said = _spawned(ready, "--recover").err
    assert "was cut off in stage provider, while it was making " + MACHINE in said
    begun = f"{MACHINE} was begun, and leaves nothing behind: it is made again"
    half_made = f"{MACHINE} was never finished"  # if the state was written once more meanwhile
    assert begun in said or half_made in said, said
    log = (ready.instance("demo") / "log").read_text()
    assert log == "provider\nprovider\ndns\nbinderhub\n"
    assert "was cut off" not in _spawned(ready).err
    assert CANARY not in (ready.instance("demo") / "journal.jsonl").read_text()


def test_what_began_while_nobody_listened_is_known_all_the_same(ready: Cli) -> None:
    """barehub had no turn on its processor, and then the power went."""
    folder = ready.instance("demo")
    run = ready.start(*SPAWN)
    deadline = time.monotonic() + 60
    pgrep = ["pgrep", "-f", "-P", str(run.pid), " apply "]
    while subprocess.run(pgrep, stdout=subprocess.DEVNULL).returncode != 0:
        assert run.poll() is None and time.monotonic() < deadline
    run.send_signal(signal.SIGSTOP)
    while not (folder / "log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    _cut(ready, run)
    found = ready("teardown", "--name", "demo", "--yes", "--recover")
    assert f"{MACHINE} was begun, or about to be, when a run was cut off" in found.err, found
    assert found.code == 0


def test_power_that_goes_before_the_first_seal_loses_nothing(ready: Cli) -> None:
    _lose_power(ready, after="log")
    (ready.instance("demo") / "terraform.tfstate.sops").unlink(missing_ok=True)
    refused = ready(*SPAWN)
    assert refused.code == 5, refused
    assert "hint: if it is lost: invoke spawn --name demo --recover" in refused.err
    said = _spawned(ready, "--recover").err
    assert "imported module.provider.terraform_data.ip" in said
    assert (ready.instance("demo") / "log").read_text().count("provider") == 2


def test_what_was_made_and_not_sealed_any_more_is_imported_not_made_twice(up: Cli) -> None:
    id = _without(up, "machine")
    shown = up("plan", "--name", "demo")
    assert f"{MACHINE} ({id}) was made, and the state does not know it" in shown.err, shown
    asked = up(*SPAWN)
    assert asked.code == 1, asked
    assert "hint: invoke spawn --name demo --recover" in asked.err
    said = _spawned(up, "--recover")
    assert f"imported {MACHINE}" in said.err
    assert (up.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"
    resources = unseal(up.instance("demo") / "terraform.tfstate.sops")["resources"]
    assert id in [r["instances"][0]["attributes"]["id"] for r in resources]


def test_a_teardown_destroys_what_only_the_journal_knows(up: Cli) -> None:
    _without(up, "machine")
    gone = up("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    assert f"imported {MACHINE}" in gone.err
    assert up("list", "--json").out.count('"gone"') == 1


def test_what_was_destroyed_is_not_taken_for_living(up: Cli) -> None:
    """The power went after a stage of a teardown, before its end was sealed."""
    sealed = up.instance("demo") / "terraform.tfstate.sops"
    before = sealed.read_bytes()
    removed = up("terraform", "--name", "demo", "--", "destroy", "-auto-approve", f"-target={HUB}")
    assert removed.code == 0, removed
    sealed.write_bytes(before)
    journal = up.instance("demo") / "journal.jsonl"
    id = next(e["id"] for e in map(json.loads, journal.read_text().splitlines()) if _made(e, HUB))
    with journal.open("a") as file:  # as a staged destroy writes it
        for kind, fact in (("start", {"id": id}), ("done", {})):
            event = {"event": f"resource-{kind}", "address": HUB, "action": "delete", **fact}
            file.write(json.dumps({"at": time.time(), **event}) + "\n")
    said = _spawned(up)
    assert f"{HUB} was destroyed, and the state did not know that yet" in said.err
    assert (up.instance("demo") / "log").read_text().count("binderhub") == 2


def _made(event: dict[str, str], address: str) -> bool:
    return event["event"] == "resource-done" and event["address"] == address


def test_a_lost_state_can_be_made_again_from_the_journal(up: Cli) -> None:
    (up.instance("demo") / "terraform.tfstate.sops").unlink()
    refused = up("teardown", "--name", "demo", "--yes")
    assert refused.code == 5, refused
    assert "hint: if it is lost: invoke teardown --name demo --recover" in refused.err
    gone = up("teardown", "--name", "demo", "--yes", "--recover")
    assert gone.code == 0, gone
    assert gone.err.count("✓ recover    imported") == 4
    assert gone.err.count("is not in the state: it is imported, then destroyed") == 4


def _begin(cli: Cli, address: str, then: str = "start") -> None:
    with (cli.instance("demo") / "journal.jsonl").open("a") as journal:
        event = {"at": time.time(), "event": f"resource-{then}", "address": address}
        journal.write(json.dumps({**event, "action": "create"}) + "\n")


def test_what_may_be_in_a_cloud_stops_a_run_until_a_person_has_looked(up: Cli) -> None:
    _begin(up, SERVER)
    for command in (SPAWN, (*SPAWN, "--recover", "--yes")):
        stopped = up(*command)
        assert stopped.code == 7, stopped
        assert f"creation of {SERVER} was interrupted" in stopped.err
        assert "could not be looked at: OpenStack: the vault has no credentials" in stopped.err
        assert "hint: openstack server list" in stopped.err
        assert f"invoke terraform --name demo -- import '{SERVER}' ID" in stopped.err
    other = up("forget", "--name", "demo", "--address", MACHINE)
    assert other.code == 1 and "the state has it" in other.err, other
    assert up("forget", "--name", "demo", "--address", SERVER).code == 0
    _spawned(up)


def test_what_may_be_there_and_has_no_id_in_the_journal_stops_a_run(up: Cli) -> None:
    """Its type is not known to have ids that may be told: as an older version wrote it."""
    address, secret = "module.provider.made_up_machine.x", "CANARY-made-up-id"
    with (up.instance("demo") / "journal.jsonl").open("a") as journal:
        event = {"at": time.time(), "event": "resource-done", "address": address, "id": secret}
        journal.write(json.dumps({**event, "action": "create"}) + "\n")
    stopped = up(*SPAWN, "--recover")
    assert stopped.code == 7 and f"creation of {address} was interrupted" in stopped.err, stopped
    assert f"invoke terraform --name demo -- import '{address}' ID" in stopped.err
    for command in ("history", "status", "plan"):
        assert secret not in str(up(command, "--name", "demo"))
    assert secret not in str(stopped)
    assert up("forget", "--name", "demo", "--address", address).code == 0
    _spawned(up)


def test_what_a_person_imports_is_kept(up: Cli) -> None:
    """Begun, found in the cloud, imported by hand: then it is no half-made thing."""
    _without(up, "machine")
    forgotten = up("forget", "--name", "demo", "--address", MACHINE)
    assert forgotten.code == 0, forgotten
    _begin(up, MACHINE)
    taken = up("terraform", "--name", "demo", "--", "import", MACHINE, "my-id")
    assert taken.code == 0, taken
    assert "Import successful!" in taken.out and "\x1b" not in taken.out
    said = _spawned(up)
    assert "never finished" not in said.err
    assert (up.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"
    shown = up("terraform", "--name", "demo", "--", "state", "show", MACHINE)
    assert '"my-id"' in shown.out, shown
    told = up("history", "--name", "demo")
    assert re.search(rf"imported +{MACHINE}", told.out), told
    assert "up, verified" not in told.out


def test_what_failed_and_is_whole_by_the_state_was_never_finished(up: Cli) -> None:
    """Terraform was killed between saying that a provisioner failed and writing that down."""
    _begin(up, MACHINE, then="failed")
    said = _spawned(up, "--recover", "--yes")
    assert f"{MACHINE} was never finished" in said.err
    assert (up.instance("demo") / "log").read_text().count("provider") == 2


def test_what_failed_and_a_person_untainted_is_whole(up: Cli) -> None:
    _begin(up, MACHINE, then="failed")
    for command in ("taint", "untaint"):
        done = up("terraform", "--name", "demo", "--", command, MACHINE)
        assert done.code == 0, done
    said = _spawned(up)
    assert "never finished" not in said.err
    assert (up.instance("demo") / "log").read_text().count("provider") == 1


def test_terraform_by_hand_hides_secrets_and_keeps_them_off_the_disk(up: Cli) -> None:
    shown = up("terraform", "--name", "demo", "--", "show", "-json")
    assert json.loads(shown.out)["values"]["root_module"], shown
    assert CANARY not in shown.out
    for args in (("plan", "-out=p"), ("state", "pull"), ("init",), ("apply", "-backup=b"), ()):
        refused = up("terraform", "--name", "demo", "--", *args)
        assert refused.code == 1, refused
    sealed = up.instance("demo") / "terraform.tfstate.sops"
    removed = up("terraform", "--name", "demo", "--", "state", "rm", MACHINE)
    assert removed.code == 0, removed
    assert "machine" not in [r["name"] for r in unseal(sealed)["resources"]]
    assert list(up.root.rglob("*.backup")) == []
    assert '"action": "forget"' in up("history", "--name", "demo", "--json").out


def test_a_teardown_never_says_gone_of_what_may_be_in_a_cloud(up: Cli) -> None:
    _begin(up, SERVER)
    for _ in range(2):
        left = up("teardown", "--name", "demo", "--yes")
        assert left.code == 7, left
        assert SERVER in left.err
        assert "gone" not in left.err
    assert up("forget", "--name", "demo", "--address", SERVER).code == 0
    assert up("teardown", "--name", "demo", "--yes").code == 0


def test_a_sealed_state_that_cannot_be_opened_stops_everything_before_terraform(up: Cli) -> None:
    folder = up.instance("demo")
    shutil.rmtree(folder / ".terraform")
    sealed = folder / "terraform.tfstate.sops"
    sealed.write_text(
        sealed.read_text().replace("ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AA", 1)
    )
    for command in (SPAWN, ("plan", "--name", "demo"), ("teardown", "--name", "demo", "--yes")):
        stopped = up(*command)
        assert stopped.code == 4, stopped
        assert not (folder / ".terraform").exists()
