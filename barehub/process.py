"""The only starter of processes: argument lists, environments, private input, signals.

No shell ever parses what barehub passes on. Children run with umask 077 and, but for an editor, in
a session of their own, so that a Ctrl-C on the terminal reaches barehub alone, which then ends them
in order.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from barehub import conversation
from barehub.console import console
from barehub.errors import Interrupted, ToolError
from barehub.patience import GENEROUS, Patience
from barehub.system_errors import reason

PRIVATE = 0o077
"""The umask of every child: Terraform creates state and plan files 0644 otherwise."""

SCRUBBED = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_LOG", "TF_DATA_DIR")
"""Variables that silently change what Terraform does; every name that starts with one goes."""

IDENTITY_VARIABLES = ("SOPS_AGE_KEY", "SOPS_AGE_SSH_PRIVATE_KEY")
"""Variables that hold a private key or point to one; no child inherits them."""


Child = subprocess.Popen[bytes]
"""A process that :func:`start` started."""


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without :data:`SCRUBBED` and identities, and with ``extra``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(SCRUBBED + IDENTITY_VARIABLES)}
    return kept | dict(extra or {})


def scrubbed_names() -> list[str]:
    """The :data:`SCRUBBED` variables that are set, for a notice."""
    return sorted(name for name in os.environ if name.startswith(SCRUBBED))


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    timeout: float = GENEROUS,
) -> Finished:
    """Run a short command to its end and return what it said; its exit code is the caller's.

    ``env`` is the whole environment (:func:`environment` by default), ``timeout`` the
    seconds that an idle machine needs at most (:class:`~barehub.patience.Patience`). What takes
    longer than a moment shows a sign of life.

    :raises ToolError: the program is missing, cannot be executed, or did not end in time.
    """
    with _start(argv, env, cwd, pass_fds, subprocess.PIPE, subprocess.PIPE) as child:
        patience, name = Patience(timeout), Path(argv[0]).name
        try:
            out, err = conversation.to_the_end(child, input, patience, name)
        except subprocess.TimeoutExpired:
            child.kill()
            raise ToolError(f"{name} did not end {patience.had}") from None
        except BaseException:
            child.kill()
            raise
    return Finished(child.returncode, out, err)


def run_on_terminal(argv: Sequence[str | Path], *, env: Mapping[str, str]) -> int:
    """Run a program that talks to the person (an editor) on our terminal; its exit code.

    :raises Interrupted: the terminal went away, or a signal came; the program is ended then.
    """
    with ending_with_the_terminal():
        return _wait_for(argv, env)


@contextmanager
def ending_with_the_terminal() -> Iterator[None]:
    """:raises Interrupted: the terminal went away, which a run is to outlive, and this is not."""

    def hung_up(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise Interrupted("the terminal went away")

    # what is ignored stays so in a child, which would then outlive its terminal
    ignored = signal.signal(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, ignored)


def unread() -> bool:
    """Whether nobody reads our standard output any more: a closed pipe, a lost terminal."""
    look = select.poll()
    look.register(1, 0)
    return any(told & (select.POLLERR | select.POLLHUP) for _, told in look.poll(0))


def _wait_for(argv: Sequence[str | Path], env: Mapping[str, str]) -> int:
    try:
        child = subprocess.Popen([str(a) for a in argv], env=dict(env), umask=PRIVATE)
    except OSError as error:
        raise _not_started(argv[0], error) from None

    # Ctrl-C on the terminal means something to an editor, and must not take its text away
    def interrupted(number: int, frame: FrameType | None) -> None:
        if not os.isatty(0):
            raise Interrupted()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        return child.wait()
    except BaseException:
        child.terminate()  # so that an editor can put the screen in order
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
    output: IO[bytes] | int,
    errors: int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start a long command whose stdout and (without ``errors``) stderr go to ``output``, a file.

    A file and not a pipe: when barehub is killed, the child goes on instead of dying of SIGPIPE
    with a half-written state.

    :raises ToolError: the program is missing or cannot be executed.
    """
    return _start(argv, env, cwd, pass_fds, output, errors, stdin)


