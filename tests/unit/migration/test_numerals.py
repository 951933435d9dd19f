"""A number is one only if it comes back as it was written."""

from __future__ import annotations

import pytest

from barehub.migration.numerals import number


@pytest.mark.parametrize("text", ["0", "1", "-5", "5000", "1.5", "-0.5", "123456789012345"])
def test_numbers(text: str) -> None:
    made = number(text)
    assert not isinstance(made, str)
    assert str(made) == text


@pytest.mark.parametrize(
    "text",
    [
        "0123456",
        "1_000",
        "1.10",
        "1.0",
        "0e123",
        "1e5",
        "0x1F",
        "-0",
        "-0.0",
        "+1",
        ".5",
        "5.",
        "1234567890123456",
        "0.10000000000000001",
        "12345678901234567890",
        "٣",
    ],
)
def test_what_stays_a_text(text: str) -> None:
    assert number(text) == text
