"""Logging in and out, who we are, and passphrases that are typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from tests.secret_service import SecretService

from . import slow_cloud
from .conftest import Cli
from .terminal import Terminal

CANARY = "CANARY-identity-token"
PASSPHRASE = "CANARY-passphrase"
KEYRING = "the OS keyring (SecretService)"
PROMPT = "passphrase of ~/.ssh/id_ed25519:"


@pytest.fixture
def ready(cli: Cli) -> Cli:
    """A vault whose identity is in the key file."""
    cli.env["LOGNAME"] = "alice"
    cli.env.pop("CI", None)
    cli.env.pop("SSH_AUTH_SOCK", None)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.token", input=CANARY).code == 0
    return cli


@pytest.fixture
def service(own_home: Path) -> Iterator[SecretService]:
    if sys.platform != "linux":
        pytest.skip("a Secret Service is on D-Bus")
    service = SecretService(own_home)
    yield service
    service.end()


@pytest.fixture
def keyring(ready: Cli, service: SecretService) -> Cli:
    """The same on a machine with a Secret Service."""
    ready.env["DBUS_SESSION_BUS_ADDRESS"] = service.address
    del ready.env["PYTHON_KEYRING_BACKEND"]
    return ready


@pytest.fixture
def locked(ready: Cli) -> Cli:
    """The vault's only identity at hand is a protected SSH key."""
    key = Path(os.environ["HOME"], ".ssh", "id_ed25519")
    key.parent.mkdir(mode=0o700)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", str(key)]
    subprocess.run(argv, check=True)
    assert ready("vault.add-recipient", "bob", f"{key}.pub").code == 0
    key_file().unlink()
    return ready


def key_file() -> Path:
    return Path(os.environ["HOME"], ".config", "sops", "age", "keys.txt")


def recipient_of(text: str) -> str:
    key = next(line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-"))
    return str(pyrage.x25519.Identity.from_str(key).to_public())


def test_an_identity_moves_into_the_keyring_and_out_again(keyring: Cli) -> None:
    text = key_file().read_text()
    mine = recipient_of(text)
    stored = keyring("vault.login", input=text)
    assert stored.code == 0, stored
    assert f"{mine} is in {KEYRING}" in stored.err
    assert "it opens secrets/shared.yaml" in stored.err
    key_file().unlink()

    who = json.loads(keyring("vault.whoami", "--json").out)
    assert (who["recipient"], who["name"], who["source"]) == (mine, "alice", KEYRING)
    assert who["files"] == [{"file": "secrets/shared.yaml", "opens": True}]
    shown = keyring("vault.show", "--reveal")
    assert shown.out == f"variables.token: {CANARY}\n", shown

    assert keyring("vault.logout").code == 1
    gone = keyring("vault.logout", "--yes")
    assert gone.code == 0 and f"{mine} is gone from {KEYRING}" in gone.err, gone
    result = keyring("vault.whoami")
    assert result.code == 4
    assert "no age identity: looked in SOPS_AGE_KEY, " in result.err
    assert "(SecretService: empty)" in result.err
    assert "hint: invoke vault.login --new" in result.err
    for result in (stored, shown, gone):
        assert "AGE-SECRET-KEY" not in result.out + result.err


def test_ctrl_c_ends_the_wait_for_a_keyring(keyring: Cli, service: SecretService) -> None:
    service.stop()
    command = keyring.start("vault.whoami")
    time.sleep(3)
    assert command.poll() is None
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=5)
    assert command.returncode == 130
    assert "Traceback" not in err


