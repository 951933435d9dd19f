"""Command lines that would do something else than they say are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import spellings

from . import slow_cloud
from .conftest import Cli, Result

CANARY = "CANARY-command-line"


@pytest.fixture
def ready(cli: Cli) -> Cli:
    """One instance, and nothing of it made."""
    slow_cloud.make(cli.instance("demo"))
    return cli


def _refused(result: Result, problem: str, hint: str) -> None:
    assert result.code == 1, result
    assert f"error: {problem}" in result.err, result
    assert f"hint: {hint}" in result.err, result
    assert "Traceback" not in result.err and result.out == ""


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("teardown", "--name", "", "--yes"), "--name"),
        (("teardown", "--name=", "--yes"), "--name"),
        (("teardown", "-n", "", "-y"), "--name"),
        (("teardown", "-n=", "-y"), "--name"),
        (("teardown", "--yes", "--name", " \t"), "--name"),
        (("teardown", "--name", "demo", "--stage-timeout", ""), "--stage-timeout"),
        (("spawn", "--name", "demo", "--recipe", ""), "--recipe"),
        (("spawn", "--name", "demo", "--from", ""), "--from"),
        (("spawn", "--name", "demo", "--timeout", ""), "--timeout"),
        (("spawn", "--name", "demo", "--allow-replace", "a.b", "--allow-replace", ""), "--allow-"),
        (("spawn", "--container", "--name", ""), "--name"),
        (("verify", "--url", ""), "--url"),
        (("verify", "--url="), "--url"),
        (("verify", "--file", ""), "--file"),
        (("verify", "--name", "demo", "--junit", ""), "--junit"),
        (("new", "--name", "x", "--set", "a=1", "--set", ""), "--set"),
        (("forget", "--name", "demo", "--address", ""), "--address"),
        (("upgrade", "--name", "demo", "--binder-version", ""), "--binder-version"),
        (("leftovers", "--name", "", "--delete", "--yes"), "--name"),
        (("vault.set", ""), "KEY"),
        (("vault.set", "variables.a", "--name", ""), "--name"),
        (("vault.add-recipient", "alice", " "), "KEY"),
        (("vault.import-git-crypt", "--key", ""), "--key"),
    ],
    ids=" ".join,
)
def test_an_empty_value_is_an_error(ready: Cli, typed: tuple[str, ...], told: str) -> None:
    _refused(ready(*typed), told, '"$')
    assert sorted(p.name for p in ready.instance("demo").iterdir()) == ["main.tf", "modules"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("teardown", "--yes"), "--yes"),
        (("spawn", "--yes"), "--yes"),
        (("spawn", "--recover"), "--recover"),
        (("spawn", "--allow-replace", "module.provider.x.y"), "--allow-replace"),
        (("upgrade", "--binder-version", "2", "--yes"), "--yes"),
        (("scale", "--nodes", "2", "--allow-replace", "a.b"), "--allow-replace"),
        (("unlock", "--yes"), "--yes"),
        (("forget", "--address", "module.provider.terraform_data.ip"), "forget"),
        (("terraform", "--", "state", "rm", "module.provider.terraform_data.ip"), "state rm"),
        (("terraform", "--", "destroy", "-auto-approve"), "destroy"),
    ],
    ids=" ".join,
)
def test_what_does_not_ask_takes_no_instance_for_granted(
    ready: Cli, typed: tuple[str, ...], told: str
) -> None:
    _refused(ready(*typed), f"{told} needs --name", f"invoke {typed[0]} --name demo")
    assert not (ready.instance("demo") / "journal.jsonl").exists()


def test_a_part_of_a_name_is_no_name(ready: Cli) -> None:
    for part in ("dem", "DEMO", "demo ", "*"):
        result = ready("teardown", "--name", part, "--yes")
        assert result.code in (1, 2) and result.err.startswith("error: "), result
        assert not (ready.instance("demo") / "journal.jsonl").exists()


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("teardown", "invoke plan --name demo --destroy"),
        ("spawn", "invoke plan --name demo "),
        ("unlock", "leave it out"),
    ],
)
def test_there_is_no_dry_run(ready: Cli, command: str, shown: str) -> None:
    for typed in (("--dry", command), ("-R", command), (command, "--dry"), (command, "-R")):
        _refused(ready(*typed, "--name", "demo", "--yes"), "--dry", shown)
    ready.env["INVOKE_RUN_DRY"] = "1"
    _refused(ready(command, "--name", "demo", "--yes"), "run.dry of invoke", shown)
    assert not (ready.instance("demo") / "journal.jsonl").exists()


@pytest.mark.parametrize(
    "flag",
    [
        ("--echo",),
        ("--hide", "both"),
        ("--warn-only",),
        ("--pty",),
        ("--command-timeout", "5"),
        ("--no-dedupe",),
    ],
    ids=" ".join,
)
def test_flags_of_invoke_that_do_nothing_here_are_refused(
    ready: Cli, flag: tuple[str, ...]
) -> None:
    _refused(ready(*flag, "list"), f"{flag[0]} has no effect", f"leave out {flag[0]}")


@pytest.mark.parametrize(
    "typed",
    [
        ("spawn", "--name", "demo", "teardown", "--name", "demo", "--yes"),
        ("teardown", "--name", "demo", "--yes", "spawn"),
        ("list", "list"),
    ],
    ids=" ".join,
)
def test_a_line_has_one_command(ready: Cli, typed: tuple[str, ...]) -> None:
    _refused(ready(*typed), "several commands on one line", "invoke ")
    assert not (ready.instance("demo") / "journal.jsonl").exists()


def test_nothing_behind_dashes_is_passed_over(ready: Cli) -> None:
    told = "teardown takes nothing behind --: --name demo"
    _refused(ready("teardown", "--", "--name", "demo"), told, "leave out the --")


def test_debug_output_has_no_secret(ready: Cli) -> None:
    assert ready("vault.init").code == 0
    said = ready("--debug", "vault.set", "variables.api_token", input=CANARY)
    assert ready("vault.set", "environment.OS_PASSWORD", input=f"{CANARY}-os").code == 0
    results = [said]
    ready.env["INVOKE_DEBUG"] = "1"
    key = _identity(ready)
    for typed in (
        ("spawn", "--name", "demo", "--timeout", "1"),
        ("teardown", "--name", "demo", "--yes"),
        ("vault.whoami",),
    ):
        results.append(ready("--debug", *typed))
        assert "invoke.config." in results[-1].err, results[-1]
    for result in results:
        text = str(result).encode()
        assert not any(form in text for form in spellings(CANARY)), result
        assert key not in str(result)


def _identity(cli: Cli) -> str:
    """The vault's private key, which then comes from the environment."""
    text = (Path(cli.env["HOME"]) / ".config" / "sops" / "age" / "keys.txt").read_text()
    key = next(line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-"))
    cli.env["SOPS_AGE_KEY"] = key
    return key
