from __future__ import annotations

from dataclasses import replace

from barehub.cloud.begun import Begun, certain, import_id, sighted
from barehub.cloud.things import Thing

SERVER = "openstack_compute_instance_v2"
ADDRESS = "openstack_networking_floatingip_v2"
MASTER = Thing("server", "id-master", "demo-master")
NODE = Thing("server", "id-node", "demo-node1")


def _certain(things: list[Thing], *begun: Begun) -> dict[str, Thing]:
    return certain(begun, sighted(begun, things))


def test_what_has_the_planned_name_is_found_among_others_of_its_kind() -> None:
    begun = Begun("m.master", SERVER, "demo-master"), Begun("m.node[0]", SERVER, "demo-node1")
    assert _certain([NODE, MASTER], *begun) == {"m.master": MASTER, "m.node[0]": NODE}


def test_another_name_is_another_thing() -> None:
    begun = Begun("m.master", SERVER, "demo-master")
    assert sighted([begun], [NODE]) == {"m.master": []}
    assert _certain([NODE], begun) == {}


def test_two_of_one_name_are_for_a_person() -> None:
    begun, twin = Begun("m.master", SERVER, "demo-master"), replace(MASTER, id="id-twin")
    assert sighted([begun], [MASTER, twin]) == {"m.master": [MASTER, twin]}
    assert _certain([MASTER, twin], begun) == {}


def test_one_thing_that_two_may_be_is_for_a_person() -> None:
    begun = Begun("m.ip[0]", ADDRESS, "demo: its"), Begun("m.ip[1]", ADDRESS, "demo: its")
    assert _certain([Thing("floating ip", "id-ip", "demo: its")], *begun) == {}


def test_what_has_no_name_is_for_a_person() -> None:
    """It may be what somebody has made by hand."""
    begun, address = Begun("m.ip", ADDRESS), Thing("floating ip", "id-ip", "demo: its")
    assert sighted([begun], [address]) == {"m.ip": [address]}
    assert _certain([address], begun) == {}


def test_what_only_joins_two_things_is_never_found() -> None:
    begun = Begun("m.on", "openstack_compute_volume_attach_v2")
    assert sighted([begun], [MASTER, Thing("volume", "id-volume", "demo-volume")]) == {"m.on": []}


def test_a_record_is_imported_with_its_zone() -> None:
    record = Thing("dns record", "id-record", "demo.example.org", on=frozenset({"id-zone"}))
    assert import_id(record) == "id-zone/id-record"
    assert import_id(MASTER) == "id-master"
