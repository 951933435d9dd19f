"""Makes a text harmless to what shows it: terminals, and the logs of continuous integration.

What would be obeyed instead of being shown is written as JSON writes it (``\\u001b``): a person
sees it, and a JSON document stays the same document.
"""

from __future__ import annotations

import os
import re

_OBEYED = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1 (ECMA-48)
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # without width; direction
    "\ud800-\udfff"  # of names that are no UTF-8
    "\U000e0000-\U000e007f]"  # tags: text that nobody sees
)

_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_OURS = re.compile(r"\x1b\[(?:0|1|2|3[1-3])(?:;(?:0|1|2|3[1-3]))*m")
"""What a text may be painted with: nothing that hides it, as black on black would."""

_AT_BEGINNING = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
"""A command to GitHub's runner: a line that begins so, behind blanks or not
(ActionCommand.TryParseV2 in actions/runner)."""

_ANYWHERE = re.compile(r"##(?=\w*\[)")
"""The same in its older form, anywhere in a line (ActionCommand.TryParse); Azure's ``##vso[``."""


def harmless(text: str, *, colors: bool = False) -> str:
    """``text`` with nothing in it that is obeyed, in lines as it was.

    :param colors: leave the colours that barehub itself uses
    """
    if "\x1b" in text:
        parts, at = [], 0
        for found in _COLOR.finditer(text):
            parts.append(_visible(text[at : found.start()]))
            parts.append(found[0] if colors and _OURS.fullmatch(found[0]) else "")
            at = found.end()
        text = "".join([*parts, _visible(text[at:])])
    else:
        text = _visible(text)
    if os.environ.get("GITHUB_ACTIONS") == "true" or os.environ.get("TF_BUILD"):
        text = _ANYWHERE.sub(r"#\\u0023", _AT_BEGINNING.sub(r"\1\\u003a", text))
    return text


def one_line(text: str) -> str:
    """``text`` for a cell of a table: line ends and tabs are written as JSON writes them, too."""
    return text.replace("\n", "\\n").replace("\t", "\\t")


def _visible(text: str) -> str:
    return _OBEYED.sub(_escaped, text.replace("\r\n", "\n"))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
