"""Which parts of the old content help to describe a piece of the new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from docker_charon.deltas.frames import MOST_PREFIX

GRANULE = 64 * 1024
"""The unit in bytes in which old content is chosen."""

MOST_GRANULES = MOST_PREFIX // GRANULE
"""The most granules for one piece."""

_AROUND = 2  # granules on both sides of one with hits: content that has changed may be there


@dataclass(frozen=True, slots=True)
class Extent:
    """Consecutive granules: the first one, and the one behind the last one."""

    start: int
    end: int


def choose_extents(hits: NDArray[np.int64], around: int) -> list[Extent]:
    """Return the extents for a piece, in ascending order.

    ``hits`` says for each old granule how many sectors of the piece are in it. If there are none,
    ``around`` is the granule that the piece probably comes from. The granules with most hits come
    first, with their neighbours; then the chosen parts grow on both sides up to `MOST_GRANULES`.
    """
    if len(hits) <= MOST_GRANULES:
        return [Extent(0, len(hits))] if len(hits) else []
    chosen = np.zeros(len(hits), np.bool_)
    left = MOST_GRANULES
    order = np.argsort(-hits, kind="stable")[: np.count_nonzero(hits)]
    for granule in order.tolist() or [around]:
        near = slice(max(granule - _AROUND, 0), granule + _AROUND + 1)
        left -= int(np.count_nonzero(~chosen[near]))
        if left < 0:
            break
        chosen[near] = True
    while (grown := _with_neighbours(chosen)).sum() <= MOST_GRANULES:
        chosen = grown
    edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    return [Extent(start, end) for start, end in edges.reshape(-1, 2).tolist()]


def _with_neighbours(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    grown = chosen.copy()
    grown[1:] |= chosen[:-1]
    grown[:-1] |= chosen[1:]
    return grown
