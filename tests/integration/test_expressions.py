"""No regular expression of the package takes time that grows with the square of a text's length."""

from __future__ import annotations

import math
import os
import re
import resource
import sys
import time
from collections.abc import Sequence

import pytest

from tests.expressions import Expression, expressions, texts

CPU_SECONDS = 3
"""Of the processor, for one text and method: a hundred times what the slowest needs, and far less
than the square of its length would."""

ALL = list(expressions())
PARTS = 8


def too_slow(several: Sequence[Expression]) -> list[str]:
    """Which of ``several`` did not get to the end of its texts; each is tried in a child."""
    return [f"{one.place}: {one.pattern.pattern!r}" for one in several if _killed(one)]


def _killed(one: Expression) -> bool:
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for text in texts(one.pattern):
                given = text if isinstance(one.pattern.pattern, str) else text.encode("latin-1")
                for method in one.methods:
                    used = math.ceil(time.process_time())
                    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
                    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, hard))
                    _use(one.pattern, method, given)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code != 1, f"{one.place} cannot be tried"
    return code != 0


def _use(pattern: re.Pattern[str] | re.Pattern[bytes], method: str, text: str | bytes) -> None:
    called = getattr(pattern, method, None)
    if called is None:  # compile
        return
    if method in ("sub", "subn"):
        called("" if isinstance(text, str) else b"", text)
    elif method == "finditer":
        sum(1 for _ in called(text))
    else:
        called(text)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_each_expression_reads_a_mebibyte_of_one_character_and_what_is_made_for_it(
    part: int,
) -> None:
    assert too_slow(ALL[part::PARTS]) == []


def test_all_are_found() -> None:
    places = {one.place.partition(":")[0] for one in ALL}
    assert len(ALL) > 150
    assert {"barehub/verify/binder.py", "barehub/logs.py", "barehub/suspicion.py"} <= places


@pytest.mark.parametrize("slow", [r"<title>\s*([^<]{1,80}?)\s*</title>", r"\s+$", r"(a+)+b",
                                  r"^\s*x", r"\$\{.*?\}"])  # fmt: skip
def test_what_is_slow_is_found_to_be(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "CPU_SECONDS", 1)
    one = Expression("here", re.compile(slow, re.MULTILINE), ("search",))
    assert too_slow([one]) == [f"here: {slow!r}"]
