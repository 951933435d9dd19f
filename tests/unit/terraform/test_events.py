from __future__ import annotations

import json

from barehub.terraform.events import Progress


def _hook(kind: str, address: str, action: str, **more: str) -> str:
    module = ".".join(address.split(".")[:2])
    hook = {"resource": {"addr": address, "module": module}, "action": action, **more}
    return json.dumps({"type": kind, "hook": hook})


def test_an_apply_is_told_resource_by_resource() -> None:
    told = []
    progress = Progress(lambda *event: told.append(event))
    progress.feed(_hook("apply_start", "module.provider.terraform_data.a", "create"))
    assert progress.doing == "creating terraform_data.a"
    progress.feed(
        _hook("apply_complete", "module.provider.terraform_data.a", "create", id_value="1")
    )
    progress.feed(_hook("apply_start", "module.provider.terraform_data.b", "create"))
    progress.feed(_hook("apply_errored", "module.provider.terraform_data.b", "create"))
    assert told == [
        ("start", "module.provider.terraform_data.a", "create", ""),
        ("done", "module.provider.terraform_data.a", "create", "1"),
        ("start", "module.provider.terraform_data.b", "create", ""),
        ("failed", "module.provider.terraform_data.b", "create", ""),
    ]
    assert progress.summary() == "1 created"


def test_what_is_still_under_way_is_shown() -> None:
    progress = Progress()
    for name in ("slow", "quick"):
        progress.feed(_hook("apply_start", f"module.provider.terraform_data.{name}", "create"))
    assert progress.doing == "creating terraform_data.quick"
    progress.feed(_hook("apply_complete", "module.provider.terraform_data.quick", "create"))
    assert progress.doing == "creating terraform_data.slow"
    address = "module.provider.terraform_data.slow"
    progress.feed(_hook("provision_progress", address, "", output="installing\nalmost there\n"))
    assert progress.doing == "almost there"


def test_a_plan_tells_what_it_touches_and_what_it_loses() -> None:
    progress = Progress()
    for address, action in (("module.dns.terraform_data.r", "create"), ("module.x.y.z", "replace")):
        change = {"resource": {"addr": address}, "action": action}
        progress.feed(json.dumps({"type": "planned_change", "change": change}))
    assert progress.touching("dns")
    assert not progress.touching("provider")
    assert progress.losing() == ["module.x.y.z"]
    assert not progress.empty


def test_a_plan_that_only_changes_an_output_is_not_empty() -> None:
    progress = Progress()
    progress.feed(json.dumps({"type": "outputs", "outputs": {"a": {"action": "noop"}}}))
    assert progress.empty
    progress.feed(json.dumps({"type": "outputs", "outputs": {"a": {"action": "create"}}}))
    assert not progress.empty


def test_the_warnings_of_every_staged_run_are_left_out() -> None:
    progress = Progress()
    for summary in ("Resource targeting is in effect", "Deprecated thing"):
        told = {"severity": "warning", "summary": summary, "detail": ""}
        progress.feed(json.dumps({"type": "diagnostic", "diagnostic": told}))
    assert [d.summary for d in progress.warnings] == ["Deprecated thing"]


def test_what_is_no_json_is_kept() -> None:
    progress = Progress()
    progress.feed("flag provided but not defined: -nope")
    progress.feed('{"half": ')
    progress.feed("")
    assert progress.raw == ["flag provided but not defined: -nope", '{"half":']
