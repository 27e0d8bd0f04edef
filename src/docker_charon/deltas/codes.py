"""The Huffman codes of deflate, as tables for arrays (RFC 1951, sections 3.2.2, 3.2.5, 3.2.6).

A *code* is known by its lengths: how many bits each symbol takes, zero for a symbol without a code.
Bits are numbers whose lowest bit comes first in the file, as deflate packs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Lengths = NDArray[np.uint8]
"""The bits of each symbol's code."""

MOST_BITS = 15
"""Bits of the longest code that deflate allows."""

SYMBOLS = 320
"""The length of tables by symbol: more than either alphabet has."""

NO_SYMBOL = SYMBOLS - 1
"""The symbol that tables give for bits with which no code begins."""

END_OF_BLOCK = 256
SHORTEST_MATCH = 3
LONGEST_MATCH = 258
LARGEST_DISTANCE = 32768

LENGTH_EXTRA = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0], np.uint8)
"""How many extra bits follow the symbols 257 to 285."""

_LENGTHS = 1 << LENGTH_EXTRA[:28].astype(np.int64)
LENGTH_BASE = np.append(SHORTEST_MATCH + np.cumsum(_LENGTHS) - _LENGTHS, LONGEST_MATCH)
"""The shortest match that the symbols 257 to 285 stand for."""

DISTANCE_EXTRA = np.array([0] * 4 + [n for n in range(1, 14) for _ in range(2)], np.uint8)
"""How many extra bits follow the symbols of distances, 0 to 29."""

_DISTANCES = 1 << DISTANCE_EXTRA.astype(np.int64)
DISTANCE_BASE = 1 + np.cumsum(_DISTANCES) - _DISTANCES
"""The smallest distance that the symbols 0 to 29 stand for."""


class DeflateError(ValueError):
    """Bits or values that the formats of RFC 1951 and RFC 1952 do not allow."""


@dataclass(frozen=True, slots=True)
class BlockCode:
    """The two codes of a block, each with `SYMBOLS` lengths.

    One is of literals and the lengths of matches, the other one of their distances.
    """

    literals: Lengths
    distances: Lengths


@cache
def fixed_code() -> BlockCode:
    """Return the code of a fixed block (RFC 1951, section 3.2.6)."""
    literals, distances = np.zeros((2, SYMBOLS), np.uint8)
    literals[:288] = np.repeat([8, 9, 7, 8], [144, 112, 24, 8])
    distances[:32] = 5
    return BlockCode(literals, distances)


def _reversed_bits() -> NDArray[np.uint16]:
    """Return every number of 15 bits with its bits in reverse order."""
    numbers = np.arange(1 << MOST_BITS)
    result = np.zeros_like(numbers)
    for bit in range(MOST_BITS):
        result |= (numbers >> bit & 1) << (MOST_BITS - 1 - bit)
    return result.astype(np.uint16)


_REVERSED = _reversed_bits()


def _in_order(lengths: Lengths) -> tuple[NDArray[np.intp], int, NDArray[np.int64]]:
    """Return the symbols in the order of their codes, the longest length, and their shares.

    A code that is ``k`` bits shorter than the longest one has ``2 ** k`` shares of the code space.
    """
    used = np.flatnonzero(lengths)
    symbols = used[np.argsort(lengths[used], kind="stable")]
    longest = int(lengths[symbols[-1]]) if len(symbols) else 1
    if longest > MOST_BITS:
        raise DeflateError(f"a code of {longest} bits")
    shares = np.int64(1) << (longest - lengths[symbols].astype(np.int64))
    if shares.sum() > 1 << longest:
        raise DeflateError("more codes than there is space for")
    return symbols, longest, shares


def symbols_by_peek(lengths: Lengths) -> NDArray[np.uint16]:
    """Return the symbol with which the next 15 bits begin, for each value of these bits."""
    symbols, longest, shares = _in_order(lengths)
    table = np.full(1 << longest, NO_SYMBOL, np.uint16)
    table[: shares.sum()] = np.repeat(symbols, shares)
    table = table[_REVERSED[: 1 << longest] >> (MOST_BITS - longest)]
    return np.tile(table, 1 << (MOST_BITS - longest))


def codes(lengths: Lengths) -> NDArray[np.uint64]:
    """Return the bits of the code of each symbol; zero for a symbol without a code."""
    symbols, longest, shares = _in_order(lengths)
    starts = (np.cumsum(shares) - shares) << (MOST_BITS - longest)
    result = np.zeros(len(lengths), np.uint64)
    result[symbols] = _REVERSED[starts]
    return result
