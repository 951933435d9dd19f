"""What an encrypted file says without a key: its readers, and whether sops could open it."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

from barehub.vault.git import pathspec, quoted

GIT_CRYPT = b"\0GITCRYPT\0"
"""How a file encrypted by git-crypt begins."""

DEEPEST = 50
"""What sops writes is shallow, and libyaml's time grows with the square of the depth."""

_METADATA = re.compile(rb'^sops:\s|"sops"\s*:\s*\{', re.M)
_CONFLICT = re.compile(rb"^(?:<{7,}|={7,}|>{7,}|\|{7,})(?: |\r?$)", re.M)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a file, where (1 is the first line, 0 unknown), and what mends it."""

    text: str
    line: int = 0
    fix: str = ""
    """With FILE where the file's name belongs, EDIT and ENCRYPT where the command that does so."""

    def remedy(self, file: str) -> str:
        """What mends it in ``file``."""
        found = re.fullmatch(r"secrets/(.+)\.yaml", file)
        own = f" --name {quoted(found[1])}" if found and found[1] != "shared" else ""
        encrypt = f"invoke vault.encrypt {quoted(file)}"
        words = {
            "EDIT": f"invoke vault.edit{own}",
            "ENCRYPT": encrypt if found else f"git rm --cached {pathspec(file)}",
            "FILE": pathspec(file),
        }
        return re.sub("EDIT|ENCRYPT|FILE", lambda word: words[word[0]], self.fix)

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


def recipients(content: bytes) -> list[str]:
    """Who can read it, as its metadata say, in whatever way they are spelled and wherever."""
    found: list[str] = []
    parts, seen = [metadata(content)], set()
    while parts:
        part = parts.pop(0)
        if id(part) in seen:  # an alias
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if isinstance(name := part.get("recipient"), str):
                found.append(" ".join(name.split()[:2]))
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return list(dict.fromkeys(found))


@functools.lru_cache(maxsize=8)
def metadata(content: bytes) -> Any:
    """What stands under the key ``sops``: texts, lists, mappings; None if that cannot be told."""
    import yaml

    try:
        text = content.decode()
        if text.lstrip().startswith("{"):
            tree = json.loads(text, parse_int=str, parse_float=str)
        else:
            loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
            tree = yaml.load(text, Loader=loader) if _is_shallow(text, loader) else None  # noqa: S506
    except (ValueError, RecursionError, yaml.YAMLError):
        return None
    return tree.get("sops") if isinstance(tree, dict) else None


def _is_shallow(text: str, loader: Any) -> bool:
    """Whether it is nested as sops writes it: libyaml's builder ends the process if it is not."""
    import yaml

    depth = 0
    for token in yaml.scan(text, Loader=loader):
        kind = type(token).__name__
        if kind.startswith(("Block", "Flow")):
            depth += ("Start" in kind) - ("End" in kind)
            if depth > DEEPEST:
                return False
    return True


def obstacle(content: bytes) -> Flaw | None:
    """Why sops could not even try to decrypt ``content``; cheap, for every read."""
    if content.startswith(GIT_CRYPT):
        return Flaw("a git-crypt file, not a SOPS file", fix="invoke vault.import-git-crypt")
    if conflict := _CONFLICT.search(content):
        line = content.count(b"\n", 0, conflict.start()) + 1
        fix = "invoke vault.install-hooks && git checkout -m FILE"
        return Flaw("conflict marker of git", line, fix)
    if _METADATA.search(content):
        return None
    if b"ENC[AES256_GCM," in content:
        return Flaw("damaged: its SOPS metadata are missing", fix="git log -p -- FILE")
    if not content.strip():
        return Flaw(
            "empty", fix="git checkout HEAD FILE   # or, if it never held anything, remove it"
        )
    fix = "ENCRYPT   # and reissue what it holds, if it was ever committed"
    return Flaw("NOT encrypted", fix=fix)
