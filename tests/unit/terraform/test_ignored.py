"""Variables of which a module makes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from barehub.terraform import module as modules
from barehub.terraform.ignored import ignored


def _ignored(folder: Path, text: str, **templates: str) -> dict[str, str]:
    (folder / "main.tf").write_text(text)
    for name, content in templates.items():
        (folder / f"{name}.yaml").write_text(content)
    module = modules.read(folder)
    return ignored(module, list(module.variables))


def test_what_nothing_refers_to(tmp_path: Path) -> None:
    text = 'variable "used" {}\nvariable "unused" {}\noutput "x" { value = var.used }\n'
    assert _ignored(tmp_path, text) == {"unused": ""}


def test_a_longer_name_is_another(tmp_path: Path) -> None:
    text = 'variable "cpu" {}\nvariable "cpu_max" {}\noutput "x" { value = "${var.cpu_max}" }\n'
    assert _ignored(tmp_path, text) == {"cpu": ""}


TEMPLATES = [
    """
data "template_file" "config" {
  template = file("${path.module}/config.yaml")
  count    = var.number
  vars = {
    mem_alloc = var.mem_alloc_gb
    domain    = var.domain
  }
}
""",
    """
locals {
  config = templatefile("${path.module}/config.yaml", {
    mem_alloc = var.mem_alloc_gb
    domain    = var.domain
  })
  number = [for i in range(var.number) : i]
}
""",
]


@pytest.mark.parametrize("text", TEMPLATES)
def test_what_is_handed_to_a_template_that_does_not_use_it(tmp_path: Path, text: str) -> None:
    declared = "".join(f'variable "{n}" {{}}\n' for n in ("mem_alloc_gb", "domain", "number"))
    plain = "host: ${domain}\nmem_alloc: 1G\n"
    assert _ignored(tmp_path, declared + text, config=plain) == {"mem_alloc_gb": "config.yaml"}
    used = "host: ${domain}\nlimit: ${mem_alloc * 2}G\n"
    assert _ignored(tmp_path, declared + text, config=used) == {}


def test_a_second_use_counts(tmp_path: Path) -> None:
    declared = "".join(f'variable "{n}" {{}}\n' for n in ("mem_alloc_gb", "domain", "number"))
    more = 'output "x" { value = var.mem_alloc_gb }\n'
    assert _ignored(tmp_path, declared + TEMPLATES[0] + more, config="${domain}") == {}


def test_a_template_that_cannot_be_found_may_use_it(tmp_path: Path) -> None:
    declared = "".join(f'variable "{n}" {{}}\n' for n in ("mem_alloc_gb", "domain", "number"))
    assert _ignored(tmp_path, declared + TEMPLATES[0]) == {}
