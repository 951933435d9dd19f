"""One run on one instance: its lock, its session, its vault and its state, opened and closed.

Opening takes the instance's lock, sweeps what killed runs left and makes the session. Closing
seals the state, ends the agent, removes the session and lets go of the lock, whatever happened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barehub import process, session, survivors, turn
from barehub.console import console
from barehub.errors import BarehubError, LeftoverError, ToolError, UsageError
from barehub.keys import AUTHORIZED, Held
from barehub.lock import Lock
from barehub.process import Interruptions
from barehub.project import Instance, Project
from barehub.session import Abandoned, Purpose, Session
from barehub.terraform import remote_state
from barehub.terraform.events import Progress
from barehub.terraform.recipe import Recipe
from barehub.terraform.remote_state import RemoteState
from barehub.terraform.shared_lock import SharedLock
from barehub.terraform.state import State
from barehub.vault.store import Secrets, Vault

DISK_ROOM = 8 * 1024 * 1024
"""Bytes that must be free beside the recipe, where the sealed state is written."""


@dataclass(frozen=True)
class Terms:
    """What the person who starts a run allows it, beforehand."""

    agreed: bool = False
    """To lose what exists without being asked; what the guard holds back is not meant."""

    allowed: frozenset[str] = frozenset()
    """The addresses that the guard lets go."""

    first: str = ""
    """The stage to begin with; the earlier ones are left as they are."""

    wait: bool = False
    """To wait until nobody else has the instance."""

    no_wait: bool = False
    """Not to wait for what a killed run left at work either."""

    stage_seconds: float = 0
    """How long Terraform may take for each stage; 0 means as long as it likes."""

    recover: bool = False
    """To do without asking what is safe after a crash: replace what is half made, import."""

    again: str = ""
    """The command that was typed, where that is not spawn, to be named in hints."""

    def __post_init__(self) -> None:
        """:raises UsageError: two terms contradict one another."""
        if self.wait and self.no_wait:
            raise UsageError("--wait and --no-wait contradict one another", "choose one of them")


NOTHING = Terms()


@dataclass
class Run:
    """What the steps of one run share."""

    project: Project
    instance: Instance
    interruptions: Interruptions
    lock: Lock
    session: Session
    vault: Vault
    state: State
    command: str
    terms: Terms = NOTHING
    shown: dict[str, str] | None = None
    """The plan that the person was shown: address to action; nothing before that."""

    losses: dict[str, str] = field(default_factory=dict)
    """What of it the person agreed to lose."""

    env: dict[str, str] = field(default_factory=process.environment)
    secrets: Secrets = field(default_factory=lambda: Secrets({}, {}, {}, {}))
    keys: Held = field(default_factory=lambda: Held("", (), {}))
    recipe: Recipe | None = None
    variables: str | None = None
    ephemeral: dict[str, Any] = field(default_factory=dict)
    """What an apply must be given again: the values of ephemeral variables, by name."""

    changed: bool = False
    shared: SharedLock | None = None
    """The lock between machines, where the state is in a backend that has one."""

    variables_fds: tuple[int, ...] = ()
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def fds(self) -> tuple[int, ...]:
        """The locks, which Terraform inherits and keeps if we die."""
        shared = self.shared.fds if self.shared else ()
        return self.session.fds + self.lock.fds + shared

    def share(self, lock: SharedLock) -> None:
        """Keep the lock between machines, which we have, until the run is closed."""
        self.shared = lock
        self._stack.callback(lock.release)

    @property
    def values(self) -> dict[str, Any]:
        """What fills the recipe's placeholders, by argument: the vault's variables, and the public
        halves of the run's keys unless the vault has others."""
        lines = self.keys.authorized()
        return ({AUTHORIZED: lines} if lines else {}) | self.secrets.variables

    def hand_over(self, values: dict[str, Any], ephemeral: Collection[str] = ()) -> None:
        """Put ``values`` where Terraform, and nobody else, reads them: ``-var-file``.

        A saved plan holds none of ``ephemeral``. What is null counts as not given, then and now:
        https://developer.hashicorp.com/terraform/language/block/variable#ephemeral

        Terraform takes JSON only from a name that ends in ``.tfvars.json``; behind that name is a
        file in memory without one.
        """
        content = json.dumps(values).encode()
        private = self._stack.enter_context(process.private_file(content, self.session.folder))
        name = self.session.folder / "secrets.tfvars.json"
        name.unlink(missing_ok=True)
        name.symlink_to(private.path)
        self.variables, self.variables_fds = str(name), private.fds
        given = {name: values[name] for name in ephemeral if values.get(name) is not None}
        self.ephemeral = given

    def close(self) -> None:
        """:raises BarehubError: the first thing that could not be put in order."""
        try:
            self._stack.close()
            self.state.close()
        except (BarehubError, OSError):
            self.session.leave()
            raise
        else:
            self.session.close()
        finally:
            self.lock.release(remove=True)


