"""The files of docs/how-to/ci, looked at by actionlint, shellcheck and the published schemas."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = sorted((ROOT / "docs/how-to/ci/github").glob("*.yml"))
GITLAB = ROOT / "docs/how-to/ci/gitlab-ci.yml"

PINNED = r"[\w/-]+@[0-9a-f]{40} # v[\d.]+"

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
"""Built by Go, which checks its sum: PyPI's package fetches a program while it is installed."""


@pytest.fixture(scope="session")
def actionlint() -> Path:
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    place = ROOT / ".tools" / "actionlint-1.7.12"
    if not (place / "actionlint").exists():
        if not go:
            pytest.skip("actionlint is built with Go, which is not installed")
        env = {**os.environ, "GOBIN": str(place), "GOFLAGS": "-mod=mod"}
        subprocess.run([go, "install", ACTIONLINT], env=env, check=True, timeout=300)
    return place / "actionlint"


def _checked(*argv: str | Path) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(400)
def test_actionlint_and_the_shellcheck_within(actionlint: Path, tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    assert shellcheck and GITHUB
    _checked(actionlint, "-shellcheck", shellcheck, *GITHUB)
    bad = tmp_path / "bad.yml"
    bad.write_text(GITHUB[0].read_text().replace("$(./scripts", "$(ls $HOME; ./scripts"))
    with pytest.raises(AssertionError, match="SC2086"):
        _checked(actionlint, "-shellcheck", shellcheck, bad)


@pytest.mark.parametrize(
    ("schema", "files"), [("github-workflows", GITHUB), ("gitlab-ci", [GITLAB])]
)
def test_published_schema(schema: str, files: list[Path]) -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    _checked(check, "--builtin-schema", f"vendor.{schema}", *files)


def _gitlab() -> dict[str, Any]:
    return yaml.safe_load(GITLAB.read_text())  # type: ignore[no-any-return]


def test_gitlab_scripts_by_shellcheck(tmp_path: Path) -> None:
    jobs = {name: job for name, job in _gitlab().items() if isinstance(job, dict)}
    scripts = [
        (name, part, "\n".join(job[part]))
        for name, job in jobs.items()
        for part in ("script", "after_script")
        if part in job
    ]
    assert len(scripts) == 6
    for name, part, text in scripts:
        file = tmp_path / f"{name}-{part}"
        file.write_text(f"#!/bin/bash\nset -eo pipefail\n{text}\n")
        _checked("shellcheck", file)


PAGE = (ROOT / "docs/how-to/ci.md").read_text()
STEP, VARIABLES, KEYLESS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
KEY = "          SOPS_AGE_KEY: ${{ secrets.SOPS_AGE_KEY }}\n"
KEEP = "      - name: Keep\n        if: always()\n"


@pytest.mark.timeout(400)
def test_github_without_a_key(actionlint: Path, tmp_path: Path) -> None:
    """Each workflow as the page has a person change it."""
    made = []
    for file in GITHUB:
        text = file.read_text()
        if KEY not in text:
            continue
        before = text.rindex("      - name:", 0, text.index(KEY))
        text = text[:before] + STEP + text[before:].replace(KEY, VARIABLES)
        text = text.replace(KEEP, f"{KEEP}        env:\n{VARIABLES}")
        text = text.replace("permissions:\n", "permissions:\n  id-token: write\n")
        made.append(tmp_path / file.name)
        made[-1].write_text(text)
        assert "SOPS_AGE_KEY" not in text
        for line in re.findall(r"uses: (.*)", text):
            assert re.fullmatch(PINNED, line), line
    assert [file.stem for file in made] == ["plan", "spawn", "teardown"]
    shellcheck = shutil.which("shellcheck")
    assert shellcheck
    _checked(actionlint, "-shellcheck", shellcheck, *made)
    check = Path(sys.executable).with_name("check-jsonschema")
    _checked(check, "--builtin-schema", "vendor.github-workflows", *made)


def test_gitlab_without_a_key(tmp_path: Path) -> None:
    text = f"{GITLAB.read_text()}\n{KEYLESS}"
    for name in ("plan", ".run"):
        text = text.replace(f"\n{name}:\n", f"\n{name}:\n  extends: .keyless\n")
    (tmp_path / "gitlab-ci.yml").write_text(text)
    check = Path(sys.executable).with_name("check-jsonschema")
    _checked(check, "--builtin-schema", "vendor.gitlab-ci", tmp_path / "gitlab-ci.yml")
    jobs = yaml.safe_load(text)
    assert {jobs[name]["extends"] for name in ("plan", ".run")} == {".keyless"}
    keyless = jobs[".keyless"]
    token = tmp_path / "token"
    env = {**os.environ, "AWS_ID_TOKEN": "CANARY.a.b", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    subprocess.run(["bash", "-c", "\n".join(keyless["before_script"])], env=env, check=True)
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("CANARY.a.b", 0o600)
    file = tmp_path / "before_script"
    file.write_text("#!/bin/bash\n" + "\n".join(keyless["before_script"]) + "\n")
    _checked("shellcheck", file)


class Issues(ThreadingHTTPServer):
    """GitLab's issues, as its API has them (docs.gitlab.com/api/issues); GitLab itself is not here.

    ``open`` is by number: labels, description, notes.
    """

    def __init__(self) -> None:
        self.open: dict[int, tuple[str, str, list[str]]] = {}
        self.tokens: set[str | None] = set()
        self.count = 0
        super().__init__(("127.0.0.1", 0), GitLab)


class GitLab(BaseHTTPRequestHandler):
    server: Issues

    def do_GET(self) -> None:
        assert self.path == "/projects/3/issues?labels=hub-down&state=opened"
        found = [
            {"iid": iid} for iid, one in self.server.open.items() if "hub-down" in one[0].split(",")
        ]
        self._say(found)

    def do_POST(self) -> None:
        fields = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if noted := re.fullmatch(r"/projects/3/issues/(\d+)/notes", self.path):
            self.server.open[int(noted[1])][2].append(fields["body"])
        else:
            assert self.path == "/projects/3/issues" and fields["title"]
            self.server.count += 1
            labels, notes = fields.get("labels", ""), list[str]()
            self.server.open[self.server.count] = labels, fields["description"], notes
        self._say({})

    def do_PUT(self) -> None:
        assert self.rfile.read(int(self.headers["Content-Length"])) == b"state_event=close"
        del self.server.open[int(self.path.removeprefix("/projects/3/issues/"))]
        self._say({})

    def _say(self, said: object) -> None:
        self.server.tokens.add(self.headers["PRIVATE-TOKEN"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_gitlab_has_one_issue_while_a_hub_is_not_right() -> None:
    server = Issues()
    thread = Thread(target=server.serve_forever)
    thread.start()

    def night(status: str, number: int) -> None:
        env = os.environ | {
            "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}",
            "CI_PROJECT_ID": "3",
            "CI_JOB_STATUS": status,
            "CI_JOB_URL": f"https://git.example.org/jobs/{number}?a=b&c",
            "GITLAB_TOKEN": "CANARY-token",
        }
        script = "\n".join(_gitlab()["verify"]["after_script"])
        argv = ["bash", "-eo", "pipefail", "-xc", script]
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True)
        assert done.returncode == 0, done
        for line in done.stderr.splitlines():  # what a process is told: no token, but to printf
            assert b"CANARY" not in line or line.split()[1:2] == [b"printf"], line

    try:
        server.open[90] = "other", "somebody else's", []
        server.count = 90
        night("success", 1)
        assert list(server.open) == [90]
        night("failed", 2)
        night("canceled", 3)
        night("failed", 4)
        jobs = "https://git.example.org/jobs"
        assert server.open[91] == ("hub-down", f"{jobs}/2?a=b&c", [f"{jobs}/4?a=b&c"])
        night("success", 5)
        assert list(server.open) == [90]
        night("failed", 6)
        assert list(server.open) == [90, 92]
        assert server.tokens == {"CANARY-token"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_actions_are_pinned_by_commit() -> None:
    used = [line for file in GITHUB for line in re.findall(r"uses: (.*)", file.read_text())]
    assert used
    assert [line for line in used if not re.fullmatch(PINNED, line)] == []


def test_the_key_is_in_no_step_that_runs_anything_else() -> None:
    told = [
        (file.stem, step["name"])
        for file in GITHUB
        for job in yaml.safe_load(file.read_text())["jobs"].values()
        for step in [{"name": "the job", "env": job.get("env", {})}, *job["steps"]]
        if "SOPS_AGE_KEY" in step.get("env", {})
    ]
    assert told == [("plan", "Plan"), ("spawn", "Spawn"), ("teardown", "Teardown")]


def test_one_run_at_a_time_has_an_instance() -> None:
    jobs = {
        file.stem: yaml.safe_load(file.read_text())["jobs"].get(file.stem, {}) for file in GITHUB
    }
    groups = {name: jobs[name]["concurrency"] for name in ("spawn", "teardown")}
    assert {one["cancel-in-progress"] for one in groups.values()} == {False}
    assert groups["spawn"]["group"] == "barehub-${{ matrix.name }}"
    assert groups["teardown"]["group"] == "barehub-${{ inputs.name }}"
    gitlab = _gitlab()
    assert gitlab[".run"]["resource_group"] == "barehub"
    assert {gitlab[name]["extends"] for name in ("spawn", "teardown")} == {".run"}
