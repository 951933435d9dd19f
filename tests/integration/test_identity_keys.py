"""SSH keys and protected identities as people have them, and the vault that they open."""

from __future__ import annotations

import base64
import fcntl
import getpass
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vaults import again, fresh

from barehub import process
from barehub.console import Console
from barehub.errors import VaultError
from barehub.vault import identity
from barehub.vault.identity import passphrase
from barehub.vault.recipients import Recipients
from barehub.vault.store import Vault

CANARY = "canary-identity-7f3a"
PASSPHRASE = "correct horse canary-ü"

Person = Callable[..., list[str]]


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    """A vault with a value in it, whose only identity is in the key file; nobody to ask."""
    monkeypatch.setattr(passphrase, "_told", {})
    monkeypatch.setattr(Console, "terminal", False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    vault = fresh(tmp_path, runtime_dir, monkeypatch)
    vault.update(vault.file(None), {"variables.token": CANARY})
    return vault


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody who types what is given; what they were asked.

    Typing on a real terminal is in the tests of the command line.
    """

    def sits(*answers: str) -> list[str]:
        left, asked = list(answers), list[str]()

        def answer(prompt: str) -> str:
            asked.append(prompt)
            return left.pop(0)

        monkeypatch.setattr(Console, "terminal", True)
        monkeypatch.setattr(getpass, "getpass", answer)
        return asked

    return sits


def ssh_key(path: Path, *options: str, secret: str = "") -> str:
    """A new key in ``path``, ed25519 unless ``options`` say otherwise; its recipient."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    options = options if "-t" in options else ("-t", "ed25519", *options)
    argv = ["ssh-keygen", "-q", "-C", "me@there", "-N", secret, "-f", str(path), *options]
    subprocess.run(argv, check=True)
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def protected(path: Path, plain: bytes, *options: str) -> None:
    """Protect ``plain`` as a person does: by `age -p`, which asks on the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    master, slave = pty.openpty()
    child = subprocess.Popen(
        ["age", "--passphrase", *options, "--output", str(path)],
        stdin=subprocess.PIPE,
        pass_fds=(slave,),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    assert child.stdin
    for prompt in (b"Enter passphrase", b"Confirm passphrase"):
        shown = b""
        while prompt not in shown or not shown.rstrip().endswith(b":"):
            shown += os.read(master, 1000)
        os.write(master, f"{PASSPHRASE}\n".encode())
    child.stdin.write(plain)
    child.stdin.close()
    assert child.wait(30) == 0
    os.close(master)


def give(vault: Vault, *keys: str) -> None:
    """Let the owners of ``keys`` read, and lose the identity that made the vault."""
    for number, key in enumerate(keys):
        Recipients(vault.root, vault.scratch).add(f"reader-{number}", key)
    identity.key_file().unlink()


def opens(vault: Vault) -> bool:
    return bool(again(vault).read(None).variables["token"] == CANARY)


def refusal(vault: Vault) -> str:
    with pytest.raises(VaultError) as caught:
        again(vault).read(None)
    assert "canary" not in str(caught.value)
    return str(caught.value)


FORMATS = {
    "ed25519": ("-t", "ed25519"),
    "rsa": ("-t", "rsa", "-b", "2048"),
    "rsa-pem": ("-t", "rsa", "-b", "2048", "-m", "PEM"),
    "rsa-pkcs8": ("-t", "rsa", "-b", "2048", "-m", "PKCS8"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("secret", ["", PASSPHRASE], ids=["clear", "protected"])
def test_an_ssh_key_reads_and_writes(
    vault: Vault, own_home: Path, person: Person, name: str, secret: str
) -> None:
    key = own_home / ".ssh" / f"id_{name.partition('-')[0]}"
    mine = ssh_key(key, *FORMATS[name], secret=secret)
    give(vault, mine)
    asked = person(secret)
    assert opens(vault)
    again(vault).update(vault.file(None), {"variables.other": "x"})
    assert opens(vault)
    assert asked == ([f"passphrase of ~/.ssh/{key.name}: "] if secret else [])
    (me,) = identity.find([mine])
    assert (me.recipient, me.source) == (mine, f"~/.ssh/{key.name}")
    assert list(vault.scratch.iterdir()) == []


def test_sops_gets_an_ssh_key_by_a_file_in_memory_and_nothing_else(
    vault: Vault, own_home: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(vault, ssh_key(own_home / "elsewhere" / "key", secret=PASSPHRASE))
    monkeypatch.setenv("SOPS_AGE_SSH_PRIVATE_KEY_FILE", str(own_home / "elsewhere" / "key"))
    started: list[Any] = []
    run = process.run

    def watched(argv: Any, **options: Any) -> Any:
        started.append(options["env"])
        return run(argv, **options)

    monkeypatch.setattr(process, "run", watched)
    person(PASSPHRASE)
    assert opens(vault)
    (env,) = started
    assert env["SOPS_AGE_SSH_PRIVATE_KEY_FILE"].startswith(("/proc/self/fd/", str(vault.scratch)))
    assert env["HOME"] == str(vault.scratch)
    assert not [name for name in env if "AGE_KEY" in name]


def test_an_ssh_key_with_windows_lines_and_no_last_one(vault: Vault, own_home: Path) -> None:
    key = own_home / ".ssh" / "id_ed25519"
    give(vault, ssh_key(key))
    key.write_bytes(key.read_bytes().replace(b"\n", b"\r\n").rstrip())
    assert opens(vault)


def test_the_second_ssh_key_opens_when_the_first_is_no_reader(
    vault: Vault, own_home: Path, person: Person
) -> None:
    ssh_key(own_home / ".ssh" / "id_ed25519", secret=PASSPHRASE)
    give(vault, ssh_key(own_home / ".ssh" / "id_rsa", "-t", "rsa", "-b", "2048"))
    asked = person()
    assert opens(vault)
    assert asked == [], "a passphrase is asked for when it is of use"


def test_a_protected_ssh_key_that_is_no_reader_is_told_and_not_asked_for(
    vault: Vault, own_home: Path, person: Person
) -> None:
    mine = ssh_key(own_home / ".ssh" / "id_ed25519", secret=PASSPHRASE)
    identity.key_file().unlink()
    asked = person()
    text = refusal(vault)
    assert f"you are ssh-ed25519 …{mine[-12:]} (from ~/.ssh/id_ed25519)" in text
    assert f"invoke vault.add-recipient NAME '{mine}'" in text
    assert asked == []


def test_a_protected_ssh_key_without_a_terminal(vault: Vault, own_home: Path) -> None:
    give(vault, ssh_key(own_home / ".ssh" / "id_ed25519", secret=PASSPHRASE))
    text = refusal(vault)
    assert "~/.ssh/id_ed25519 is protected by a passphrase and there is no terminal" in text
    assert "SOPS_AGE_KEY" in text
    assert "invoke vault.login" in text


def test_a_wrong_passphrase_is_said_three_times_and_never_asked_again(
    vault: Vault, own_home: Path, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    give(vault, ssh_key(own_home / ".ssh" / "id_ed25519", secret=PASSPHRASE))
    asked = person("canary-1", "", "canary-2", PASSPHRASE)
    assert "~/.ssh/id_ed25519: a wrong passphrase was given 3 times" in refusal(vault)
    assert capsys.readouterr().err.count("that is not its passphrase") == 3
    assert "3 times" in refusal(vault)
    assert len(asked) == 3


def openssh(kind: str) -> str:
    """A private key file of a kind that takes a token to make: only its public part is whole."""

    def field(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    public = field(field(kind.encode()) + field(b"k" * 32))
    body = b"openssh-key-v1\0" + field(b"none") * 2 + field(b"") + struct.pack(">I", 1) + public
    lines = base64.encodebytes(body + field(b"canary" * 20)).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}-----END OPENSSH PRIVATE KEY-----\n"


UNUSABLE = {
    "a key of type ecdsa-sha2-nistp256: age reads with ssh-ed25519 and ssh-rsa": ("-t", "ecdsa"),
    "a key of type ecdsa-sha2-nistp384": ("-t", "ecdsa", "-b", "384", "-m", "PEM"),
    "a key of type sk-ssh-ed25519@openssh.com: a FIDO token signs, and": openssh(
        "sk-ssh-ed25519@openssh.com"
    ),
    "a public key: its private key is needed": "ssh-ed25519 AAAAC3canary me@there\n",
    "not a whole OpenSSH private key": openssh("ssh-ed25519")[:120],
    "not a whole private key": "-----BEGIN PRIVATE KEY-----\nAAAAcanary\n-----END PRIVATE KEY-----",
    "not an SSH private key": "canary",
    "an age identity": "# x\nAGE-SECRET-KEY-1CANARY\n",
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_a_file_that_is_no_usable_ssh_key(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    identity.key_file().unlink()
    made, key = UNUSABLE[reason], own_home / ".ssh" / "id_ed25519"
    if isinstance(made, str):
        key.parent.mkdir()
        key.write_text(made)
    else:
        ssh_key(key, *made)
    text = refusal(vault)
    assert "no age identity: looked in SOPS_AGE_KEY," in text
    assert f"~/.ssh/id_ed25519 ({reason}" in text

    monkeypatch.setenv("SOPS_AGE_SSH_PRIVATE_KEY_FILE", str(key))
    assert f"SOPS_AGE_SSH_PRIVATE_KEY_FILE names {key}: {reason}" in refusal(vault)


def test_a_named_ssh_key_that_is_not_there(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    identity.key_file().unlink()
    monkeypatch.setenv("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "/nowhere")
    assert "SSH_PRIVATE_KEY_FILE names /nowhere: no such file" in refusal(vault)


def test_a_protected_pem_key_needs_its_own_public_half_beside_it(
    vault: Vault, own_home: Path, person: Person
) -> None:
    key = own_home / ".ssh" / "id_rsa"
    mine = ssh_key(key, *FORMATS["rsa-pem"], secret=PASSPHRASE)
    other = ssh_key(own_home / "other", "-t", "rsa", "-b", "2048")
    give(vault, mine, other)
    Path(f"{key}.pub").rename(own_home / "mine.pub")
    text = refusal(vault)
    assert "~/.ssh/id_rsa (it has a passphrase, and no public key lies beside it" in text

    Path(f"{key}.pub").write_text(other)
    person(PASSPHRASE)
    text = refusal(vault)
    assert "~/.ssh/id_rsa.pub is not its public half" in text
    assert "ssh-keygen -y -f ~/.ssh/id_rsa > ~/.ssh/id_rsa.pub" in text


def test_a_key_encrypted_in_a_rare_way_says_what_to_do(
    vault: Vault, own_home: Path, person: Person
) -> None:
    cipher = ("-Z", "chacha20-poly1305@openssh.com")
    give(vault, ssh_key(own_home / ".ssh" / "id_ed25519", *cipher, secret=PASSPHRASE))
    person(PASSPHRASE)
    assert "hint: ssh-keygen -p -Z aes256-ctr -f ~/.ssh/id_ed25519" in refusal(vault)


def test_a_key_that_only_an_agent_has(
    vault: Vault, own_home: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, socket = own_home / ".ssh" / "id_ed25519", runtime_dir / "agent"
    mine = ssh_key(key)
    give(vault, mine)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", key], check=True)
        key.unlink()
        text = refusal(vault)
        assert f"your ssh-agent holds the key of a reader ({mine[:24]}…)" in text
        assert "no agent can decrypt" in text
    finally:
        agent.kill()
        agent.wait()
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert "~/.ssh/id_ed25519 (only its public half is there" in refusal(vault)


@pytest.mark.parametrize("options", [(), ("--armor",)], ids=["binary", "armored"])
@pytest.mark.parametrize("place", ["SOPS_AGE_KEY_FILE", "key file"])
def test_a_protected_age_identity_is_asked_for_once(
    vault: Vault,
    own_home: Path,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    options: tuple[str, ...],
) -> None:
    plain = identity.key_file().read_bytes()
    identity.key_file().unlink()
    file = identity.key_file() if place == "key file" else own_home / "key.age"
    protected(file, plain, *options)
    if place == "SOPS_AGE_KEY_FILE":
        monkeypatch.setenv(place, str(file))
    shown = "~/.config/sops/age/keys.txt" if place == "key file" else f"{place}={file}"

    text = refusal(vault)
    assert f"{shown} is protected by a passphrase and there is no terminal" in text
    asked = person("canary-wrong", PASSPHRASE)
    assert opens(vault) and opens(vault)
    assert asked == [f"passphrase of {shown}: "] * 2


def test_a_protected_age_identity_in_the_variable(
    vault: Vault, own_home: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected(own_home / "key.age", identity.key_file().read_bytes(), "--armor")
    identity.key_file().unlink()
    monkeypatch.setenv("SOPS_AGE_KEY", (own_home / "key.age").read_text())
    asked = person(PASSPHRASE)
    assert opens(vault) and opens(vault)
    assert asked == ["passphrase of SOPS_AGE_KEY: "]
    assert "SOPS_AGE_KEY" not in os.environ


def test_without_a_terminal_a_later_source_opens(
    vault: Vault, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected(own_home / "key.age", b"AGE-SECRET-KEY-1WHATEVER")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(own_home / "key.age"))
    assert opens(vault)


def test_a_damaged_protected_identity_is_no_wrong_passphrase(
    vault: Vault, own_home: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own_home / "key.age"
    protected(file, identity.key_file().read_bytes())
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(file))
    content = file.read_bytes()
    for damaged in (content[:-3] + b"abc", content.replace(b" 18\n", b" 40\n"), content[:90]):
        file.write_bytes(damaged)
        asked = person(PASSPHRASE)
        assert f"SOPS_AGE_KEY_FILE={file} cannot be decrypted: " in refusal(vault)
        assert len(asked) == 1


def test_right_passphrase_is_accepted_on_a_busy_machine(
    vault: Vault, own_home: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rage measures how fast the machine is at the moment, and refuses what would take long."""
    file = own_home / "key.age"
    protected(file, identity.key_file().read_bytes(), "--armor")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(file))
    identity.key_file().unlink()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        asked = person(PASSPHRASE)
        assert opens(vault)
        assert len(asked) == 1
    finally:
        for child in busy:
            child.kill()
            child.wait()


def test_ssh_key_with_many_rounds_is_opened(vault: Vault, own_home: Path, person: Person) -> None:
    give(vault, ssh_key(own_home / ".ssh" / "id_ed25519", "-a", "100", secret=PASSPHRASE))
    person(PASSPHRASE)
    assert opens(vault)


def test_create_adds_nothing_to_a_protected_key_file(vault: Vault, own_home: Path) -> None:
    path = identity.key_file()
    plain = path.read_bytes()
    path.unlink()
    protected(path, plain)
    before = path.read_bytes()
    with pytest.raises(VaultError, match=r"keys\.txt is protected by a passphrase"):
        identity.create()
    assert path.read_bytes() == before
