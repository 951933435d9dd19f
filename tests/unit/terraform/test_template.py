"""What a recipe leaves open, and its text with that filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.errors import RecipeError, UsageError
from barehub.terraform import hcl, module, template
from barehub.terraform.template import Argument

TEXT = """\
module "one" {
  source = "../one"

  plain   = "x" # said "so"
  odd     = "a # b = \\"c\\""
  choice  = "<what it is>"
  items   = ["<one>"]
  secret  = "<vault>"
  keys    = ["<vault>"]
  linked  = module.two.plain
}

module "two" {
  source = "../two"
  plain  = 1
}

variable "zone" {}

variable "other" { default = 1 }
"""

MODULE = """
variable "choice" {
  description = "A choice."
  type        = string
}
variable "items" { type = list(string) }
variable "kept" {
  type      = string
  sensitive = true
}
variable "last" { default = null }
"""


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Argument]:
    (tmp_path / "main.tf").write_text(MODULE)
    (tmp_path / "recipe.tf").write_text(TEXT)
    content = hcl.parse(tmp_path / "recipe.tf")
    calls = {name: call for block in content["module"] for name, call in block.items()}
    found = template.arguments(TEXT, calls, {"one": module.read(tmp_path)})
    assert [argument.name for argument in template.variables(content)] == ["zone"]
    return {argument.path: argument for argument in found}


def test_what_is_written_is_known(arguments: dict[str, Argument]) -> None:
    assert [path for path, a in arguments.items() if a.open] == [
        *("one.choice", "one.items", "one.secret", "one.keys")
    ]
    assert [path for path, a in arguments.items() if a.secret] == ["one.secret"]
    choice = arguments["one.choice"]
    assert (choice.description, choice.hint, choice.type) == ("A choice.", "what it is", "string")
    assert arguments["one.items"].type == "list(string)"
    assert arguments["one.plain"].default == "x"
    assert arguments["one.odd"].default == 'a # b = "c"'
    assert arguments["one.linked"].default == ""
    assert arguments["one.kept"].written is None and arguments["one.kept"].sensitive


def test_values_take_the_place_of_what_is_written(arguments: dict[str, Argument]) -> None:
    values = {
        arguments["one.plain"]: '"new"',
        arguments["one.odd"]: '"even"',
        arguments["one.items"]: '["a", "b"]',
        arguments["one.last"]: "3",
        arguments["two.plain"]: "2",
    }
    text = template.filled(TEXT, values)
    assert '  plain   = "new" # said "so"\n' in text
    assert '  odd     = "even"\n' in text
    assert '  items   = ["a", "b"]\n' in text
    assert "  linked  = module.two.plain\n  last = 3\n}\n" in text
    assert '  source = "../two"\n  plain  = 2\n}\n' in text


@pytest.mark.parametrize(
    ("kind", "typed", "expression"),
    [
        ("string", 'a "b" ${c} %{d} é', '"a \\"b\\" $${c} %%{d} é"'),
        ("string", "12", '"12"'),
        ("number", "12", "12"),
        ("number", "1.5", "1.5"),
        ("bool", "yes", "true"),
        ("bool", "false", "false"),
        ("list(string)", "a, b", '["a", "b"]'),
        ("list(string)", '["a, b", "${c}"]', '["a, b", "$${c}"]'),
        ("set(string)", "a", '["a"]'),
        ("list(number)", "[1, 2]", "[1, 2]"),
        ("map(string)", '{"a": "b"}', '{"a" = "b"}'),
        ("any", "text", '"text"'),
        ("any", "[1]", "[1]"),
        ("", "12", '"12"'),
    ],
)
def test_what_a_person_types_in_hcl(kind: str, typed: str, expression: str) -> None:
    assert Argument("one", "x", None, kind).expression(typed) == expression


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("number", "many"),
        ("number", "true"),
        ("bool", "1"),
        ("list(string)", "[a"),
        ("map(x)", "a"),
    ],
)
def test_what_cannot_be_of_the_type_is_refused(kind: str, typed: str) -> None:
    with pytest.raises(UsageError, match=r"^x: |error: x: "):
        Argument("one", "x", None, kind).expression(typed)


def test_the_blocks_of_variables(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(MODULE + 'output "x" {\n  value = 1\n}\n')
    blocks = template.variable_blocks(tmp_path)
    assert list(blocks) == ["choice", "items", "kept", "last"]
    assert blocks["last"] == 'variable "last" { default = null }'
    assert blocks["choice"].endswith("}") and "output" not in "".join(blocks.values())


def test_a_module_whose_line_is_not_formatted_is_an_error() -> None:
    with pytest.raises(RecipeError, match='begins with: module "one"') as caught:
        template.arguments(
            TEXT.replace('module "one"', 'module  "one"'), {"one": {"plain": "x"}}, {}
        )
    assert caught.value.hints
