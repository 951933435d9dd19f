"""Where a module comes from, as its ``source`` says it.

The forms are those of https://developer.hashicorp.com/terraform/language/modules/sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A full object name of git's: nothing else stays what it is."""

LOCAL, GIT, REGISTRY, OTHER = "local", "git", "registry", "other"

_GIT = re.compile(r"git::|git@|github\.com/|bitbucket\.org/|\S+\.git(//|\?|$)")
_REGISTRY = re.compile(r"([\w-]+(\.[\w-]+)+(:\d+)?/)?[\w-]+/[\w-]+/[\w-]+(//.*)?")
_HOST = re.compile(r"(?:\w+::)?(?:(?P<scheme>\w+)://)?(?:[^@/\s]+@)?(?P<host>[^:/\s]+)")
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]+):[^/@\s]+@|(?<=https://)[^/@\s]+@")
_DECORATION = re.compile(
    r"^(git::)?(\w+://)?(registry\.(terraform\.io|opentofu\.org)/)?|\.git(?=//|\?|$)"
)
_EXACT = re.compile(r"=?\s*v?\d++\.\d++\.\d++\S*")


@dataclass(frozen=True)
class Source:
    """A module's ``source`` and ``version``."""

    text: str
    version: str = ""

    @property
    def kind(self) -> str:
        """LOCAL (a folder beside the recipe), GIT, REGISTRY or OTHER (an archive, a bucket, …)."""
        if self.text.startswith(("./", "../")):
            return LOCAL
        if _GIT.match(self.text):
            return GIT
        return REGISTRY if _REGISTRY.fullmatch(self.text) else OTHER

    @property
    def ref(self) -> str:
        """The branch, tag or commit of a git source; empty when it follows the default branch."""
        return (parse_qs(self.text.partition("?")[2]).get("ref") or [""])[0]

    @property
    def repository(self) -> str:
        """A git source without what Terraform puts around it: what ``git ls-remote`` takes. A
        password that may stand in it is left out."""
        address = self.text.partition("?")[0].removeprefix("git::")
        scheme, mark, rest = address.rpartition("://")
        base = without_password(f"{scheme}{mark}{rest.partition('//')[0]}", "")
        return f"https://{base}" if base.startswith(("github.com/", "bitbucket.org/")) else base

    @property
    def subfolder(self) -> str:
        """The module's folder within what is fetched; empty for its root."""
        address = self.text.partition("?")[0]
        return address.rpartition("://")[2].partition("//")[2]

    @property
    def host(self) -> str:
        """Whom it is fetched from."""
        found = _HOST.match(self.text)
        return found["host"] if found else ""

    @property
    def by_ssh(self) -> bool:
        return (
            self.kind == GIT
            and ("ssh://" in self.text or "://" not in self.text)
            and ("@" in self.text)
        )

    @property
    def shown(self) -> str:
        """The source without a password that may stand in it."""
        return without_password(self.text)

    def same(self, other: str) -> bool:
        """Whether ``other`` is this source as Terraform writes it into its manifest."""
        return _DECORATION.sub("", self.text) == _DECORATION.sub("", other)

    @property
    def pinned(self) -> bool:
        """Whether the same is fetched tomorrow."""
        if self.kind == GIT:
            return bool(COMMIT.fullmatch(self.ref))
        if self.kind == REGISTRY:
            return bool(_EXACT.fullmatch(self.version.strip()))
        return self.kind == LOCAL or "://" not in self.text or "checksum=" in self.text


def without_password(text: str, mark: str = "…@") -> str:
    """``text`` with ``mark`` for a password, or a token, in the addresses in it."""
    return _PASSWORD.sub(mark, text)
