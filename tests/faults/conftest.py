"""Two registries for all that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import require_registry
from faults.cells import Sides, both_sides


@pytest.fixture(scope="session")
def sides() -> Iterator[Sides]:
    """Run the registries of both sides; every test uses repositories of its own."""
    require_registry()
    with both_sides() as found:
        yield found
