"""The workflows of docs/how-to/ci: their steps run as plain shell, with a remote on disk.

GitHub and GitLab themselves are stood in for: `gh` and `curl` keep what they are asked, and answer
nothing, which is what there is before the first issue.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from barehub.leftovers import processes_from
from tests.processes import ended

from . import slow_cloud
from .clones import Clone, made
from .conftest import ROOT, Cli, Result
from .jobs import Job, checkout

pytestmark = pytest.mark.cloud  # minutes, together

CANARY = "CANARY-ci-71c3"

CURL = """#!/bin/sh
# keeps its arguments, its configuration, and the comment
echo "curl $*" >> "$ASKED"
cat - comment.md >> "$ASKED"
"""

GH = """#!/bin/sh
# keeps what it is asked, with the file that it is given
echo "gh $*" >> "$ASKED"
while [ $# -gt 0 ]; do
    if [ "$1" = --body-file ]; then cat "$2" >> "$ASKED"; fi
    shift
done
"""


@dataclass
class Ci:
    """A project in a remote repository, and runners that have nothing but that and a key."""

    clone: Clone
    remote: Path
    env: dict[str, str]
    context: dict[str, str]
    machines: int = 0

    def job(self, workflow: str, name: str, root: Path | None = None, **context: str) -> Job:
        """On a machine of its own, unless there is a ``root``."""
        if root is None:
            self.machines += 1
            place = self.remote.parent / f"machine-{self.machines}"
            root = checkout(self.remote, place, self.env)
        env = {**self.env, "PWD": str(root)}
        return Job(workflow, name, root, env, self.context | context)

    def git(self, *args: str) -> str:
        return subprocess.run(
            ("git", *args), cwd=self.remote, check=True, capture_output=True, text=True
        ).stdout

    def kept(self, path: str) -> str:
        """What the remote's main has of instances/demo."""
        return self.git("show", f"main:instances/demo/{path}")

    @property
    def files(self) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", "main").split()

    @property
    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").split()

    @property
    def asked(self) -> str:
        """What was asked of GitHub."""
        path = Path(self.env["ASKED"])
        return path.read_text() if path.exists() else ""


@pytest.fixture
def ci(cli: Cli, tmp_path: Path) -> Ci:
    clone = made(cli, tmp_path / "clone", install=False)
    (clone.root / "scripts/keep").write_bytes((ROOT / "scripts/keep").read_bytes())
    (clone.root / "scripts/keep").chmod(0o755)
    clone.git("add", "-A")
    clone.git("commit", "-qm", "What CI runs")
    remote = tmp_path / "remote"
    clone.git("init", "-q", "--bare", "-b", "main", str(remote))
    clone.git("remote", "add", "origin", str(remote))
    clone.git("push", "-qu", "origin", "main")
    identity = Path(clone.env["HOME"]) / ".config/sops/age/keys.txt"
    key = re.findall(r"AGE-SECRET-KEY-\w+", identity.read_text())[0]
    home, programs = tmp_path / "runner-home", tmp_path / "programs"
    home.mkdir()
    programs.mkdir()
    for name, text in (("gh", GH), ("curl", CURL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**clone.env, "HOME": str(home), "PATH": path, "KEEP_EVERY": "0.5"}
    env["ASKED"] = str(tmp_path / "asked")
    context = {"secrets.SOPS_AGE_KEY": key, "github.token": "a-token", "inputs.name": ""}
    context |= {"github.event.pull_request.number": "7", "matrix.name": "demo"}
    run = "${{ github.server_url }}/${{ github.repository }}/actions/runs/${{ github.run_id }}"
    context |= {name: name for name in re.findall(r"\{\{ (.+?) \}\}", run)}
    return Ci(clone, remote, env, context)


@pytest.fixture
def slow(ci: Ci) -> Ci:
    """With an instance whose provider takes its time, and whose hub never answers."""
    slow_cloud.make(ci.clone.root / "instances/demo", "sleep 4")
    script = ci.clone.root / "scripts/invoke"  # where nothing will answer, nobody waits for it
    impatient = 'if [ "$1" = spawn ]; then set -- "$@" --timeout 1; fi\nexec'
    script.write_text(script.read_text().replace("exec", impatient, 1))
    ci.clone.invoke("vault.set", "variables.api_token", input=CANARY)
    _push(ci, "A slow cloud")
    return ci


def _push(ci: Ci, message: str) -> None:
    ci.clone.git("add", "-A")
    ci.clone.git("commit", "-qm", message)
    ci.clone.git("push", "-q", "origin", "HEAD:main")


def _until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _masked_alone(result: Result) -> None:
    """The canary is in no line of a log but those that mask it, and these come first."""
    lines = result.out.splitlines()
    told = [i for i, line in enumerate(lines) if CANARY in line]
    assert told and all(lines[i].startswith("::add-mask::") for i in told), result
    begins = [i for i, line in enumerate(lines) if re.search(r" (plan|provider) {2,}", line)]
    assert max(told) < min(begins, default=len(lines)), result


@pytest.mark.timeout(400)
def test_a_hub_lives_in_ci(ci: Ci) -> None:
    ci.clone.invoke("new", "--name", "demo", "--recipe", "local")
    ci.clone.invoke("vault.set", "environment.SOMETHING", "--name", "demo", input=CANARY)
    _push(ci, "A hub")

    # the plan is a comment on the pull request
    plan = ci.job("plan", "plan")
    planned = plan.step("Plan")
    assert planned.code == 0, planned
    _masked_alone(planned)
    comment = plan.summary
    assert comment.startswith("### `demo`: ") and "to create" in comment
    assert plan.step("Comment").code == 0
    asked = "gh pr comment 7 --repo owner/hubs --edit-last --create-if-none --body-file comment.md"
    assert ci.asked == f"{asked}\n{comment}"
    assert "journal.jsonl" not in str(ci.files)

    # the merge makes it, and what it made is in git
    which = ci.job("spawn", "which")
    assert which.step("Which").code == 0
    assert json.loads(which.outputs["names"]) == ["demo"]
    spawn = ci.job("spawn", "spawn")
    spawned = spawn.step("Spawn")
    assert spawned.code == 0, spawned
    _masked_alone(spawned)
    assert "the hub is up" in spawned.out
    kept = spawn.step("Keep")
    assert kept.code == 0, kept
    assert spawn.summary.startswith("### demo\n") and "up, verified" in spawn.summary
    assert '"event": "up"' in ci.kept("journal.jsonl")
    assert '"recipient"' in ci.kept("terraform.tfstate.sops")
    assert "tls_key" in ci.git("show", "main:secrets/demo.yaml")
    assert ci.branches == ["main"]
    assert CANARY not in ci.git("log", "-p", "--all")

    # at night; the hub of this recipe lives on that one machine
    verify = ci.job("verify", "verify", spawn.root)
    verified = verify.step("Verify")
    assert verified.code == 0, verified
    assert "| pass |" in verify.summary
    reports = [spawn.root / name for name in ("verify.json", "verify.xml", "barehub.prom")]
    assert all(report.stat().st_size for report in reports)
    assert verify.step("All clear").code == 0
    assert "issue close" not in ci.asked

    pid = json.loads((spawn.root / "instances/demo/hub/process.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    down = verify.step("Verify")
    assert down.code in (6, 8), down
    assert "::error::https://demo.localhost" in down.out
    assert verify.step("Alert").code == 0
    assert "gh issue create" in ci.asked and "net.connect" in ci.asked

    # by hand
    teardown = ci.job("teardown", "teardown", spawn.root, **{"inputs.name": "demo"})
    gone = teardown.step("Teardown")
    assert gone.code == 0, gone
    assert teardown.step("Keep").code == 0
    assert "terraform.tfstate.sops" not in str(ci.files)
    assert ci.branches == ["main"]

    # and no merge brings it back
    again = ci.job("spawn", "which")
    assert again.step("Which").code == 0
    assert again.outputs["names"] == "[]"
    left = ci.job("spawn", "spawn").step("Spawn")
    assert (left.code, "stays so" in left.out) == (0, True), left


@pytest.mark.timeout(200)
def test_a_failure_is_kept_and_told(slow: Ci) -> None:
    job = slow.job("spawn", "spawn")
    result = job.step("Spawn")
    assert result.code == 8, result
    assert "::error::" in result.out
    _masked_alone(result)
    assert job.step("Keep").code == 0
    assert '"event": "failed"' in slow.kept("journal.jsonl")
    assert "terraform.tfstate.sops" in str(slow.files)
    assert slow.branches == ["main"]


@pytest.mark.timeout(200)
def test_a_second_run_waits_on_this_machine_and_on_another(slow: Ci) -> None:
    slow.env["KEEP_EVERY"] = "3"  # a slow run must not look dead
    first = slow.job("spawn", "spawn")
    running = first.start("Spawn")
    _until(lambda: (first.root / "instances/demo/log").exists(), running)
    here = slow.job("spawn", "spawn", first.root)
    elsewhere = slow.job("spawn", "spawn")
    others = [here.start("Spawn"), elsewhere.start("Spawn")]
    # meanwhile somebody merges something else
    (slow.clone.root / "instances/demo/README").write_text("new\n")
    _push(slow, "Meanwhile")
    assert first.ended(running).code == 8
    told = here.ended(others[0]), elsewhere.ended(others[1])
    assert [one.code for one in told] == [8, 8], told
    assert "waiting: for a run in this clone" in told[0].out, told[0]
    assert "waiting: for the run behind barehub/demo" in told[1].out, told[1]
    assert all("nothing to change" in one.out for one in told), told
    assert slow.branches == ["main"]
    assert "instances/demo/README" in slow.files
    assert slow.kept("journal.jsonl").count('"event": "spawn"') == 3


@pytest.mark.timeout(200)
def test_a_cancelled_run_ends_in_order(slow: Ci) -> None:
    job = slow.job("spawn", "spawn")
    running = job.start("Spawn")
    _until(lambda: (job.root / "instances/demo/log").exists(), running)
    running.send_signal(signal.SIGINT)  # GitHub tells the first process alone
    result = job.ended(running)
    assert result.code == 130, result
    assert "terraform.tfstate.sops" in str(slow.files)
    assert '"event": "failed"' in slow.kept("journal.jsonl")


@pytest.mark.timeout(200)
def test_a_killed_run_is_kept_by_the_last_step(slow: Ci) -> None:
    job = slow.job("spawn", "spawn")
    running = job.start("Spawn")
    _until(lambda: "barehub/demo" in slow.branches and _begun(slow), running)
    _kill(job, running)
    kept = job.step("Keep")  # without a key
    assert kept.code == 0, kept
    assert '"event": "resource-start"' in slow.kept("journal.jsonl")
    assert slow.branches == ["main"]


@pytest.mark.timeout(200)
def test_plaintext_is_never_pushed(slow: Ci) -> None:
    job = slow.job("spawn", "spawn")
    (job.root / "secrets/demo.yaml").write_text(f"variables: {{token: {CANARY}}}\n")
    result = job.step("Spawn")
    assert result.code == 1, result
    assert "secrets/demo.yaml is not encrypted" in result.out
    assert CANARY not in slow.git("log", "-p", "--all")


@pytest.mark.timeout(200)
def test_what_a_dead_machine_left_is_taken_up(slow: Ci) -> None:
    job = slow.job("spawn", "spawn")
    running = job.start("Spawn")
    _until(lambda: "barehub/demo" in slow.branches and _begun(slow), running)
    _kill(job, running)
    assert "terraform.tfstate.sops" not in str(slow.files)
    nexts = slow.job("spawn", "spawn").step("Spawn")
    assert "found: barehub/demo, left by a run whose machine went away" in nexts.out, nexts
    assert nexts.code == 8, nexts
    assert "was cut off" in nexts.out or "cut-off" in slow.kept("journal.jsonl")
    assert slow.branches == ["main"]


@pytest.mark.timeout(200)
def test_two_that_changed_the_same_stop_before_either_is_lost(slow: Ci) -> None:
    job = slow.job("spawn", "spawn")
    running = job.start("Spawn")
    _until(lambda: (job.root / "instances/demo/log").exists(), running)
    (slow.clone.root / "instances/demo/journal.jsonl").write_text('{"at": 1, "event": "spawn"}\n')
    _push(slow, "Somebody spawned on a laptop")
    result = job.ended(running)
    assert result.code == 1, result
    assert "journal.jsonl was changed on main, too (the command ended with 8)" in result.out
    assert "::error::demo is not kept in git" in result.out
    assert "barehub/demo" in slow.branches
    assert "resource-done" in slow.git("show", "barehub/demo:instances/demo/journal.jsonl")


def _begun(ci: Ci) -> bool:
    branch = ("grep", "-c", "resource-start", "barehub/demo", "--", "instances/demo/journal.jsonl")
    return subprocess.run(("git", *branch), cwd=ci.remote, capture_output=True).returncode == 0


def _kill(job: Job, running: subprocess.Popen[str]) -> None:
    """With all that it has started."""
    os.killpg(running.pid, signal.SIGKILL)
    for pid in processes_from(job.root):
        os.kill(pid, signal.SIGKILL)
    running.communicate()


@pytest.mark.timeout(200)
def test_gitlab(slow: Ci, tmp_path: Path) -> None:
    """The runner is played by bash, which GitLab's runs as well."""
    jobs = yaml.safe_load((ROOT / "docs/how-to/ci/gitlab-ci.yml").read_text())
    root = checkout(slow.remote, tmp_path / "gitlab", slow.env)
    env = {**slow.env, "CI_DEFAULT_BRANCH": "main", "KEEP_BRANCH": "main", "SPAWN": ""}
    env["SOPS_AGE_KEY"] = slow.context["secrets.SOPS_AGE_KEY"]

    def run(script: list[str]) -> Result:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(script)],
            cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    api = {"CI_API_V4_URL": "https://git.example.org/api/v4", "CI_PROJECT_ID": "3"}
    env |= api | {"CI_MERGE_REQUEST_IID": "7", "GITLAB_TOKEN": "a-token"}
    planned = run(jobs["plan"]["script"])
    assert planned.code == 0, planned
    assert "\n### `demo`: 3 to create" in slow.asked or "\n### `demo`: 4 to create" in slow.asked
    first, header = slow.asked.splitlines()[:2]
    assert first.endswith("/projects/3/merge_requests/7/notes") and "a-token" not in first
    assert header == 'header = "PRIVATE-TOKEN: a-token"'
    spawned = run(jobs["spawn"]["script"])
    assert spawned.code == 8, spawned
    assert CANARY not in str(spawned)
    after = run(jobs[".run"]["after_script"])
    assert after.code == 0, after
    assert "terraform.tfstate.sops" in str(slow.files)
    down = run(jobs["verify"]["script"])
    assert down.code in (6, 8), down
    assert (root / "verify.xml").exists()
    torn = run([line.replace("$TEARDOWN", "demo") for line in jobs["teardown"]["script"]])
    assert torn.code == 0, torn
    assert "terraform.tfstate.sops" not in str(slow.files)
    assert slow.branches == ["main"]
