"""A vault that a key service opens as well, and a runner that has no other key to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from key_services import ARN, CALLER, OTHER, SECRET, KeyService, serving
from vaults import again, fresh

from barehub.vault import credentials, identity
from barehub.vault.policy import Policy
from barehub.vault.recipients import Recipients
from barehub.vault.store import Vault

STATE = b'{"canary": "CANARY-state"}'
CANARY = "CANARY-value-19c2"


@pytest.fixture
def kms() -> Iterator[KeyService]:
    with serving() as server:
        server.key(ARN)
        server.key(OTHER)
        yield server


@pytest.fixture
def aws(kms: KeyService, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Credentials come into our environment, as into a job's in CI."""
    monkeypatch.setattr(credentials, "_taken", {})

    def come() -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", CALLER)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{kms.server_port}")

    return come


@pytest.fixture
def vault(
    own_home: Path,
    tmp_path: Path,
    runtime_dir: Path,
    aws: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Vault:
    """With a key service among its readers, secrets and a state; nobody has credentials now."""
    scratch = runtime_dir / "scratch"
    scratch.mkdir(mode=0o700)
    made = fresh(tmp_path, scratch, monkeypatch)
    made.update(made.file(None), {"variables.token": CANARY})
    aws()
    members(made).add("ci-aws", ARN)
    made.seal(STATE, state(made))
    monkeypatch.setattr(credentials, "_taken", {})
    return made


def members(vault: Vault) -> Recipients:
    return Recipients(vault.root, vault.scratch)


def state(vault: Vault) -> Path:
    return vault.root / "instances/demo/terraform.tfstate.sops"


def operations(kms: KeyService) -> list[str]:
    return [operation for operation, _ in kms.heard]


def in_ci(vault: Vault, aws: Callable[[], None], kms: KeyService) -> Vault:
    """The same vault where there is no identity, but credentials."""
    identity.key_file().unlink()
    aws()
    kms.heard.clear()
    return again(vault)


def everyone(vault: Vault) -> tuple[str, ...]:
    return Policy.read(vault.root).everyone()


def for_nobody(text: str) -> str:
    return re.sub(r"(-----BEGIN AGE ENCRYPTED FILE-----(?:\\n|\n\s+))\w{4}", r"\1AAAA", text)
