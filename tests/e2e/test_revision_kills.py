"""`upgrade` and `scale` killed at each of their steps: the recipe is whole, and nobody is left
without knowing what it carries, or without a way on and a way back.

Where a run is killed is held open until it was: by a pipe that Terraform reads as it plans, by a
provisioner that waits for a file, by a page that does not verify.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from barehub.lock import Lock
from tests.processes import kill

from .working_hub import CANARY, Hub, hub

__all__ = ["hub"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(300)]  # minutes, together

HELD = "while test -e ${path.root}/hold; do touch ${path.root}/going; sleep 0.1; done"
"""What holds the making of a version that can be installed."""

CARRIED = 'says binder_version = "2.0", which was "1.0": the upgrade was cut off'
BACK = "invoke upgrade --name demo --binder-version 1.0   takes it back"


@pytest.fixture
def up(hub: Hub) -> Hub:
    hub.edit("echo ${var.binder_version}", f"{HELD}\n      echo ${{var.binder_version}}", MODULE)
    hub.spawn()
    return hub


MODULE = "modules/binderhub/main.tf"


def _cut(hub: Hub, run: subprocess.Popen[str], *, power: bool) -> None:
    """Kill barehub alone, or all of a run, and take away all that was in memory."""
    keepers = [pid for pid, _ in Lock(hub.folder / ".lock").keepers()]
    kill(run.pid, *(keepers if power else ()))
    run.communicate(timeout=20)
    if power:
        for home in Path(os.environ["XDG_RUNTIME_DIR"]).iterdir():
            shutil.rmtree(home)


def _let_go(hub: Hub) -> None:
    """Let go what was held, and wait for what Terraform still does of it."""
    (hub.folder / "hold").unlink(missing_ok=True)
    deadline = time.monotonic() + 60
    while Lock(hub.folder / ".lock").held():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _upgrade(hub: Hub, version: str, until: Callable[[], bool]) -> subprocess.Popen[str]:
    args = ("upgrade", "--name", "demo", "--yes", "--timeout", "60", "--binder-version", version)
    run = hub.cli.start(*args)
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline and run.poll() is None, run.communicate()
        time.sleep(0.01)
    return run


def _journal(hub: Hub) -> list[dict[str, str]]:
    return [json.loads(line) for line in (hub.folder / "journal.jsonl").read_text().splitlines()]


def _events(hub: Hub) -> list[str]:
    return [event["event"] for event in _journal(hub)]


def _since_the_edit(hub: Hub) -> list[str]:
    events = _events(hub)
    return events[events.index("revised") + 1 :] if "revised" in events else []


def _is_up_with(hub: Hub, version: str, before: str) -> None:
    assert hub.recipe.read_text() == before.replace('"1.0"', f'"{version}"')
    told = json.loads(hub("status", "--json").out)
    assert (told["state"], told["revision"], told["drift"]["changes"]) == ("up", None, [])
    plan = hub("plan")
    assert "nothing to change" in plan.out and "cut off" not in plan.err, plan
    assert hub.versions[-1] == version
    assert list(hub.folder.glob(".*.unfinished")) == []
    assert CANARY not in hub.recipe.read_text() + str(_journal(hub))


def _finish(hub: Hub, before: str) -> None:
    done = hub("spawn", "--yes", "--recover", "--timeout", "20")
    assert done.code == 0, done
    assert CARRIED in done.err and f"hint: {BACK}" in done.err, done
    _is_up_with(hub, "2.0", before)


def _take_back(hub: Hub, before: str) -> None:
    back = hub("upgrade", "--binder-version", "1.0", "--yes", "--timeout", "20")
    if "was never finished" in back.err:  # half made by the killed run: that is asked for
        assert back.code == 1 and "invoke spawn --name demo --recover" in back.err, back
        back = hub("spawn", "--recover", "--timeout", "20")
    assert back.code == 0, back
    _is_up_with(hub, "1.0", before)


ENDS = pytest.mark.parametrize("end", [_finish, _take_back])


@ENDS
def test_killed_right_after_the_edit(up: Hub, end: Callable[[Hub, str], None]) -> None:
    before = up.recipe.read_text()
    run = _upgrade(up, "2.0", lambda: up.recipe.read_text() != before)
    _cut(up, run, power=end is _finish)
    _let_go(up)
    assert up.recipe.read_text() == before.replace('"1.0"', '"2.0"')
    for other in (("scale", "--nodes", "2"), ("upgrade", "--binder-version", "3.0")):
        refused = up(*other)
        assert refused.code == 1 and CARRIED in refused.err, refused
        assert "invoke spawn --name demo   goes on with it" in refused.err and BACK in refused.err
    for command in ("status", "plan"):
        told = up(command)
        assert told.code == 0 and CARRIED in told.err and BACK in told.err, told
    told = json.loads(up("status", "--json").out)
    assert told["revision"]["was"] == '"1.0"' and told["state"] == "up"
    end(up, before)


def test_killed_before_the_edit_is_as_nothing(up: Hub) -> None:
    """The journal has what was to be; the recipe was not written any more, or a part of it was."""
    before = up.recipe.read_text()
    _cut(up, _upgrade(up, "2.0", lambda: up.recipe.read_text() != before), power=True)
    up.recipe.write_text(before)
    (up.folder / ".main.tf.unfinished").write_text(before[:40])
    assert "revised" in _events(up)
    done = up("upgrade", "--binder-version", "2.0", "--yes", "--timeout", "20")
    assert done.code == 0 and CARRIED not in done.err, done
    _is_up_with(up, "2.0", before)


@ENDS
def test_killed_in_the_plan(up: Hub, end: Callable[[Hub, str], None]) -> None:
    before = up.recipe.read_text()
    seen, text = up.folder / "seen", (up.folder / "seen").read_text()
    seen.unlink()
    os.mkfifo(seen)
    pipe: list[int] = []

    def planning() -> bool:
        with suppress(OSError):  # nobody reads yet
            pipe.append(os.open(seen, os.O_WRONLY | os.O_NONBLOCK))
        return bool(pipe)

    _cut(up, _upgrade(up, "2.0", planning), power=end is _take_back)
    seen.unlink()
    seen.write_text(text)
    os.close(pipe[0])
    _let_go(up)
    assert _since_the_edit(up) == []
    end(up, before)


@ENDS
@pytest.mark.parametrize("power", [False, True])
def test_killed_in_the_apply(up: Hub, end: Callable[[Hub, str], None], power: bool) -> None:
    before = up.recipe.read_text()
    (up.folder / "hold").touch()
    run = _upgrade(up, "2.0", (up.folder / "going").exists)
    _cut(up, run, power=power)
    _let_go(up)
    assert "stage" in _since_the_edit(up)
    end(up, before)


@ENDS
def test_killed_in_the_verification(up: Hub, end: Callable[[Hub, str], None]) -> None:
    before = up.recipe.read_text()
    (up.folder / "ill").touch()
    run = _upgrade(up, "2.0", (up.folder / "looked-at").exists)
    _cut(up, run, power=end is _finish)
    (up.folder / "ill").unlink()
    assert "stage-done" in _since_the_edit(up)
    end(up, before)


@pytest.mark.parametrize("power", [False, True])
def test_killed_on_the_way_back(up: Hub, power: bool) -> None:
    """The recipe is as it was, and the hub in between: that is what the next spawn mends."""
    before = up.recipe.read_text()
    (up.folder / "hold").touch()
    run = _upgrade(up, "bad", (up.folder / "going").exists)
    assert up.recipe.read_text() == before
    _cut(up, run, power=power)
    _let_go(up)
    assert "put-back" in _since_the_edit(up)
    done = up("spawn", "--yes", "--recover", "--timeout", "20")
    assert done.code == 0, done
    assert "the upgrade of" in done.err and "was cut off in stage binderhub" in done.err
    _is_up_with(up, "1.0", before)


def test_a_scale_that_was_killed_is_taken_back(up: Hub) -> None:
    before = up.recipe.read_text()
    run = up.cli.start("scale", "--name", "demo", "--nodes", "3")
    while up.recipe.read_text() == before:
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    _cut(up, run, power=True)
    told = up("status").err
    assert "invoke scale --name demo --nodes 1   takes it back" in told, told
    back = up("scale", "--nodes", "1", "--timeout", "20")
    assert back.code == 0, back
    _is_up_with(up, "1.0", before)
    assert up.recipe.read_text() == before
