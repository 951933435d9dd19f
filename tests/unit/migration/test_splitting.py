"""A recipe split into its secrets and the rest, byte for byte."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from barehub.errors import RecipeError
from barehub.migration import splitting
from barehub.migration.splitting import Split

TOKEN = "ghp_" + "0123456789" * 4

RECIPE = """\
# NeuroLibre's hub
module "provider" {{
  source = "git::ssh://git@example.org/hubs.git//providers/openstack?ref=eb45710aa012345678901234"

  project_name         = "hub-2024"
  nb_nodes             = 1   # one is enough
  ssh_authorized_keys  = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0q8f3b1c2d4e5f6 me@example.org"]
  image_name           = "Ubuntu-18.04.3-Bionic-x64-2020-01"
  docker_registry      = "registry.example.org"
  docker_id            = "<redacted>"
  docker_password      = "CANARY-docker"
  ssh_private_key_path = "~/.ssh/id_rsa"
  {provider}
}}

module "dns" {{
  source    = "./dns"
  domain    = "hub.example.org"
  public_ip = "${{module.provider.public_ip}}"
  {dns}
}}

module "binderhub" {{
  source          = "./binderhub"
  ip              = module.provider.public_ip
  docker_password = "${{module.provider.docker_password}}"
  TLS_email       = "me@example.org"
  {binderhub}
}}
{rest}
"""


def recipe(provider: str = "", dns: str = "", binderhub: str = "", rest: str = "") -> str:
    return RECIPE.format(provider=provider, dns=dns, binderhub=binderhub, rest=rest)


def changes(text: str, made: Split) -> list[str]:
    """The lines that are new in the rest."""
    lines = difflib.ndiff(text.splitlines(), made.text.splitlines())
    return [line[2:].strip() for line in lines if line.startswith("+ ") and line[2:].strip()]


def split(text: str) -> Split:
    made = splitting.split(text, "main.tf")
    assert "CANARY" not in made.text
    assert "CANARY" not in repr(made)
    return made


def test_an_argument_becomes_a_placeholder_and_all_else_stays() -> None:
    text = recipe()
    made = split(text)
    assert made.values == {"docker_password": "CANARY-docker"}
    assert made.text == text.replace('"CANARY-docker"', '"<vault>"')
    assert made.lines == {"docker_password": 11}
    assert made.comments == [] and made.short == []
    assert split(made.text).values == {}


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
def test_line_ends_and_marks_stay(prefix: str) -> None:
    text = prefix + recipe(rest='locals { token = "CANARY-x" }').replace("\n", "\r\n")
    made = split(text)
    assert made.text.startswith(prefix + "# Neuro")
    assert "\n" not in made.text.replace("\r\n", "")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ('cloudflare_token = "CANARY-\\"q\\" $${x} \\u00e9"', 'CANARY-"q" ${x} é'),
        ('image = "https://u:CANARY@example.org/i"', "https://u:CANARY@example.org/i"),
        (f'plain = "{TOKEN}"', TOKEN),
        ('plain = "f3a9c1d27b8e4f60a1b2c3d4e5f60718"', "f3a9c1d27b8e4f60a1b2c3d4e5f60718"),
        ('api_token = <<EOF\n  CANARY ${"x"}\nEOF', None),
        ("api_token = <<EOF\n  CANARY $${x}\nEOF", "  CANARY ${x}\n"),
        ("api_token = <<-EOF\n    CANARY\n      b\n  EOF", "CANARY\n  b\n"),
        ('tokens = ["CANARY-a", "CANARY-b"]', ["CANARY-a", "CANARY-b"]),
        (
            'login = { user = "bob", port = 22, on = true, password = "CANARY" }',
            {"user": "bob", "port": 22, "on": True, "password": "CANARY"},
        ),
        ('login = { "a b" : { secret = "CANARY" } }', {"a b": {"secret": "CANARY"}}),
        ("password = 987654", 987654),
        ("password = 0987654", "0987654"),
        ('credentials = { a = "CANARY", b = [1] }', {"a": "CANARY", "b": [1]}),
    ],
)
def test_what_goes_wholly(argument: str, value: Any) -> None:
    text = recipe(binderhub=argument)
    if value is None:
        with pytest.raises(RecipeError, match="mixed with references"):
            splitting.split(text, "main.tf")
        return
    made = split(text)
    name = argument.split()[0]
    assert made.values == {"docker_password": "CANARY-docker", name: value}
    assert changes(text, made) == ['docker_password      = "<vault>"', f'{name} = "<vault>"']


@pytest.mark.parametrize(
    ("where", "code", "name", "line"),
    [
        ("rest", 'provider "x" {\n  api_token = "CANARY-v"\n}', "x_api_token", "api_token = var."),
        ("rest", 'provider "x" {\n  x_token = "CANARY-v"\n}', "x_token", "x_token = var."),
        ("rest", 'locals {\n  token = "CANARY-v"\n}', "token", "token = var."),
        ("rest", 'module "more" {\n  token = "CANARY-v"\n}', "more_token", "token = var."),
        (
            "binderhub",
            'login = { user = var.user, password = "CANARY-v" }',
            "binderhub_password",
            "login = { user = var.user, password = var.",
        ),
        ("binderhub", 'x = sensitive("CANARY-v")', "binderhub_x", None),
        (
            "binderhub",
            'token = base64encode("CANARY-v")',
            "binderhub_token",
            "token = base64encode(var.",
        ),
        ("binderhub", 'token = var.y ? "CANARY-v" : ""', "binderhub_token", "token = var.y ? var."),
    ],
)
def test_elsewhere_a_variable_of_the_recipes_own(
    where: str, code: str, name: str, line: str | None
) -> None:
    text = recipe(**{where: code})
    if line is None:
        assert "x" not in splitting.split(text, "main.tf").values  # nothing tells that it is one
        return
    made = split(text)
    assert made.values[name] == "CANARY-v"
    assert f"{line}{name}" in made.text
    own = f'\nvariable "{name}" {{\n  type      = string\n  sensitive = true\n}}\n'
    assert made.text.endswith(own)


@pytest.mark.parametrize(
    "code",
    [
        'admin_pass = "CANARY horse battery"',
        'db_pass = "CANARYCANARY2"',
        'basic_auth = "admin:CANARY-please"',
        'proxy_auth = "admin:CANARY-please"',
        "user_data = <<EOF\n#cloud-config\nchpasswd:\n  list: |\n    ubuntu:CANARY\nEOF",
        "netrc = <<EOF\nmachine example.org login bob password CANARY\nEOF",
        "netrc = <<EOF\nmachine example.org\n  login bob\n  password CANARY\nEOF",
        "user_data = <<EOF\n#cloud-config\nusers:\n- {name: u, passwd: $6$CANARY}\nEOF",
        "script = <<EOF\n#!/bin/sh\nexport OS_PASSWORD=CANARY\nEOF",
        'inline = ["echo ubuntu:CANARY | chpasswd"]',
    ],
)
def test_passwords_that_are_words(code: str) -> None:
    made = split(recipe(binderhub=code, rest=f"locals {{\n  {code}\n}}"))
    assert "CANARY" in str(list(made.values.values())[1:])


@pytest.mark.parametrize(
    "code",
    [
        "script = <<EOF\nDB_PASSWORD=${var.x} other=$TOKEN token: {{ x }}\nlock_passwd: false\nEOF",
        "script = <<EOF\nPasswordAuthentication no\n# the password is set elsewhere\nEOF",
        "script = <<EOF\nchpasswd:\n  list: |\n    ubuntu:${var.password}\nEOF",
        'command = "docker login --password ${var.x} registry.example.org"',
        'client_auth = "required"',
        'description = "Give it as password=VALUE or --password VALUE"',
    ],
)
def test_where_a_password_comes_from_elsewhere(code: str) -> None:
    assert split(recipe(rest=f"locals {{\n  {code}\n}}")).values.keys() == {"docker_password"}


def test_the_default_of_a_variable() -> None:
    text = recipe(rest='variable "admin_password" {\n  default = "CANARY-v"\n}')
    made = split(text)
    assert made.values["admin_password"] == "CANARY-v"
    assert changes(text, made)[1:] == ["/* default: in the vault */"]
    one_line = recipe(rest='variable "admin_password" { default = "CANARY-v" }')
    assert 'variable "admin_password" { /* default: in the vault */ }' in split(one_line).text


def test_what_repeats_a_secret_is_one() -> None:
    text = recipe(
        rest='locals {\n  url = "https://example.org/CANARY-docker"\n  again = "CANARY-docker"\n}'
    )
    made = split(text)
    assert made.values["url"] == "https://example.org/CANARY-docker"
    assert made.values["again"] == "CANARY-docker"


def test_an_object_that_holds_a_secret_makes_no_secret_of_its_other_values() -> None:
    login = 'login = { user = "registry.example.org", password = "CANARY" }'
    made = split(recipe(binderhub=login))
    assert 'docker_registry      = "registry.example.org"' in made.text


def test_comments_lose_their_secrets() -> None:
    text = recipe(
        provider='/* docker_password = "CANARY-old" */\n  # CANARY-docker is it',
        rest=f"# {TOKEN}\n// nothing",
    )
    made = split(text)
    assert '/* docker_password = "<removed>" */' in made.text
    assert "# <removed> is it" in made.text
    assert made.text.rstrip().endswith("# <removed>\n// nothing")
    lines = [text[: text.index(what)].count("\n") + 1 for what in ("CANARY-old", TOKEN)]
    assert made.comments == lines


def test_a_comment_in_what_goes_goes_with_it() -> None:
    made = split(recipe(binderhub='login = { /* CANARY-docker */ password = "CANARY-v" }'))
    assert 'login = "<vault>"' in made.text


@pytest.mark.parametrize(
    "code",
    [
        'token_path = "/x"',
        'token = file("/run/token")',
        'token = var.tokens["main"]',
        'token = lookup(var.tokens, "main")',
        "token = module.provider.token",
        'token = "${module.provider.token}"',
        'header = "Bearer ${var.token}"',
        'token = ""',
        'token = "<vault>"',
        "token = null",
        'cloudflare_zone_id = "f3a9c1d27b8e4f60a1b2c3d4e5f60718"',
        'network = "8f3b1c2d-1234-4bcd-9012-abcdefabcdef"',
        "token_ttl = 3600",
    ],
)
def test_what_is_no_secret(code: str) -> None:
    text = recipe(binderhub=code)
    assert split(text).values == {"docker_password": "CANARY-docker"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            {"dns": 'docker_password = "CANARY-other"'},
            "docker_password has one value in line 11 and",
        ),
        (
            {"rest": 'module "m" {\n source = "https://u:CANARY@x/y"\n}'},
            "Terraform takes no variable",
        ),
        (
            {"rest": 'terraform {\n backend "s3" {\n  secret_key = "CANARY"\n }\n}'},
            "Terraform takes no variable",
        ),
        ({"binderhub": 'password = "CANARY-${var.x}"'}, "it is mixed with references"),
        ({"binderhub": 'x = "https://u:CANARY@${var.x}/"'}, "it is mixed with references"),
        ({"binderhub": f'x = var.x["{TOKEN}"] == "CANARY-docker"'}, "it is no value there"),
        (
            {"rest": 'resource "x" "CANARY-docker" {\n}'},
            "the value of docker_password (line 11) also stands near line",
        ),
        (
            {"dns": 'domain = "CANARY-docker.example.org"'},
            "domain holds the value of docker_password",
        ),
        (
            {"rest": 'variable "x_token" {\n default = { a = "CANARY", b = null }\n}'},
            "cannot hold it",
        ),
    ],
)
def test_what_is_refused(code: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        splitting.split(recipe(**code), "old/main.tf")
    assert said in caught.value.problem
    assert "old/main.tf" in caught.value.problem
    assert "CANARY" not in str(caught.value) and TOKEN not in str(caught.value)
    assert caught.value.hints


def test_a_short_secret_is_named() -> None:
    made = splitting.split(recipe(binderhub='password = "abc"'), "main.tf")
    assert made.short == ["password"]
    assert made.values["password"] == "abc"


def test_which_files_are_recipes() -> None:
    assert splitting.is_recipe(recipe())
    assert splitting.is_recipe("\ufeff" + recipe())
    assert splitting.assignments('\ufeffa = "x"\n', "x.tfvars") == {"a": "x"}
    assert not splitting.is_recipe(recipe().replace('module "dns"', 'module "dsn"'))
    assert not splitting.is_recipe('# module "provider" module "dns" module "binderhub"\n')
    with pytest.raises(RecipeError, match="not valid HCL"):
        splitting.is_recipe(recipe(rest="module {"))


def test_tfvars() -> None:
    text = '# c\na = "x"\nb = 1.10\nc = [1, "y"]\nd = <<EOF\nz\nEOF\ne = { f = true }\n'
    made = splitting.assignments(text, "x.tfvars")
    assert made == {"a": "x", "b": "1.10", "c": [1, "y"], "d": "z\n", "e": {"f": True}}
    for code in ("a = var.x", "a { b = 1 }", 'a = "${b}"', "a = f()", "a = [for x in y: x]"):
        with pytest.raises(RecipeError, match=r"x\.tfvars line 1: \w is no literal"):
            splitting.assignments(f"{code}\n", "x.tfvars")
    with pytest.raises(RecipeError, match="not valid HCL"):
        splitting.assignments("a = \n", "x.tfvars")
