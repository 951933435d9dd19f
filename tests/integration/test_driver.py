"""The driver and the state, on the real terraform. Sealing is handed in: here it is a plain copy,
so that the tests can look inside; the vault's own is tested with the vault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from barehub import process
from barehub.console import console
from barehub.errors import BarehubError, Interrupted, NotReadyError, RecipeError, TerraformError
from barehub.process import Interruptions
from barehub.project import Project
from barehub.terraform import deadline
from barehub.terraform.driver import Terraform
from barehub.terraform.state import State

STAGED = """
variable "secret" { sensitive = true }
module "provider" { source = "./provider" }
module "dns" {
  source    = "./dns"
  public_ip = module.provider.public_ip
  secret    = var.secret
}
"""

PROVIDER = """
resource "terraform_data" "ip" { input = "192.0.2.7" }
output "public_ip" { value = terraform_data.ip.output }
"""

DNS = """
variable "public_ip" {}
variable "secret" {}
resource "terraform_data" "record" {
  input = var.public_ip
  provisioner "local-exec" {
    command     = "COMMAND"
    environment = { SECRET = var.secret }
  }
}
resource "terraform_data" "copy" { input = var.secret }
"""


class Bench:
    """A root with two stages, a session folder beside it, and a driver."""

    def __init__(self, root: Path, command: str = "true") -> None:
        self.folder, self.scratch = root / "demo", root / "session"
        for name, text in (("provider", PROVIDER), ("dns", DNS.replace("COMMAND", command))):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "main.tf").write_text(text)
        (self.folder / "main.tf").write_text(STAGED)
        self.scratch.mkdir(mode=0o700)
        variables = self.scratch / "secrets.tfvars.json"
        variables.write_text(json.dumps({"secret": "CANARY-driver"}))
        self.sealed = self.folder / "terraform.tfstate.sops"
        self.seals: list[float] = []
        self.state = State(self.scratch / "terraform.tfstate", self.sealed, self._seal)
        self.interruptions = Interruptions()
        self.told: list[tuple[str, str]] = []
        self.terraform = Terraform(
            tool=Project(root).terraform,
            folder=self.folder,
            scratch=self.scratch,
            state=self.state,
            env=process.environment(),
            interruptions=self.interruptions,
            variables=str(variables),
            notice=self._notice,
        )
        self.terraform.init()

    def _notice(self, kind: str, address: str, action: str, id: str) -> None:
        self.told.append((kind, address))

    def _seal(self, content: bytes, target: Path) -> None:
        self.seals.append(time.monotonic())
        target.write_bytes(content)

    def up(self) -> None:
        for stage in ("provider", "dns"):
            path, _ = self.terraform.plan(stage, target=f"module.{stage}")
            self.terraform.apply(stage, path)


@pytest.fixture
def bench(tmp_path: Path, own_home: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def bench_of(tmp_path: Path, own_home: Path) -> Callable[[str], Bench]:
    return lambda command: Bench(tmp_path, command)


def test_stages_are_applied_from_saved_plans_and_converge(bench: Bench) -> None:
    bench.up()
    _, rest = bench.terraform.plan("rest")
    assert rest.empty
    assert bench.state.resources() == [
        "module.dns.terraform_data.copy",
        "module.dns.terraform_data.record",
        "module.provider.terraform_data.ip",
    ]
    assert ("done", "module.dns.terraform_data.record") in bench.told


def test_only_the_session_holds_plaintext_and_only_for_us(bench: Bench) -> None:
    bench.up()
    holding = [
        path
        for root in (bench.folder, bench.scratch)
        for path in root.rglob("*")
        if path.is_file() and b"CANARY-driver" in path.read_bytes()
    ]
    assert holding
    assert all(path.is_relative_to(bench.scratch) for path in holding if path != bench.sealed)
    for path in bench.scratch.iterdir():
        if path.name.startswith("terraform.tfstate") or path.suffix == ".tfplan":
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_sealed_state_goes_on_where_it_was(bench: Bench) -> None:
    bench.up()
    assert bench.state.close()
    bench.state.plain.unlink()
    (bench.scratch / "sealed.sha256").unlink()
    again = State(bench.state.plain, bench.sealed, bench._seal)
    again.open(Path.read_bytes)
    assert not again.close()
    _, rest = bench.terraform.plan("rest")
    assert rest.empty


def test_destroy_in_reverse_leaves_an_empty_state_and_no_seal(bench: Bench) -> None:
    bench.up()
    bench.state.close()
    for target in ("module.dns", "module.provider", ""):
        path, _ = bench.terraform.plan("down", target=target, destroy=True)
        bench.terraform.apply("down", path)
    assert bench.state.resources() == []
    assert bench.state.close()
    assert not bench.sealed.exists()


def test_the_state_is_sealed_while_terraform_runs(tmp_path: Path, own_home: Path) -> None:
    bench = Bench(tmp_path, "sleep 4")
    if bench.terraform.tool.name == "tofu":
        pytest.skip("OpenTofu writes its state every 20 s at most, Terraform with every change")
    path, _ = bench.terraform.plan("all")
    started = time.monotonic()
    bench.terraform.apply("all", path)
    ended = time.monotonic()
    assert any(at - started < ended - started - 1 for at in bench.seals)
    assert "192.0.2.7" in bench.sealed.read_text()


def test_a_torn_state_never_replaces_a_sealed_one(bench: Bench) -> None:
    bench.up()
    bench.state.close()
    whole = bench.sealed.read_bytes()
    bench.state.plain.write_bytes(whole[:200])
    bench.state.close()
    assert bench.sealed.read_bytes() == whole
    assert (bench.folder / "terraform.tfstate.torn.sops").read_bytes() == whole[:200]


def test_a_failed_stage_says_why_without_the_secret(
    tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console.hide({"secret": "CANARY-driver"})
    bench = Bench(tmp_path, "echo it is $SECRET; exit 3")
    with pytest.raises(TerraformError, match="stage dns: local-exec provisioner error"):
        bench.up()
    said = capsys.readouterr().err
    assert "exit status 3" in said
    assert "CANARY" not in said
    assert "module.provider.terraform_data.ip" in bench.state.resources()


def test_a_missing_module_folder_is_terraforms_own_error(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.folder / "main.tf").write_text('module "provider" {\n  source = "./nowhere"\n}\n')
    with pytest.raises(TerraformError, match="terraform init failed"):
        bench.terraform.init()
    assert "nowhere" in capsys.readouterr().err


def test_terraform_is_never_left_alone_whatever_fails_beside_it(
    tmp_path: Path, own_home: Path
) -> None:
    bench = Bench(tmp_path, "sleep 2; echo done >> ${path.root}/log")

    def fail(kind: str, address: str, action: str, id: str) -> None:
        raise BarehubError("the journal cannot be written")

    path, _ = bench.terraform.plan("all")
    bench.terraform.notice = fail
    with pytest.raises(BarehubError, match="journal cannot be written"):
        bench.terraform.apply("all", path)
    assert "module.provider.terraform_data.ip" in bench.state.resources()
    if not (bench.folder / "log").exists():  # it was interrupted, and the state says so
        found = [i for r in _resources(bench) if r["name"] == "record" for i in r["instances"]]
        assert all(instance.get("status") == "tainted" for instance in found)


def _resources(bench: Bench) -> list[Any]:
    resources: list[Any] = json.loads(bench.state.plain.read_text())["resources"]
    return resources


INTERRUPTED = """
import pathlib, sys
sys.path.insert(0, {tests!r})
from test_driver import Bench
from barehub.errors import Interrupted
bench = Bench(pathlib.Path({root!r}), "echo started > {root}/started; sleep 3")
try:
    with bench.interruptions.installed():
        bench.up()
