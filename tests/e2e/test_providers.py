"""Providers from a folder, a registry and a cache, fetched by the real terraform.

Those of the plain ring are no programs: Terraform installs and hashes them, and fails to start
them. What a run does before that is what these tests are about.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import registry
from registry import Registry

from barehub.terraform.plugins import PLATFORMS
from tests import canary

from . import slow_cloud
from .conftest import Cli

SPAWN = ("spawn", "--name", "demo", "--timeout", "1")
CANARY = "CANARY-registry-token"

PROVIDERS = Path(
    os.environ.get("BAREHUB_PROVIDERS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barehub" / "providers"
)
"""What scripts/build-providers fills."""


@pytest.fixture
def ready(cli: Cli) -> Cli:
    slow_cloud.make(cli.instance("demo"))
    with (cli.instance("demo") / "main.tf").open("a") as file:
        file.write(registry.REQUIRED)
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-token").code == 0
    return cli


@pytest.fixture
def served(own_home: Path, tmp_path: Path) -> Iterator[Registry]:
    """A registry that the person's own configuration names, and whose token they have stored."""
    server = Registry(tmp_path / "gpg")
    (own_home / ".terraformrc").write_text(server.configuration)
    (own_home / ".terraform.d").mkdir()
    (own_home / ".terraform.d" / "credentials.tfrc.json").write_text(
        json.dumps({"credentials": {registry.HOST: {"token": CANARY}}})
    )
    yield server
    server.close()


def _hashes(cli: Cli, name: str = "demo") -> list[str]:
    text = (cli.instance(name) / ".terraform.lock.hcl").read_text()
    return [line.strip(' ",') for line in text.splitlines() if '"h1:' in line]


def _started(cli: Cli) -> str:
    """What a spawn says that got as far as starting the provider, which is none."""
    result = cli(*SPAWN)
    assert result.code == 5, result
    assert registry.BINARY in result.err, result  # terraform and tofu name what did not start
    return result.err


def test_a_folder_of_providers_does_without_a_registry(ready: Cli, tmp_path: Path) -> None:
    folder = registry.fill(tmp_path / "providers", *PLATFORMS)
    ready.env["BAREHUB_PROVIDERS"] = str(folder)
    assert "✓ providers  hashes for Linux and macOS are in instances/demo" in _started(ready)
    assert len(set(_hashes(ready))) == 4
    assert "hashes" not in _started(ready)  # what is known is not looked for again


def test_the_usual_folder_needs_no_setting_and_its_lacks_are_told(
    ready: Cli, own_home: Path
) -> None:
    registry.fill(own_home / ".cache" / "barehub" / "providers", "linux_amd64", "linux_arm64")
    said = _started(ready)
    assert "has no hashes for darwin_amd64, darwin_arm64" in said
    assert len(set(_hashes(ready))) == 2
    assert "providers has acme/thing; " in ready("doctor").out


def test_a_registry_gives_the_hashes_for_all_platforms_and_fills_the_cache(
    ready: Cli, served: Registry, own_home: Path
) -> None:
    assert "✓ providers  hashes for Linux and macOS" in _started(ready)
    assert len(set(_hashes(ready))) == 4
    assert {token for _, token in served.asked if token} == {f"Bearer {CANARY}"}
    shutil.rmtree(ready.instance("demo") / ".terraform")
    served.asked.clear()
    _started(ready)
    assert not [path for path, _ in served.asked if path.endswith(".zip")]


def test_a_folder_leaves_the_persons_configuration_and_token_in_force(
    ready: Cli, served: Registry, tmp_path: Path, own_home: Path
) -> None:
    other = tmp_path / "providers" / "registry.terraform.io" / "acme" / "other" / "1.0.0"
    other.mkdir(parents=True)
    ready.env["BAREHUB_PROVIDERS"] = str(tmp_path / "providers")
    with canary.Watch() as watch:
        said = _started(ready)
    assert (f"/v1/acme/thing/{registry.VERSION}/download/linux/amd64", f"Bearer {CANARY}") in (
        served.asked
    )
    assert CANARY not in said and not watch.holding(CANARY)
    places = [ready.root, tmp_path / "home"]
    assert canary.holding(CANARY, *places, but=["credentials.tfrc.json"]) == []


