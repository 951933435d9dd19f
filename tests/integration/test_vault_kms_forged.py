"""Files that name other key services than the policy: nobody is asked, with a key or without."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from key_services import ARN, OTHER, KeyService
from keyless import (
    CANARY,
    aws,
    for_nobody,
    in_ci,
    kms,
    members,
    state,
    vault,
)
from vaults import again

from barehub.errors import VaultError
from barehub.vault import guard, policy
from barehub.vault.store import Vault

__all__ = ["aws", "kms", "vault"]


def refusals(vault: Vault, kms: KeyService, *files: Path) -> list[str]:
    """What is said of each of ``files``, of which nobody may have asked the service."""
    kms.heard.clear()
    said = []
    for file in files or (vault.file(None),):
        with pytest.raises(VaultError) as caught:
            again(vault).unseal(file) if file.suffix == ".sops" else again(vault).read(None)
        said.append(caught.value.problem)
    assert kms.heard == []
    return said


def test_a_damaged_block_of_ours_does_not_lead_to_the_service(
    vault: Vault, kms: KeyService, aws: Callable[[], None]
) -> None:
    aws()
    file = vault.file(None)
    file.write_text(for_nobody(file.read_text()))
    assert "an age recipient in its metadata is malformed" in refusals(vault, kms)[0]


CHANGES: dict[str, dict[str, Any]] = {
    "a foreign key": {"arn": OTHER},
    "another account": {"arn": ARN.replace("111122223333", "999999999999")},
    "another region": {"arn": ARN.replace("eu-west-1", "us-east-1")},
    "a region that is a host": {"arn": ARN.replace("eu-west-1", "x.example.org/")},
    "a role": {"role": "arn:aws:iam::999999999999:role/r"},
    "a context": {"context": {"a": "b"}},
    "a profile": {"aws_profile": "other"},
    "an endpoint": {"endpoint": "http://example.org"},
    "another case": {"ARN": OTHER},
    "no date": {"created_at": "words"},
    "no data key": {"enc": "words"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_that_names_another_service_is_refused(
    vault: Vault, kms: KeyService, aws: Callable[[], None], change: str
) -> None:
    tree = json.loads(state(vault).read_text())
    tree["sops"]["kms"][0] |= CHANGES[change]
    state(vault).write_text(json.dumps(tree))
    with_key = refusals(vault, kms, state(vault))
    in_ci(vault, aws, kms)
    assert refusals(vault, kms, state(vault)) == with_key
    assert re.search(r"its metadata name (sops\.kms|arn:\S+), which sops would ask", with_key[0])
    assert any("terraform.tfstate.sops" in str(one) for one in guard.check(vault.root))


EXTRAS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "one more": lambda entry: {"kms": [entry, {**entry, "arn": OTHER}]},
    "of another kind": lambda entry: {
        "kms": [entry],
        "gcp_kms": [{"resource_id": "x", "created_at": entry["created_at"], "enc": "x"}],
    },
    "in another case": lambda entry: {"kms": [entry], "KMS": [{**entry, "arn": OTHER}]},
    "in a group": lambda entry: {"kms": [entry], "key_groups": [{"kms": [entry]}]},
    "of PGP": lambda entry: {"kms": [entry], "pgp": [{"fp": "x", "enc": "x"}]},
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_secrets_file_with_one_more_service_is_refused(
    vault: Vault, kms: KeyService, aws: Callable[[], None], extra: str
) -> None:
    """Written as JSON, which is YAML as well."""
    import yaml

    file = vault.file(None)
    tree = yaml.safe_load(file.read_text())
    tree["sops"]["age"][0]["enc"] = for_nobody(tree["sops"]["age"][0]["enc"])
    good = {**tree, "sops": tree["sops"] | {"kms": tree["sops"]["kms"]}}
    file.write_text(json.dumps(good))
    in_ci(vault, aws, kms)
    assert again(vault).read(None).variables == {"token": CANARY}
    tree["sops"] |= EXTRAS[extra](tree["sops"]["kms"][0])
    file.write_text(json.dumps(tree))
    assert "which sops would ask for the key" in refusals(vault, kms)[0]


def test_without_a_policy_no_service_is_asked(
    vault: Vault, kms: KeyService, aws: Callable[[], None]
) -> None:
    in_ci(vault, aws, kms)
    (vault.root / policy.NAME).unlink()
    said = refusals(vault, kms, vault.file(None), state(vault))
    assert said == [f"there is no vault: {policy.NAME} does not exist"] * 2


def test_a_service_that_the_policy_has_no_more_is_not_asked(
    vault: Vault, kms: KeyService, aws: Callable[[], None]
) -> None:
    rules = vault.root / policy.NAME
    rules.write_text(re.sub(r".*kms:.*\n.*arn:aws.*\n", "", rules.read_text()))
    assert "does not name" in refusals(vault, kms)[0]
    aws()
    # and is taken out of the files by those who can read them
    kms.heard.clear()
    outcome = members(vault).sync()
    assert {change.removed for change in outcome.changes} == {(ARN,)}
    assert kms.heard == []
    assert again(vault).read(None).variables == {"token": CANARY}
    assert guard.check(vault.root) == []
    assert members(vault).sync().changes == []
