"""What the old documentation says: two folders mounted into a container, run as it stands there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from barehub.engine import Engine
from tests import boxes
from tests.canary import holding

from . import slow_cloud
from .boxed import boxed, options
from .conftest import Cli, Result
from .terminal import Terminal

__all__ = ["boxed"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

CANARY = "CANARY-old-way"

OPENRC = f"""\
export OS_AUTH_URL=https://cloud.example.org:5000
touch /tmp/.ssh/sourced /terraform-artifacts/sourced
export OS_PASSWORD="{CANARY}-password"
"""


@dataclass
class Folders:
    """The two folders of a person, and the image of today."""

    keys: Path
    artifacts: Path
    image: str
    flags: tuple[str, ...] = ("--user", "0:0")

    def argv(self, name: str, *command: str) -> list[str]:
        limits = (f"--ulimit={limit}" for limit in boxes.limits())
        mounts = (
            f"--volume={self.keys}:/tmp/.ssh",
            f"--volume={self.artifacts}:/terraform-artifacts",
        )
        return [
            "podman",
            "run",
            "--name",
            name,
            *limits,
            *mounts,
            *self.flags,
            self.image,
            *command,
        ]

    def run(self, name: str, *command: str) -> Result:
        done = subprocess.run(self.argv(name, *command), capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def folders(boxed: Cli, tmp_path: Path) -> Iterator[Folders]:
    podman = Engine("podman", "podman", rootless=False)
    image = f"localhost/{tmp_path.name.replace('_', '-')}:old"  # with barehub as it is now
    boxes.podman(*podman.build(image, boxed.root, {}, options())[1:])
    keys, artifacts = tmp_path / "my_keys", tmp_path / "instance-name"
    keys.mkdir()
    artifacts.mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / "id_ed25519")], check=True
    )
    (keys / "openrc.sh").write_text(OPENRC)
    (keys / "keys_cc.sh").write_text(f"export TF_VAR_api_token={CANARY}-token\n")
    yield Folders(keys, artifacts, image)
    for name in boxes.names("--filter", f"ancestor={image}"):
        boxes.podman("rm", "--force", "--time", "0", name)
    boxes.podman("rmi", "--force", image)


def _old_recipe(folders: Folders) -> None:
    """As the old documentation has it: its token is a variable, and it says its own name."""
    slow_cloud.make(folders.artifacts)
    recipe = folders.artifacts / "main.tf"
    text = recipe.read_text().replace('"<vault>"', "var.api_token")
    recipe.write_text(text + 'variable "api_token" {}\n')


def test_two_folders_are_run_and_nothing_of_them_is_kept(folders: Folders, tmp_path: Path) -> None:
    _old_recipe(folders)
    before = {path.name: path.read_bytes() for path in folders.keys.iterdir()}
    result = folders.run("old-one", "run-folders", "--timeout", "1")
    assert result.code == 8, result  # nothing listens at this recipe's endpoint
    for said in (
        "this is the old way",
        "mounted writable",
        "openrc.sh can be read by others",
        "runs as root",
        "privileges that it does not need",
        "2 values of /tmp/.ssh/openrc.sh, read and not run",
        "keys       ed25519 SHA256:",
        "no key, plan or plain state is left",
    ):
        assert said in result.err, result
    assert CANARY not in result.out + result.err
    # read, not sourced; not changed; not copied: neither beside the recipe nor in the container
    assert before == {path.name: path.read_bytes() for path in folders.keys.iterdir()}
    assert not (folders.artifacts / "sourced").exists()
    assert holding(CANARY, folders.artifacts) == []
    private = (folders.keys / "id_ed25519").read_text().splitlines()[2]
    exported = tmp_path / "old-one"
    exported.mkdir()
    boxes.podman("export", "--output", str(exported / "tar"), "old-one")
    assert holding(CANARY, exported) + holding(private, exported) == []
    # the state is kept, sealed to the key's owner
    state = (folders.artifacts / "terraform.tfstate.sops").read_text()
    assert (folders.keys / "id_ed25519.pub").read_text().split()[1] in state
    again = folders.run("old-two", "run-folders", "--timeout", "1")
    assert "nothing to change" in again.err, again


def test_who_may_not_read_the_keys_is_told_how(folders: Folders) -> None:
    _old_recipe(folders)
    folders.flags = ()
    result = folders.run("old-three")
    assert result.code == 1, result
    assert "cannot be read by user 65532" in result.err
    assert 'hint: docker run --user "$(id -u):$(id -g)"' in result.err


def test_without_a_recipe_one_is_asked_for(folders: Folders) -> None:
    result = folders.run("old-four")
    assert result.code == 2, result
    assert "no terminal to ask for a recipe on" in result.err and "docker run -it" in result.err


class _AsTyped(Cli):
    """A terminal on which a person types any command."""

    def argv(self, *args: str) -> list[str]:
        return list(args)


def test_on_a_terminal_the_recipe_is_asked_for(folders: Folders, tmp_path: Path) -> None:
    folders.flags = (*folders.flags, "-it")
    terminal = Terminal(_AsTyped(tmp_path), *folders.argv("old-six"))
    terminal.expect("from which recipe")
    terminal.type("local\r")
    assert terminal.end(seconds=200) == 0, terminal.text
    assert "the hub is up" in terminal.text and "ends with it" in terminal.text
    assert CANARY not in terminal.raw
    assert (folders.artifacts / "main.tf").exists()


def test_a_state_in_clear_is_sealed_and_removed(folders: Folders) -> None:
    _old_recipe(folders)
    plain = folders.artifacts / "terraform.tfstate"
    state = '{"version": 4, "serial": 1, "lineage": "x", "outputs": {}, "resources": []}'
    plain.write_text(state)
    result = folders.run("old-five", "run-folders", "--timeout", "1")
    assert result.code == 8, result
    assert "which lay there in clear, and removed it" in result.err
    assert not plain.exists()
    assert (folders.artifacts / "terraform.tfstate.sops").exists()


def test_what_the_old_procedure_left_is_found_by_clean(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a storage of this test alone: other tests expect that there is nothing old."""
    boxes.needed()
    settings = boxes.settings(tmp_path / "store")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    cli.env |= settings
    empty = tmp_path / "empty"
    empty.mkdir()
    old = "localhost/conpdev/neurolibre-instance:v1.2"
    boxes.pack(empty, old)
    mount = f"--volume={empty}:/terraform-artifacts"
    boxes.podman("create", "--name", "with-folder", mount, old, "true")
    boxes.podman("create", "--name", "without", old, "true")
    asked = cli("clean")
    assert asked.code == 7, asked
    assert "podman rm --force with-folder   # or: invoke clean --yes" in asked.err
    assert "it may hold the only state of a hub" in asked.err
    assert set(boxes.names()) == {"with-folder", "without"}

    refused = Terminal(cli, "clean")
    refused.expect("remove with-folder, yes or no?")
    refused.type("no\n")
    assert refused.end() == 7
    assert set(boxes.names()) == {"with-folder", "without"}

    agreed = cli("clean", "--yes")
    assert agreed.code == 7, agreed  # what may hold a state is not lost by a yes to all
    assert "removed the container with-folder" in agreed.err
    assert "podman cp without:/terraform-artifacts ." in agreed.err
    assert boxes.names() == ["without"]
    boxes.podman("rm", "without")
    assert cli("clean").code == 0
