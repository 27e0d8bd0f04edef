"""Several old layers are one row of granules."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltas.layers import noise, tar, written
from docker_charon.deltas import bases, extents
from docker_charon.deltas.bases import Bases, sectors_by_base, shared_sectors
from docker_charon.deltas.extents import GRANULE, Extent
from docker_charon.deltas.layer import SplitLayer
from docker_charon.errors import UnfitLayer

FIRST, SECOND = tar({"first": noise(150_000, 1)}), tar({"second": noise(300_000, 2)})


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[list[SplitLayer]]:
    """Take two layers apart, which share nothing."""
    paths = written(tmp_path, *(gzip.compress(content) for content in (FIRST, SECOND)))
    result = [SplitLayer(path) for path in paths]
    yield result
    for layer in result:
        layer.close()


def test_each_layer_begins_with_a_granule_of_its_own(layers: list[SplitLayer]) -> None:
    both = Bases(layers)
    granules = -(-len(FIRST) // GRANULE)
    assert both.granules == granules - (-len(SECOND) // GRANULE)
    assert both.raw([Extent(granules, granules + 1)]) == SECOND[:GRANULE]
    assert both.raw([Extent(0, both.granules)]) == FIRST + SECOND
    assert both.raw([Extent(1, 2), Extent(granules + 1, granules + 2)]) == (
        FIRST[GRANULE : 2 * GRANULE] + SECOND[GRANULE : 2 * GRANULE]
    )


def test_the_structure_is_that_of_the_same_extents(layers: list[SplitLayer]) -> None:
    whole = Bases(layers).structure([Extent(0, Bases(layers).granules)])
    parts = [
        layer.structure.part(layer.structure.rows_within(0, layer.raw_size)) for layer in layers
    ]
    assert whole.records == b"".join(part.records for part in parts)
    assert whole.headers == b"".join(part.headers for part in parts)


@pytest.mark.parametrize("start", [0, 1, 511, 513, 100_000])
def test_the_extents_are_where_the_content_is(
    layers: list[SplitLayer], monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    monkeypatch.setattr(extents, "MOST_GRANULES", 2)
    monkeypatch.setattr(extents, "_AROUND", 0)
    both = Bases(layers)
    first_of_second = -(-len(FIRST) // GRANULE)
    raw = SECOND[2 * GRANULE : 3 * GRANULE]
    sectors = start // 512 * 512
    chosen = both.choose(raw[start - sectors :], start, 0.0)
    assert any(extent.start <= first_of_second + 2 < extent.end for extent in chosen)


def test_old_layers_of_too_many_rows_together_are_not_fit(
    layers: list[SplitLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [layer.structure.row_count for layer in layers]
    monkeypatch.setattr(bases, "MOST_ROWS", sum(counts))
    assert Bases(layers).structure([Extent(0, 1)])
    monkeypatch.setattr(bases, "MOST_ROWS", sum(counts) - 1)
    with pytest.raises(UnfitLayer, match="too many tiny blocks"):
        Bases(layers).structure([Extent(0, 1)])


def test_a_prefix_is_no_larger_than_it_may_be(
    layers: list[SplitLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bases, "MOST_PREFIX", 100)
    part = Bases(layers).structure([Extent(n, n + 1) for n in range(Bases(layers).granules)])
    assert len(part.rows) == len(part.records) == len(part.headers) == 100


def test_shares_are_counted_once(layers: list[SplitLayer], tmp_path: Path) -> None:
    (path,) = written(tmp_path, FIRST + SECOND)
    with SplitLayer(path) as both:
        shares = sectors_by_base(both, [*layers, *layers])
        assert shares.sum() == pytest.approx(1, abs=0.01)
        assert shares[2:].tolist() == [0, 0]
        assert shared_sectors(both, layers[0]) == pytest.approx(1 / 3, abs=0.01)
        assert shared_sectors(layers[0], both) == pytest.approx(1, abs=0.01)
