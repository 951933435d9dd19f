from __future__ import annotations

import pytest

from barehub.cloud.things import (
    KINDS,
    Thing,
    Traces,
    belongings,
    beside,
    records,
    resource_id,
)


def thing(kind: str, name: str, *, id: str = "", on: str = "", mark: str = "") -> Thing:
    marks = frozenset({mark} if mark else ())
    return Thing(kind, id or f"{kind}:{name}", name, marks=marks, on=frozenset(on.split()))


def own(things: list[Thing], traces: Traces) -> list[str]:
    return [thing.name for thing in belongings(things, traces).own]


@pytest.mark.parametrize("name", ["demo", "demo-master", "demo-node1", "demo-anything at all"])
def test_a_name_is_its_own_that_is_the_projects_or_begins_with_it_and_a_hyphen(name: str) -> None:
    assert own([thing("network", name)], Traces("demo")) == [name]


@pytest.mark.parametrize("name", ["", "demos-master", "demo2", "my-demo-master", "Demo-master"])
def test_any_other_name_is_not(name: str) -> None:
    assert own([thing("network", name)], Traces("demo")) == []


def test_an_instance_with_a_longer_name_keeps_its_things() -> None:
    things = [thing("volume", "demo-two-data"), thing("volume", "demo-data")]
    assert own(things, Traces("demo", others=frozenset({"demo-two"}))) == ["demo-data"]
    assert own(things, Traces("demo-two", others=frozenset({"demo"}))) == ["demo-two-data"]


def test_so_does_one_that_is_known_only_by_its_master_in_the_cloud() -> None:
    things = [thing("server", "demo-two-master"), thing("volume", "demo-two-data")]
    found = belongings([*things, thing("volume", "demo-data")], Traces("demo"))
    assert [t.name for t in found.own] == ["demo-data"]
    assert found.others == {"demo-two"}


def test_what_reads_as_another_instances_is_doubtful() -> None:
    network = thing("network", "demo-two-network")
    found = belongings([network, thing("volume", "demo-node1-volume")], Traces("demo"))
    assert [t.name for t in found.own] == ["demo-node1-volume"]
    assert found.doubtful == {network: "demo-two"}


def test_a_name_that_two_instances_share_tells_nothing() -> None:
    master = thing("server", "demo-master", id="1")
    network = thing("network", "demo-network")
    traces = Traces("demo", ids=frozenset({("server", "1")}), others=frozenset({"demo"}))
    found = belongings([master, network], traces)
    assert (found.own, found.doubtful) == ([master], {network: "demo"})


def test_a_mark_tells_more_than_a_name() -> None:
    things = [
        thing("network", "renamed", mark="demo"),
        thing("network", "demo-network", mark="else"),
        thing("server", "demo-two-master", mark="demo"),
    ]
    assert own(things, Traces("demo")) == ["demo-two-master", "renamed"]


def test_an_id_of_the_journal_tells_more_than_both() -> None:
    things = [thing("volume", "master-volume", id="7"), thing("volume", "master-volume", id="8")]
    assert own(things, Traces("demo", ids=frozenset({("volume", "7")}))) == ["master-volume"]
    assert own(things, Traces("demo", ids=frozenset({("server", "7")}))) == []


def test_what_hangs_on_its_own_is_its_own() -> None:
    things = [
        thing("server", "demo-master", id="s"),
        thing("port", "", id="p", on="s n"),
        thing("floating ip", "", id="f", on="p"),
        thing("volume", "master-volume", id="v", on="s"),
        thing("volume", "master-volume", id="w", on="another-server"),
        thing("floating ip", "", id="g"),
    ]
    found = belongings(things, Traces("demo"))
    assert {t.id for t in found.own} == {"s", "p", "f", "v"}


def test_what_hangs_on_it_and_is_anothers_stays_the_others() -> None:
    things = [
        thing("network", "demo-network", id="n"),
        thing("port", "else-master", on="n"),
        thing("port", "of-whom", on="n", mark="else"),
        thing("port", "", on="n s"),
        thing("server", "by-hand", id="s"),
    ]
    traces = Traces("demo", others=frozenset({"else"}))
    assert own(things, traces) == ["demo-network"]


