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