def speak(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program whose standard input we write, and whose output and errors we read.

    :param env: its whole environment (:func:`environment` by default)
    :raises ToolError: the program is missing or cannot be executed.
    """
    return _start(argv, env, None, (), subprocess.PIPE, subprocess.PIPE, subprocess.PIPE)


def _start(
    argv: Sequence[str | Path],
    env: Mapping[str, str] | None,
    cwd: Path | None,
    pass_fds: Sequence[int],
    stdout: IO[bytes] | int,
    stderr: int,
    stdin: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(a) for a in argv],
            env=dict(environment() if env is None else env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            umask=PRIVATE,
        )
    except OSError as error:
        raise _not_started(argv[0], error) from None


def _not_started(program: str | Path, error: OSError) -> ToolError:
    if isinstance(error, FileNotFoundError):
        return ToolError(f"{program} was not found", "invoke doctor")
    return ToolError(f"{program} cannot be started: {reason(error)}", "invoke doctor")


@dataclass(frozen=True)
class PrivateFile:
    """Bytes that a child can open by a name, and that on Linux have no name on any disk."""

    path: str
    fds: tuple[int, ...]


@contextmanager
def private_file(content: bytes, directory: Path) -> Iterator[PrivateFile]:
    """``content`` as a file that one child may open (give it ``fds`` as ``pass_fds``).

    On Linux an anonymous memfd (memfd_create(2)): it can be opened again and again and vanishes
    with its last holder. Elsewhere a 0600 file in ``directory``, removed at the end.
    """
    if sys.platform == "linux":
        fd = os.memfd_create("barehub")
        try:
            _write_all(fd, content)
            yield PrivateFile(f"/proc/self/fd/{fd}", (fd,))
        finally:
            os.ftruncate(fd, 0)  # what a provisioner left running inherited the descriptor
            os.close(fd)
    else:
        path = directory / f"private-{os.urandom(8).hex()}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write_all(fd, content)
            os.close(fd)
            yield PrivateFile(str(path), ())
        finally:
            path.unlink(missing_ok=True)


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


class Interruptions:
    """SIGINT and SIGTERM as one orderly end of a run, SIGHUP as nothing.

    While a child is :meth:`guarding`, the first signal is passed on to it once, as SIGINT: for
    Terraform that means "finish what is under way, then stop" (a second one makes it abandon its
    work). Otherwise :class:`Interrupted` is raised where the run stands, unless it is
    :meth:`held` off: then it is raised right after.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.count = 0
        self._untold: list[str] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._held = 0
        self._polled = 0
        self._raised = False
        self._told = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        before = {sig: signal.signal(sig, self._handle) for sig in self.SIGNALS}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    @contextmanager
    def guarding(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        """Pass the first signal on to ``child`` instead of leaving it alone."""
        self._child = child
        if self.count and not self._told:
            self._interrupt_child(child)
        try:
            yield
        except BaseException:
            # nothing of the run may be put away while the child works in it, whatever failed here
            if not self._told:
                self._told = True
                child.send_signal(signal.SIGINT)
            child.wait()
            raise
        finally:
            self._child = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is interrupted in here: state is being sealed, or a run is cleaning up."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Interrupt in here again, inside of :meth:`held`."""
        held, self._held = self._held, 0
        try:
            self.check()
            yield
        finally:
            self._held = held

    @contextmanager
    def polled(self) -> Iterator[None]:
        """Nothing is interrupted in here but by :meth:`check`, and at the end.

        For code of others that catches whatever a handler raises: asyncio logs it and goes on
        without what it was about to do, lark wraps it in an error of its own.
        """
        self._polled += 1
        try:
            yield
        finally:
            self._polled -= 1
        self.check()

    def check(self) -> None:
        """:raises Interrupted: when a signal came."""
        if self.count and not self._held:
            self._raised = True
            raise Interrupted()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._child is not None:
            self._interrupt_child(self._child)
        elif not (self._held or self._polled or self._raised):
            # once: a second one must not cut the end short
            self._raised = True
            raise Interrupted()

    def _interrupt_child(self, child: subprocess.Popen[bytes]) -> None:
        if not self._told:
            self._told = True
            child.send_signal(signal.SIGINT)
            self._untold.append("interrupted: terraform is asked to stop, then the run ends")
        elif self.count <= 2:
            self._untold.append(
                "still waiting: one more abandons what is under way; the journal names it"
            )
        elif self.count == 3:
            child.send_signal(signal.SIGINT)

    def end_child(self) -> bool:
        """Ask the guarded child to stop, as the first signal does; false when it was asked."""
        if self._child is None or self._told:
            return False
        self._told = True
        self._child.send_signal(signal.SIGINT)
        return True

    def abandon_child(self) -> None:
        """Have the guarded child leave what is under way, as the third signal does."""
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)

    def tell(self) -> None:
        """Print what the signals did; a handler itself must not, it may interrupt a print."""
        while self._untold:
            console.warn(self._untold.pop(0))


def harden() -> None:
    """No core dump of this process, and on Linux no other process of this user may read it.

    Its environment may have held an identity; see prctl(2), PR_SET_DUMPABLE.
    """
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
