"""Bits in the order of deflate: the lowest bit of each byte comes first (RFC 1951, 3.1.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from docker_charon.deltas.codes import MOST_BITS, DeflateError

WINDOW = 64 * 1024
"""The bytes in a window. Each of their bits takes an array element of two bytes."""

_MARGIN = 64
"""The bytes after a window that can be peeked at as well, so that the last token is complete."""


class BitWindow:
    """A part of a file as bits. A place is the number of a bit, counted from the start of the file.

    ``peeks[n]`` holds the 15 bits from ``start + n`` on, for each bit up to ``end``, and for some
    bits behind it. Behind the end of the file are zeros.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self.start = self.end = 0
        self.peeks: NDArray[np.uint16] = np.zeros(0, np.uint16)

    def require(self, place: int, size: int) -> None:
        """Move the window to ``place`` unless it already holds ``size`` bits from there on."""
        if place >= self.start and place + size <= self.end:
            return
        if place > 8 * self._size:
            raise DeflateError("data that is cut short")
        if place >= self.start and self.end == 8 * self._size:
            return
        data = self.bytes_at(place, WINDOW + _MARGIN)
        self.start = place // 8 * 8
        self.end = min(self.start + 8 * WINDOW, 8 * self._size)
        self.peeks = _peeks(data)

    def bytes_at(self, place: int, size: int) -> bytes:
        """Return ``size`` bytes, the first of which contains ``place``, padded with zeros."""
        self._file.seek(place // 8)
        return self._file.read(size).ljust(size, b"\0")

    def number_at(self, place: int, size: int) -> int:
        """Return the bits from ``place`` to the end of ``size`` bytes, as a number."""
        return int.from_bytes(self.bytes_at(place, size), "little") >> (place % 8)


def _peeks(data: bytes) -> NDArray[np.uint16]:
    """Return the 15 bits that start at each bit, except at those of the last two bytes."""
    octets = np.frombuffer(data, np.uint8).astype(np.uint32)
    words = octets[:-2] | octets[1:-1] << 8 | octets[2:] << 16
    peeks = np.empty((len(words), 8), np.uint16)
    for bit in range(8):
        peeks[:, bit] = words >> bit & (1 << MOST_BITS) - 1
    return peeks.reshape(-1)


class BitWriter:
    """Packs bits into bytes, and passes the bytes on."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._carry = 0  # the bits of a byte that is not full yet
        self.pending = 0  # how many those are, 0 to 7

    def write_number(self, bits: int, size: int) -> None:
        """Write the lowest ``size`` bits of a number."""
        bits = self._carry | (bits & (1 << size) - 1) << self.pending
        octets, self.pending = divmod(self.pending + size, 8)
        self._write((bits & (1 << 8 * octets) - 1).to_bytes(octets, "little"))
        self._carry = bits >> 8 * octets

    def write_bytes(self, data: bytes) -> None:
        """Write whole bytes."""
        if self.pending:
            raise DeflateError("bytes that do not begin at a byte")
        self._write(data)

    def write_tokens(self, bits: NDArray[np.uint64], sizes: NDArray[np.int64]) -> None:
        """Write numbers of up to 64 bits each; the bits above the size of each are zero."""
        ends = np.cumsum(sizes)
        if not len(ends):
            return
        octets, pending = divmod(self.pending + int(ends[-1]), 8)
        places = ends - sizes + self.pending
        words = np.zeros(octets // 8 + 2, np.uint64)
        words[0] = self._carry
        _merge(words, bits, places)
        packed = words.view(np.uint8)
        self._write(packed[:octets].tobytes())
        self._carry, self.pending = int(packed[octets]), pending


def _merge(words: NDArray[np.uint64], bits: NDArray[np.uint64], places: NDArray[np.int64]) -> None:
    """Put numbers at their places, counted in bits, into 64-bit words."""
    word = places >> 6
    shift = (places & 63).astype(np.uint64)
    firsts = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[firsts]] |= np.bitwise_or.reduceat(bits << shift, firsts)
    spill = bits >> np.uint64(1) >> (np.uint64(63) - shift)
    spilling = np.flatnonzero(spill)  # one token of a word at the most: its last one
    words[word[spilling] + 1] |= spill[spilling]
