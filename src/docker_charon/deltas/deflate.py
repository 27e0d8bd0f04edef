"""Writes a layer from its raw bytes and its structure (RFC 1951, RFC 1952)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from docker_charon.deltas.bits import BitWriter
from docker_charon.deltas.block_header import block_code, write_block_header
from docker_charon.deltas.codes import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    END_OF_BLOCK,
    LARGEST_DISTANCE,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LONGEST_MATCH,
    SHORTEST_MATCH,
    BlockCode,
    DeflateError,
    codes,
    fixed_code,
)
from docker_charon.deltas.structure import (
    BLOCK_ENDS,
    LAST_BLOCK,
    MOST_ROW_RAW,
    RECORD,
    ROW,
    Integers,
    Kind,
    Matches,
    unpack,
)

_BLOCK_TYPE: dict[int, int] = {Kind.STORED: 0, Kind.FIXED: 1, Kind.DYNAMIC: 2}
"""BTYPE (RFC 1951, section 3.2.3)."""

_WITHOUT_HEADER = (Kind.STORED, Kind.FIXED, Kind.MORE)

_LONG_FORM = LONGEST_MATCH + 1
"""The index of 258 as symbol 284 with extra bits 31, in tables by length."""


def _symbols(bases: Integers, largest: int) -> NDArray[np.uint8]:
    """Return, for each value, the index of the largest base that is not above it."""
    symbols = np.searchsorted(bases, np.arange(largest + 1), "right") - 1
    return np.maximum(symbols, 0).astype(np.uint8)


def _lengths() -> Integers:
    """Return the match length for each index of tables by length."""
    return np.append(np.arange(LONGEST_MATCH + 1), LONGEST_MATCH)


_LENGTH_SYMBOL = _symbols(LENGTH_BASE, LONGEST_MATCH)
_LENGTH_SYMBOL = np.append(_LENGTH_SYMBOL, _LENGTH_SYMBOL[LONGEST_MATCH - 1])
_LENGTH_EXTRA = np.maximum(_lengths() - LENGTH_BASE[_LENGTH_SYMBOL], 0).astype(np.uint64)
_DISTANCE_SYMBOL = _symbols(DISTANCE_BASE, LARGEST_DISTANCE)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Bits and sizes of the tokens of a block: by literal, by length, by symbol of a distance.

    Those of a length include its extra bits, and those of a distance do not.
    """

    literal_bits: NDArray[np.uint64]
    literal_sizes: Integers
    length_bits: NDArray[np.uint64]
    length_sizes: Integers
    distance_bits: NDArray[np.uint64]
    distance_sizes: Integers

    @classmethod
    def of(cls, code: BlockCode) -> _Tokens:
        bits, sizes = codes(code.literals), code.literals.astype(np.int64)
        symbols = END_OF_BLOCK + 1 + _LENGTH_SYMBOL.astype(np.int64)
        return cls(
            bits,
            sizes,
            bits[symbols] | _LENGTH_EXTRA << sizes[symbols].astype(np.uint64),
            sizes[symbols] + LENGTH_EXTRA[_LENGTH_SYMBOL],
            codes(code.distances),
            code.distances.astype(np.int64),
        )


@cache
def _fixed_tokens() -> _Tokens:
    return _Tokens.of(fixed_code())


