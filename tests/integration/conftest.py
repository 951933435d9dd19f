"""What the tests of verify share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints import Servers


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers on loopback, ended with the test."""
    with Servers(tmp_path) as started:
        yield started
