"""What a look ahead finds before anything is made: what, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ERROR, WARNING, UNSEEN = "error", "warning", "unseen"
"""A run stops before an error; goes on after a warning; what is unseen could not be looked at."""


@dataclass(frozen=True)
class Finding:
    """One thing that preflight found.

    ``id`` is for scripts: ``argument.missing``. ``message`` is lower case, without a full stop, and
    tells names, never a value. ``where`` is ``instances/x/main.tf:12``, or empty. Each of
    ``fixes`` is a line to write, or a command.
    """

    id: str
    severity: str
    message: str
    where: str = ""
    fixes: tuple[str, ...] = ()

    def document(self) -> dict[str, str | list[str] | None]:
        """The finding as JSON has it."""
        return {
            "id": self.id,
            "severity": self.severity,
            "message": self.message,
            "where": self.where or None,
            "fixes": list(self.fixes),
        }


def errors(findings: Iterable[Finding], *, strict: bool = False) -> list[Finding]:
    """Those that stop a run; when ``strict``, warnings do as well."""
    stopping = (ERROR, WARNING) if strict else (ERROR,)
    return [finding for finding in findings if finding.severity in stopping]
