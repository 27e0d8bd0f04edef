"""The parts of the old content are chosen by what they share with a piece."""

from __future__ import annotations

import numpy as np

from docker_charon.deltas.extents import MOST_GRANULES, Extent, choose_extents


def size_of(extents: list[Extent]) -> int:
    return sum(extent.end - extent.start for extent in extents)


def covers(extents: list[Extent], granule: int) -> bool:
    return any(extent.start <= granule < extent.end for extent in extents)


def test_little_old_content_is_taken_whole() -> None:
    assert choose_extents(np.zeros(MOST_GRANULES, np.int64), 0) == [Extent(0, MOST_GRANULES)]
    assert choose_extents(np.zeros(0, np.int64), 0) == []


def test_granules_with_hits_are_taken_with_what_is_around_them() -> None:
    hits = np.zeros(5000, np.int64)
    hits[[100, 3000]] = 1
    extents = choose_extents(hits, 0)
    assert all(covers(extents, granule) for granule in (98, 102, 2998, 3002))
    assert MOST_GRANULES - 4 <= size_of(extents) <= MOST_GRANULES
    assert len(extents) == 2


def test_the_granules_with_most_hits_come_first() -> None:
    hits = np.ones(5000, np.int64)
    hits[4000:4300] = 50
    extents = choose_extents(hits, 0)
    assert all(covers(extents, granule) for granule in (4000, 4200, 4299))
    assert size_of(extents) <= MOST_GRANULES


def test_without_hits_the_place_decides() -> None:
    extents = choose_extents(np.zeros(5000, np.int64), 4999)
    assert covers(extents, 4999)
    assert size_of(extents) > MOST_GRANULES / 2
