"""All that a person sees.

stdout carries what a script wants (an endpoint, JSON); everything else goes to stderr. Progress is
live on a terminal and one line an event elsewhere. ``NO_COLOR`` (https://no-color.org) and
``TERM=dumb`` are respected. A terminal that has gone away (SIGHUP) never fails a run: what cannot
be written is dropped.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from traceback import format_exception
from typing import TextIO, cast

from barehub.errors import UsageError
from barehub.harmless import harmless, one_line
from barehub.redaction import SHORTEST, Redactor, Stream, hidden_lines
from barehub.streams import Foreign, Lasting

GREEN, YELLOW, RED, DIM, BOLD = "32", "33", "31", "2", "1"
QUIET_SECONDS, HEARTBEAT_SECONDS = 2.0, 30.0
BESIDE_THE_TEXT = 22
"""Columns of a live line that its spinner, label and clock take."""


class Console:
    """Writes lines, live progress and questions; hides secret values in all of them."""

    def __init__(self) -> None:
        self.redactor = Redactor()
        self._live: Working | None = None

    @staticmethod
    def outlive_terminal() -> None:
        """Let nothing that is printed from now on fail, by whomever: the terminal may go away."""
        sys.stdout = cast("TextIO", Lasting(sys.stdout, answers=True))
        sys.stderr = cast("TextIO", Lasting(sys.stderr))
        sys.excepthook = lambda *error: console.say("".join(format_exception(*error)).rstrip())

    @property
    def err(self) -> Lasting:
        return Lasting(sys.stderr)

    @property
    def live(self) -> bool:
        """Whether progress may be redrawn in place."""
        return _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    @property
    def interactive(self) -> bool:
        """Whether a person is there to answer a question."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr)

    @property
    def terminal(self) -> bool:
        """Whether a person can be asked for what stays hidden, wherever stdin comes from.

        That is on the terminal that controls us, unless we run there in the background.
        """
        try:
            with open("/dev/tty") as tty:
                return os.tcgetpgrp(tty.fileno()) == os.getpgrp()
        except OSError:
            return False

    def hide(self, values: Mapping[str, str]) -> list[str]:
        """Hide ``values`` (name to secret) in all later output; the names too short to hide.

        In GitHub Actions each value is masked in the job's log as well
        (https://docs.github.com/actions/reference/workflow-commands-for-github-actions).
        """
        short = [name for name, value in values.items() if not self.redactor.add(value)]
        if os.environ.get("GITHUB_ACTIONS") == "true":
            masked = (part for value in values.values() for part in _masked(value))
            for part in dict.fromkeys(masked):
                self._write(self.err, f"::add-mask::{_escape_command(part)}")
        return short

    def redact(self, text: str) -> str:
        """A whole ``text`` without any hidden value."""
        return self.redactor.clean(text)

    def fit(self, text: str) -> str:
        """``text`` as it may be shown, whoever worded it: no hidden value, nothing that a terminal
        or the runner of a workflow obeys, but our own colours."""
        return harmless(self.redact(text), colors=self.live)

    def foreign(self, *, errors: bool = False) -> Foreign:
        """What passes on to stdout (with ``errors``, stderr) what another program prints."""
        return Foreign(self.err if errors else Lasting(sys.stdout, answers=True), self.stream())

    def stream(self) -> Stream:
        """The same for a text that comes in chunks, cut anywhere."""
        return self.redactor.stream()

    def out(self, text: str) -> None:
        """A line for a script, on stdout."""
        self._write(sys.stdout, self.fit(text))

    def place(self, text: str) -> None:
        """An address or a path for a script, on stdout: a value of the vault may be part of it."""
        self._write(sys.stdout, one_line(harmless(text)))

    def exact(self, text: str) -> None:
        """A line on stdout exactly as it is: a value that was asked for."""
        self._write(sys.stdout, text)

    def content(self, content: bytes) -> None:
        """Bytes on stdout exactly as they are: a file that was asked for."""
        Lasting(sys.stdout, answers=True).write_bytes(content)

    def say(self, text: str = "") -> None:
        """A line for a person, on stderr."""
        if self._live:
            self._live.above(text)
        else:
            self._write(self.err, self.fit(text))

    def step(self, label: str, text: str, seconds: float | None = None) -> None:
        """One finished step: ``✓ provider   1 created   0.4s``."""
        self._line(GREEN, "✓", label, text, seconds)

    def failed(self, label: str, text: str, seconds: float | None = None) -> None:
        self._line(RED, "✗", label, text, seconds)

    def warn(self, text: str) -> None:
        self.say(f"{self.paint('warning:', YELLOW)} {text}")

    def hint(self, text: str) -> None:
        self.say(f"hint: {text}")

    def paint(self, text: str, *styles: str) -> str:
        if not self.live or os.environ.get("NO_COLOR"):
            return text
        return f"\x1b[{';'.join(styles)}m{text}\x1b[0m"

    @contextmanager
    def working(self, label: str, text: str = "") -> Iterator[Working]:
        """Progress of something that takes time; the caller ends it with a ``step`` of its own.

        Inside of another one it is that one, which says ``text`` meanwhile.
        """
        if self._live:
            self._live.now(text)
            yield self._live
            return
        work = _LiveWorking(self, label, text) if self.live else Working(self, label, text)
        self._live = work
        try:
            yield work
        finally:
            self._live = None
            work.stop()

    def confirm(self, question: str, expected: str, hint: str) -> None:
        """Ask for ``expected`` to be typed.

        :raises UsageError: with ``hint`` when there is no terminal, or something else was typed.
        """
        if not self.interactive:
            raise UsageError(f"there is no terminal to ask on: {question.rstrip(':')}", hint)
        if self.line(question) != expected:
            raise UsageError("nothing was done: the answer was something else", hint)

    def ask(self, question: str, choices: Sequence[str]) -> str:
        """One of ``choices``, typed by the person; the caller has seen that one is there.

        :raises UsageError: something else was typed.
        """
        answer = self.line(question)
        if answer not in choices:
            raise UsageError(f"{answer!r} is none of them", f"choose one of: {', '.join(choices)}")
        return answer

    def line(self, question: str) -> str:
        """A line that the person types, perhaps an empty one; the caller sees that one is there.

        :raises UsageError: the terminal was closed.
        """
        self._write(self.err, f"{self.fit(question)} ", end="")
        line = ""
        try:
            line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):  # Ctrl-C, Ctrl-D: what follows begins on a line of its own
                self._write(self.err, "")
        if not line:
            raise UsageError("nothing was done: there was no answer")
        return line.strip()

    def secret(self, key: str) -> str:
        """The value for ``key``: typed without an echo, or all of standard input if that is no
        terminal.

        :raises UsageError: nothing was given.
        """
        if _is_terminal(sys.stdin):
            value = self.hidden(f"{key}: ")
        else:
            value = sys.stdin.read().removesuffix("\n")
        if not value:
            raise UsageError("the value is empty", "give it on standard input, or type it")
        if value.startswith("-----BEGIN ") and "\n" not in value.strip():
            raise UsageError(
                "that is only the first line of a key", f"invoke vault.set {key} < FILE"
            )
        return value

    def hidden(self, prompt: str) -> str:
        """A line that a person types without an echo, on the terminal that controls us.

        :raises UsageError: the terminal was closed, or gave no text.
        """
        if self._live:
            self._live.stop()
        try:
            return getpass.getpass(self.fit(prompt))
        except BaseException as error:
            self._write(self.err, "")
            if isinstance(error, (EOFError, OSError, UnicodeDecodeError)):
                raise UsageError(f"nothing was typed: {prompt.rstrip(': ')}") from None
            raise
        finally:
            if self._live:
                self._live.start()

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table on stdout, in columns, without lines, so that ``awk`` can read it."""
        cells = [tuple(headings), *(tuple(map(one_line, row)) for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
        for row in cells:
            self.out("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())

    def annotate(self, kind: str, text: str, file: str = "", line: int = 0) -> None:
        """An annotation of GitHub Actions (``error``, ``warning``); nothing elsewhere.

        :param file: that it is about, by its path in the repository.
        """
        if os.environ.get("GITHUB_ACTIONS") == "true":
            place = _escape_command(self.fit(file)).replace(":", "%3A").replace(",", "%2C")
            about = f" file={place}" + (f",line={line}" if line else "") if file else ""
            self._write(self.err, f"::{kind}{about}::{_escape_command(self.fit(text))}")

    def _line(self, color: str, mark: str, label: str, text: str, seconds: float | None) -> None:
        took = f"  {self.paint(f'{seconds:.1f}s', DIM)}" if seconds is not None else ""
        self.say(f"{self.paint(mark, color)} {label:<10} {text}{took}")

    @staticmethod
    def _write(stream: TextIO | Lasting, text: str, end: str = "\n") -> None:
        stream.write(text + end)
        stream.flush()


class Working:
    """Progress where nothing can be redrawn: one line an event, and a sign of life.

    What is over within :data:`QUIET_SECONDS` says nothing.
    """

    def __init__(self, console: Console, label: str, text: str) -> None:
        self.console, self.label, self.text, self._latest = console, label, "", text
        self.started = self._said = time.monotonic()
        self.now(text)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.started

    def now(self, text: str) -> None:
        """What is going on at this moment; cheap enough to be called in a loop."""
        self._latest = text
        if self.seconds < QUIET_SECONDS:
            return
        if text != self.text or time.monotonic() - self._said > HEARTBEAT_SECONDS:
            self._print(text if text != self.text else f"{text} ({self.seconds:.0f}s)")
            self.text = text

    def go_on(self) -> None:
        """Nothing new; called often, so that a long wait shows a sign of life."""
        self.now(self._latest)

    def above(self, text: str) -> None:
        """A line that stays, printed while this goes on."""
        self.console._write(self.console.err, self.console.fit(text))

    def start(self) -> None:
        """Go on after :meth:`stop`."""

    def stop(self) -> None:
        """Leave the screen to something else."""

    def _print(self, text: str) -> None:
        self._said = time.monotonic()
        self.above(f"  {self.label:<10} {text}")


class _LiveWorking(Working):
    """Progress on a terminal: one line with a spinner and the time elapsed."""

    def __init__(self, console: Console, label: str, text: str) -> None:
        from rich import console as rich_console
        from rich import progress

        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.fields[label]:<10} {task.description}", markup=False),
            progress.TimeElapsedColumn(),
            console=rich_console.Console(file=console.err, stderr=True, soft_wrap=True),  # type: ignore[arg-type]
            transient=True,
        )
        self._task = self._progress.add_task(text, total=None, label=label)
        self.start()
        self.started = time.monotonic()
        self.console, self.text, self._latest = console, text, text

    def now(self, text: str) -> None:
        self._latest = text
        if text != self.text:
            self.text = text
            width = max(10, self._progress.console.width - BESIDE_THE_TEXT)
            shown = _shorten(one_line(harmless(self.console.redact(text))), width)
            self._progress.update(self._task, description=shown)

    def above(self, text: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(self.console.fit(text)))

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_terminal(stream: TextIO) -> bool:
    isatty: Callable[[], bool] | None = getattr(stream, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:
        return False


def _masked(value: str) -> list[str]:
    """What GitHub Actions shall mask of a value: its lines, and the whole if that is safe.

    Runners mask each line of what they are given as well: a short one ("}") would blacken the log.
    """
    lines = hidden_lines(value)
    short = any(line and len(line.strip()) < SHORTEST for line in value.splitlines())
    return lines if short or not lines else [value.strip(), *lines]


def _escape_command(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


console = Console()
