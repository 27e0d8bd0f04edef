"""The old layers of a delta, as one sequence of granules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from docker_charon.deltas.extents import GRANULE, Extent, choose_extents
from docker_charon.deltas.frames import MOST_PREFIX
from docker_charon.deltas.layer import SplitLayer
from docker_charon.deltas.sectors import SECTOR, hashes_of
from docker_charon.deltas.structure_file import MOST_ROWS, Structure
from docker_charon.errors import UnfitLayer


class Bases:
    """Old layers in the order of the delta. Each layer begins with a new granule."""

    def __init__(self, layers: Sequence[SplitLayer]) -> None:
        self.layers = tuple(layers)
        counts = [-(-layer.raw_size // GRANULE) for layer in layers]
        self._firsts = [sum(counts[:n]) for n in range(len(layers))]
        self.granules = sum(counts)

    def choose(self, raw: bytes, start: int, share: float) -> list[Extent]:
        """Return the extents that help with a piece.

        ``start`` is the position of the piece in the raw bytes of the new layer, and ``share`` is
        that position as a share of the layer, from 0 to 1.
        """
        hits = np.zeros(self.granules, np.int64)
        hashes = hashes_of(raw[-start % SECTOR :])
        for layer, first in zip(self.layers, self._firsts, strict=True):
            numbers = layer.sectors.find(hashes)
            hashes, numbers = hashes[numbers < 0], numbers[numbers >= 0]
            granules = first + numbers // (GRANULE // SECTOR)
            hits += np.bincount(granules, minlength=self.granules)
        return choose_extents(hits, min(int(share * self.granules), self.granules - 1))

    def raw(self, extents: Sequence[Extent]) -> bytes:
        """Return the raw bytes of extents, one after another."""
        return b"".join(layer.raw(start, end) for layer, start, end in self._parts(extents))

    def structure(self, extents: Sequence[Extent]) -> Structure:
        """Return the structure of extents, each part of it `MOST_PREFIX` bytes at the most."""
        self._check_rows()
        rows, headers, records = bytearray(), bytearray(), bytearray()
        for layer, start, end in self._parts(extents):
            structure = layer.structure
            within = structure.rows_within(start, end)
            rows += structure.rows(within, MOST_PREFIX - len(rows))
            headers += structure.headers(within, MOST_PREFIX - len(headers))
            records += structure.records(within, MOST_PREFIX - len(records))
        return Structure(bytes(rows), bytes(headers), bytes(records))

    def _check_rows(self) -> None:
        """Raise `UnfitLayer` if the layers have more rows than should be in memory."""
        rows = 0
        for layer in self.layers:
            rows += layer.structure.row_count
            if rows > MOST_ROWS:
                raise UnfitLayer("the old layers have too many tiny blocks together")

    def _parts(self, extents: Sequence[Extent]) -> Iterator[tuple[SplitLayer, int, int]]:
        """Yield each layer that extents are in, and which of its raw bytes they are."""
        for extent in extents:
            for layer, first in zip(self.layers, self._firsts, strict=True):
                start = max((extent.start - first) * GRANULE, 0)
                end = min((extent.end - first) * GRANULE, layer.raw_size)
                if start < end:
                    yield layer, start, end


def shared_sectors(new: SplitLayer, old: SplitLayer) -> float:
    """Return the share of the sectors of ``new`` that ``old`` contains too, from 0 to 1.

    Sectors of zeros do not count. The structure of the layers is not needed.
    """
    return float(sectors_by_base(new, [old])[0])


def sectors_by_base(new: SplitLayer, olds: Sequence[SplitLayer]) -> NDArray[np.float64]:
    """Return, for each old layer, its share of the new sectors that no layer before it contains."""
    sampling = max(layer.sectors.sampling for layer in (new, *olds))
    hashes = new.sectors.sampled(sampling)
    shares = np.zeros(len(olds))
    total = max(len(hashes), 1)
    for n, old in enumerate(olds):
        missing = hashes[old.sectors.find(hashes) < 0]
        shares[n] = (len(hashes) - len(missing)) / total
        hashes = missing
    return shares
