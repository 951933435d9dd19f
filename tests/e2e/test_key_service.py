"""CI without a key: what the command line does where only a key service opens the vault.

AWS itself is not asked; see ``key_services``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from key_services import ARN, CALLER, SECRET, KeyService, serving

from tests.canary import Watch, holding

from . import slow_cloud
from .conftest import Cli

CANARY = "CANARY-keyless-token"
TICKET = "CANARY-ticket-of-github"


@pytest.fixture
def kms() -> Iterator[KeyService]:
    with serving() as server:
        server.key(ARN)
        yield server


@pytest.fixture
def ci(cli: Cli, kms: KeyService) -> Cli:
    """A runner that has credentials of a service, and no identity."""
    slow_cloud.make(cli.instance("demo"), "env > ${path.root}/environment")
    cli.env |= {"LOGNAME": "alice", "SOPS_AGE_KEY": "", "CI": ""}
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    assert cli("vault.set", "environment.AWS_NICKNAME", input="said by the vault").code == 0
    cli.env["AWS_ACCESS_KEY_ID"] = CALLER
    cli.env["AWS_SECRET_ACCESS_KEY"] = SECRET
    cli.env["AWS_ENDPOINT_URL_KMS"] = f"http://127.0.0.1:{kms.server_port}"
    added = cli("vault.add-recipient", "ci-aws", ARN)
    assert added.code == 0 and "ci-aws can read the vault" in added.err, added
    (Path(os.environ["HOME"]) / ".config/sops/age/keys.txt").unlink()
    cli.env |= {"CI": "true", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TICKET}
    return cli


def test_a_hub_is_made_without_a_key(ci: Cli, kms: KeyService, tmp_path: Path) -> None:
    with Watch() as watch:
        done = ci("spawn", "--name", "demo", "--timeout", "1")
    assert done.code == 8, done  # all but that nothing answers at its address
    assert CANARY not in str(done) and SECRET not in str(done)
    told = (ci.instance("demo") / "environment").read_text()
    assert "AWS_NICKNAME=said by the vault" in told
    assert "AWS_ACCESS" not in told and "ACTIONS_ID_TOKEN" not in told and SECRET not in told
    sealed = ci.instance("demo") / "terraform.tfstate.sops"
    assert json.loads(sealed.read_text())["sops"]["kms"][0]["arn"] == ARN
    assert {id for _, id in kms.heard} == {ARN}
    # we have it, as we were started, and sops
    having = watch.holding(SECRET)
    assert having
    assert all(TICKET.encode() in text or b"SOPS_DECRYPTION" in text for text in having), having
    for value in (CANARY, SECRET, TICKET):
        assert holding(value, ci.root, Path(os.environ["XDG_RUNTIME_DIR"])) == []


def test_who_that_is(ci: Cli) -> None:
    said = ci("vault.whoami")
    assert said.code == 0, said
    assert f"you are    ci-aws, {ARN}, from AWS_ACCESS_KEY_ID" in said.out
    assert "secrets/shared.yaml  yes" in said.out
    document = json.loads(ci("vault.whoami", "--json").out)
    assert (document["name"], document["source"]) == ("ci-aws", "AWS_ACCESS_KEY_ID")
    (identity,) = [
        check for check in json.loads(ci("doctor", "--json").out) if check["name"] == "identity"
    ]
    assert (identity["status"], ARN in str(identity)) == ("ok", True)
    listed = ci("vault.recipients")
    assert f"ci-aws  {ARN}" in listed.out and "agrees" in listed.out
    assert ci("vault.check").code == 0


def test_what_a_service_refuses(ci: Cli, kms: KeyService) -> None:
    kms.allowed.clear()
    refused = ci("vault.show")
    assert refused.code == 4, refused
    assert f"error: secrets/shared.yaml: {ARN} refused (AccessDeniedException)" in refused.err
    assert "hint: aws sts get-caller-identity" in refused.err
