"""What others word is shown without secrets, and nothing in it is obeyed: provisioners, addresses,
Terraform's own output, the journal, the names of files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from endpoints import GOOD, HOST, HTML, HUB_UP, JSON, PAGE, VERSIONS, Servers, issue, modern, routes
from test_verify_launch import Hub as Scripted

from tests.canary import spellings

from . import slow_cloud
from .conftest import Cli, Result
from .terminal import Terminal

CANARY = "CANARY correct horse battery staple and so on"
SPAWN = ("spawn", "--name", "demo", "--timeout", "1")

KEY = r"a\u001b]0;title\u0007 \u202e::error::x ##[error]y"
"""A key of for_each, as HCL writes it."""

ATTACK = r"\\033]0;t\\007\\r\\n::add-mask::x\\n \\342\\200\\256 ##[error]y\\n::error::z\\n"
SHOUT = f"printf '{ATTACK}'; sleep 3; test ! -e ${{path.root}}/fail"

KEYED = f"""
resource "terraform_data" "keyed" {{
  for_each = toset(["{KEY}"])
  provisioner "local-exec" {{ command = "{SHOUT}" }}
}}
"""

OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]")

FAILING = """
variable "phrase" {
  default = ""
  validation {
    condition     = length(var.phrase) < 3
    error_message = "Refused is this one, as follows: ${var.phrase} \\u001b]0;t\\u0007 ##[error]."
  }
}
"""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    folder = cli.instance("demo")
    slow_cloud.make(folder)
    with (folder / "modules" / "provider" / "main.tf").open("a") as recipe:
        recipe.write(KEYED)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input=CANARY).code == 0
    cli.env |= {"GITHUB_ACTIONS": "true"}
    return cli


def _check(done: Result) -> None:
    """Nothing is obeyed; commands to the runner are our own; the secret is in its mask alone."""
    printed = done.out + done.err
    assert not OBEYED.search(printed), done
    ours = [line for line in printed.splitlines() if line.lstrip().startswith("::")]
    assert all(re.match("::(add-mask|error|warning)( file=[^:]*)?::", line) for line in ours), done
    assert "##[" not in printed
    assert "::add-mask::x" not in ours and "::error::z" not in ours, done
    rest = "\n".join(line for line in printed.splitlines() if "::add-mask::" not in line)
    assert not [form for form in spellings(CANARY) if form in rest.encode()], done
    assert not re.search(r"CANARY|correct\W+horse|battery", rest), done


def test_provisioners_addresses_and_the_journal(ready: Cli) -> None:
    folder = ready.instance("demo")
    (folder / "fail").touch()
    failed = ready(*SPAWN)
    assert failed.code == 5 and "keyed" in failed.err, failed
    _check(failed)
    (folder / "fail").unlink()
    spawned = ready(*SPAWN)
    assert spawned.code == 8 and "printf" not in spawned.out, spawned
    for command in ("history", "status", "list", "plan"):
        name = () if command == "list" else ("--name", "demo")
        for form in ((), ("--json",)):
            done = ready(command, *name, *form)
            _check(done)
            if form and command != "plan":
                json.loads(done.out)
    _check(ready("terraform", "--name", "demo", "--", "state", "list"))


def test_terraform_by_hand(ready: Cli) -> None:
    folder = ready.instance("demo")
    assert ready("vault.set", "variables.phrase", input=CANARY).code == 0
    recipe = folder / "main.tf"
    recipe.write_text(recipe.read_text() + FAILING)
    for args in (("plan",), ("plan", "-no-color"), ("refresh",)):
        done = ready("terraform", "--name", "demo", "--", *args)
        assert done.code == 5 and "Refused" in done.out, done
        _check(done)
    terminal = Terminal(ready, "terraform", "--name", "demo", "--", "plan")
    assert terminal.end() == 5, terminal.text
    assert "Refused" in terminal.text and "\x1b]" not in terminal.raw
    assert not re.search(r"correct\W+horse|battery", terminal.text.replace(f"::{CANARY}", ""))


def test_names_of_files(ready: Cli) -> None:
    folder = ready.root / "instances" / "a\x1b]0;t\x07\n::error::z"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text("")
    secrets = ready.root / "secrets" / "b\x1b[2J\n::error::z.yaml"
    secrets.write_text("plain: text\n")
    for command in (("list",), ("vault.check",), ("teardown", "--name", "x\x1b]0;t\x07", "--yes")):
        _check(ready(*command))


NASTY = "x\x1b]0;t\x07\r\n::error::z \u202e##[error]y \x9b2J"


def test_a_certificate_a_page_and_a_build(cli: Cli, tmp_path: Path) -> None:
    cli.env["GITHUB_ACTIONS"] = "true"
    nasty = issue(None, NASTY[:60], ca=True)
    answers = {
        **modern(),
        "/versions": (200, JSON, json.dumps({"binderhub": NASTY, "builder": NASTY})),
        "/health": (
            503,
            JSON,
            json.dumps({"ok": False, "checks": [{"service": NASTY, "ok": False}]}),
        ),
        "/build": (200, HTML, NASTY),
        "*": (200, HTML, f"<title>{NASTY}</title>"),
    }
    broken = (500, HTML, f"<title>Binder {NASTY}</title><h1>{NASTY}</h1>")
    events = [
        {"phase": "building", "message": f"{NASTY}\n"},
        {"phase": "failed", "message": f"no: {NASTY}\n"},
    ]
    well: dict[str, tuple[int, object]] = {
        "GET /versions": (200, VERSIONS),
        "GET /health": (200, {"ok": True, "checks": [HUB_UP]}),
        "GET /": (200, PAGE),
    }
    hub = Scripted(events=events, answers=well)
    with Servers(tmp_path) as servers:
        ports = [
            servers.start(routes(answers), (issue(nasty, NASTY[:60]), nasty)),
            servers.start(routes(answers), GOOD),
            servers.start(routes({"*": broken}), GOOD),
            servers.start(hub, GOOD),
        ]
        for port in ports:
            for form in ((), ("--json",), ("--launch",)):
                done = cli(
                    *("verify", "--url", f"https://{HOST}:{port}", "--connect-to"),
                    *(f"127.0.0.1:{port}", "--vantage", "origin"),
                    *("--ca-file", str(servers.ca), *form),
                )
                assert done.code in (0, 6, 8), done
                _check(done)
                if form == ("--json",):
                    json.loads(done.out)
    assert "no: x" in done.out + done.err, done


def test_what_a_cloud_answers(cli: Cli, tmp_path: Path) -> None:
    """A zone of a cloud that is played: its API is another program's in every ring."""
    cli.env["GITHUB_ACTIONS"] = "true"
    assert cli("vault.init").code == 0
    refused = json.dumps(
        {"success": False, "errors": [{"code": 1, "message": f"{NASTY} {CANARY}"}]}
    )
    with Servers(tmp_path) as servers:
        port = servers.start(routes({"*": (403, JSON, refused)}), None)
        for key, value in (
            ("CLOUDFLARE_BASE_URL", f"http://127.0.0.1:{port}/client/v4"),
            ("CLOUDFLARE_API_TOKEN", CANARY),
        ):
            assert cli("vault.set", f"environment.{key}", input=value).code == 0
        done = cli("leftovers", "--name", "demo")
    assert done.code == 7, done
    _check(done)
