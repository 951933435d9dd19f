"""A small, fixed part of benchmarks/fuzz.py: no exception but ours, and no hang."""

from __future__ import annotations

import pytest

from benchmarks import fuzz
from benchmarks.fuzz_readers import KINDS, Kind

SEED, INPUTS = 2026, 900


@pytest.mark.parametrize(
    ("kind", "number"), [*fuzz.shares(INPUTS, KINDS)], ids=[kind.name for kind in KINDS]
)
def test_no_input_ends_a_reader_with_an_exception_that_is_not_ours(kind: Kind, number: int) -> None:
    outcome = fuzz.fuzz(kind, SEED, range(number))
    assert outcome.bad == {}
    assert outcome.read == number


def test_an_exception_and_a_hang_are_seen_and_the_other_inputs_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fuzz, "HANG_SECONDS", 3.0)

    def read(content: bytes, folder: object) -> None:
        if content == b"hang":
            while True:
                pass
        if content == b"fault":
            raise KeyError(content)

    inputs = [b"fault", b"fine", b"hang", b"fine", b"fault"]
    kind = Kind("played", 1, lambda: [b""], read)
    monkeypatch.setattr(fuzz, "content", lambda kind, seed, at: inputs[at])
    outcome = fuzz.fuzz(kind, 0, range(len(inputs)))
    assert outcome.read == len(inputs)
    assert sorted((bad.at, what.split(" at ")[0]) for what, all in outcome.bad.items()
                  for bad in all) == [
        (0, "KeyError"),
        (2, "no end within 3 s"),
        (4, "KeyError"),
    ]  # fmt: skip
