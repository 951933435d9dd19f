"""Folders of providers, lock files, and the CLI configuration that a person has already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barehub.project import Tool
from barehub.terraform import plugins
from barehub.terraform.plugins import Mirror

TERRAFORM = Tool("terraform", Path("terraform"), "1.11.4")
TOFU = Tool("tofu", Path("tofu"), "1.12.6")

NULL = "registry.terraform.io/hashicorp/null"


@pytest.fixture
def mirror(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """One with packed and unpacked builds, and it is the setting."""
    place = tmp_path / "providers" / NULL
    (place / "3.2.3" / "linux_amd64").mkdir(parents=True)
    (place / "terraform-provider-null_3.2.3_darwin_arm64.zip").touch()
    (place / "terraform-provider-null_3.1.0_linux_arm64.zip").touch()
    (place / "index.json").touch()
    monkeypatch.setenv(plugins.SETTING, str(tmp_path / "providers"))
    return Mirror(tmp_path / "providers")


def test_what_a_folder_has(mirror: Mirror) -> None:
    assert mirror.providers() == [NULL]
    assert mirror.platforms(NULL, "3.2.3") == {"linux_amd64", "darwin_arm64"}
    assert mirror.platforms(NULL, "3.1.0") == {"linux_arm64"}
    assert mirror.platforms(NULL, "9.9.9") == set()


def test_what_is_locked(tmp_path: Path) -> None:
    assert plugins.locked(tmp_path) == {}
    (tmp_path / plugins.LOCK_FILE).write_text(
        f'# made\n\nprovider "{NULL}" {{\n  version     = "3.2.3"\n  hashes = [\n  ]\n}}\n'
    )
    assert plugins.locked(tmp_path) == {NULL: "3.2.3"}


def _configured(tool: Tool, scratch: Path, home: Path, **env: str) -> tuple[str, dict[str, str]]:
    scratch.mkdir(exist_ok=True)
    made = plugins.configure(tool, scratch, {"HOME": str(home), **env}).env
    return Path(made["TF_CLI_CONFIG_FILE"]).read_text(), made


def test_terraform_and_tofu_each_keep_the_files_that_they_read(
    mirror: Mirror, own_home: Path, tmp_path: Path
) -> None:
    (own_home / ".terraformrc").write_text("# of terraform\n")
    (own_home / ".tofurc").write_text("# of tofu\n")
    (own_home / ".terraform.d").mkdir()
    (own_home / ".terraform.d" / "more.tfrc").write_text("# more\n")
    token = {"credentials": {"a.example": {"token": 'x"y'}}, "disable_checkpoint": True}
    (own_home / ".terraform.d" / "credentials.tfrc.json").write_text(json.dumps(token))
    text, _ = _configured(TERRAFORM, tmp_path / "s", own_home)
    assert "# of terraform" in text and "# more" in text and "# of tofu" not in text
    assert 'credentials "a.example" {\n  token = "x\\"y"\n}' in text
    assert "disable_checkpoint = true" in text
    text, _ = _configured(TOFU, tmp_path / "s", own_home)
    assert "# of tofu" in text and "# more" in text and "# of terraform" not in text
    (own_home / "named").write_text("# named\n")
    text, _ = _configured(
        TERRAFORM, tmp_path / "s", own_home, TF_CLI_CONFIG_FILE=str(own_home / "named")
    )
    assert "# named" in text and "# of" not in text and "credentials" not in text


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_cache_of_the_persons_own_stays(
    mirror: Mirror, own_home: Path, tmp_path: Path, place: str
) -> None:
    env = {"TF_PLUGIN_CACHE_DIR": "/theirs"} if place == "environment" else {}
    if place == "file":
        (own_home / ".terraformrc").write_text('plugin_cache_dir = "/theirs"\n')
    _, made = _configured(TERRAFORM, tmp_path / "s", own_home, **env)
    assert "TF_PLUGIN_CACHE_DIR" not in made


def test_a_file_that_terraform_could_not_read_either_is_no_hindrance(
    mirror: Mirror, own_home: Path, tmp_path: Path
) -> None:
    (own_home / ".terraform.d").mkdir()
    (own_home / ".terraform.d" / "credentials.tfrc.json").write_text("{")
    text, _ = _configured(TERRAFORM, tmp_path / "s", own_home, TF_CLI_CONFIG_FILE="/nowhere")
    assert text.strip().startswith("provider_installation {")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Error: Failed to query available\n│ provider packages", "BAREHUB_PROVIDERS=FOLDER"),
        (
            "the package doesn't match any of the\n│ checksums previously",
            "rm instances/demo/.terraform.lock.hcl",
        ),
        ("Error: Unreadable module directory", ""),
    ],
)
def test_hints(said: str, hint: str) -> None:
    told = plugins.hints(said, Path("instances/demo"))
    assert hint in " ".join(told)
    assert bool(told) == bool(hint)
