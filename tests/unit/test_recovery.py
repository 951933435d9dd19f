from __future__ import annotations

from pathlib import Path

import pytest

from barehub.project import Instance
from barehub.recovery import tell_cut_off


@pytest.mark.parametrize("end", ["up", "stopped", "failed", "destroyed", None])
def test_a_run_without_an_end_was_cut_off_and_that_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str | None
) -> None:
    instance = Instance("demo", tmp_path)
    instance.journal.add("spawn")
    instance.journal.add("stage", stage="dns")
    instance.journal.resource("start", "module.dns.x.y", "create", "")
    if end:
        instance.journal.add(end)
    tell_cut_off(instance)
    said = capsys.readouterr().err
    assert ("was cut off in stage dns, while it was making module.dns.x.y" in said) == (not end)
    tell_cut_off(instance)
    assert capsys.readouterr().err == ""


def test_what_was_cut_off_after_a_stage_is_not_said_to_be_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = Instance("demo", tmp_path)
    for event, facts in (
        ("upgrade", {}),
        ("stage", {"stage": "dns"}),
        ("stage-done", {"stage": "dns"}),
    ):
        instance.journal.add(event, **facts)
    tell_cut_off(instance)
    assert "was cut off after stage dns" in capsys.readouterr().err
