from __future__ import annotations

import time
from pathlib import Path

import pytest

from barehub.console import console
from barehub.disclosure import generated, hidden_keys, id_is_public, texts, type_of, without_keys
from barehub.journal import Journal

_PUBLIC = """
openstack_compute_instance_v2 openstack_compute_keypair_v2 openstack_networking_floatingip_v2
openstack_blockstorage_volume_v3 openstack_networking_secgroup_rule_v2 cloudflare_record
cloudflare_dns_record aws_instance aws_key_pair google_compute_instance azurerm_virtual_network
digitalocean_droplet digitalocean_ssh_key hcloud_server hcloud_ssh_key helm_release
kubernetes_secret kubernetes_secret_v1 kubernetes_namespace terraform_data null_resource
"""

_SECRET = """
random_id random_string random_password random_pet random_uuid random_bytes random_integer
local_file local_sensitive_file tls_private_key tls_self_signed_cert time_static template_file
vsphere_license aws_appsync_api_key aws_kms_ciphertext openstack_objectstorage_tempurl_v1
azurerm_storage_account_sas google_apikeys_key cloudflare_api_token kubernetes_token_request_v1
vault_token acme_registration onepassword_item made_up helm_release_x xopenstack_thing
"""


PUBLIC, SECRET = _PUBLIC.split(), _SECRET.split()


@pytest.mark.parametrize(
    "address",
    ["{}.a", 'module.provider.module.x["a.b[\\"c\\"]"].{}.a["d.e"]', "module.x[0].{}.a[1]"],
)
def test_an_id_is_written_only_for_types_that_are_known_to_name_a_thing(
    address: str, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for type in (*PUBLIC, *SECRET):
        where = address.format(type)
        assert type_of(where) == type
        assert id_is_public(where) == (type in PUBLIC), type
        journal.resource("done", where, "create", f"CANARY-{type}")
    text = journal.path.read_text()
    assert [t for t in (*PUBLIC, *SECRET) if f"CANARY-{t}" in text] == PUBLIC
    assert len(journal.ledger().made) == len(PUBLIC) + len(SECRET)


@pytest.mark.parametrize("address", ["", "x", "random_id.a.b", "a.b[", 'a.b["', "a b.c"])
def test_what_is_no_address_has_no_public_id(address: str) -> None:
    assert type_of(address) == "" and not id_is_public(address)


def test_an_id_that_an_older_version_wrote_is_not_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.write_text(
        '{"at": 1, "event": "resource-done", "address": "random_id.a", "action": "create",'
        ' "id": "CANARY"}\n'
        '{"at": 1, "event": "resource-done", "address": "null_resource.a", "action": "create",'
        ' "id": "7"}\n'
    )
    assert journal.ledger().made == {"random_id.a": "", "null_resource.a": "7"}
    assert journal.named() == [("null_resource.a", "7")]


def test_an_id_with_a_value_of_the_vault_is_left_out(tmp_path: Path) -> None:
    console.hide({"token": "CANARY-disclosure"})
    journal = Journal(tmp_path / "journal.jsonl")
    journal.resource("done", "helm_release.a", "create", "CANARY-disclosure")
    assert journal.ledger().made == {"helm_release.a": ""}


@pytest.mark.parametrize(
    ("address", "hidden"),
    [
        ('a.b["CANARY"]', 'a.b["***"]'),
        ('module.x["CANARY"].a.b["c"]', 'module.x["***"].a.b["c"]'),
        ('a.b["x-CANARY\\"y"]', 'a.b["***"]'),
        ("a.CANARY[0]", "a.CANARY[0]"),  # names stand in the recipe
        ('a.b["named"]', 'a.b["named"]'),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_key_that_holds_a_secret_is_hidden(address: str, hidden: str, tmp_path: Path) -> None:
    def redact(text: str) -> str:
        return text.replace("CANARY", "").replace("named", "")

    (tmp_path / "main.tf").write_text('locals { x = "named" }')
    assert hidden_keys(address, redact, tmp_path) == hidden


def test_the_journal_hides_such_keys_and_knows_one_that_it_has_in_clear(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.redact = lambda text: text.replace("CANARY", "")
    journal.add("stage", stage="dns", creates=['a.b["CANARY"]', "a.c"])
    journal.resource("start", 'a.b["CANARY"]', "create", "")
    assert "CANARY" not in journal.path.read_text()
    assert list(journal.ledger().begun) == ['a.b["***"]']
    old = (
        '{"at": 1, "event": "resource-done", "address": "a.d[\\"CANARY\\"]", "action": "create"}\n'
    )
    journal.path.write_text(old)
    journal.resource("done", 'a.d["CANARY"]', "delete", "")
    assert journal.ledger().made == {}


def test_names_without_their_keys() -> None:
    assert without_keys('module.x["a"].a.b["c]\\"d"]') == "module.x[...].a.b[...]"
    assert without_keys("a.b[0]") == "a.b[0]"


def test_marked_texts_and_no_others() -> None:
    values = {"a": "x", "b": {"c": ["y", "z"], "d": "w"}, "e": {"type": "string", "value": "v"}}
    marks = {"b": {"c": [False, True]}, "e": True, "nothing": True}
    assert list(texts(values, marks)) == ["z", "v"]
    assert list(texts(values, False)) == []


def test_what_a_type_generates_is_secret_although_nobody_marks_it() -> None:
    made = {"id": "AAAA", "hex": "00ff", "prefix": "demo", "keepers": {"a": "b"}}
    assert sorted(generated("random_id", made)) == ["00ff", "AAAA"]
    assert list(generated("openstack_compute_instance_v2", made)) == []


def test_the_time_for_an_address_is_linear_in_its_length() -> None:
    for text in ('["a', '["\\"', "module.a.", "module.a[0].", "[0]", "\\", "a-", ".", '"'):
        started = time.monotonic()
        address = f"a.b{text * 300_000}"
        type_of(address), without_keys(address), type_of(text * 300_000)
        assert time.monotonic() - started < 20  # a square of it would be hours