def test_logout_asks_on_a_terminal(keyring: Cli) -> None:
    mine = recipient_of(key_file().read_text())
    assert keyring("vault.login", input=key_file().read_text()).code == 0
    refused = Terminal(keyring, "vault.logout")
    refused.expect(f"{mine}  also in ~/.config/sops/age/keys.txt")
    refused.expect("type yes to go on:")
    refused.type("no\n")
    assert refused.end() == 1
    assert KEYRING in keyring("vault.whoami").out
    agreed = Terminal(keyring, "vault.logout")
    agreed.expect("type yes to go on:")
    agreed.type("yes\n")
    assert agreed.end() == 0, agreed.text
    assert KEYRING not in keyring("vault.whoami").out


def test_a_new_identity_asks_to_be_let_in_and_is(keyring: Cli) -> None:
    made = keyring("vault.login", "--new")
    assert made.code == 0, made
    hint = made.err.partition("hint: ask a reader: invoke ")[2].split()
    assert hint[:2] == ["vault.add-recipient", "NAME"], made
    who = json.loads(keyring("vault.whoami", "--json").out)
    assert who["source"] == "~/.config/sops/age/keys.txt", "that one opens the vault"
    assert who["looked_in"][2]["recipients"] == [hint[2]]

    assert keyring("vault.add-recipient", "second", hint[2]).code == 0
    key_file().unlink()
    who = json.loads(keyring("vault.whoami", "--json").out)
    assert (who["recipient"], who["name"], who["source"]) == (hint[2], "second", KEYRING)


def test_an_identity_is_typed_without_an_echo(keyring: Cli) -> None:
    line = key_file().read_text().splitlines()[-1]
    terminal = Terminal(keyring, "vault.login")
    terminal.expect("age identity (AGE-SECRET-KEY-1…):")
    terminal.type(f"{line}\n")
    assert terminal.end() == 0, terminal.text
    assert "is in the OS keyring" in terminal.text
    assert line not in terminal.text


def test_a_protected_file_on_standard_input(keyring: Cli, tmp_path: Path) -> None:
    text = key_file().read_text()
    sealed = tmp_path / "key.age"
    sealed.write_bytes(pyrage.passphrase.encrypt(text.encode(), PASSPHRASE))
    with sealed.open("rb") as file:
        argv = keyring.argv("vault.login")
        options = {"cwd": keyring.root, "env": keyring.env, "capture_output": True}
        done = subprocess.run(argv, stdin=file, start_new_session=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 4
    assert b"standard input is protected by a passphrase and there is no terminal" in done.stderr

    terminal = Terminal(keyring, "vault.login", stdin=sealed)
    terminal.expect("passphrase of standard input:")
    terminal.type(f"{PASSPHRASE}\n")
    assert terminal.end() == 0, terminal.text
    assert f"{recipient_of(text)} is in {KEYRING}" in terminal.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "no identity was given on standard input"),
        ("# public key: age1qqq\n", "no identity was given, only comments"),
        ("age1qqqqqqqq\n", "standard input line 1 is a public key"),
        ("CANARY-hunter2", "standard input line 1 is not an age identity"),
        ("AGE-PLUGIN-YUBIKEY-1QQQ\n", "age-plugin-yubikey"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"),
    ],
)
def test_login_refuses_what_is_no_identity(keyring: Cli, given: str, said: str) -> None:
    result = keyring("vault.login", input=given)
    assert result.code in (1, 4), result
    assert said in result.err
    assert "CANARY" not in result.err
    assert KEYRING not in keyring("vault.whoami").out


def test_without_a_keyring_login_says_where_to_put_it(ready: Cli) -> None:
    refused = ready("vault.login", input=key_file().read_text())
    assert refused.code == 4, refused
    assert "no identity can be stored in the OS keyring: none is running" in refused.err
    assert "hint: keep it in ~/.config/sops/age/keys.txt, or in a file" in refused.err
    assert ready("vault.logout").code == 0
    made = ready("vault.login", "--new")
    assert made.code == 0 and "is in ~/.config/sops/age/keys.txt" in made.err, made


