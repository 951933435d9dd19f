"""Numbers that every format and program writes alike."""

from __future__ import annotations

import re

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]*[1-9]")


def number(text: str) -> int | float | str:
    """``text`` as a number if it comes back from each of them as it stands; else as it stands.

    ``0123456``, ``1_000``, ``1.10``, ``1e5`` and long integers do not
    (https://github.com/getsops/sops/issues/2161).
    """
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text
