"""One clear error with a hint and the right exit code for each thing that a person gets wrong."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from . import slow_cloud
from .conftest import Cli


def _fails(cli: Cli, code: int, said: str, *args: str, hint: str = "", input: str = "") -> None:
    result = cli(*args, input=input)
    assert result.code == code, result
    assert said in result.err, result
    assert "error: " in result.err, result
    assert "Traceback" not in result.err, result
    assert result.out == "", result
    if hint:
        assert f"hint: {hint}" in result.err, result


@pytest.fixture
def ready(cli: Cli) -> Cli:
    """A project with a vault and an instance of the slow cloud's recipe."""
    slow_cloud.make(cli.instance("demo"))
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-bad-input").code == 0
    return cli


def test_an_unknown_instance_is_answered_with_near_names(ready: Cli) -> None:
    _fails(ready, 2, "no instance 'dmeo'", "verify", "--name", "dmeo", hint="did you mean demo?")
    _fails(ready, 2, "no instance 'dmeo'", "spawn", "--name", "dmeo", hint="did you mean demo?")
    _fails(ready, 2, "no instance 'dmeo'", "teardown", "--name", "dmeo", "--yes")


@pytest.mark.parametrize("name", ["Demo", "a_b", "../demo", "-"])
def test_a_name_that_is_no_dns_label(cli: Cli, name: str) -> None:
    _fails(cli, 1, "cannot be an instance's name", "spawn", f"--name={name}", "--recipe", "local")
    assert not (cli.root / "instances").exists()


def test_an_unknown_recipe(cli: Cli) -> None:
    _fails(cli, 2, "no recipe 'lcoal'", "spawn", "--name", "demo", "--recipe", "lcoal")
    assert not (cli.root / "instances").exists()


def test_no_name_where_none_can_be_guessed(ready: Cli) -> None:
    shutil.copytree(ready.instance("demo"), ready.instance("prod"))
    _fails(ready, 1, "demo, prod", "teardown", hint="invoke teardown --name demo")


def test_a_recipe_without_one_of_the_modules(ready: Cli) -> None:
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text().replace('module "dns"', 'module "dsn"'))
    _fails(ready, 2, 'has no module "dns"', "spawn", "--name", "demo")


def test_a_recipe_with_a_syntax_error(ready: Cli) -> None:
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text() + '\nmodule "x" {\n')
    _fails(ready, 2, "main.tf line ", "spawn", "--name", "demo")


def test_a_secret_that_the_recipe_needs_and_the_vault_lacks(ready: Cli) -> None:
    recipe = ready.instance("demo") / "main.tf"
    recipe.write_text(recipe.read_text().replace("api_token", "cloud_token"))
    variables = ready.instance("demo") / "modules" / "binderhub" / "main.tf"
    variables.write_text(variables.read_text().replace("api_token", "cloud_token"))
    hint = "invoke vault.set variables.cloud_token --name demo"
    _fails(ready, 2, "binderhub: cloud_token", "spawn", "--name", "demo", hint=hint)


def test_no_identity(ready: Cli) -> None:
    shutil.rmtree(Path(os.environ["HOME"]) / ".config")
    _fails(ready, 4, "no age identity", "spawn", "--name", "demo")


def test_the_wrong_identity(ready: Cli, tmp_path: Path) -> None:
    shutil.rmtree(Path(os.environ["HOME"]) / ".config")
    other = Cli(ready.root)
    (other.root / ".sops.yaml").rename(tmp_path / "sops.yaml")
    (other.root / "secrets" / "shared.yaml").rename(tmp_path / "shared.yaml")
    assert other("vault.init").code == 0
    (tmp_path / "sops.yaml").rename(other.root / ".sops.yaml")
    (tmp_path / "shared.yaml").rename(other.root / "secrets" / "shared.yaml")
    _fails(other, 4, "secrets/shared.yaml", "spawn", "--name", "demo")


