"""The error tree: a problem, its hints, and one exit code a class.

Every error is an ``invoke.Exit``, so that invoke prints its message on stderr and exits with its
code, without a traceback. A traceback therefore always means a bug.
"""

from __future__ import annotations

from typing import ClassVar

from invoke.exceptions import Exit


class BarehubError(Exit):
    """A failure that a person can act on.

    ``problem`` is lower case, without a full stop, and names the file, the stage and the key path,
    never a value. Each of ``hints`` is a command to run or a file to mend.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *hints: str) -> None:
        super().__init__(message="", code=self.exit_code)
        self.problem = problem
        self.hints: tuple[str, ...] = ()
        self.add(*hints)

    def add(self, *hints: str) -> None:
        """Say more: what was seen after the failure."""
        self.hints += hints
        lines = [f"error: {self.problem}", *(f"hint: {hint}" for hint in self.hints)]
        self.message = "\n".join(lines)

    def __str__(self) -> str:
        return str(self.message)


class UsageError(BarehubError):
    """The command was called wrongly, or a question had no terminal to be asked on."""

    exit_code = 1


class RecipeError(BarehubError):
    """The recipe cannot be run: it is missing, malformed or incomplete."""

    exit_code = 2


class ToolError(BarehubError):
    """A program that barehub runs is missing, too old or does not start."""

    exit_code = 3


class VaultError(BarehubError):
    """The vault cannot be read or written: no identity, not encrypted, a key is missing."""

    exit_code = 4


class TerraformError(BarehubError):
    """Terraform, or the state that it keeps, failed."""

    exit_code = 5


class CheckFailed(BarehubError):
    """The endpoint was reached and is not what it must be."""

    exit_code = 6


class CloudError(BarehubError):
    """A cloud's interface does not answer, or refuses what it is asked."""

    exit_code = 6


class LeftoverError(BarehubError):
    """Something that had to be gone is still there."""

    exit_code = 7


class NotReadyError(BarehubError):
    """The endpoint was not ready by its deadline."""

    exit_code = 8


class UnreachableError(BarehubError):
    """A machine could not be reached by ssh; the code is ssh's own, and no remote command's."""

    exit_code = 255


class Interrupted(BarehubError):
    """The run was ended by SIGINT or SIGTERM, in order (128 + SIGINT, as shells report it)."""

    exit_code = 130

    def __init__(self, problem: str = "interrupted", *hints: str) -> None:
        super().__init__(problem, *hints)
