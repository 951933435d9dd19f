"""The steps before Terraform: recipe, vault, secrets, keys, modules, state."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from barehub import fetching, keys, shared_turn
from barehub.console import console
from barehub.errors import RecipeError, TerraformError
from barehub.process import environment
from barehub.project import NAME, STAGES, Project
from barehub.run import Run
from barehub.terraform import encryption, plugins
from barehub.terraform import recipe as recipes
from barehub.terraform.driver import Terraform
from barehub.terraform.remote_state import RemoteState
from barehub.vault import generate
from barehub.vault.store import Secrets, Vault

LOCAL_DOMAIN = re.compile(rf"({NAME.pattern}\.)+localhost")
"""RFC 6761, 6.3: what the module dns/local takes: a name below localhost."""

OF_A_CLOUD = re.compile(
    r"environment\.OS_(\w+_API_VERSION|REGION_NAME|INTERFACE|ENDPOINT_TYPE|AUTH_TYPE"
    r"|((USER|PROJECT)_)?DOMAIN_(NAME|ID))"
)
"""What an openrc tells that is the same for all users of a cloud, and mostly a word such as 3."""


def read_recipe(run: Run) -> None:
    """See that the recipe can be read and has its three modules."""
    with run.interruptions.polled():
        run.recipe = recipes.read(run.instance)


def make_vault(run: Run) -> None:
    """Make a vault where there is none."""
    begin_vault(run.vault)


def begin_vault(vault: Vault) -> None:
    if not vault.exists:
        identity = vault.init()
        console.step("vault", f"made secrets/shared.yaml; its key is in {identity.source}")


def read_secrets(run: Run) -> None:
    """Decrypt the vault into memory, and hide its values from all that is printed."""
    run.secrets = run.vault.read(run.instance.name)
    hide(run.secrets, run.instance.name, _domain(_recipe(run)))
    tools = run.project.tools_path()
    run.env = environment({**run.secrets.environment, "PATH": tools, "CHECKPOINT_DISABLE": "1"})
    run.env["TF_IN_AUTOMATION"] = "1"
    if not run.state.backend:  # barehub seals the state, and has to read it
        run.env.pop(encryption.VARIABLE, None)


def encrypt_state(run: Run) -> None:
    """Have OpenTofu encrypt a state that is in a backend, with a key of the vault.

    What the recipe, the vault or the environment says of that stands.
    """
    if not run.state.backend or run.project.terraform.name != "tofu":
        return
    if encryption.VARIABLE in run.env or encryption.written(run.instance.folder):
        return
    path = f"environment.{encryption.VARIABLE}"
    run.vault.update(run.vault.file(run.instance.name), {path: encryption.make()})
    console.step("vault", f"made a key for the state, stored encrypted as {path}")
    read_secrets(run)


def hide(secrets: Secrets, name: str, domain: str) -> None:
    """Hide all values but those that a person has to read: they are part of the hub's name."""
    values = {k: v for k, v in secrets.private().items() if not OF_A_CLOUD.fullmatch(k)}
    keys = encryption.passphrases(secrets.environment.get(encryption.VARIABLE, ""))
    values |= {f"passphrase {number} of the state": key for number, key in enumerate(keys, 1)}
    public = {name, domain, *domain.split(".")}
    if named := sorted(key for key, value in values.items() if value in public):
        console.warn(f"not hidden in output, because the hub's name tells it: {', '.join(named)}")
    short = console.hide({key: values[key] for key in values.keys() - set(named)})
    if short:
        console.warn(f"too short to be hidden in output: {', '.join(sorted(short))}")


def start_agent(run: Run) -> None:
    """Hold the SSH key that this run uses, if any, in an agent of the session; say which it is."""
    run.keys = keys.hold(keys.choose(str(run.secrets.ssh.get("private_key", ""))), run.session)
    if "GIT_SSH_COMMAND" in run.env:
        console.warn("GIT_SSH_COMMAND is not used: what ssh needs to know stands in ~/.ssh/config")
    run.env = keys.environment(run.keys, run.env, run.instance.known_hosts)
    for key in run.keys.keys:
        console.step("keys", f"{key}, from {run.keys.source}")


def fetch_modules(run: Run) -> None:
    """Let Terraform fetch the recipe's modules and providers."""
    configured = plugins.configure(run.project.terraform, run.session.folder, run.env)
    if configured.notice:
        console.warn(configured.notice)
    run.env |= configured.env
    fetching.fetch(run, terraform_of(run), configured.mirror)


def complete_recipe(run: Run) -> None:
    """Fill the recipe's placeholders, and optional arguments that it leaves out, from the vault.

    :raises RecipeError: something is missing; all of it is named at once.
    """
    recipe = _recipe(run)
    file = run.project.relative(run.instance.recipe)
    with run.interruptions.polled():  # the modules are parsed
        unwritten = recipe.unwritten()
    if unwritten:
        lines = [f'{n} = "<vault>"' for names in unwritten.values() for n in names]
        raise RecipeError(
            f"{file} leaves out required arguments: {_told(unwritten)}",
            f"write their values there, or if the vault has them: {', '.join(lines)}",
        )
    _generate(run)
    values = run.values
    if missing := recipe.missing(values):
        first = next(iter(missing.values()))[0]
        name = run.instance.name
        raise RecipeError(
            f"{file} has placeholders that the vault cannot fill: {_told(missing)}",
            f"invoke vault.set variables.{first} --name {name}"
            f"   (puts it into {run.project.relative(run.vault.file(name))})",
        )
    run.hand_over(recipe.complete(values), recipe.ephemeral())
    console.step("secrets", f"{len(run.secrets.private())} in memory, none on a disk")