except Interrupted:
    bench.state.close()
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_terraform_in_order(
    tmp_path: Path, own_home: Path, number: signal.Signals
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    program = INTERRUPTED.format(tests=str(Path(__file__).parent), root=str(root))
    run = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    while not (root / "started").exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == Interrupted.exit_code
    assert "terraform is asked to stop" in said
    sealed = json.loads((root / "demo" / "terraform.tfstate.sops").read_text())
    status = {r["name"]: r["instances"][0].get("status") for r in sealed["resources"]}
    assert status["record"] == "tainted"


DEAF = "trap '' INT TERM; echo begun > ${path.root}/begun; sleep 60 & wait; sleep 60"


def test_a_command_that_takes_too_long_is_stopped_in_order(
    bench_of: Callable[[str], Bench],
) -> None:
    bench = bench_of("sleep 60")
    bench.terraform.seconds = 2
    started = time.monotonic()
    with pytest.raises(NotReadyError, match="stage dns: terraform apply did not end within 2 s"):
        bench.up()
    assert time.monotonic() - started < 30
    assert ("failed", "module.dns.terraform_data.record") in bench.told
    assert "module.dns.terraform_data.record" in bench.state.resources()  # and tainted
    assert not bench.interruptions.count


def test_what_does_not_heed_it_is_left(
    bench_of: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "GRACE_SECONDS", 2.0)
    bench = bench_of(DEAF)
    bench.terraform.seconds = 2
    started = time.monotonic()
    with pytest.raises(NotReadyError):
        bench.up()
    assert time.monotonic() - started < 30
    assert (bench.folder / "begun").exists()
    assert "module.provider.terraform_data.ip" in bench.state.resources()


def test_a_sleeping_machine_costs_nothing(bench_of: Callable[[str], Bench]) -> None:
    """A suspended process is as near as a test comes to a closed lid."""
    bench = bench_of("echo begun > ${path.root}/begun; sleep 3")
    sleeper = subprocess.Popen(
        [
            "sh",
            "-c",
            f"while ! test -e {bench.folder}/begun; do sleep 0.05; done; "
            f"kill -STOP {os.getpid()}; sleep 2; kill -CONT {os.getpid()}",
        ],
    )
    bench.up()
    sleeper.wait()
    assert not bench.terraform.plan("rest")[1].planned


def test_a_provider_that_nobody_built_for_this_machine_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (bench.folder / "more.tf").write_text('data "template_file" "x" { template = "x" }\n')
    built = tmp_path / "mirror/registry.terraform.io/hashicorp/template/2.2.0/plan9_mips"
    built.mkdir(parents=True)
    (built / "terraform-provider-template_v2.2.0").write_text("")
    config = tmp_path / "rc"
    mirror = f'filesystem_mirror {{\n    path = "{tmp_path}/mirror"\n  }}'
    config.write_text(f"provider_installation {{\n  {mirror}\n}}\n")
    bench.terraform.env["TF_CLI_CONFIG_FILE"] = str(config)
    with pytest.raises(RecipeError, match=r"hashicorp/template v2\.2\.0 has no build for [a-z]+_"):
        bench.terraform.init()
