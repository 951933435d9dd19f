"""`invoke ssh` and `invoke logs`, on a real sshd, with the key of the vault or of the person."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from sshd import keygen

from tests.canary import processes_holding

from .terminal import Terminal
from .working_hub import Hub, hub

__all__ = ["hub"]


@pytest.fixture
def up(hub: Hub) -> Hub:
    hub.spawn()
    return hub


def test_a_command_runs_on_the_master_as_it_was_written(up: Hub) -> None:
    done = up("ssh", "--", "echo $((40 + 2)); cat; echo aside >&2; exit 7", input="from stdin\n")
    assert (done.code, done.out, done.err) == (7, "42\nfrom stdin\n", "aside\n"), done
    assert up("ssh", "--", "printf", "%s|", "a b", "$HOME").out == "a b|$HOME|"
    assert up("ssh", "--", "exit 255").code == 255
    assert up("ssh", input="echo login\n").out.endswith("login\n")
    assert list(Path(os.environ["XDG_RUNTIME_DIR"]).rglob("*agent*")) == []


def test_it_needs_neither_terraform_nor_the_state(up: Hub) -> None:
    path = os.environ["PATH"].split(os.pathsep)
    kept = [p for p in path if not any(shutil.which(t, path=p) for t in ("terraform", "tofu"))]
    (up.folder / "terraform.tfstate.sops").write_text("{}")
    up.cli.env["PATH"] = os.pathsep.join(kept)
    assert up("ssh", "--", "echo here").out == "here\n"


def test_the_vault_is_opened_only_for_its_key(up: Hub) -> None:
    keys = Path(os.environ["HOME"]) / ".config" / "sops" / "age" / "keys.txt"
    keys.unlink()
    closed = up("ssh", "--", "true")
    assert closed.code == 4, closed
    up.cli.env["BAREHUB_SSH_KEY"] = str(up.key)
    assert up("ssh", "--", "echo mine").out == "mine\n"


def test_a_node_is_reached_through_the_master(up: Hub) -> None:
    before = up.sshd.log.read_text().count("Accepted publickey")
    assert up("ssh", "--node", "1", "--", "echo node").out == "node\n"
    assert up.sshd.log.read_text().count("Accepted publickey") == before + 2
    assert up("ssh", "--node", "demo-node1", "--", "echo node").out == "node\n"
    wrong = up("ssh", "--node", "2", "--", "true")
    assert wrong.code == 1 and "its nodes: 1 (demo-node1)" in wrong.err, wrong


def test_a_host_key_that_is_not_known_or_another_one_ends_it(up: Hub, tmp_path: Path) -> None:
    known_hosts = up.folder / "known_hosts"
    line = known_hosts.read_text()
    before = up.sshd.log.read_text().count("Accepted publickey")
    other = keygen(tmp_path / "other").split()[1]
    known_hosts.write_text(" ".join([*line.split()[:2], other]) + "\n")
    changed = up("ssh", "--", "true")
    assert changed.code == 255, changed
    assert f"[127.0.0.1]:{up.sshd.port} shows another host key" in changed.err
    assert f"ssh-keygen -R '[127.0.0.1]:{up.sshd.port}' -f" in changed.err
    known_hosts.unlink()
    unknown = up("ssh", "--", "true")
    assert unknown.code == 255, unknown
    assert "the host key of demo-master (127.0.0.1) is not in instances/demo/known_hosts" in (
        unknown.err
    )
    assert not known_hosts.exists()
    assert up.sshd.log.read_text().count("Accepted publickey") == before


def test_a_key_that_is_refused_and_a_machine_that_is_gone(up: Hub, tmp_path: Path) -> None:
    keygen(tmp_path / "stranger")
    up.cli.env["BAREHUB_SSH_KEY"] = str(tmp_path / "stranger")
    refused = up("ssh", "--", "true")
    assert refused.code == 255, refused
    assert "does not let" in refused.err and "BAREHUB_SSH_KEY" in refused.err
    up.cli.env["BAREHUB_SSH_KEY"] = "none"
    assert up("ssh", "--", "true").code == 3
    del up.cli.env["BAREHUB_SSH_KEY"]
    up.sshd.close()
    gone = up("ssh", "--", "true")
    assert gone.code == 255 and "connection refused" in gone.err, gone


def test_machines_are_known_after_a_stage_failed(hub: Hub) -> None:
    hub.edit("!= bad ||", "!= 1.0 ||", "modules/binderhub/main.tf")
    assert hub("spawn").code == 5
    done = hub("ssh", "--", "echo look")
    assert done.out == "look\n", done
    journal = (hub.folder / "journal.jsonl").read_text()
    assert '"nodes": [{"name": "demo-node1", "ip": "127.0.0.1"}]' in journal


def test_a_hub_on_this_machine_has_none_to_log_in_to(up: Hub) -> None:
    up.edit(f'output "ssh_port" {{ value = {up.sshd.port} }}\n', "", "modules/provider/main.tf")
    up.spawn()
    here = up("ssh", "--", "true")
    assert here.code == 1 and "demo runs on this machine" in here.err, here
    (up.folder / "hub").mkdir()
    (up.folder / "hub" / "hub.log").write_text("one\ntwo\nthree\n")
    assert up("logs", "--lines", "2").out == "two\nthree\n"


def test_logs_of_a_cluster_come_from_its_master(up: Hub, tmp_path: Path) -> None:
    """kubectl is played by a script that writes down how it was called: no cluster is here."""
    done = up("logs", "--of", "hub", "--lines", "5")
    assert (done.code, done.out) == (0, "a line of deployment/hub\n"), done
    asked = (tmp_path / "programs" / "asked").read_text()
    assert "logs deployment/hub --namespace binderhub --tail=5" in asked
    assert up("logs", "--of", "hub; reboot").code == 1


def test_without_a_command_it_is_a_login(up: Hub) -> None:
    terminal = Terminal(up.cli, "ssh", "--name", "demo")
    terminal.expect("# " if os.geteuid() == 0 else "$ ")
    terminal.type("tty && echo $((6 * 7)); exit 5\n")
    assert terminal.end() == 5, terminal.text
    assert "/dev/pts/" in terminal.text and "\n42" in terminal.text.replace("\r", "")


def test_an_interrupt_without_a_terminal_ends_it(up: Hub) -> None:
    run = up.cli.start("ssh", "--name", "demo", "--", "echo begun; exec sleep 77.8642")
    assert run.stdout and run.stdout.readline() == "begun\n"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    for pid in processes_holding("77.8642"):  # without a terminal there it is left, as by ssh
        os.kill(int(pid), signal.SIGKILL)


def test_ctrl_c_ends_what_runs_there(up: Hub) -> None:
    terminal = Terminal(up.cli, "ssh", "--name", "demo", "--", "echo begun; sleep 77.7531")
    terminal.expect("begun")
    terminal.type("\x03")
    assert terminal.end() == 255, terminal.text  # as ssh tells that a signal ended it
    deadline = time.monotonic() + 20
    while processes_holding("77.7531"):
        assert time.monotonic() < deadline, "what ran there goes on"
        time.sleep(0.1)
