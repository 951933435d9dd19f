"""What an encrypted file says without a key: its readers, and whether sops could open it."""

from __future__ import annotations

import re
from dataclasses import dataclass

GIT_CRYPT = b"\0GITCRYPT\0"
"""How a file encrypted by git-crypt begins."""

_RECIPIENT = re.compile(rb'"?\brecipient"?: "?(age1[a-z0-9]+|ssh-[a-z0-9]+ [A-Za-z0-9+/=]+)')
_METADATA = re.compile(rb'^sops:\s|"sops"\s*:\s*\{', re.M)
_CONFLICT = re.compile(rb"^(?:<{7,}|={7,}|>{7,}|\|{7,})(?: |\r?$)", re.M)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a file, where (1 is the first line, 0 unknown), and what mends it."""

    text: str
    line: int = 0
    fix: str = ""
    """With FILE where the file's name belongs, EDIT where the command that edits it."""

    def remedy(self, file: str) -> str:
        """What mends it in ``file``."""
        found = re.fullmatch(r"secrets/(.+)\.yaml", file)
        own = f" --name {found[1]}" if found and found[1] != "shared" else ""
        return self.fix.replace("EDIT", f"invoke vault.edit{own}").replace("FILE", file)

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


def recipients(content: bytes) -> list[str]:
    """Who can read it, as its metadata says."""
    return [found.decode() for found in _RECIPIENT.findall(content)]


def obstacle(content: bytes) -> Flaw | None:
    """Why sops could not even try to decrypt ``content``; cheap, for every read."""
    if content.startswith(GIT_CRYPT):
        return Flaw("a git-crypt file, not a SOPS file", fix="invoke vault.import-git-crypt")
    if conflict := _CONFLICT.search(content):
        line = content.count(b"\n", 0, conflict.start()) + 1
        fix = "invoke vault.install-hooks, then: git checkout -m FILE"
        return Flaw("conflict marker of git", line, fix)
    if _METADATA.search(content):
        return None
    if b"ENC[AES256_GCM," in content:
        return Flaw("damaged: its SOPS metadata are missing", fix="git log -p -- FILE")
    return Flaw(
        "NOT encrypted",
        fix="sops encrypt -i FILE, and reissue what it holds if it was ever committed",
    )
