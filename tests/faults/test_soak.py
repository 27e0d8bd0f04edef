"""Random faults, the same in every run; ``FAULT_SETS=5000`` tries more of them."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from faults import soak
from faults.cells import SURVIVED, Sides
from repetition import repeated

SETS = int(os.environ.get("FAULT_SETS", "200"))
AT_A_TIME = 20


@pytest.mark.parametrize("start", repeated(range(0, SETS, AT_A_TIME)))
def test_random_faults_are_survived_or_told(sides: Sides, start: int) -> None:
    seeds = range(start, min(start + AT_A_TIME, SETS))
    counts: Counter[str] = Counter()
    assert not [*soak.failures(sides, seeds, counts)]
    # Neither half of the trip is lost all the time.
    for flow in ("make", "push"):
        assert counts[f"{flow}: {SURVIVED}"]


def test_a_seed_gives_the_same_rules_again() -> None:
    assert soak.replay(1) == soak.replay(1) != soak.replay(2)
