"""How much is tried: 500 inputs of each kind, always the same ones; ``DOCKER_CHARON_FUZZ=20000``
tries as many others, which ``--hypothesis-seed=N`` makes repeatable.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

ON_DEMAND = os.environ.get("DOCKER_CHARON_FUZZ")
MOST_MEMORY = 200_000_000  # bytes, above what was used before

settings.register_profile(
    "fuzz",
    max_examples=int(ON_DEMAND or "500"),
    derandomize=ON_DEMAND is None,
    database=None,
    deadline=None,  # the promise has its own, which ends a hang too
    print_blob=True,
    suppress_health_check=list(HealthCheck),  # large and slow inputs are meant to be so
)
settings.load_profile("fuzz")


def _peak() -> int:
    """Return the most memory, in bytes, that this process has ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@pytest.fixture(autouse=True, scope="module")
def _little_memory() -> Iterator[None]:
    before = _peak()
    yield
    assert _peak() - before < MOST_MEMORY
