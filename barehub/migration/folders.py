"""Runs what the old procedure keeps in two folders, one of keys and one of the recipe.

Nothing of theirs is copied: shell files are read and not run, the SSH key is read where it lies and
held by an agent of this run. The vault of such a run is made for it, on tmpfs, and goes with it;
Terraform's state is sealed to the SSH key's owner and stays beside the recipe.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barehub import pipeline, reading, session
from barehub.console import console
from barehub.errors import RecipeError, ToolError, UsageError, VaultError
from barehub.migration import git_crypt, old_state, placement
from barehub.process import Interruptions
from barehub.project import NAME, Instance, Project, Tool
from barehub.run import NOTHING
from barehub.terraform import hcl
from barehub.terraform import recipe as recipes
from barehub.vault.identity import ssh_key
from barehub.vault.identity.sources import NAMED_SSH_KEY
from barehub.vault.store import Vault

SCRIPTS = ("*openrc.sh", "keys_cc.sh")
"""What the old entrypoint sourced."""

SECRET_NAMES = re.compile(r"(?i)password|secret|token|private_key")

NAMELESS = "hub"
"""What an instance is called whose recipe does not say it."""

USER = 'docker run --user "$(id -u):$(id -g)" …'


def run(
    barehub: Path, keys: Path, artifacts: Path, interruptions: Interruptions, seconds: float
) -> str:
    """Spawn the recipe in ``artifacts`` with what is in ``keys``; the endpoint.

    :param barehub: the folder with our modules and recipes.
    :param seconds: how long the endpoint may take to become ready.
    :raises BarehubError: as :func:`barehub.pipeline.spawn`, and for what the folders lack.
    """
    _see_access(keys, artifacts)
    for line in _unsafe(keys, artifacts):
        console.warn(line)
    private = _private_key(keys)
    os.environ[NAMED_SSH_KEY] = str(private)
    recipe = _recipe(barehub, artifacts)
    with _project(barehub, artifacts, interruptions) as (project, scratch):
        name = _name(artifacts)
        instance = _instance(project, artifacts, name)
        vault = Vault(project.root, scratch)
        vault.init()
        key = ssh_key.read(private, str(private)).text(ask=True)
        vault.update(vault.file(None), _values(keys, artifacts) | {"ssh.private_key": key})
        _take_old_state(vault, instance, scratch, project.terraform)
        return pipeline.spawn(
            project,
            name,
            recipe=recipe,
            interruptions=interruptions,
            terms=NOTHING,
            seconds=seconds,
        )


def _see_access(keys: Path, artifacts: Path) -> None:
    """:raises UsageError: we may not read or write there, as whom the container runs."""
    files = [keys, *keys.iterdir()] if os.access(keys, os.R_OK | os.X_OK) else [keys]
    for path in files:
        if not os.access(path, os.R_OK):
            raise UsageError(
                f"{path} cannot be read by user {os.getuid()}, as whom this runs", USER
            )
    if not os.access(artifacts, os.W_OK | os.X_OK):
        raise UsageError(f"{artifacts} cannot be written by user {os.getuid()}", USER)


def _unsafe(keys: Path, artifacts: Path) -> Iterator[str]:
    """What is unsafe in this way of running, a line each."""
    yield (
        "this is the old way: keys lie in clear in a folder. invoke vault.import-git-crypt moves "
        "them into a vault, and invoke spawn --container mounts no key"
    )
    if os.access(keys, os.W_OK):
        yield f"{keys} is mounted writable: mount it read-only, -v …:{keys}:ro"
    for path in sorted(keys.iterdir()):
        if path.is_file() and path.suffix != ".pub" and path.stat().st_mode & 0o077:
            yield f"{path} can be read by others: chmod 600"
    if (keys / "gitcrypt-key").exists():
        yield f"{keys / 'gitcrypt-key'} is of no use here: take it away"
    if named := sorted(name for name in os.environ if SECRET_NAMES.search(name)):
        yield f"the engine's inspect shows what is in the environment: {', '.join(named)}"
    if os.getuid() == 0:
        yield f"this container runs as root: {USER}"
    if _privileged():
        yield "this container has privileges that it does not need: docker run --cap-drop ALL …"
    for pattern in ("*.tfvars", "*.tfstate.backup", "logs", "id_*"):
        for path in artifacts.glob(pattern):
            if path.suffix != ".pub":
                yield f"{path} may hold secrets in clear, and is not needed: remove it"


def _privileged() -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.M)
    return bool(found and int(found[1], 16))


def _private_key(keys: Path) -> Path:
    """The one SSH key in the folder: for machines, and to seal the state to.

    :raises VaultError: there is none, or more than one.
    """
    found = [
        path
        for path in sorted(keys.iterdir())
        if path.is_file() and b"PRIVATE KEY-----" in reading.content(path, VaultError)[:200]
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise VaultError(
            f"{keys} must hold one SSH private key, and holds: {names}",
            "of type ed25519 or RSA: Terraform's state is sealed to it",
        )
    ssh_key.read(found[0], str(found[0]))
    return found[0]


def _recipe(barehub: Path, artifacts: Path) -> str | None:
    """The recipe to make ``main.tf`` from if there is none; a person is asked for it.

    :raises RecipeError: there is none, and nobody to ask; or nobody can read it.
    """
    file = artifacts / "main.tf"
    if file.exists():
        if git_crypt.encrypted(reading.content(file, RecipeError)):
            raise RecipeError(f"{file} is encrypted by git-crypt", "invoke vault.import-git-crypt")
        return None
    known = sorted(path.stem for path in (barehub / "terraform" / "recipes").glob("*.tf"))
    if not console.interactive:
        raise RecipeError(
            f"there is no {file}, and no terminal to ask for a recipe on", "docker run -it …"
        )
    return console.ask(f"there is no {file}: from which recipe ({', '.join(known)})?", known)


@contextmanager
def _project(
    barehub: Path, artifacts: Path, interruptions: Interruptions
) -> Iterator[tuple[Project, Path]]:
    """A project for this run alone, on tmpfs, with our modules; and a folder for scratch."""
    with interruptions.held():
        own = session.create(session.Purpose(str(artifacts), None, "old way"))
        try:
            with tempfile.TemporaryDirectory() as home, interruptions.allowed():
                os.environ["HOME"] = home  # where providers and uv keep what they download
                root = own.folder / "project"
                (root / "instances").mkdir(parents=True)
                (root / "terraform").symlink_to(barehub / "terraform")
                yield Project(root), own.folder
        finally:
            own.close()


def _name(artifacts: Path) -> str:
    """The instance's name: the recipe's ``project_name``, as the old documentation has it."""
    file = artifacts / "main.tf"
    if file.exists():
        calls = recipes.Recipe(Instance(NAMELESS, artifacts), hcl.parse(file)).calls
        told = str(calls.get("provider", {}).get("project_name", ""))
        if NAME.fullmatch(told):
            return told
    return NAMELESS


def _instance(project: Project, artifacts: Path, name: str) -> Instance:
    instance = project.instance(name)
    instance.folder.symlink_to(artifacts)
    return instance


def _values(*folders: Path) -> dict[str, str]:
    """What the shell files in ``folders`` export, by key of the vault.

    :raises VaultError: nobody can tell which of several counts.
    """
    values: dict[str, str] = {}
    for pattern in SCRIPTS:
        files = [path for folder in folders for path in sorted(folder.glob(pattern))]
        if len(files) > 1:
            raise VaultError(
                f"more than one is there: {', '.join(map(str, files))}", f"leave one {pattern}"
            )
        for path in files:
            values |= _exported(path)
    return values


def _exported(path: Path) -> dict[str, str]:
    """:raises VaultError: it asks for a value, and nobody is there to be asked."""
    found = placement.place(path.name, reading.content(path, VaultError), shared=False)
    values = {key: str(value) for key, value in found.values.items()}
    for left in found.left:
        if not left.settable or "is asked for" not in left.reason:
            continue
        if not console.terminal:
            raise VaultError(
                f"{path} line {left.line}: {left.name} {left.reason}, and there is no terminal",
                "docker run -it …",
            )
        values[left.name] = console.hidden(f"{left.name} ({path.name}): ")
    console.step("keys", f"{len(values)} values of {path}, read and not run")
    if not values:
        console.warn(f"{path} exports nothing that can be told without running it")
    return values


def _take_old_state(vault: Vault, instance: Instance, scratch: Path, tool: Tool) -> None:
    """Seal a state that lies in clear beside the recipe, and remove it.

    :raises ToolError: there are both, and nobody can tell which one is true.
    """
    plain = instance.folder / "terraform.tfstate"
    if not plain.exists():
        return
    if instance.sealed_state.exists():
        raise ToolError(
            f"{plain} and {instance.sealed_state.name} are both there: only one can be true",
            f"look at both, and remove one: sops decrypt {instance.sealed_state.name}",
        )
    content = old_state.read(plain, scratch, tool)
    if content:
        vault.seal(content, instance.sealed_state)
    if not content or vault.unseal(instance.sealed_state) == content:
        plain.unlink()
        console.step("state", f"sealed {plain}, which lay there in clear, and removed it")
