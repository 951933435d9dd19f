"""What every verb is run under."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import Task, task

if TYPE_CHECKING:
    from barehub.process import Interruptions
    from barehub.project import Project
    from barehub.vault.store import Vault

NAME = "the instance: a DNS label, a folder under instances/"
WAIT = "wait until nobody else has the instance, instead of failing"
NO_WAIT = "fail at once, also where only what a killed run left at work has the instance"
CONTAINER = "do it in a container that cannot outlive it: docs/how-to/container.md"
STAGE_TIMEOUT = "seconds that terraform may take for each stage (no limit)"


def verb(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """A task whose body runs under our rules for signals, secrets and errors.

    Takes the options of ``invoke.task``.
    """

    def decorate(body: Callable[..., None]) -> Task[Any]:
        @functools.wraps(body)
        def run(context: Context, *args: Any, **kwargs: Any) -> None:
            with ruled(functools.partial(_begin, context)):
                body(context, *args, **kwargs)

        made: Task[Any] = task(**options)(run)
        return made

    return decorate


@contextmanager
def ruled(begin: Callable[[], None]) -> Iterator[None]:
    """Our rules for signals, secrets and errors; ``begin`` is done first under them."""
    # Ctrl-C while modules load: Python may drop a KeyboardInterrupt in there
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from barehub import process, system_errors
    from barehub.console import console
    from barehub.errors import BarehubError

    global _interruptions
    interruptions = _interruptions = process.Interruptions()
    console.outlive_terminal()
    process.harden()
    try:
        try:
            # after our own end: what is printed and the exit code then tell what came of it
            for number in interruptions.SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            with interruptions.installed():
                begin()
                yield
                interruptions.check()
        except OSError as error:
            told = system_errors.general(error, _places())
            if told is None:
                raise
            raise told from None
    except BarehubError as error:
        error.message = console.fit(str(error))
        console.annotate("error", error.problem)
        raise


_interruptions: Interruptions


def _places() -> list[Path]:
    """Where the running command may have been writing."""
    from barehub import session, system_errors
    from barehub.errors import ToolError

    try:
        memory = [session.home()]
    except (OSError, ToolError):
        memory = []
    return [project().root, *memory, *system_errors.written_to()]


def interruptions() -> Interruptions:
    """The signals of the running command."""
    return _interruptions


def _begin(context: Context) -> None:
    """Refuse a command line that says something else than it does, take what opens the vault out
    of our environment, and save and remove what killed runs left."""
    from barehub import session
    from barehub.tasks import command_line
    from barehub.vault import credentials, identity, policy

    command_line.check(context)
    identity.take_from_environment()
    credentials.take_from_environment(policy.key_services(project().root))
    if session.present():
        from barehub import run

        run.swept()


_root = Path(__file__).resolve().parent.parent.parent


def project() -> Project:
    """The clone that this file is in, or the one that git runs a copy of it for."""
    from barehub.project import Project

    return Project(_root)


def work_for(root: Path) -> None:
    """Let the project be ``root``: what git runs is a copy in another place."""
    global _root
    _root = root


def contained(command: str, given: Mapping[str, Any]) -> None:
    """Do ``command`` in a container; ``given`` are the parameters of its task."""
    from barehub import container

    options = {name: value for name, value in given.items() if name not in ("c", "container")}
    container.run(project(), container.Wish(command, options), interruptions())


def behind_dashes() -> list[str]:
    """What stands behind ``--`` on our command line; invoke's own account of it has lost quotes."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def only(command: str, unasked: str = "") -> str:
    """The only instance there is, for a command that was given no name.

    :param unasked: what of the command destroys, replaces or forgets without a question
    :raises UsageError: there is none, or several, or the command needs to be told which.
    """
    from barehub.console import console
    from barehub.errors import UsageError

    instances = project().instances()
    if unasked:
        name = instances[0].name if len(instances) == 1 else "NAME"
        raise UsageError(
            f"{unasked} needs --name: it does not ask",
            f"invoke {command} --name {name}{f' {unasked}' if unasked[0] == '-' else ''}",
        )
    alive = [i for i in instances if i.living] if command == "teardown" else []
    names = [instance.name for instance in alive or instances]
    if len(names) == 1:
        return names[0]
    if names and console.interactive:
        return console.ask(f"which instance ({', '.join(names)})?", names)
    if not names:
        raise UsageError("there are no instances", "invoke spawn --name demo --recipe local")
    raise UsageError(
        f"{command} needs --name, one of: {', '.join(names)}",
        f"invoke {command} --name {names[0]}",
    )


def given_of(given: Mapping[str, Any], *flags: str) -> str:
    """The first of ``flags`` that was given, as it is typed; empty without any."""
    typed = next((flag for flag in flags if given[flag]), "")
    return f"--{typed.replace('_', '-')}" if typed else ""


def seconds(option: str, text: str) -> float:
    """A number of seconds.

    :raises UsageError: ``text`` is none, or 0.
    """
    from barehub.errors import UsageError

    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(f"--{option} {text} is no number of seconds", f"--{option} 900")
    return float(text)


def stage_limit(text: str) -> float:
    """What ``--stage-timeout`` says; 0 when it was not given."""
    return seconds("stage-timeout", text) if text else 0


def stage(text: str) -> str:
    """The name of a stage, or nothing.

    :raises UsageError: it is another word.
    """
    from barehub.errors import UsageError
    from barehub.project import STAGES

    if text and text not in STAGES:
        raise UsageError(f"there is no stage {text!r}", f"choose one of: {', '.join(STAGES)}")
    return text


@contextmanager
def vault() -> Iterator[Vault]:
    """The vault, with a session of its own for what must not touch a disk."""
    from barehub import session
    from barehub.vault.store import Vault

    root = project().root
    held = interruptions()
    with held.held():
        own = session.create(session.Purpose(str(root), None, "vault"))
        try:
            with held.allowed():
                yield Vault(root, own.folder)
        finally:
            own.close()
