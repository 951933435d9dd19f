"""Tries a run's SSH key against the repositories that the recipes fetch by ssh."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from barehub import keys, process, session
from barehub.console import console
from barehub.errors import BarehubError
from barehub.project import Instance, Project
from barehub.ssh import git
from barehub.ssh.git import Repository
from barehub.ssh.refusal import Refusal
from barehub.terraform.hcl import parse
from barehub.terraform.recipe import Recipe
from barehub.vault.store import Vault

AT_ONCE = 16
"""Repositories that are asked for at the same time; each takes at most git.ATTEMPT_SECONDS."""


@dataclass(frozen=True)
class Trial:
    """What came of asking for one repository, or of looking for a key (then there is none)."""

    instance: Instance
    key: str
    repository: Repository | None
    refusal: Refusal | None


def repositories(instance: Instance) -> list[Repository]:
    """What the recipe fetches by ssh.

    :raises RecipeError: it cannot be parsed.
    """
    content = Recipe(instance, parse(instance.recipe))
    sources = (str(call.get("source", "")) for call in content.calls.values())
    return list(dict.fromkeys(found for s in sources if (found := git.repository(s))))


def tried(project: Project, instances: Iterable[Instance], *, ask: bool) -> list[Trial]:
    """Each repository of each recipe, asked for with the key that a run on it would use.

    :param ask: whether a person may be asked for a passphrase.
    """
    trials: list[Trial] = []
    jobs: list[tuple[Instance, str, Repository, dict[str, str]]] = []
    with ExitStack() as stack:
        for instance in instances:
            try:
                wanted = repositories(instance)
                held = _held(project, instance, stack, ask) if wanted else None
            except BarehubError as error:
                trials.append(Trial(instance, "", None, Refusal(error.problem, error.hints)))
                continue
            if held:
                shown = ", ".join(f"{key}, from {held.source}" for key in held.keys) or "no key"
                env = keys.environment(held, process.environment(), instance.known_hosts)
                jobs += [(instance, shown, repository, env) for repository in wanted]
        if jobs:
            asking = console.working("ssh", f"asking for {len(jobs)} repositories")
            with asking, ThreadPoolExecutor(AT_ONCE) as pool:
                trials += pool.map(_trial, jobs)
    return trials


def _trial(job: tuple[Instance, str, Repository, dict[str, str]]) -> Trial:
    instance, shown, repository, env = job
    return Trial(instance, shown, repository, git.attempt(repository, env))


def _held(project: Project, instance: Instance, stack: ExitStack, ask: bool) -> keys.Held:
    own = session.create(session.Purpose(str(project.root), None, "doctor"))
    stack.callback(own.close)
    vault = Vault(project.root, own.folder, ask=ask)
    private = vault.read(instance.name).ssh.get("private_key", "") if vault.exists else ""
    return keys.hold(keys.choose(str(private), ask=ask), own)
