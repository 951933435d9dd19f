"""What a person at a terminal sees and does."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.processes import ended

from . import slow_cloud
from .conftest import Cli
from .terminal import Terminal

CANARY = "CANARY-terminal-token"


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"), "sleep 3")
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    return cli


def _spawn(cli: Cli) -> Terminal:
    terminal = Terminal(cli, "spawn", "--name", "demo", "--timeout", "1")
    terminal.expect("creating terraform_data.machine")
    return terminal


def test_progress_is_live_and_coloured(ready: Cli) -> None:
    terminal = _spawn(ready)
    terminal.expect("0:00:02")
    assert terminal.end() == 8  # nothing listens at this recipe's endpoint
    assert "\x1b[32m✓" in terminal.raw
    assert "✓ provider   2 created" in terminal.text


def test_no_color_is_respected(ready: Cli) -> None:
    ready.env["NO_COLOR"] = "1"
    terminal = _spawn(ready)
    assert terminal.end() == 8
    assert "\x1b[3" not in terminal.raw
    assert "✓ provider   2 created" in terminal.text


def test_ctrl_c_ends_the_run_in_order(ready: Cli) -> None:
    terminal = _spawn(ready)
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "terraform is asked to stop" in terminal.text, terminal.raw
    assert "error: spawn was interrupted" in terminal.text
    assert (ready.instance("demo") / "terraform.tfstate.sops").exists()
    assert not (ready.instance("demo") / ".lock").exists()


def test_a_closed_terminal_does_not_stop_an_apply(ready: Cli) -> None:
    terminal = _spawn(ready)
    terminal.hang_up()
    assert terminal.child.wait(timeout=90) == 8
    assert (ready.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"
    assert (ready.instance("demo") / "terraform.tfstate.sops").exists()


def test_teardown_wants_the_name_typed(ready: Cli) -> None:
    ready("spawn", "--name", "demo", "--timeout", "1")
    wrong = Terminal(ready, "teardown", "--name", "demo")
    wrong.expect("type its name to go on:")
    wrong.type("yes\n")
    assert wrong.end() == 1
    assert "nothing was done" in wrong.text
    assert (ready.instance("demo") / "terraform.tfstate.sops").exists()

    right = Terminal(ready, "teardown")
    right.expect("type its name to go on:")
    right.type("demo\n")
    assert right.end() == 0, right.text
    assert "no process, no port, no state" in right.text


def test_spawn_asks_before_it_replaces_what_exists(ready: Cli) -> None:
    ready("spawn", "--name", "demo", "--timeout", "1")
    module = ready.instance("demo") / "modules" / "provider" / "main.tf"
    module.write_text(
        module.read_text().replace(
            'resource "terraform_data" "machine" {',
            'resource "terraform_data" "machine" {\n  triggers_replace = "new"',
        )
    )
    refused = ready("spawn", "--name", "demo", "--timeout", "1")
    assert refused.code == 1, refused
    assert "replace: module.provider.terraform_data.machine" in refused.err
    assert "hint: invoke spawn --name demo --yes" in refused.err

    asked = Terminal(ready, "spawn", "--name", "demo", "--timeout", "1")
    asked.expect("type demo to go on:")
    asked.type("demo\n")
    assert asked.end() == 8
    assert "1 destroyed" in asked.text


def test_a_secret_is_typed_without_an_echo(ready: Cli) -> None:
    terminal = Terminal(ready, "vault.set", "variables.typed", "--name", "demo")
    terminal.expect("variables.typed:")
    terminal.type(f"{CANARY}\n")
    assert terminal.end() == 0, terminal.text
    assert CANARY not in terminal.text
    shown = json.loads(ready("vault.show", "--name", "demo", "--reveal", "--json").out)
    assert shown["variables.typed"] == CANARY


def test_vault_edit_opens_the_editor_on_the_terminal(ready: Cli, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/CANARY-terminal-token/CANARY-edited-token/" "$1"\n')
    editor.chmod(0o755)
    ready.env["EDITOR"] = str(editor)
    terminal = Terminal(ready, "vault.edit")
    assert terminal.end() == 0, terminal.text
    assert "secrets/shared.yaml changed" in terminal.text
    shown = json.loads(ready("vault.show", "--reveal", "--json").out)
    assert shown["variables.api_token"] == "CANARY-edited-token"


def test_which_instance_is_asked_where_there_are_several(ready: Cli) -> None:
    slow_cloud.make(ready.instance("prod"))
    terminal = Terminal(ready, "teardown")
    terminal.expect("which instance (demo, prod)?")
    time.sleep(0.2)
    terminal.type("prod\n")
    terminal.expect("this destroys prod")
    terminal.type("\x03")
    assert terminal.end() == 130


EDITOR = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(pathlib.Path(sys.argv[1]).read_text() + "# CANARY-editor\\n")
print("the editor is open", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", ["terminal", "signal"])
def test_an_editor_does_not_outlive_its_terminal(
    cli: Cli, tmp_path: Path, runtime_dir: Path, end: str
) -> None:
    script = tmp_path / "editor.py"
    script.write_text(EDITOR)
    cli.env["EDITOR"] = f"{sys.executable} {script}"
    assert cli("vault.init").code == 0
    before = (cli.root / "secrets/shared.yaml").read_bytes()
    terminal = Terminal(cli, "vault.edit")
    terminal.expect("the editor is open")
    editors = [p for p in Path("/proc").glob("[0-9]*") if str(script) in _words(p)]
    assert len(editors) == 1, editors
    if end == "terminal":
        terminal.hang_up()
    else:
        terminal.child.send_signal(signal.SIGHUP)
    assert terminal.child.wait(20) == 130
    assert ended(int(editors[0].name))
    assert [path for path in runtime_dir.rglob("*") if path.is_file()] == []
    assert (cli.root / "secrets/shared.yaml").read_bytes() == before


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text().split("\0")
    except OSError:
        return []
