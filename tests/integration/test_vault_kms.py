"""A vault that a key service opens as well: the real sops, asking one on loopback.

See ``key_services`` for what stands in for AWS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from key_services import ARN, CALLER, SECRET, TOKEN, KeyService, certified, serving
from keyless import (
    CANARY,
    STATE,
    aws,
    everyone,
    for_nobody,
    in_ci,
    kms,
    members,
    operations,
    state,
    vault,
)
from test_recipients import age_key
from vaults import again, editor, fresh

from barehub import container
from barehub.console import console
from barehub.errors import BarehubError, UsageError, VaultError
from barehub.vault import credentials, diff_driver, guard, identity, policy, recipients, services
from barehub.vault.identity import NoIdentity
from barehub.vault.merge_driver import Merge
from barehub.vault.policy import Policy
from barehub.vault.sops import Sops
from barehub.vault.store import Vault
from tests.canary import holding

__all__ = ["aws", "kms", "vault"]


def test_ci_reads_and_writes_without_a_key(
    vault: Vault, kms: KeyService, aws: Callable[[], None], tmp_path: Path
) -> None:
    ours = in_ci(vault, aws, kms)
    assert ours.read(None).variables == {"token": CANARY}
    assert ours.unseal(state(vault)) == STATE
    assert set(operations(kms)) == {"Decrypt"}
    ours.update(ours.file(None), {"variables.other": "x"})
    ours.update(ours.file("demo"), {"variables.own": "y"})
    ours.seal(STATE + b"\n", state(vault))
    assert again(vault).read("demo").variables == {"token": CANARY, "other": "x", "own": "y"}
    assert again(vault).unseal(state(vault)) == STATE + b"\n"
    assert guard.check(vault.root) == []
    members(vault).rotate()
    assert again(vault).read(None).variables["token"] == CANARY
    assert {id for _, id in kms.heard} == {ARN}
    for secret in (SECRET, CANARY):
        assert holding(secret, vault.root, vault.scratch, tmp_path) == []
        assert secret not in console.redactor.clean(f"a {SECRET} b {CANARY}".replace(CANARY, ""))


def test_credentials_are_for_sops_and_no_other_child(
    vault: Vault, kms: KeyService, aws: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from barehub import process

    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "CANARY-ticket")
    in_ci(vault, aws, kms).read(None)
    assert not [name for name in os.environ if name.startswith(("AWS_", "ACTIONS_ID_TOKEN"))]
    said = process.run(["env"]).text
    assert SECRET not in said and "CANARY-ticket" not in said and "AWS_" not in said


def test_with_an_identity_the_service_is_not_asked(
    vault: Vault, kms: KeyService, aws: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws()
    kms.heard.clear()
    assert vault.read(None).variables == {"token": CANARY}
    vault.update(vault.file(None), {"variables.other": "x"})
    editor(Path.home(), monkeypatch, "path.write_text(text.replace('other: x', 'other: z'))")
    assert again(vault).edit(vault.file(None))
    assert again(vault).read(None).variables["other"] == "z"
    assert kms.heard == []
    assert set(services.readers(vault.file(None).read_bytes())) == {*everyone(vault)}


def test_a_service_is_removed_though_it_is_gone(vault: Vault, kms: KeyService) -> None:
    kms.keys.clear()
    kms.heard.clear()
    with pytest.raises(UsageError, match="is what CI reads with"):
        members(vault).remove("ci-aws", force=False)
    outcome = members(vault).remove("ci-aws", force=True)
    assert any("variables.token" in line for line in outcome.seen)
    assert kms.heard == []
    assert "kms" not in (vault.root / policy.NAME).read_text()
    for file in recipients.sealed(vault.root):
        assert services.named(file.read_bytes()) == []
    assert again(vault).unseal(state(vault)) == STATE
    assert guard.check(vault.root) == []


def test_a_service_alone_cannot_be_a_reader(vault: Vault) -> None:
    me = identity.find()[0].recipient
    with pytest.raises(VaultError, match="is the only reader"):
        members(vault).remove(me, force=True)
    rules = vault.root / policy.NAME
    rules.write_text(rules.read_text().replace("    age:\n", "").replace(f"      - {me}", "#"))
    with pytest.raises(VaultError, match="names no age recipient"):
        again(vault).read(None)


def test_what_needs_a_new_data_key_says_so_without_credentials(
    vault: Vault, kms: KeyService, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}
    bob = age_key(tmp_path, "bob")
    tries: list[Callable[[], object]] = [
        lambda: members(vault).rotate(),
        lambda: members(vault).add("bob", bob),
        lambda: vault.update(vault.file("demo"), {"variables.a": "b"}),
    ]
    for attempt in tries:
        with pytest.raises(credentials.Unavailable, match="a new data key is also for") as caught:
            attempt()
        assert "AWS_ACCESS_KEY_ID" in caught.value.hints[0]
    assert before == {path: path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}


def test_a_state_is_sealed_for_people_when_the_service_refuses(
    vault: Vault, kms: KeyService, aws: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    aws()
    kms.allowed.clear()
    ours = again(vault)
    ours.seal(b"newer", state(vault))
    ours.seal(b"newest", state(vault))
    told = capsys.readouterr().err
    assert told.count("is sealed for people alone") == 1 and "AccessDeniedException" in told
    assert "words of theirs" not in told
    assert again(vault).unseal(state(vault)) == b"newest"
    (problem,) = guard.check(vault.root)
    assert "ci-aws cannot read it" in problem.text
    kms.allowed.add(CALLER)
    assert [change.added for change in members(vault).sync().changes] == [(ARN,)]
    assert guard.check(vault.root) == []


def test_a_service_that_refuses_in_ci(
    vault: Vault, kms: KeyService, aws: Callable[[], None]
) -> None:
    ours = in_ci(vault, aws, kms)
    kms.allowed.clear()
    with pytest.raises(credentials.Unavailable) as caught:
        ours.read(None)
    assert caught.value.problem == (f"secrets/shared.yaml: {ARN} refused (AccessDeniedException)")
    assert caught.value.hints == ("aws sts get-caller-identity   # may that use it?",)


def test_a_service_is_not_blamed_for_what_is_ours(
    vault: Vault, kms: KeyService, aws: Callable[[], None]
) -> None:
    aws()
    with pytest.raises(VaultError, match="not YAML for sops, line 1"):
        Sops(vault.root, vault.scratch).encrypt(b"a: [", vault.file("demo"), "yaml", "yaml")
    kms.allowed.clear()
    with pytest.raises(credentials.Unavailable, match="refused"):
        Sops(vault.root, vault.scratch).encrypt(b"a: b", vault.file("demo"), "yaml", "yaml")
    with pytest.raises(credentials.Unavailable, match="refused"):
        members(vault).rotate()


def test_without_credentials_it_is_as_without_a_key(vault: Vault, kms: KeyService) -> None:
    identity.key_file().unlink()
    kms.heard.clear()
    with pytest.raises(NoIdentity, match=r"looked in .*AWS_ACCESS_KEY_ID"):
        again(vault).read(None)
    assert kms.heard == []


def test_a_token_of_gitlab(
    vault: Vault, kms: KeyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.key_file().unlink()
    (tmp_path / "token").write_text(TOKEN)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_KMS"):
        monkeypatch.delenv(name, raising=False)
    role = "arn:aws:iam::111122223333:role/barehub"
    for service in ("KMS", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{kms.server_port}")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", role)
    kms.heard.clear()
    assert again(vault).read(None).variables == {"token": CANARY}
    assert kms.heard == [("AssumeRoleWithWebIdentity", role), ("Decrypt", ARN)]


def test_a_container_is_told(
    vault: Vault, aws: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws()
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    credentials.take_from_environment([ARN])
    told = container._letter("", "").environment
    assert told["AWS_SECRET_ACCESS_KEY"] == SECRET and "AWS_WEB_IDENTITY_TOKEN_FILE" not in told


def test_of_two_services_that_is_asked_which_we_have_credentials_for(
    vault: Vault, kms: KeyService, aws: Callable[[], None], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    served, trusted = certified(tmp_path)
    with serving(served) as other:
        other.key("hubs")
        aws()
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        monkeypatch.setenv("VAULT_CACERT", str(trusted))
        uri = f"https://localhost:{other.server_port}/v1/transit/keys/hubs"
        members(vault).add("ci-gitlab", uri)
        assert guard.check(vault.root) == []
        for ours, theirs, gone in ((kms, other, "VAULT_"), (other, kms, "AWS_")):
            monkeypatch.setattr(credentials, "_taken", {})
            aws()
            monkeypatch.setenv("VAULT_TOKEN", TOKEN)
            monkeypatch.setenv("VAULT_CACERT", str(trusted))
            for name in [name for name in os.environ if name.startswith(gone)]:
                monkeypatch.delenv(name)
            identity.key_file().unlink(missing_ok=True)
            ours.heard.clear()
            theirs.heard.clear()
            assert again(vault).read(None).variables["token"] == CANARY
            again(vault).update(vault.file(None), {"variables.x": gone})
            assert ours.heard and theirs.heard == []
            with pytest.raises(credentials.Unavailable):
                members(vault).rotate()


def test_names_in_the_policy(vault: Vault) -> None:
    rules = Policy.read(vault.root)
    assert rules.called(ARN) == "ci-aws"
    assert f"    kms:\n      - {ARN}  # ci-aws\n" in rules.text
    (found,) = {one.readers for one in recipients.access(vault.root)}
    assert found[-1] == ARN


def test_hashicorp_vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_taken", {})
    served, trusted = certified(tmp_path)
    vault = fresh(tmp_path, runtime_dir, monkeypatch)
    with serving(served) as server:
        server.key("hubs")
        uri = f"https://localhost:{server.server_port}/v1/transit/eu/keys/hubs"
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        monkeypatch.setenv("VAULT_CACERT", str(trusted))
        members(vault).add("ci-gitlab", uri)
        vault.update(vault.file(None), {"variables.token": CANARY})
        vault.seal(STATE, state(vault))
        assert guard.check(vault.root) == []
        good = vault.file(None).read_text()
        vault.file(None).write_text(for_nobody(good))
        server.heard.clear()
        with pytest.raises(VaultError, match="malformed"):
            again(vault).read(None)
        assert server.heard == [], "with a key, the service is not asked even then"
        vault.file(None).write_text(good)
        identity.key_file().unlink()
        assert again(vault).read(None).variables == {"token": CANARY}
        assert again(vault).unseal(state(vault)) == STATE
        assert server.heard == [("decrypt", "hubs")] * 2
        tree = json.loads(state(vault).read_text())
        for name, value in (
            ("vault_address", "https://localhost:1"),
            ("vault_address", f"http://localhost:{server.server_port}"),
            ("engine_path", "transit/eu/keys/../x"),
            ("key_name", "other"),
        ):
            changed = {**tree["sops"]["hc_vault"][0], name: value}
            fields = {**tree["sops"], "hc_vault": [changed]}
            state(vault).write_text(json.dumps({**tree, "sops": fields}))
            with pytest.raises(VaultError, match="which sops would ask"):
                again(vault).unseal(state(vault))
        assert len(server.heard) == 2
        server.allowed.clear()
        state(vault).write_text(json.dumps(tree))
        with pytest.raises(BarehubError, match=r"refused \(Code: 403\)"):
            again(vault).unseal(state(vault))


def test_both_sides_changed_a_file(
    vault: Vault, kms: KeyService, aws: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def merged(*sides: bytes) -> Any:
        result = Merge(Sops(vault.root, vault.scratch), "secrets/shared.yaml").run(*sides)
        assert set(services.readers(result.sealed)) == {*everyone(vault)}
        vault.file(None).write_bytes(result.sealed)
        return again(vault).read(None).variables

    file = vault.file(None)
    base = file.read_bytes()
    vault.update(file, {"variables.ours": "1"})
    ours = file.read_bytes()
    file.write_bytes(base)
    again(vault).update(file, {"variables.theirs": "2"})
    theirs = file.read_bytes()
    kms.heard.clear()
    wanted = {"token": CANARY, "ours": "1", "theirs": "2"}
    assert merged(base, ours, theirs) == wanted
    assert kms.heard == []
    with pytest.raises(VaultError, match=r"ours: .* which sops would ask for the key"):
        merged(base, ours.replace(b"eu-west-1", b"us-east-1"), theirs)
    # one with a new data key, both without an identity
    file.write_bytes(theirs)
    aws()
    members(vault).rotate()
    in_ci(vault, aws, kms)
    assert merged(base, ours, file.read_bytes()) == wanted


def test_a_diff_asks_no_service(vault: Vault, kms: KeyService, aws: Callable[[], None]) -> None:
    file = vault.file(None)
    quiet = Sops(vault.root, vault.scratch, ask=False)
    shown = diff_driver.text(quiet, file)
    assert f"reader: ci-aws ({ARN})" in shown and "PROBLEM" not in shown
    in_ci(vault, aws, kms)
    blind = diff_driver.text(Sops(vault.root, vault.scratch, ask=False), file)
    assert "variables.token: ********" in blind and CANARY not in shown + blind
    assert kms.heard == []
