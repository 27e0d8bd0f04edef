"""The two registries that all tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import require_registry
from faults.cells import Sides, both_sides


@pytest.fixture(scope="session")
def sides() -> Iterator[Sides]:
    """Run the registries of both sides; each test uses its own repositories."""
    require_registry()
    with both_sides() as registries:
        yield registries
