"""`invoke check`, and the same as the first step of a spawn."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints import JSON, ROOT, Servers, issue, routes

from tests.neurolibre import AUTHOR

from . import slow_cloud
from .conftest import Cli


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-preflight").code == 0
    return cli


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with Servers(tmp_path) as running:
        yield running


def _break(cli: Cli) -> None:
    recipe = cli.instance("demo") / "main.tf"
    text = recipe.read_text().replace("module.dns.domain", "module.dns.domian")
    recipe.write_text(text.replace('module "dns" {', 'module "dns" {\n  zoned = "x"'))


def test_a_recipe_in_order(ready: Cli) -> None:
    result = ready("check")  # the only instance there is
    assert result.code == 0, result
    assert "nothing stands in the way" in result.err and result.out == ""
    assert not (ready.instance("demo") / "journal.jsonl").exists()
    assert not list(ready.instance("demo").glob("barehub*"))


def test_the_local_recipe_is_in_order_before_its_secrets_are_made(cli: Cli) -> None:
    cli.instance("demo").mkdir(parents=True)
    shutil.copy(cli.root / "terraform" / "recipes" / "local.tf", cli.instance("demo") / "main.tf")
    assert cli("vault.init").code == 0
    before = (cli.root / "secrets" / "shared.yaml").read_bytes()
    result = cli("check", "--name", "demo", "--strict")
    assert result.code == 0, result
    assert (cli.root / "secrets" / "shared.yaml").read_bytes() == before
    assert not (cli.root / "secrets" / "demo.yaml").exists()


def test_all_is_said_at_once_and_nothing_is_made(ready: Cli) -> None:
    _break(ready)
    result = ready("spawn", "--name", "demo")
    assert result.code == 2, result
    assert "dns: its module takes no argument zoned" in result.err
    assert "did you mean module.dns.domain?" in result.err
    assert "hint: invoke check --name demo" in result.err
    assert "terraform init" not in result.err and "CANARY" not in result.err
    assert not (ready.instance("demo") / ".terraform").exists()
    assert not (ready.instance("demo") / "terraform.tfstate.sops").exists()
    assert ready("check", "--name", "demo").code == 2


def test_for_a_script(ready: Cli) -> None:
    _break(ready)
    result = ready("check", "--name", "demo", "--json")
    assert result.code == 2, result
    document = json.loads(result.out)
    assert document["instance"] == "demo" and document["verdict"] == "fail"
    found = document["findings"][0]
    assert found["id"] == "argument.unknown" and found["severity"] == "error"
    assert found["where"] == "instances/demo/main.tf:7" and found["fixes"]


def test_a_warning_is_a_failure_when_strict(ready: Cli) -> None:
    recipe = ready.instance("demo") / "main.tf"
    clear = recipe.read_text() + 'locals {\n  password = "CANARY-in-clear"\n}\n'
    recipe.write_text(clear)
    result = ready("check", "--name", "demo")
    assert result.code == 0, result
    assert "warning: instances/demo/main.tf:" in result.err
    assert "password is a secret in clear" in result.err
    strict = ready("check", "--name", "demo", "--strict", "--json")
    assert strict.code == 2 and json.loads(strict.out)["verdict"] == "fail"
    assert "CANARY" not in result.err + strict.err + strict.out


def test_without_the_key_of_the_vault(ready: Cli) -> None:
    shutil.rmtree(Path(os.environ["HOME"]) / ".config")
    result = ready("check", "--name", "demo")
    assert result.code == 0, result
    assert "not seen: what the vault holds" in result.err
    assert "no age identity" in result.err
    _break(ready)
    result = ready("check", "--name", "demo")
    assert result.code == 2 and "takes no argument zoned" in result.err, result


def test_github_shows_it_at_its_line(ready: Cli) -> None:
    _break(ready)
    ready.env["GITHUB_ACTIONS"] = "true"
    result = ready("check", "--name", "demo")
    assert "::error file=instances/demo/main.tf,line=7::argument.unknown: " in result.err, result


def test_modules_from_a_registry_from_git_and_from_a_folder(
    ready: Cli, servers: Servers, tmp_path: Path
) -> None:
    """The registry is a real one as Terraform sees it: TLS, its protocol, an archive in git."""
    modules = ready.instance("demo") / "modules"
    elsewhere = tmp_path / "elsewhere"
    shutil.move(modules / "provider", elsewhere / "provider")
    shutil.move(modules / "dns", elsewhere / "dns")
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Modules"]):
        subprocess.run(["git", *args], cwd=elsewhere, env=os.environ | AUTHOR, check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=elsewhere, text=True).strip()
    place = f"git::file://{elsewhere}//provider?ref={commit}"
    versions = json.dumps({"modules": [{"versions": [{"version": "1.0.0"}, {"version": "1.2.0"}]}]})
    registry = {
        "/.well-known/terraform.json": (200, JSON, '{"modules.v1": "/v1/"}'),
        "/v1/ours/provider/bare/versions": (200, JSON, versions),
        "/v1/ours/provider/bare/1.0.0/download": (204, f"{JSON}\r\nX-Terraform-Get: {place}", ""),
    }
    port = servers.start(routes(registry), (issue(ROOT, sans=("127.0.0.1",)),))
    ready.env["SSL_CERT_FILE"] = str(servers.ca)
    recipe = ready.instance("demo") / "main.tf"
    text = recipe.read_text().replace(
        '"./modules/provider"', f'"127.0.0.1:{port}/ours/provider/bare"\n  version = "1.0.0"'
    )
    recipe.write_text(text.replace("./modules/dns", f"git::file://{elsewhere}//dns?ref={commit}"))

    assert ready("check", "--name", "demo", "--strict").code == 0
    result = ready("spawn", "--name", "demo", "--timeout", "1")
    assert result.code == 8, result  # nothing answers at the endpoint of these modules
    log = (ready.instance("demo") / "log").read_text().split()
    assert log == ["provider", "dns", "binderhub"]
    assert ready("teardown", "--name", "demo", "--yes").code == 0

    recipe.write_text(recipe.read_text().replace('version = "1.0.0"', 'version = "~> 1.0.0"'))
    result = ready("check", "--name", "demo", "--strict")
    assert result.code == 2 and "provider: its source takes any version ~> 1.0.0" in result.err
    recipe.write_text(recipe.read_text().replace("ours/provider", "ours/povider"))
    result = ready("check", "--name", "demo")
    said = '127.0.0.1: Module "provider" (from main.tf:2) cannot be found in the module registry'
    assert result.code == 2 and f"cannot be fetched from {said}" in result.err, result