def _domain(recipe: recipes.Recipe) -> str:
    """The hub's name as the recipe writes it."""
    return str(recipe.calls.get("dns", {}).get("domain", ""))


def _told(arguments: dict[str, list[str]]) -> str:
    return "; ".join(f"{stage}: {', '.join(names)}" for stage, names in arguments.items())


def made_here(run: Run) -> dict[str, list[str]]:
    """By stage, the open arguments of our own modules that :func:`complete_recipe` makes."""
    return {
        stage: [argument for argument in arguments if argument in generate.MADE]
        for stage, arguments in _ours(run.project, _recipe(run)).items()
    }


def _ours(project: Project, recipe: recipes.Recipe) -> dict[str, list[str]]:
    """By stage, the open arguments of our own modules."""
    own = (project.root / "terraform").resolve()
    folders = {s: recipe.folder(s).resolve() for s in STAGES if s in recipe.calls}
    ours = [
        s for s, folder in folders.items() if folder.is_relative_to(own) and os.path.isdir(folder)
    ]
    return {stage: recipe.open_arguments(stage) for stage in ours}


def _generate(run: Run) -> None:
    if make_values(run.project, run.vault, _recipe(run), run.secrets):
        run.secrets = run.vault.read(run.instance.name)
        hide(run.secrets, run.instance.name, _domain(_recipe(run)))


def make_values(
    project: Project, vault: Vault, recipe: recipes.Recipe, secrets: Secrets
) -> list[str]:
    """Make the secrets of our own modules that nobody has set; the key paths that were written.

    :raises RecipeError: a hub for this machine alone has a name that others may have.
    """
    name = recipe.instance.name
    ours = [argument for arguments in _ours(project, recipe).values() for argument in arguments]
    domain = _domain(recipe)
    if "tls_certificate" in ours and not LOCAL_DOMAIN.fullmatch(domain):
        raise RecipeError(
            f'the domain {domain!r} of module "dns" is no name under localhost',
            f'domain = "{name}.localhost"',
        )
    wanted = [argument for argument in ours if argument not in secrets.variables]
    made = generate.complete(vault, name, secrets, wanted, domain)
    if made:
        console.step("vault", f"made {len(made)} values of this hub's own, stored encrypted")
    return made


def open_state(run: Run) -> None:
    """Unseal the state into the session; one that is in a backend waits for :func:`reach_state`.

    :raises VaultError: it cannot be unsealed; nothing else is done then.
    :raises TerraformError: it is not where the recipe says, or is gone.
    """
    sealed, name = run.project.relative(run.instance.sealed_state), run.instance.name
    record = run.instance.folder / ".terraform" / "terraform.tfstate"
    if run.instance.backend and run.instance.sealed_state.exists():
        raise TerraformError(
            f"the recipe of {name} has a backend, and its state is in {sealed}",
            f"invoke state.migrate --name {name}   moves it into the backend",
            f"or take the backend out of {run.project.relative(run.instance.recipe)}",
        )
    if not run.instance.backend and record.exists():
        if not run.instance.sealed_state.exists():
            raise TerraformError(
                f"the recipe of {name} has lost the backend that its state is in",
                f"put it back, then: invoke state.migrate --name {name} --back",
                f"if there is nothing in it: rm {run.project.relative(record)}",
            )
        record.unlink()  # terraform would want to move the state by itself, in clear
    run.state.open(run.vault.unseal)
    if not run.instance.backend:
        _see_that_it_is_not_lost(run, f"git checkout {sealed}")


def reach_state(run: Run) -> None:
    """Look at the state that is in the recipe's backend, if it has one; nobody else may meanwhile.

    :raises UsageError: somebody else does.
    :raises TerraformError: the backend does not answer, or the state is gone.
    """
    if isinstance(run.state, RemoteState):
        shared_turn.take(run, run.state)
        run.state.reach(terraform_of(run), run.vault.unseal)
        _see_that_it_is_not_lost(run, f"see what became of it in the backend {run.state.backend}")


SEEING: Sequence[Callable[[Run], None]] = (
    read_recipe,
    read_secrets,
    open_state,
    start_agent,
    fetch_modules,
    reach_state,
)
"""What a command needs that looks at the state and plans nothing."""


def _see_that_it_is_not_lost(run: Run, found: str) -> None:
    """:raises TerraformError: there is none, although the journal knows of resources: making them
    again would leave those behind. ``found`` says where it may be.
    """
    made = run.instance.journal.ledger().made
    if not made or run.state.lineage or run.terms.recover:
        return
    sealed, backend = run.project.relative(run.instance.sealed_state), run.state.backend
    gone = f"the backend {backend} has no state" if backend else f"{sealed} is gone"
    journal = run.project.relative(run.instance.journal.path)
    told = ", ".join(f"{address} ({id})" if id else address for address, id in made.items())
    command = "teardown" if run.command == "teardown" else "spawn"
    raise TerraformError(
        f"{gone}, but these were made and not destroyed: {told}",
        found,
        f"if it is lost: invoke {command} --name {run.instance.name} --recover",
        f"invoke leftovers --name {run.instance.name}   # which of them are still there",
        f"if you have removed them all by hand: rm {journal}",
    )


def _recipe(run: Run) -> recipes.Recipe:
    assert run.recipe, "read_recipe comes first"
    return run.recipe


def terraform_of(run: Run) -> Terraform:
    return Terraform(
        tool=run.project.terraform,
        folder=run.instance.folder,
        scratch=run.session.folder,
        state=run.state,
        env=run.env,
        interruptions=run.interruptions,
        fds=run.fds,
        variables=run.variables,
        variables_fds=run.variables_fds,
        ephemeral=run.ephemeral,
        notice=run.instance.journal.resource,
        seconds=run.terms.stage_seconds,
    )