class LayerWriter:
    """Writes the rows of a layer one after another, as the bytes from which they were read."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._bits = BitWriter(write)
        self._tokens: _Tokens | None = None

    def write_rows(self, rows: bytes, headers: bytes, records: bytes, raw: bytes) -> None:
        """Write rows with their headers, records and raw bytes.

        Raises `DeflateError` if no layer has such a structure.
        """
        if len(rows) % ROW.itemsize:
            raise DeflateError("half a row")
        octets = np.frombuffer(raw, np.uint8)
        header_at = record_at = raw_at = 0
        for row in np.frombuffer(rows, ROW).tolist():
            kind, flags, padding, header_size, record_count, trailing, raw_size = row
            header_end, raw_end = header_at + header_size, raw_at + raw_size
            record_end = record_at + record_count * RECORD.itemsize
            if header_end > len(headers) or record_end > len(records) or raw_end > len(raw):
                raise DeflateError("a row with more than there is")
            header, part = headers[header_at:header_end], octets[raw_at:raw_end]
            if header and kind in _WITHOUT_HEADER:
                raise DeflateError("a header where no header can be")
            if kind in (Kind.FIXED, Kind.DYNAMIC, Kind.MORE):
                if raw_size > MOST_ROW_RAW or record_count > raw_size // SHORTEST_MATCH:
                    raise DeflateError("a row with more tokens than it may have")
                self._begin_block(kind, flags, header)
                matches = unpack(records[record_at:record_end])
                self._write_tokens(matches, trailing, part, ends=bool(flags & BLOCK_ENDS))
            elif record_count or self._tokens:
                raise DeflateError("a block that does not end")
            elif kind == Kind.STORED:
                self._write_stored(part, padding, flags)
            elif kind == Kind.END:
                self._bits.write_number(padding, -self._bits.pending % 8)
                self._bits.write_bytes(header)
            elif kind in (Kind.PLAIN, Kind.MEMBER):
                self._bits.write_bytes(header + part.tobytes())
            else:
                raise DeflateError("a row of an unknown kind")
            header_at, record_at, raw_at = header_end, record_end, raw_end
        if (header_at, record_at, raw_at) != (len(headers), len(records), len(raw)):
            raise DeflateError("rows for less than there is")

    def _begin_block(self, kind: int, flags: int, header: bytes) -> None:
        if (kind == Kind.MORE) != bool(self._tokens):
            raise DeflateError("a part of no block, or a block within another one")
        if kind != Kind.MORE:
            self._bits.write_number((flags & LAST_BLOCK) | _BLOCK_TYPE[kind] << 1, 3)
        if kind == Kind.DYNAMIC:
            self._bits.write_number(*write_block_header(header))
            self._tokens = _Tokens.of(block_code(header))
        elif kind == Kind.FIXED:
            self._tokens = _fixed_tokens()

    def _write_stored(self, part: NDArray[np.uint8], padding: int, flags: int) -> None:
        """Write a stored block (RFC 1951, section 3.2.4)."""
        length = len(part)
        if length > 0xFFFF:
            raise DeflateError("a stored block that is too long")
        self._bits.write_number(flags & LAST_BLOCK, 3)
        self._bits.write_number(padding, -self._bits.pending % 8)
        self._bits.write_number(length | (length ^ 0xFFFF) << 16, 32)
        self._bits.write_bytes(part.tobytes())

    def _write_tokens(
        self, matches: Matches, trailing: int, raw: NDArray[np.uint8], *, ends: bool
    ) -> None:
        """Write the tokens of a row, and the end of its block where it ``ends``."""
        tokens = self._tokens
        if tokens is None or matches.raw + trailing != len(raw):
            raise DeflateError("a row whose parts do not add up")
        if len(matches) and int(matches.distances.max()) > LARGEST_DISTANCE:
            raise DeflateError("a distance that is too large")
        runs = np.append(matches.literals, trailing)
        matches_before = np.repeat(np.arange(len(runs)), runs)
        place = np.arange(len(matches_before))
        skipped = np.append(0, np.cumsum(matches.lengths))
        literal = raw[place + skipped[matches_before]]
        place += matches_before
        size = len(place) + len(matches) + ends
        bits, sizes = np.empty(size, np.uint64), np.empty(size, np.int64)
        bits[place], sizes[place] = tokens.literal_bits[literal], tokens.literal_sizes[literal]
        place = np.cumsum(matches.literals) + np.arange(len(matches))
        bits[place], sizes[place] = _match_bits(tokens, matches)
        if ends:
            bits[-1] = tokens.literal_bits[END_OF_BLOCK]
            sizes[-1] = tokens.literal_sizes[END_OF_BLOCK]
            self._tokens = None
        self._bits.write_tokens(bits, sizes)


def _match_bits(tokens: _Tokens, matches: Matches) -> tuple[NDArray[np.uint64], Integers]:
    """Return the bits of each match, and how many they are."""
    lengths = np.where(matches.long_form, _LONG_FORM, matches.lengths)
    bits, sizes = tokens.length_bits[lengths], tokens.length_sizes[lengths]
    symbol = _DISTANCE_SYMBOL[matches.distances]
    bits |= tokens.distance_bits[symbol] << sizes.astype(np.uint64)
    sizes += tokens.distance_sizes[symbol]
    extra = (matches.distances - DISTANCE_BASE[symbol]).astype(np.uint64)
    bits |= extra << sizes.astype(np.uint64)
    sizes += DISTANCE_EXTRA[symbol]
    return bits, sizes