def test_what_is_doubtful_stays_so_whatever_it_hangs_on() -> None:
    port = thing("port", "demo-two-master", on="n")
    found = belongings([thing("network", "demo-network", id="n"), port], Traces("demo"))
    assert [t.id for t in found.own] == ["n"] and found.doubtful == {port: "demo-two"}


def test_what_uses_another_thing_comes_before_it() -> None:
    assert KINDS == (
        "dns record",
        "server",
        "floating ip",
        "port",
        "router interface",
        "router",
        "subnet",
        "network",
        "security group",
        "volume",
        "key pair",
    )
    things = [thing(kind, "demo-x") for kind in reversed(KINDS)]
    assert tuple(t.kind for t in belongings(things, Traces("demo")).own) == KINDS


def test_what_a_state_keeps_is_no_leftover() -> None:
    things = [
        thing("server", "demo-master", id="s"),
        thing("port", "", id="p", on="s"),
        thing("server", "demo-node1", id="t"),
    ]
    left = beside(belongings(things, Traces("demo")).own, {("server", "s")})
    assert [t.name for t in left] == ["demo-node1"]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("module.provider.openstack_compute_instance_v2.node[0]", "server"),
        ('module.provider.openstack_networking_port_v2.node["a.b"]', "port"),
        ("module.dns.cloudflare_record.hub", "dns record"),
        ("module.a.module.b.openstack_compute_keypair_v2.key", "key pair"),
        ("module.provider.openstack_networking_floatingip_associate_v2.master", None),
        ("module.provider.openstack_compute_volume_attach_v2.master", None),
        ("module.provider.terraform_data.port", None),
        ("module.provider.data.openstack_networking_network_v2.lab", None),
        ("data.openstack_networking_network_v2.lab", None),
        ("module.data.data.openstack_networking_network_v2.lab[0]", None),
        ("module.data.openstack_networking_network_v2.own", "network"),
        ("nonsense", None),
    ],
)
def test_only_what_is_made_has_an_id_of_its_own(address: str, kind: str | None) -> None:
    assert resource_id(address, "1") == ((kind, "1") if kind else None)


def record(name: str, address: str = "", *, id: str = "", mark: str = "") -> Thing:
    marks = frozenset({mark} if mark else ())
    return Thing("dns record", id or name, name, address=address, marks=marks, zone="example.org")


def test_records_are_its_own_by_name_address_mark_and_id() -> None:
    traces = Traces(
        "demo",
        ids=frozenset({("dns record", "1")}),
        domains=frozenset({"demo.example.org"}),
        other_domains=frozenset({"else.example.org"}),
    )
    mine = [
        record("demo.example.org"),
        record("Demo.example.org", id="upper case"),
        record("_acme-challenge.demo.example.org"),
        record("*.demo.example.org"),
        record("www.example.org", "192.0.2.1"),
        record("grafana.example.org", id="1"),
        record("any.example.org", mark="demo"),
        record("other.example.org", mark="demo.example.org"),
    ]
    anothers = [
        record("example.org"),
        record("sub.demo.example.org"),
        record("notdemo.example.org"),
        record("else.example.org", "192.0.2.1"),
        record("marked.example.org", "192.0.2.1", mark="else"),
        record("www2.example.org", "192.0.2.2"),
    ]
    assert records([*anothers, *mine], traces, {"192.0.2.1"}) == mine


def test_commands_remove_what_they_name() -> None:
    interface = Thing("router interface", "p", "", on=frozenset({"r"}))
    assert interface.command == "openstack router remove port r p"
    assert Thing("key pair", "k", "k").command == "openstack keypair delete k"
    assert Thing("floating ip", "f", "").command == "openstack floating ip delete f"
    assert record("a", id="1").command == "flarectl dns delete --zone example.org --id 1"