def test_a_secrets_file_that_is_not_encrypted(ready: Cli) -> None:
    plain = ready.root / "secrets" / "demo.yaml"
    plain.write_text("variables:\n  api_token: CANARY-plain\n")
    result = ready("spawn", "--name", "demo")
    assert result.code == 4, result
    assert "secrets/demo.yaml" in result.err
    assert "NOT encrypted" in result.err
    assert "CANARY" not in result.err
    assert ready("vault.check").code == 4
    assert plain.read_text().endswith("CANARY-plain\n")


def test_terraform_is_missing_or_too_old(ready: Cli, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "env", "sh", "cat"):
        (bare / name).symlink_to(shutil.which(name) or "")
    ready.env["PATH"] = str(bare)
    _fails(ready, 3, "neither terraform nor tofu", "spawn", "--name", "demo")
    (bare / "terraform").write_text('#!/bin/sh\necho \'{"terraform_version": "1.5.7"}\'\n')
    (bare / "terraform").chmod(0o755)
    _fails(ready, 3, "1.5.7, 1.6 or newer", "spawn", "--name", "demo", hint="scripts/install-tools")


def test_the_port_is_taken(cli: Cli) -> None:
    assert cli("vault.init").code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        recipe = (cli.root / "terraform" / "recipes" / "local.tf").read_text()
        cli.instance("demo").mkdir(parents=True)
        text = recipe.replace("instance-name", "demo").replace("8443", str(port))
        (cli.instance("demo") / "main.tf").write_text(text)
        _fails(cli, 5, f"port {port} on 127.0.0.1 is taken", "spawn", "--name", "demo")


def test_nothing_is_asked_without_a_terminal(ready: Cli) -> None:
    _fails(
        ready,
        1,
        "no terminal to ask on",
        "teardown",
        "--name",
        "demo",
        hint="invoke teardown --name demo --yes",
    )


def test_what_changes_terraform_is_taken_out_with_a_notice(ready: Cli) -> None:
    ready.env["TF_CLI_ARGS_plan"] = "-nonsense"
    ready.env["TF_LOG"] = "TRACE"
    result = ready("spawn", "--name", "demo", "--timeout", "1")
    assert "TF_CLI_ARGS_plan, TF_LOG would change what terraform does" in result.err
    assert result.code == 8, result


def test_verify_of_nonsense(cli: Cli) -> None:
    _fails(cli, 1, "not http", "verify", "--url", "http://example.org")
    _fails(cli, 1, "exclude each other", "verify", "--url", "https://x", "--name", "y")
    _fails(cli, 1, "no living instance", "verify")


def test_a_timeout_that_is_no_number(ready: Cli) -> None:
    for text in ("abc", "0", "-5", "1e3"):
        _fails(ready, 1, "no number of seconds", "spawn", "--name", "demo", f"--timeout={text}")


def test_a_file_where_a_folder_belongs(cli: Cli) -> None:
    (cli.root / "instances").write_text("")
    _fails(cli, 1, "instances", "spawn", "--name", "demo", "--recipe", "local", hint="ls -ld")


def test_a_key_that_the_vault_cannot_have(ready: Cli) -> None:
    _fails(ready, 1, "'foo' is not a key", "vault.set", "foo", input="CANARY-key")
    _fails(ready, 4, "environment.TF_LOG", "vault.set", "environment.TF_LOG", input="TRACE")
    _fails(
        ready, 1, "first line of a key", "vault.set", "ssh.private_key", input="-----BEGIN A-----"
    )


@pytest.mark.parametrize(
    "task",
    ["spawn", "verify", "teardown", "list", "doctor", "clean", "check", "import-recipe"]
    + [f"vault.{verb}" for verb in ("init", "set", "edit", "show", "check")]
    + [f"vault.{verb}" for verb in ("login", "logout", "whoami", "rotate", "sync", "recipients")]
    + [
        f"vault.{verb}"
        for verb in ("add-recipient", "remove-recipient", "install-hooks", "cat", "encrypt")
    ]
    + ["vault.import-git-crypt"],
)
def test_every_task_has_help_with_an_example(cli: Cli, task: str) -> None:
    result = cli(task, "--help")
    assert result.code == 0, result
    assert f"Example: invoke {task}" in result.out, result