def test_whoami_of_a_stranger_and_without_a_vault(ready: Cli) -> None:
    mine = recipient_of(key_file().read_text())
    stranger = pyrage.x25519.Identity.generate()
    key_file().unlink()
    ready.env["SOPS_AGE_KEY"] = str(stranger)
    result = ready("vault.whoami")
    assert result.code == 0, result
    assert f"you are    {stranger.to_public()}, from SOPS_AGE_KEY\n" in result.out
    assert "secrets/shared.yaml  no" in result.out
    hint = f"hint: ask a reader: invoke vault.add-recipient NAME {stranger.to_public()}"
    assert hint in result.err
    shown = ready("vault.show")
    assert shown.code == 4
    assert f"you are {stranger.to_public()} (from SOPS_AGE_KEY); its readers are alice" in shown.err
    assert f"add-recipient NAME {stranger.to_public()}" in shown.err
    assert mine not in shown.err

    (ready.root / ".sops.yaml").unlink()
    (ready.root / "secrets" / "shared.yaml").unlink()
    result = ready("vault.whoami")
    assert result.code == 0 and "FILE" not in result.out, result
    assert "hint: invoke vault.init" in result.err


def test_a_passphrase_is_asked_for_once_a_run(locked: Cli) -> None:
    assert locked("vault.whoami").code == 0, "who we are needs no passphrase"
    result = locked("vault.show", "--reveal")
    assert result.code == 4, result
    assert "id_ed25519 is protected by a passphrase and there is no terminal" in result.err
    terminal = Terminal(locked, "vault.set", "variables.other", "--name", "demo")
    terminal.expect("variables.other:")
    terminal.type(f"{CANARY}\n")
    terminal.expect(PROMPT)
    terminal.type("wrong\n")
    terminal.expect(f"that is not its passphrase; once more\r\n{PROMPT}")
    terminal.type(f"{PASSPHRASE}\n")
    assert terminal.end() == 0, terminal.text
    terminal = Terminal(locked, "vault.show", "--name", "demo", "--reveal")
    terminal.expect(PROMPT)
    terminal.type(f"{PASSPHRASE}\n")
    assert terminal.end() == 0, terminal.text
    assert f"variables.token: {CANARY}" in terminal.text
    assert f"variables.other: {CANARY}" in terminal.text
    assert terminal.text.count(PROMPT) == 1
    assert PASSPHRASE not in terminal.text


def test_progress_makes_way_for_the_prompt(locked: Cli) -> None:
    terminal = Terminal(locked, "vault.rotate")
    terminal.expect(PROMPT)
    terminal.watch(0.5)  # a spinner would draw over it
    assert terminal.text.rstrip().endswith(PROMPT)
    terminal.type(f"{PASSPHRASE}\n")
    assert terminal.end() == 0, terminal.text
    assert "secrets/shared.yaml: new data key" in terminal.text


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("vault.show", signal.SIGTERM),
        ("vault.show", signal.SIGINT),
        ("vault.rotate", signal.SIGINT),  # with a spinner
        ("spawn", signal.SIGINT),
    ],
)
def test_a_signal_at_the_prompt_ends_the_command(
    locked: Cli, runtime_dir: Path, command: str, number: signal.Signals
) -> None:
    slow_cloud.make(locked.instance("demo"))
    terminal = Terminal(locked, command)
    terminal.expect(PROMPT)
    assert not terminal.echoes
    if number == signal.SIGINT:
        terminal.type("\x03")
    else:
        terminal.child.send_signal(number)
    terminal.expect("interrupted")
    assert terminal.echoes
    assert terminal.end() == 130, terminal.text
    assert "Traceback" not in terminal.text
    assert list(runtime_dir.glob("barehub-*/*")) == []


def test_a_terminal_that_closes_at_the_prompt_ends_the_command(locked: Cli) -> None:
    terminal = Terminal(locked, "vault.show")
    terminal.expect(PROMPT)
    terminal.hang_up()
    assert terminal.child.wait(timeout=20) == 1
