"""The meaning of HCL's literals, as the real terraform has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from barehub.migration.literals import meaning, parse
from barehub.project import Project

ROOT = Path(__file__).resolve().parent.parent.parent

EXPRESSIONS = [
    '"plain"',
    '""',
    r'"q\"\\ \u00e9 \U0001F600 \t\n\r"',
    '"$${x} %%{y} $$ % $ %% $$$${z} a$"',
    "<<EOF\n  x\n    y\n\n  $${z} \\n %%{q}\nEOF",
    "<<EOF\nEOF",
    "<<-EOF\n      x\n        y\n\n      z\n    EOF",
    "<<-EOF\n\ttab\n\t  two\n\tEOF",
    "<<-EOF\n    a\n  b\n      EOF",
    "<<-EOF\n      a\n        \n   \n\t\n      b\n    EOF",
    "<<-EOF\n  x\r\n   y\r\n  EOF",
    "1",
    "-5",
    "1.5",
    "true",
    "null",
    '["a", 1, [true], <<EOF\nx\nEOF\n]',
    '{ a = "b", "c d" : 2, "e" = { f = [] } }',
    '("a")',
]


def test_terraform_agrees(own_home: Path, tmp_path: Path) -> None:
    terraform = Project(ROOT).terraform.path
    lines = [f"  v{number} = {text}\n" for number, text in enumerate(EXPRESSIONS)]
    text = "locals {\n" + "".join(lines) + "}\n"
    names = ", ".join(f"local.v{number}" for number in range(len(EXPRESSIONS)))
    output = f'output "all" {{\n  value = jsonencode([{names}])\n}}\n'
    (tmp_path / "main.tf").write_bytes((text + output).encode())
    for argv in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(
            [terraform, *argv, "-input=false", "-no-color"],
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
    said = subprocess.run(
        [terraform, "output", "-raw", "all"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull},
    )
    ours = [meaning(argument.expression, text) for argument in parse(text, "x").arguments]
    assert ours == json.loads(said.stdout)


@pytest.mark.parametrize("text", ["x = 1\n", "a = [\n  # c\n  1, /* d */ 2,\n]\n", "a = -1 // x\n"])
def test_what_stands_between_is_all_that_is_no_token(text: str) -> None:
    file = parse(text, "x")
    between = "".join(text[start:stop] for start, stop in file.between())
    tokens = text
    for start, stop in sorted(file.between(), reverse=True):
        tokens = tokens[:start] + tokens[stop:]
    assert len(between) + len(tokens) == len(text)
    assert "#" not in tokens and "/" not in tokens