def test_a_persons_own_mirror_is_left_alone_and_that_is_said(
    ready: Cli, own_home: Path, tmp_path: Path
) -> None:
    theirs = registry.fill(tmp_path / "theirs", *PLATFORMS)
    block = f'provider_installation {{\n  filesystem_mirror {{ path = "{theirs}" }}\n}}\n'
    (own_home / ".terraformrc").write_text(block)
    (tmp_path / "ours").mkdir()
    ready.env["BAREHUB_PROVIDERS"] = str(tmp_path / "ours")
    assert "warning: BAREHUB_PROVIDERS is not used" in _started(ready)


def test_a_persons_own_cache_is_used(ready: Cli, served: Registry, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    ready.env["TF_PLUGIN_CACHE_DIR"] = str(tmp_path / "theirs")
    _started(ready)
    assert (tmp_path / "theirs" / registry.ADDRESS).is_dir()


def test_a_provider_that_cannot_be_had_comes_with_a_hint(ready: Cli) -> None:
    ready.env["TF_CLI_CONFIG_FILE"] = str(ready.root / "none")  # terraform: it does not exist
    result = ready(*SPAWN)
    assert result.code == 5, result
    assert "error: terraform init failed" in result.err, "it is not about ssh"
    assert "hint: without the registry: BAREHUB_PROVIDERS=FOLDER" in result.err


def test_another_build_than_the_locked_one_is_refused_with_a_hint(
    ready: Cli, tmp_path: Path
) -> None:
    folder = registry.fill(tmp_path / "providers", *PLATFORMS)
    ready.env["BAREHUB_PROVIDERS"] = str(folder)
    _started(ready)
    shutil.rmtree(ready.instance("demo") / ".terraform")
    shutil.rmtree(Path(os.environ["HOME"]) / ".cache")
    for binary in folder.rglob(registry.BINARY):
        binary.write_text("another")
    result = ready(*SPAWN)
    assert result.code == 5, result
    assert "hint: the lock has the hashes of other builds" in result.err


def test_a_setting_that_names_no_folder_is_told(ready: Cli) -> None:
    ready.env["BAREHUB_PROVIDERS"] = "/nowhere"
    result = ready(*SPAWN)
    assert result.code == 3, result
    assert "BAREHUB_PROVIDERS: /nowhere is no folder" in result.err
    assert "✗ providers" in ready("doctor").out


def test_several_runs_at_once_share_one_cache(ready: Cli, served: Registry) -> None:
    for name in ("one", "two", "three"):
        shutil.copytree(ready.instance("demo"), ready.instance(name))
    names = ("demo", "one", "two", "three")
    running = [ready.start("spawn", "--name", name, "--timeout", "1") for name in names]
    said = [child.communicate()[1] for child in running]
    assert all(registry.BINARY in err for err in said), said


@pytest.mark.parametrize("whole", [True, False])
def test_a_cached_provider_is_used_as_it_is_unless_a_killed_init_left_half_of_it(
    ready: Cli, served: Registry, own_home: Path, whole: bool
) -> None:
    shutil.copytree(ready.instance("demo"), ready.instance("one"))
    ready(*SPAWN)
    hashes, (cached,) = _hashes(ready), own_home.rglob(registry.BINARY)
    content = cached.read_bytes()
    if not whole:
        cached.write_bytes(content[:4])
    before = cached.stat().st_mtime_ns
    said = ready("spawn", "--name", "one", "--timeout", "1")
    assert registry.BINARY in said.err, said
    assert cached.read_bytes() == content
    assert (cached.stat().st_mtime_ns == before) == whole
    assert _hashes(ready, "one") == hashes


@pytest.mark.cloud
def test_a_real_provider_from_the_folder_runs(cli: Cli) -> None:
    slow_cloud.make(cli.instance("demo"))
    with (cli.instance("demo") / "main.tf").open("a") as file:
        file.write(
            registry.REQUIRED.replace(registry.ADDRESS, "terraform-provider-openstack/openstack")
        )
    assert cli("vault.init").code == 0
    assert cli("vault.set", "variables.api_token", input="CANARY-token").code == 0
    cli.env["BAREHUB_PROVIDERS"] = str(PROVIDERS)
    assert cli(*SPAWN).code == 8
    assert cli("teardown", "--name", "demo", "--yes").code == 0
    assert (cli.instance("demo") / ".terraform.lock.hcl").exists()
