"""Sectors are found again in another layer, wherever they are."""

from __future__ import annotations

import numpy as np
import pytest

from deltas.layers import noise
from docker_charon.deltas import sectors
from docker_charon.deltas.sectors import SECTOR, SectorIndex, hashes_of


def index_of(*parts: bytes) -> SectorIndex:
    index = SectorIndex()
    for part in parts:
        index.add(part)
    return index


def test_a_sector_is_found_where_it_is_first() -> None:
    content = noise(10 * SECTOR)
    index = index_of(content[: 4 * SECTOR], content[4 * SECTOR :], content)
    assert index.find(hashes_of(content)).tolist() == list(range(10))
    assert index.find(hashes_of(noise(SECTOR, 2))).tolist() == [-1]


def test_sectors_of_zeros_and_parts_of_sectors_do_not_count() -> None:
    index = index_of(bytes(4 * SECTOR), noise(100))
    assert index.find(hashes_of(bytes(SECTOR))).tolist() == [-1]
    assert index_of().find(hashes_of(noise(SECTOR))).tolist() == [-1]


def test_of_many_sectors_some_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sectors, "MOST_SECTORS", 100)
    content = noise(1000 * SECTOR)
    index = index_of(content)
    numbers = index.find(hashes_of(content))
    known = np.flatnonzero(numbers >= 0)
    assert 0 < len(known) <= 100
    assert (numbers[known] == known).all()
    assert index.sampled(index.sampling).tolist() == sorted(hashes_of(content)[known].tolist())
    assert len(index_of(content[: 90 * SECTOR]).sampled(index.sampling)) < 90
