from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from barehub.redaction import Redactor
from barehub.terraform.events import SHOWN_BEGINNING, Progress


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


# What provisioners print, without secrets

ADDRESS = "module.provider.terraform_data.a"
SECRET = "CANARY: correct horse"


def _said(progress: Progress, *outputs: str) -> Iterator[str]:
    """What is shown after each output, cut and trimmed as Terraform does it."""
    for output in outputs:
        if output.strip():
            progress.feed(_hook("provision_progress", ADDRESS, "", output=output.rstrip()))
        yield progress.doing


def _hiding(*values: str) -> Progress:
    redactor = Redactor()
    for value in values:
        redactor.add(value)
    return Progress(stream=redactor.stream)


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_secret_that_is_cut_in_two_is_not_shown(cut: int) -> None:
    first, second = _said(_hiding(SECRET), f"using {SECRET[:cut]}", f"{SECRET[cut:]} as told")
    assert first == f"using {SECRET[:cut] if cut <= SHOWN_BEGINNING else '…'}"
    assert second == "*** as told"


def test_a_secret_that_comes_letter_by_letter_is_not_shown() -> None:
    shown = list(_said(_hiding(SECRET), "now", *SECRET, "!", "then"))
    assert set(shown[: len(SECRET)]) == {"now", "C", "CA"}
    assert shown[-3:] == ["***", "!", "then"]


def test_the_rest_of_a_line_that_only_began_like_a_secret_is_shown_once() -> None:
    shown = _said(_hiding(SECRET), "made in CAN", "ADA", "state of the art C", "and more")
    assert list(shown) == ["made in …", "ADA", "state of the art C", "and more"]


def test_a_secret_goes_on_after_what_looks_like_terraforms_own_words() -> None:
    progress = _hiding("Executing: CANARY and more")
    assert "CANARY" not in "".join(_said(progress, "Executing: CAN", "ARY and more"))


def test_two_resources_do_not_mix() -> None:
    progress = _hiding(SECRET)
    other = "module.provider.terraform_data.b"
    progress.feed(_hook("provision_progress", ADDRESS, "", output="CANARY: corr"))
    progress.feed(_hook("provision_progress", other, "", output="ect"))
    assert progress.doing == "ect"
    progress.feed(_hook("provision_progress", ADDRESS, "", output="ect horse."))
    assert progress.under_way[ADDRESS] == "***."
    progress.feed(_hook("apply_complete", ADDRESS, "create"))
    progress.feed(_hook("provision_progress", ADDRESS, "", output="CANARY: corr"))
    progress.feed(_hook("apply_errored", ADDRESS, "create"))
    progress.feed(_hook("provision_progress", ADDRESS, "", output="ect horse."))
    assert progress.doing == "ect horse."


def test_a_secret_of_many_lines_is_hidden_in_a_diagnostic_as_a_whole() -> None:
    progress = _hiding("CANARY {\n  a\n}")
    told = {"severity": "error", "summary": "no: CANARY {", "detail": "it was CANARY {\n  a\n}."}
    progress.feed(json.dumps({"type": "diagnostic", "diagnostic": told}))
    assert progress.errors[0].lines() == ["no: ***", "  it was ***."]
