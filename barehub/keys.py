"""Which SSH key a run uses: the team's, from the vault, or the person's own.

``BAREHUB_SSH_KEY`` says which: ``vault``, ``agent``, ``none``, or a file: a private key, or the
public half of one that the person's agent holds. Without it, the vault's if it has one, else what
the agent holds. Terraform, git and ssh get it by the agent of the session, and no other key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from barehub import process, reading
from barehub.console import console
from barehub.errors import BarehubError, ToolError, UsageError, VaultError
from barehub.session import Session
from barehub.ssh import git
from barehub.ssh.public_key import OWN_SECONDS, PublicKey, held
from barehub.vault.identity import passphrase

AUTHORIZED = "ssh_authorized_keys"
"""The argument that says who may log in to the machines."""

SETTING = "BAREHUB_SSH_KEY"
WORDS = ("vault", "agent", "none")

OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"


@dataclass(frozen=True)
class Choice:
    """A key to use. ``source`` says where it is from; without ``private`` it stays in the agent
    that the person runs, which shows ``public`` alone."""

    source: str
    private: str = field(default="", repr=False)
    public: tuple[PublicKey, ...] = ()


@dataclass(frozen=True)
class Held:
    """What a session's agent holds; ``env`` is what makes git, ssh and Terraform use it."""

    source: str
    keys: tuple[PublicKey, ...]
    env: dict[str, str]

    def authorized(self) -> list[str]:
        """The lines that admit these keys to a machine."""
        return [key.line for key in self.keys if not key.is_certificate]


def choose(vaults: str, *, ask: bool = True) -> Choice | None:
    """What the setting says, given the ``ssh.private_key`` of the vault, if any.

    :param ask: whether a person may be asked for a passphrase.
    :raises BarehubError: what it names is not there, or cannot be used.
    """
    setting = os.environ.get(SETTING, "").strip()
    if setting == "none":
        return None
    if setting == "vault" or (not setting and vaults):
        return _from_vault(vaults)
    if setting and setting != "agent":
        return _from_file(Path(setting).expanduser(), setting, ask)
    keys = held(process.environment())
    if not keys and setting:
        raise _no_agent(f"{SETTING} is {setting}, and")
    return Choice("your ssh-agent", public=tuple(keys)) if keys else None


def hold(choice: Choice | None, session: Session) -> Held:
    """Have the session's agent hold what was chosen; nothing else of the person's remains in
    reach of what gets ``env``.

    :raises VaultError: ssh-add refuses the key.
    """
    if choice is None:
        return Held("", (), {})
    if not choice.private:
        env = session.open_agent(os.environ["SSH_AUTH_SOCK"], choice.public)
        return Held(choice.source, choice.public, env)
    console.hide({"ssh key": choice.private})
    env = session.start_agent(choice.private)
    keys = held(process.environment(env), seconds=OWN_SECONDS)
    named = [_with_comment(key, choice.public) for key in keys]
    return Held(choice.source, tuple(named), env)


def environment(held: Held, env: Mapping[str, str], known_hosts: Path) -> dict[str, str]:
    """``env`` with what was held and no other agent, and git as :func:`git.settings` has it."""
    kept = {k: v for k, v in env.items() if k not in ("SSH_AUTH_SOCK", "SSH_AGENT_PID")}
    return kept | git.settings(held.env, known_hosts)


def _from_vault(text: str) -> Choice:
    if not text:
        raise VaultError(
            f"{SETTING} is vault, and the vault has no ssh.private_key",
            "invoke vault.set ssh.private_key < FILE",
        )
    return Choice("the vault", text)


def _no_agent(beginning: str) -> ToolError:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return ToolError(f"{beginning} no ssh-agent runs here", 'eval "$(ssh-agent)" && ssh-add')
    return ToolError(f"{beginning} your ssh-agent holds no key, or does not answer", "ssh-add")


def _from_file(path: Path, shown: str, ask: bool) -> Choice:
    """The private key in ``path``; out of the person's agent when that has it open already."""
    try:
        content = reading.content(
            path, UsageError, shown=f"{SETTING}: {shown}", most=reading.SETTINGS, pipes=True
        )
    except FileNotFoundError:
        raise UsageError(
            f"{SETTING}: {shown}: no such file or directory",
            f"it is {', '.join(WORDS)}, or the file of a key",
        ) from None
    public = PublicKey.parse(content.decode(errors="replace"))
    half = public or _beside(path)
    if half and half.blob in [key.blob for key in held(process.environment())]:
        return Choice(f"your ssh-agent, as {shown}", public=(half,))
    if public:
        raise _no_agent(f"{shown} is a public key;")
    text = _private(content, shown, ask)
    return Choice(shown, text, (half,) if half else ())


def _beside(path: Path) -> PublicKey | None:
    try:
        return PublicKey.parse(reading.lenient(path.with_name(f"{path.name}.pub"), UsageError))
    except (FileNotFoundError, UsageError):
        return None


def _private(content: bytes, shown: str, ask: bool) -> str:
    """The private key without a passphrase.

    :raises BarehubError: it is none, is protected and nobody can be asked, or is of a kind that
        only an agent can use.
    """
    if b"PRIVATE KEY-----" not in content.partition(b"\n")[0]:
        raise UsageError(f"{SETTING}: {shown} is no private SSH key", "ssh-keygen -t ed25519")
    try:
        if _opened(content, shown, None) is not None:
            return content.decode()
    except passphrase.WrongPassphrase:
        pass
    try:
        return passphrase.unlocked(content, shown, lambda p: _opened(content, shown, p), ask=ask)
    except passphrase.Protected:
        raise UsageError(
            f"{SETTING}: {shown} is protected by a passphrase, and there is no terminal to ask for "
            "it",
            f"give it to your agent: ssh-add {shown}",
            "or use a key without one, from the vault: invoke vault.set ssh.private_key < FILE",
        ) from None


def _opened(content: bytes, shown: str, given: str | None) -> str:
    """The key in OpenSSH's format without a passphrase, opened with the one that was ``given``."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    content = content.replace(b"\r\n", b"\n").strip() + b"\n"
    load = form.load_ssh_private_key if content.startswith(OPENSSH) else form.load_pem_private_key
    try:
        key = load(content, None if given is None else given.encode())
    except TypeError:  # it has a passphrase, or an empty one was given
        raise passphrase.WrongPassphrase from None
    except ValueError:
        if given is not None:
            raise passphrase.WrongPassphrase from None
        raise _unusable(shown, "is damaged") from None
    except UnsupportedAlgorithm:
        raise _unusable(shown, "is of a kind that barehub cannot open") from None
    plain = form.PrivateFormat.OpenSSH
    return key.private_bytes(form.Encoding.PEM, plain, form.NoEncryption()).decode()


def _unusable(shown: str, problem: str) -> BarehubError:
    return UsageError(
        f"{SETTING}: {shown} {problem}",
        f"if ssh can use it, an agent can: ssh-add {shown}, then {SETTING}=agent",
    )


def _with_comment(key: PublicKey, known: tuple[PublicKey, ...]) -> PublicKey:
    """``key`` as its file names it: what was opened with a passphrase has lost its comment."""
    same = (half for half in known if half.blob == key.blob and half.comment)
    return next(same, key)