@contextmanager
def opened(
    project: Project,
    instance: Instance,
    command: str,
    interruptions: Interruptions,
    terms: Terms = NOTHING,
) -> Iterator[Run]:
    """A run on ``instance``.

    :raises UsageError: another run has the instance.
    :raises ToolError: there is no room for it.
    """
    if names := process.scrubbed_names():
        console.warn(f"{', '.join(names)} would change what terraform does: taken out for this run")
    if shutil.disk_usage(instance.folder).free < DISK_ROOM:
        raise ToolError(
            f"less than {DISK_ROOM >> 20} MiB are free for {project.relative(instance.folder)}",
            f"df -h {instance.folder}",
        )
    with interruptions.held():
        lock = turn.take(
            instance,
            command,
            interruptions,
            wait=terms.wait,
            no_wait=terms.no_wait,
            again=terms.again,
        )
        try:
            with interruptions.allowed():
                swept(awaited=(str(project.root), instance.name))
            own = session.create(Purpose(str(project.root), instance.name, command))
        except BaseException:
            lock.release(remove=True)
            raise
        vault = Vault(project.root, own.folder)
        state = _state(own, instance, vault, wait=terms.wait)
        run = Run(project, instance, interruptions, lock, own, vault, state, command, terms)
        instance.journal.redact = lambda text: state.redact(console.redact(text))
        failure: BaseException | None = None
        try:
            with interruptions.allowed():
                yield run
        except BaseException as error:
            failure = error
            raise
        finally:
            _close(run, failure)
    interruptions.check()


def _state(own: Session, instance: Instance, vault: Vault, *, wait: bool) -> State:
    if instance.backend:
        return _remote(own.folder, instance, vault, wait=wait)
    return State(own.state, instance.sealed_state, vault.seal)


def _remote(folder: Path, instance: Instance, vault: Vault, *, wait: bool = False) -> RemoteState:
    return RemoteState(
        folder / remote_state.COPY,
        instance.untaken_state,
        vault.seal,
        instance.backend,
        wait=wait,
    )


def _close(run: Run, failure: BaseException | None) -> None:
    try:
        run.close()
        console.step("clean", "session removed; no key, plan or plain state is left")
    except (BarehubError, OSError) as error:
        if failure is None:
            raise
        console.warn(error.problem if isinstance(error, BarehubError) else str(error))
        for hint in error.hints if isinstance(error, BarehubError) else ():
            console.hint(hint)


def outlast_all(interruptions: Interruptions) -> None:
    """Wait for all that killed runs left at work on this machine, then save and remove the rest."""
    for purpose in session.working():
        if purpose.instance:
            turn.outlast(Project(Path(purpose.root)).instance(purpose.instance), interruptions)
            swept(awaited=(purpose.root, purpose.instance))


def swept(awaited: tuple[str, str] | None = None) -> None:
    """Save and remove what killed runs left on this machine, and print a line for each."""
    for line in session.sweep(_recover, awaited):
        console.step("sweep", line)


def _recover(dead: Abandoned) -> str | None:
    """Seal the state of a run that was killed, if it is newer than what is sealed.

    Before that, end the provisioners whose Terraform was killed as well.
    """
    orderly = not _cut_short(dead)
    if ended := survivors.end_recorded(dead.folder, dead.survivors, plugins=orderly):
        console.step(
            "sweep", f"ended {ended} programs that terraform, which was killed, had started"
        )
    shared = (dead.folder / remote_state.COPY).exists()
    if not (dead.state.exists() or shared):
        return None
    if dead.purpose is None or dead.purpose.instance is None:
        raise LeftoverError(
            f"it holds a state, and {dead.folder / 'session.json'} does not say whose",
            f"look at {dead.state}, then: rm -r {dead.folder}",
        )
    root = Path(dead.purpose.root)
    instance = Project(root).instance(dead.purpose.instance)
    vault = Vault(root, dead.folder)
    state: State = State(dead.state, instance.sealed_state, vault.seal)
    if shared:
        state = _remote(dead.folder, instance, vault)
    if instance.folder.exists():
        state.adopt_errored()
        _replay(dead, instance)
        count = len(state.resources())
        newer = state.close()
        return f"sealed the newer state of {instance.name} ({count} resources)" if newer else None
    if state.resources() and not shared:
        raise LeftoverError(
            f"it holds the state of {instance.name}, whose folder {instance.folder} is gone",
            f"put {instance.folder} back, or remove {dead.folder} if its resources do not matter",
        )
    return None


def _last_log(dead: Abandoned, kind: str) -> list[str]:
    """The lines that Terraform printed last, in a command of ``kind``."""
    logs = sorted(dead.folder.glob(f"*-{kind}.log"), key=lambda path: path.stat().st_mtime)
    return logs[-1].read_text(errors="replace").splitlines() if logs else []


def _cut_short(dead: Abandoned) -> bool:
    """Whether Terraform ended in the middle of making or destroying something."""
    progress = Progress()
    for line in _last_log(dead, "*"):
        progress.feed(line)
    return bool(progress.under_way)


def _replay(dead: Abandoned, instance: Instance) -> None:
    """Bring into the journal what Terraform still did after its run was killed."""
    lines = _last_log(dead, "apply")
    if not lines:
        return
    told = instance.journal.of_stage()

    def notice(kind: str, address: str, action: str, id: str) -> None:
        if told and told[0] == (kind, address, action):
            told.pop(0)
        else:
            instance.journal.resource(kind, address, action, id)

    progress = Progress(notice)
    for line in lines:
        progress.feed(line)
    instance.journal.add("replayed")
