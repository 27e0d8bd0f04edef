"""The 512-byte sectors of a tar, as hashes: how content is found again in another layer.

A tar puts every file at the beginning of a sector, so a file that did not change consists of the
same sectors wherever it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SECTOR = 512
"""Bytes of a block of a tar (POSIX.1, pax, "ustar Interchange Format")."""

MOST_SECTORS = 1 << 19
"""The most sectors in an index. Of larger layers it has a half, a quarter ..., chosen by hash."""

Hashes = NDArray[np.uint64]

# Odd numbers. The hash of a sector is the sum of its 64-bit words, each multiplied by one of these.
_FACTORS = np.arange(1, 2 * SECTOR // 8, 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


def hashes_of(raw: bytes) -> Hashes:
    """Return the hash of each whole sector; it is zero for a sector of zeros."""
    words = np.frombuffer(raw, "<u8", len(raw) // SECTOR * (SECTOR // 8))
    hashes: Hashes = words.reshape(-1, SECTOR // 8) @ _FACTORS
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    return hashes ^ hashes >> np.uint64(32)


class SectorIndex:
    """The sectors of a layer by hash, without those of zeros.

    A hash is in the index if its highest ``sampling`` bits are zero.
    """

    def __init__(self) -> None:
        self.sampling = 0
        self._hashes: list[Hashes] = [np.zeros(0, np.uint64)]
        self._numbers: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
        self._count = 0
        self._next = 0
        self._sorted = True

    def add(self, raw: bytes) -> None:
        """Add the next raw bytes; only the last ones may end within a sector."""
        hashes = hashes_of(raw)
        numbers = np.arange(self._next, self._next + len(hashes), dtype=np.uint32)
        self._next += len(hashes)
        self._hashes.append(hashes)
        self._numbers.append(numbers)
        self._keep_sampled(len(self._hashes) - 1)
        self._sorted = False
        while self._count > MOST_SECTORS:
            self.sampling += 1
            self._count = 0
            self._keep_sampled(0)

    def _keep_sampled(self, first: int) -> None:
        for n in range(first, len(self._hashes)):
            kept = _sampled(self._hashes[n], self.sampling)
            self._hashes[n], self._numbers[n] = self._hashes[n][kept], self._numbers[n][kept]
            self._count += len(kept)

    def _sort(self) -> None:
        if not self._sorted:
            hashes, numbers = np.concatenate(self._hashes), np.concatenate(self._numbers)
            order = np.argsort(hashes, kind="stable")
            self._hashes, self._numbers = [hashes[order]], [numbers[order]]
            self._sorted = True

    def sampled(self, sampling: int) -> Hashes:
        """Return all hashes that an index with this ``sampling`` would have, in ascending order."""
        self._sort()
        hashes = self._hashes[0]
        return hashes[_sampled(hashes, sampling)]

    def find(self, hashes: Hashes) -> NDArray[np.int64]:
        """Return the number of the first sector with each hash; -1 if there is none."""
        self._sort()
        known = self._hashes[0]
        if not len(known):
            return np.full(len(hashes), -1, np.int64)
        places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        return np.where(known[places] == hashes, self._numbers[0][places].astype(np.int64), -1)


def _sampled(hashes: Hashes, sampling: int) -> NDArray[np.intp]:
    """Return which of the hashes an index with this ``sampling`` would have."""
    largest = np.uint64(0xFFFFFFFFFFFFFFFF >> sampling)
    return np.flatnonzero((hashes != 0) & (hashes <= largest))
