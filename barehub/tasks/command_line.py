"""Refuses command lines that would do something else than they say.

A task sees neither which flags were typed nor the rest of the line; invoke's program does
(https://docs.pyinvoke.org/en/stable/api/program.html).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import Any

from invoke.context import Context
from invoke.main import program
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from barehub.errors import UsageError

WITHOUT_EFFECT = (
    "command-timeout",
    "echo",
    "hide",
    "no-dedupe",
    "prompt-for-sudo-password",
    "pty",
    "warn-only",
)
"""Core flags of invoke for shell commands and lists of tasks, which barehub's commands are not."""

PASSED_ON = ("ssh", "terraform")
"""Commands that take what stands behind ``--``."""

PLANNED = {"spawn": "", "upgrade": "", "scale": "", "teardown": " --destroy"}
"""By command, what `invoke plan` takes to show what it would do."""


def check(context: Context) -> None:
    """Look at the whole command line before anything of it is done.

    :raises UsageError: a value is empty, there are several commands, something would be passed
        over, or a flag of invoke's own has not the effect that it promises.
    """
    typed: list[ParserContext] = list(getattr(program, "tasks", ()))
    core: list[ParserContext] = list(getattr(program, "core", ()))[:1]
    if len(typed) > 1:
        names = [str(task.name) for task in typed]
        raise UsageError(
            f"several commands on one line: {', '.join(names)}; nothing was done",
            " && ".join(f"invoke {name} …" for name in names),
        )
    behind = shlex.join(sys.argv[sys.argv.index("--") + 1 :]) if "--" in sys.argv else ""
    if behind and typed and typed[0].name not in PASSED_ON:
        raise UsageError(
            f"{typed[0].name} takes nothing behind --: {behind}", "leave out the -- before it"
        )
    for argument in _arguments(typed):
        _see_value(argument)
    _see_core_flags({str(a.names[0]): a for a in _arguments(core)}, typed)
    if context.config.run.dry:  # by --dry, INVOKE_RUN_DRY or a configuration file
        raise _dry("run.dry of invoke", typed)


def _arguments(contexts: Iterable[ParserContext]) -> list[Argument]:
    return [argument for context in contexts for argument in context.args.values()]


def _see_value(argument: Argument) -> None:
    """:raises UsageError: the argument was given, and is empty or of blanks alone."""
    if not argument.takes_value:
        return
    values: list[Any] = argument.value if argument.kind is list else [argument.raw_value]
    if any(isinstance(value, str) and not value.strip() for value in values):
        name = str(argument.names[0])
        flag, word = f"--{name}", name.upper().replace("-", "_")
        in_place = argument.positional and not any(a.startswith(flag) for a in sys.argv)
        told = word if in_place else flag
        instead = "" if argument.positional else f", or leave out {flag}"
        raise UsageError(f"{told} is empty", f'"${word}" may be an unset variable: set it{instead}')


def _see_core_flags(core: dict[str, Argument], typed: list[ParserContext]) -> None:
    """:raises UsageError: one was given that does not do what it says."""
    if "dry" in core and core["dry"].value:
        raise _dry("--dry", typed)
    for name in WITHOUT_EFFECT:
        if name in core and core[name].value:
            raise UsageError(
                f"--{name} has no effect on the commands of barehub",
                f"leave out --{name}; invoke COMMAND --help shows the flags of a command",
            )


def _dry(what: str, typed: list[ParserContext]) -> UsageError:
    """The error for a dry run, with the command that shows a plan."""
    command = str(typed[0].name) if typed else ""
    problem = f"{what}: barehub has no dry run, and nothing was done"
    if command not in PLANNED:
        return UsageError(problem, "leave it out")
    name = shlex.quote(str(typed[0].args["name"].value or "NAME"))
    plan = f"invoke plan --name {name}{PLANNED[command]}"
    return UsageError(problem, f"{plan}   shows what {command} would do")
