"""What `prevent_destroy` protects, told by Terraform or read from the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barehub.terraform import protection
from barehub.terraform.events import Diagnostic

TERRAFORM = (
    "Resource {} has lifecycle.prevent_destroy set, but the plan calls for this resource to be "
    "destroyed. To avoid this error and continue with the plan, either disable …"
)
OPENTOFU = (
    "Resource instance {} has prevent_destroy set, but the plan calls for it to be destroyed.\n\n"
    "To proceed, either disable prevent_destroy for this resource or exclude …"
)

MODULE = """
/* prevent_destroy = true
resource "a_b" "commented" {
  lifecycle { prevent_destroy = true } */
resource "a_b" "one" { lifecycle { prevent_destroy=true } }
resource "a_b" "two" {
  provider = a.b
  // prevent_destroy = true
  lifecycle {
    prevent_destroy = false
  }
}
data "a_b" "three" {}
locals { x = "prevent_destroy = true" }
resource "a_b" "four" {
  lifecycle {
    create_before_destroy = true

    prevent_destroy       = var.keep
  }
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An instance with a module, which calls another of the same text."""
    demo = tmp_path / "demo"
    modules = {"": ".", "provider": "m", "provider.inner": ".terraform/modules/provider.inner"}
    for path in modules.values():
        (demo / path).mkdir(parents=True, exist_ok=True)
    (demo / ".terraform" / "modules").mkdir(parents=True, exist_ok=True)
    rows = [{"Key": key, "Source": "", "Dir": path} for key, path in modules.items()]
    manifest = demo / ".terraform" / "modules" / "modules.json"
    manifest.write_text(json.dumps({"Modules": rows}))
    for path in ("m", ".terraform/modules/provider.inner"):
        (demo / path / "main.tf").write_text(MODULE)
    return demo


def _error(words: str, address: str, place: str = "m/main.tf:1") -> Diagnostic:
    return Diagnostic("error", "Instance cannot be destroyed", words.format(address), "", place)


@pytest.mark.parametrize("words", [TERRAFORM, OPENTOFU])
def test_the_words_of_both_programs_are_known(words: str) -> None:
    addresses = ["a_b.one", 'module.x["a b"].a_b.one["c has d"]', "module.x.a_b.two[3]"]
    errors = [_error(words, address) for address in addresses]
    other = Diagnostic("error", "Invalid value for prevent_destroy", "is null", "", "m/main.tf:3")
    assert list(protection.told([*errors, other])) == addresses


def test_all_that_is_lost_and_protected_is_named(folder: Path) -> None:
    lost = [
        "module.provider.a_b.one",
        "module.provider.a_b.two",
        "module.provider.a_b.four",
        "module.provider.a_b.commented",
        'module.provider.module.inner["x.y]"].a_b.one["a_b.two"]',
        "module.gone.a_b.one",
        "a_b.one",
    ]
    error = protection.refusal(folder, {"module.provider.a_b.four": "m/main.tf:15"}, lost)
    inner = "instances/demo/.terraform/modules/provider.inner/main.tf:5"
    assert error.problem.partition(": ")[2] == (
        "module.provider.a_b.four (instances/demo/m/main.tf:19), "
        f"module.provider.a_b.one (instances/demo/m/main.tf:5), {lost[4]} ({inner})"
    )
    assert any(f"{inner} (a fetched module" in hint for hint in error.hints)


def test_terraforms_own_place_stands_where_the_file_tells_nothing(folder: Path) -> None:
    (folder / "m" / "more.tf.json").write_text("{}")
    error = protection.refusal(folder, {"module.provider.a_b.json": "m/more.tf.json:1"}, ())
    assert "module.provider.a_b.json (instances/demo/m/more.tf.json:1)" in error.problem
    assert "or take back what changed in the recipe, or in the vault" in error.hints
    (folder / ".terraform" / "modules" / "modules.json").write_text("not JSON")
    again = protection.refusal(folder, {"module.provider.a_b.one": "m/main.tf:5"}, ())
    assert "(instances/demo/m/main.tf:5)" in again.problem
