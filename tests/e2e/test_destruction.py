"""A teardown: planned as a whole, shown, agreed to, and held to that; or nothing is touched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cloud.providers import by_opentofu

from . import slow_cloud
from .conftest import Cli, Result, unseal
from .terminal import Terminal

CANARY = "CANARY-destruction-token"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
TEARDOWN = ("teardown", "--name", "demo", "--yes")

PROTECTED = """
resource "terraform_data" "volume" {
  for_each = toset(["a", "b c"])
  input    = "prevent_destroy = true"
  # prevent_destroy = true
  lifecycle {
    prevent_destroy = true
  }
}
resource "terraform_data" "mounted" {
  input = terraform_data.volume["a"].output
  lifecycle { prevent_destroy = true }
}
resource "terraform_data" "free" {
  lifecycle { prevent_destroy = false }
}
module "inner" {
  count  = 2
  source = "./inner"
}
"""

INNER = """
resource "terraform_data" "one" {
  input = "prevent_destroy only one of two has"
}

resource "terraform_data" "two" {
  lifecycle {
    ignore_changes  = [input]
    prevent_destroy = true
  }
}
"""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    return cli


def _append(cli: Cli, text: str, stage: str = "provider") -> Path:
    path = cli.instance("demo") / "modules" / stage / "main.tf"
    path.write_text(path.read_text() + text)
    return path


def _up(cli: Cli) -> None:
    result = cli(*SPAWN)
    assert result.code == 8, result  # nothing listens at this recipe's endpoint


def _untouched(cli: Cli) -> tuple[object, ...]:
    """What must be the same when nothing was done."""
    folder = cli.instance("demo")
    state = unseal(folder / "terraform.tfstate.sops")
    resources = sorted(f"{r.get('module')}.{r['type']}.{r['name']}" for r in state["resources"])
    journal = (folder / "journal.jsonl").read_text()
    files = sorted(p.name for p in folder.iterdir())
    return resources, state["serial"], journal, files


def _refused(result: Result, *told: str) -> None:
    assert result.code == 5, result
    assert "error: nothing was destroyed: " in result.err, result
    assert "destroyed  " not in result.err
    for text in told:
        assert text in result.err, result


@pytest.mark.parametrize("program", ["terraform", pytest.param("tofu", marks=pytest.mark.cloud)])
def test_everything_protected_is_named_before_anything_is_destroyed(
    ready: Cli, tmp_path: Path, program: str
) -> None:
    _use(ready, program, tmp_path)
    path = _append(ready, PROTECTED)
    (path.parent / "inner").mkdir()
    inner = path.parent / "inner" / "main.tf"
    inner.write_text(INNER)
    _up(ready)
    before = _untouched(ready)
    in_outer = f"instances/demo/modules/provider/main.tf:{_line(path, 'prevent_destroy = true', 3)}"
    in_inner = "instances/demo/modules/provider/inner/main.tf:9"
    mounted = f"instances/demo/modules/provider/main.tf:{_line(path, 'prevent_destroy = true }')}"
    told = (
        f'module.provider.terraform_data.volume["a"] ({in_outer})',
        f'module.provider.terraform_data.volume["b c"] ({in_outer})',
        f"module.provider.terraform_data.mounted ({mounted})",
        f"module.provider.module.inner[0].terraform_data.two ({in_inner})",
        f"module.provider.module.inner[1].terraform_data.two ({in_inner})",
        f"hint: take prevent_destroy out of {in_outer}, if it may be destroyed",
        "hint: invoke terraform --name demo -- state rm ",
    )
    refused = ready(*TEARDOWN)
    _refused(refused, *told)
    for other in ("terraform_data.one", "terraform_data.free", "terraform_data.ip"):
        assert other not in refused.err
    assert _untouched(ready) == before
    shown = ready("plan", "--name", "demo", "--destroy")
    assert shown.code == 5 and told[0] in shown.err, shown

    # a part of it may go, the rest is kept outside
    text = path.read_text()
    path.write_text(text.replace("  lifecycle { prevent_destroy = true }\n", ""))
    kept = [
        'module.provider.terraform_data.volume["a"]',
        'module.provider.terraform_data.volume["b c"]',
        "module.provider.module.inner[0].terraform_data.two",
        "module.provider.module.inner[1].terraform_data.two",
    ]
    assert ready("terraform", "--name", "demo", "--", "state", "rm", *kept).code == 0
    done = ready(*TEARDOWN)
    assert done.code == 0, done


def _use(cli: Cli, program: str, tmp_path: Path) -> None:
    if program == "tofu":
        by_opentofu(cli, tmp_path / "tools")


def _line(path: Path, text: str, which: int = 1) -> int:
    numbers = [n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line]
    return numbers[which - 1]


def test_a_protected_resource_of_a_fetched_module(ready: Cli, tmp_path: Path) -> None:
    module = ready.instance("demo") / "modules" / "dns"
    repository = tmp_path / "dns.git"
    module.rename(repository)
    text = (repository / "main.tf").read_text()
    protected = text.replace(
        "  input = ", "  lifecycle {\n    prevent_destroy = true\n  }\n  input = "
    )
    (repository / "main.tf").write_text(protected)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x.x"]):
        more = ["commit", "-qm", "one"] if command[0] == "-c" else []
        subprocess.run(["git", "-C", repository, *command, *more], check=True)
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text().replace("./modules/dns", f"git::file://{repository}"))
    _up(ready)
    file = "instances/demo/.terraform/modules/dns/main.tf"
    _refused(ready(*TEARDOWN), f"terraform_data.record ({file}:6)", "a fetched module")
    # the copy is what this teardown reads
    copy = ready.root / file
    copy.write_text(copy.read_text().replace("prevent_destroy = true", ""))
    assert ready(*TEARDOWN).code == 0


def test_a_protected_resource_is_not_replaced_either(ready: Cli) -> None:
    path = _append(ready, PROTECTED.partition("module")[0])
    _up(ready)
    before = _untouched(ready)
    replaced = '  for_each = toset(["a", "b c"])\n  triggers_replace = "new"\n'
    text = path.read_text().replace('  for_each = toset(["a", "b c"])\n', replaced)
    path.write_text(text.replace('"echo provider', '"echo anew'))
    for result in (ready(*SPAWN, "--yes"), ready("plan", "--name", "demo")):
        assert result.code == 5, result
        assert "prevent_destroy protects what would be destroyed: " in result.err
        assert (
            'terraform_data.volume["b c"] (instances/demo/modules/provider/main.tf:' in result.err
        )
        assert "take back what changed" in result.err
    assert _untouched(ready)[:2] == before[:2]


@pytest.mark.cloud
def test_opentofu_decides_by_a_variable(ready: Cli, tmp_path: Path) -> None:
    _use(ready, "tofu", tmp_path)
    text = 'variable "keep" {\n  default = true\n}\nresource "terraform_data" "kept" {\n'
    path = _append(ready, text + "  lifecycle { prevent_destroy = var.keep }\n}\n")
    _up(ready)
    _refused(
        ready(*TEARDOWN),
        "module.provider.terraform_data.kept (instances/demo/modules/provider/main.tf:"
        f"{_line(path, 'var.keep')})",
    )
    path.write_text(path.read_text().replace("default = true", "default = false"))
    assert ready(*TEARDOWN).code == 0


CONDITION = """
output "checked" {
  value = terraform_data.ip.output
  precondition {
    condition     = !fileexists("${path.root}/closed")
    error_message = "it is closed"
  }
}
"""
UNREADABLE = """
data "terraform_remote_state" "other" {
  count   = fileexists("${path.root}/closed") ? 1 : 0
  backend = "local"
  config  = { path = "nowhere" }
}
"""


@pytest.mark.parametrize("text", [CONDITION, UNREADABLE], ids=["condition", "data source"])
def test_what_fails_in_the_last_stage_stops_it_before_the_first(ready: Cli, text: str) -> None:
    _append(ready, text)
    _up(ready)
    before = _untouched(ready)
    (ready.instance("demo") / "closed").touch()
    _refused(ready(*TEARDOWN), "modules/provider/main.tf:")
    (ready.instance("demo") / "closed").unlink()
    assert _untouched(ready) == before
    assert ready(*TEARDOWN).code == 0


def test_a_plan_of_the_destruction_does_nothing(ready: Cli) -> None:
    none = ready("plan", "--name", "demo", "--destroy")
    assert (none.code, none.out) == (0, "demo: there is no state: nothing to destroy\n"), none
    _up(ready)
    before = _untouched(ready)
    shown = ready("plan", "--name", "demo", "--destroy")
    assert shown.code == 0, shown
    assert shown.out.splitlines()[0] == "demo: 4 to destroy"
    assert "provider: destroy: module.provider.terraform_data.ip; loses the public" in shown.out
    document = json.loads(ready("plan", "--name", "demo", "--destroy", "--json").out)
    assert document["counts"] == {"create": 0, "update": 0, "replace": 0, "delete": 4}
    markdown = ready("plan", "--name", "demo", "--destroy", "--markdown").out
    assert "**What is lost**" in markdown and CANARY not in markdown
    assert _untouched(ready) == before


def test_what_goes_is_shown_before_it_is_asked_and_no_leaves_nothing(ready: Cli) -> None:
    _up(ready)
    before = _untouched(ready)
    for answer, code in (("no\n", 1), ("\n", 1), ("\x03", 130), ("\x04", 1)):
        terminal = Terminal(ready, "teardown", "--name", "demo")
        terminal.expect("type its name to go on:")
        assert "4 to destroy" in terminal.text
        assert "destroy  module.dns.terraform_data.record" in terminal.text
        assert "loses the public address" in terminal.text
        other = ready(*TEARDOWN)
        assert other.code == 1 and "teardown" in other.err, other  # it says who has it
        terminal.type(answer)
        assert terminal.end() == code, terminal.text
        assert _untouched(ready) == before
        assert not (ready.instance("demo") / ".lock").exists()
    asked = ready("teardown", "--name", "demo")
    assert asked.code == 1, asked
    assert "hint: invoke plan --name demo --destroy" in asked.err
    assert _untouched(ready) == before
    done = ready(*TEARDOWN)
    assert done.code == 0, done
    assert done.err.index("4 to destroy") < done.err.index("1 destroyed")


def test_only_what_was_shown_is_destroyed(ready: Cli, runtime_dir: Path) -> None:
    """A backend without a lock lets others write a state: played by a write into the session."""
    _up(ready)
    terminal = Terminal(ready, "teardown", "--name", "demo")
    terminal.expect("type its name to go on:")
    (plain,) = runtime_dir.rglob("terraform.tfstate")
    state = json.loads(plain.read_text())
    hub = next(r for r in state["resources"] if r["name"] == "hub")
    state["resources"].append({**hub, "name": "another"})
    state["serial"] += 1
    plain.write_text(json.dumps(state))
    terminal.type("demo\n")
    assert terminal.end() == 5, terminal.text
    said = " ".join(terminal.text.split())
    assert "would now destroy module.binderhub.terraform_data.another" in said
    assert "hint: invoke plan --name demo --destroy" in said
    assert "destroyed " not in said


def test_a_state_that_was_lost_is_shown_from_the_journal(ready: Cli) -> None:
    _up(ready)
    (ready.instance("demo") / "terraform.tfstate.sops").unlink()
    lost = ready(*TEARDOWN)
    assert lost.code == 5 and "--recover" in lost.err, lost
    journal = (ready.instance("demo") / "journal.jsonl").read_text()
    terminal = Terminal(ready, "teardown", "--name", "demo", "--recover")
    terminal.expect("type its name to go on:")
    said = " ".join(terminal.text.split())
    assert "4 to destroy" in said and "is not in the state: it is imported" in said
    terminal.type("no\n")
    assert terminal.end() == 1
    assert (ready.instance("demo") / "journal.jsonl").read_text() == journal
    done = ready(*TEARDOWN, "--recover")
    assert done.code == 0, done
    assert "✓ recover" in done.err and "4 to destroy" in done.err


COUNTED = """
variable "domain" {}
variable "public_ip" {}
resource "terraform_data" "record" {
  for_each = toset([var.public_ip])
}
output "domain" { value = var.domain }
"""


def test_a_half_made_hub_whose_rest_cannot_be_counted_is_destroyed(ready: Cli) -> None:
    (ready.instance("demo") / "modules" / "dns" / "main.tf").write_text(COUNTED)
    _append(ready, 'resource "terraform_data" "more" {\n  input = terraform_data.machine.id\n}\n')
    provider = ready.instance("demo") / "modules" / "provider" / "main.tf"
    text = provider.read_text().replace(
        'resource "terraform_data" "ip" { input = "127.0.0.1" }',
        'resource "terraform_data" "ip" {\n  input = terraform_data.machine.id\n}',
    )
    provider.write_text(text.replace("; true", "; false"))
    failed = ready(*SPAWN)
    assert failed.code == 5, failed
    done = ready(*TEARDOWN)
    assert done.code == 0, done
    assert "1 to destroy" in done.err


def test_keys_that_only_a_stage_tells_do_not_stop_a_teardown_at_its_end(ready: Cli) -> None:
    _append(
        ready,
        """
output "keys" {
  value = toset([for i in range(length(terraform_data.ip.id) > 3 ? 1 : 0) : "n${i}"])
}
""",
    )
    recipe = ready.instance("demo") / "main.tf"
    text = 'resource "terraform_data" "rest" {\n  for_each = module.provider.keys\n}\n'
    recipe.write_text(recipe.read_text() + text)
    _up(ready)
    done = ready(*TEARDOWN)
    assert done.code == 0, done
