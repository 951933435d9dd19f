"""Which key services a policy may name, and how its lists of readers are edited."""

from __future__ import annotations

import json

import pytest

from barehub.errors import UsageError, VaultError
from barehub.vault import anatomy, policy, services
from barehub.vault.policy import Policy

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
URI = "https://vault.example.org:8200/v1/transit/keys/hubs"
ALICE = "age1" + "q" * 58

RULES = f"""\
creation_rules:
  - path_regex: ^secrets/
    age:
      - {ALICE}  # alice
"""


@pytest.mark.parametrize(
    ("id", "field"),
    [
        (ARN, "kms"),
        (ARN.replace("arn:aws:", "arn:aws-us-gov:"), "kms"),
        (ARN.replace("key/", "alias/hubs-"), "kms"),
        (URI, "hc_vault_transit_uri"),
        ("https://vault.example.org/v1/a/b/keys/k.1", "hc_vault_transit_uri"),
    ],
)
def test_what_a_policy_may_name(id: str, field: str) -> None:
    kind = services.kind_of(id)
    assert kind is not None and kind.field == field
    assert policy.refusal(id) == ""
    text = RULES + f"    {field}: [{id}]\n"
    assert Policy.parse(text).readers("secrets/x") == (ALICE, id)


@pytest.mark.parametrize(
    "id",
    [
        f"{ARN}+arn:aws:iam::111122223333:role/r",
        f"{ARN}?x",
        ARN.replace("eu-west-1", "x.example.org/"),
        ARN.replace("eu-west-1", "x.example.org#"),
        ARN.replace("111122223333", "1"),
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        f" {ARN}",
        f"{ARN}\n",
        URI.replace("https", "http"),
        URI.replace("vault.example.org", "user@vault.example.org"),
        URI.replace("transit", "transit/../x"),
        URI.replace("transit", "%2e%2e"),
        f"{URI}/x/..",
        f"{URI}?x",
        URI.replace("8200", "\N{ARABIC-INDIC DIGIT EIGHT}"),
        "https://v.example.org/v1/transit/hubs",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k",
    ],
)
def test_what_it_may_not(id: str) -> None:
    assert services.kind_of(id) is None
    for field in ("kms", "hc_vault_transit_uri"):
        if id != id.strip():
            continue  # YAML does not keep that
        with pytest.raises(VaultError, match="that barehub knows"):
            Policy.parse(RULES + f"    {field}: [{json.dumps(id)}]\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RULES + f"    kms: [{ARN}, {ARN}]\n", "names a recipient twice"),
        (RULES + f"    kms: [{URI}]\n", "is no kms that barehub knows"),
        (RULES + f"    kms: [{ARN}]\n    aws_profile: x\n", "unknown field 'aws_profile'"),
        (RULES + f"    gcp_kms: [{ARN}]\n", "unknown field 'gcp_kms'"),
        (RULES.replace(ALICE, ARN), "no kind of recipient"),
        (f"creation_rules:\n  - kms: [{ARN}]\n", "names no age recipient"),
    ],
)
def test_policies_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(VaultError, match=said):
        Policy.parse(text)


def test_a_service_comes_into_the_text_and_leaves_it() -> None:
    with_two = Policy.parse(RULES).with_reader("ci-aws", ARN)
    assert with_two == RULES.replace("    age:", f"    kms:\n      - {ARN}  # ci-aws\n    age:")
    other = ARN.replace("eu-west-1", "us-east-1")
    more = Policy.parse(with_two).with_reader("ci-us", other)
    assert f"      - {ARN}  # ci-aws\n      - {other}  # ci-us\n    age:\n" in more
    assert Policy.parse(more).called(other) == "ci-us"
    assert Policy.parse(more).without_reader(other) == with_two
    assert Policy.parse(with_two).without_reader(ARN) == RULES
    with pytest.raises(VaultError, match="is the only reader"):
        Policy.parse(with_two).without_reader(ALICE)
    with pytest.raises(UsageError, match="another key of ci-aws"):
        Policy.parse(with_two).with_reader("ci-aws", other)


@pytest.mark.parametrize(
    "text",
    [
        f"creation_rules:\n  - age: {ALICE}\n",
        f"creation_rules: [{{age: {ALICE}}}]\n",
        f"creation_rules:\n  - {{path_regex: x, age: {ALICE}}}\n",
    ],
)
def test_a_list_that_only_a_person_edits(text: str) -> None:
    with pytest.raises(VaultError, match="barehub does not edit"):
        Policy.parse(text).with_reader("ci-aws", ARN)


def test_a_new_policy_has_them() -> None:
    made = Policy.parse(policy.new({ALICE: "alice", ARN: "ci-aws", URI: ""}))
    assert made.everyone() == (ALICE, ARN, URI)
    assert made.names == {ALICE: "alice", ARN: "ci-aws"}


ENTRY = {
    "arn": ARN,
    "created_at": "2026-01-01T00:00:00Z",
    "enc": "A" * 40,
    "aws_profile": "",
}


def yaml_of(*kms: dict[str, str]) -> str:
    items = "".join(
        "        - " + "\n          ".join(f"{k}: {json.dumps(v)}" for k, v in entry.items()) + "\n"
        for entry in kms
    )
    return f"a: b\nsops:\n    kms:\n{items}    age: []\n    version: 3.11.0\n"


def test_a_service_is_cut_out_by_lines() -> None:
    other = {**ENTRY, "arn": ARN.replace("eu-west-1", "us-east-1")}
    both = yaml_of(ENTRY, other).encode()
    assert services.named(both) == [ARN, other["arn"]]
    assert services.without(both, [ARN]) == yaml_of(other).encode()
    assert services.without(both, [other["arn"]]) == yaml_of(ENTRY).encode()
    bare = b"a: b\nsops:\n    age: []\n    version: 3.11.0\n"
    assert services.without(both, [ARN, other["arn"]]) == bare
    assert services.without(both, ["age1x"]) == both
    above = f"sops:\n    age: []\n    kms: [{json.dumps(ENTRY)}]\na: b\n".encode()
    assert services.without(above, [ARN]) == b"sops:\n    age: []\na: b\n"
    as_json = json.dumps({"data": "ü", "sops": {"kms": [ENTRY, other], "age": []}}).encode()
    left = json.loads(services.without(as_json, [ARN]))
    assert left == {"data": "ü", "sops": {"kms": [other], "age": []}}
    assert "kms" not in json.loads(services.without(as_json, [ARN, other["arn"]]))["sops"]


def test_what_is_laid_out_otherwise_is_not_cut() -> None:
    one_line = f"sops: {{kms: [{json.dumps(ENTRY)}], age: []}}\n".encode()
    assert services.named(one_line) == [ARN]
    with pytest.raises(anatomy.Malformed):
        services.without(one_line, [ARN])
