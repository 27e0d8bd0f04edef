"""Reads the structure of a gzip file: every token of every block (RFC 1951, RFC 1952).

There is no loop over bits. For each bit of a cell, arrays contain the size of a literal or a length
that would begin there, and the size of a distance that would begin there. Python only goes from
token to token, which takes one or two additions for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from docker_charon.deltas.bits import BitWindow
from docker_charon.deltas.block_header import MOST_BYTES, block_code, read_block_header
from docker_charon.deltas.codes import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    END_OF_BLOCK,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LONGEST_MATCH,
    MOST_BITS,
    SYMBOLS,
    BlockCode,
    DeflateError,
    fixed_code,
    symbols_by_peek,
)
from docker_charon.deltas.member import MAGIC, TRAILER, header_size, read_header
from docker_charon.deltas.structure import (
    BLOCK_ENDS,
    LAST_BLOCK,
    ROW_RAW,
    Integers,
    Kind,
    Matches,
    Row,
    concatenated,
    plain_rows,
)

_SHORTEST_CELL = 1 << 14
_LONGEST_CELL = 1 << 18
"""The bits for which steps are computed at once; steps after the end of the block are wasted."""

_LOOK_AHEAD = 8 * 1024
"""The window moves on if it holds fewer bits than this where the tokens of a block begin."""

_LONGEST_TOKEN = 64
"""More bits than a match can have, which is 15 + 5 for its length and 15 + 13 for its distance."""

_IS_LENGTH = 32
"""Added to the steps of lengths, to tell them from the steps of literals."""

_LONG_FORM = 284  # the symbol of lengths to which 31 extra bits add up to 258


class _Extra:
    """By symbol: the base value of a length or a distance, and its extra bits."""

    def __init__(self, first: int, bases: Integers, extra_bits: NDArray[np.uint8]) -> None:
        symbols = slice(first, first + len(bases))
        self.bases = np.zeros(SYMBOLS, np.int64)
        self.bases[symbols] = bases
        self.sizes = np.zeros(SYMBOLS, np.uint8)
        self.sizes[symbols] = extra_bits
        self.masks = ((1 << self.sizes.astype(np.int64)) - 1).astype(np.uint16)


_LENGTH = _Extra(END_OF_BLOCK + 1, LENGTH_BASE, LENGTH_EXTRA)
_DISTANCE = _Extra(0, DISTANCE_BASE, DISTANCE_EXTRA)


class _Tables:
    """What the next 15 bits of a block mean.

    ``steps`` says by how many bits to go on: two literals are taken at once where they fit into the
    15 bits, and ``counts`` says whether they do. It is zero for the end of the block, and where no
    symbol is. ``distance_steps`` says the same for distances.
    """

    def __init__(self, code: BlockCode) -> None:
        self.sizes = code.literals
        self.symbols = symbols_by_peek(code.literals)
        steps = self.sizes + _LENGTH.sizes
        steps[_LENGTH.bases > 0] += _IS_LENGTH
        steps[(_LENGTH.bases == 0) & (np.arange(SYMBOLS) >= END_OF_BLOCK)] = 0
        self.steps = steps[self.symbols]
        self.counts = (self.symbols < END_OF_BLOCK).astype(np.uint8)
        self._join_literals()
        self.distance_sizes = code.distances
        self.distance_symbols = symbols_by_peek(code.distances)
        self.distance_steps = (code.distances + _DISTANCE.sizes)[self.distance_symbols]

    def _join_literals(self) -> None:
        """Step over the next literal as well if it fits into the 15 bits."""
        firsts = np.flatnonzero(self.counts)
        steps = self.steps.take(firsts)
        behind = firsts >> steps
        steps += self.steps.take(behind)
        fit = np.flatnonzero(self.counts.take(behind) & (steps <= MOST_BITS))
        joined = firsts.take(fit)
        self.steps[joined] = steps.take(fit)
        self.counts[joined] = 2


@cache
def _fixed_tables() -> _Tables:
    return _Tables(fixed_code())


def read_structure(path: Path, add: Callable[[Row], object]) -> None:
    """Call ``add`` with each row of a gzip file, in order.

    Bytes after the last member are plain rows. Raises `DeflateError` if the file is damaged or
    not gzip.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        _Reader(BitWindow(file, size), size, add).read()


class _Reader:
    """Reads a gzip file; ``_place`` is the next bit."""

    def __init__(self, window: BitWindow, size: int, add: Callable[[Row], object]) -> None:
        self._window = window
        self._end = 8 * size
        self._add = add
        self._place = 0

    def read(self) -> None:
        """Read all members, and the bytes after them."""
        while self._place < self._end:
            if self._place and self._window.bytes_at(self._place, 2) != MAGIC:
                for row in plain_rows((self._end - self._place) // 8):
                    self._add(row)
                return
            self._read_member()

    def _read_member(self) -> None:
        header = read_header(partial(self._window.bytes_at, self._place))
        header = header[: header_size(header)]
        self._add(Row(Kind.MEMBER, header=header))
        self._place += 8 * len(header)
        while not self._read_block():
            pass
        size = -self._place % 8
        padding = self._window.number_at(self._place, 1) & (1 << size) - 1
        self._place += size
        trailer = self._window.bytes_at(self._place, TRAILER)
        self._place += 8 * TRAILER
        self._check_end()
        self._add(Row(Kind.END, padding=padding, header=trailer))

    def _check_end(self) -> None:
        if self._place > self._end:
            raise DeflateError("a gzip file that is cut short")

    def _read_block(self) -> bool:
        """Read a block; return whether it is the last one of its member."""
        bits = self._window.number_at(self._place, MOST_BYTES)
        flags = LAST_BLOCK if bits & 1 else 0
        kind = bits >> 1 & 3
        bits >>= 3
        self._place += 3
        if kind == 0:
            self._read_stored(bits, flags)
        elif kind == 1:
            self._read_tokens(_fixed_tables(), Row(Kind.FIXED, flags=flags))
        elif kind == 2:
            header, size = read_block_header(bits)
            self._place += size
            row = Row(Kind.DYNAMIC, flags=flags, header=header)
            self._read_tokens(_Tables(block_code(header)), row)
        else:
            raise DeflateError("a block of an unknown kind")
        self._check_end()
        return bool(flags)

    def _read_stored(self, bits: int, flags: int) -> None:
        """Read a stored block (RFC 1951, section 3.2.4)."""
        size = -self._place % 8
        length, complement = bits >> size & 0xFFFF, bits >> size + 16 & 0xFFFF
        if length ^ complement != 0xFFFF:
            raise DeflateError("a stored block with two lengths")
        self._place += size + 32 + 8 * length
        padding = bits & (1 << size) - 1
        self._add(Row(Kind.STORED, raw=length, flags=flags, padding=padding))

    def _read_tokens(self, tables: _Tables, row: Row) -> None:
        """Read the tokens of a compressed block, and make rows of them; ``row`` is the first."""
        parts: list[Matches] = []
        trailing = raw = 0
        ended = False
        while not ended:
            self._window.require(self._place, _LOOK_AHEAD)
            places, ended = self._follow(tables)
            matches, literals = self._matches(tables, places, trailing)
            parts.append(matches)
            raw += matches.raw + literals - trailing
            trailing = literals
            if ended or raw >= ROW_RAW:
                self._add_rows(row, concatenated(parts), trailing, BLOCK_ENDS if ended else 0)
                row = Row(Kind.MORE)
                parts, trailing, raw = [], 0, 0

    def _add_rows(self, row: Row, matches: Matches, trailing: int, flags: int) -> None:
        """Make rows of about `ROW_RAW` bytes; ``trailing`` and ``flags`` are of the last one."""
        ends = np.cumsum(matches.literals + matches.lengths)
        last = int(ends[-1]) if len(ends) else 0
        start = 0
        if last > ROW_RAW:
            cuts = np.unique(np.searchsorted(ends, np.arange(ROW_RAW, last, ROW_RAW), "right"))
            for cut in cuts[(cuts > 0) & (cuts < len(ends))].tolist():
                part = matches[start:cut]
                self._add(replace(row, raw=part.raw, matches=part))
                row, start = Row(Kind.MORE), cut
        part, flags = matches[start:], row.flags | flags
        raw = part.raw + trailing
        self._add(replace(row, raw=raw, flags=flags, matches=part, trailing=trailing))

    def _follow(self, tables: _Tables) -> tuple[Integers, bool]:
        """Go over the tokens of a block that begin in the window.

        Returns where each match or run of literals begins, in bits of the window, and whether the
        block has ended; the place is then behind its end.
        """
        window = self._window
        stop = window.end - window.start
        start = self._place - window.start
        cell = _SHORTEST_CELL
        parts = [np.zeros(0, np.int64)]
        while start < stop:
            cell_end = min(start + cell, stop)
            steps = tables.steps.take(window.peeks[start:cell_end]).tobytes() + bytes(
                _LONGEST_TOKEN
            )
            peeks = window.peeks[start : cell_end + _LONGEST_TOKEN]
            distances = bytes(_IS_LENGTH) + tables.distance_steps.take(peeks).tobytes()
            marks, reached = _marked_tokens(steps, distances)
            parts.append(np.flatnonzero(np.frombuffer(marks, np.bool_, reached)) + start)
            in_cell = reached < cell_end - start
            start += reached
            if in_cell:
                if tables.symbols[window.peeks[start]] != END_OF_BLOCK:
                    raise DeflateError("bits that are no symbol")
                self._place = window.start + start + int(tables.sizes[END_OF_BLOCK])
                return np.concatenate(parts), True
            cell = min(2 * cell, _LONGEST_CELL)
        self._place = window.start + start
        if self._place >= self._end:
            raise DeflateError("a gzip file that is cut short")
        return np.concatenate(parts), False

    def _matches(self, tables: _Tables, places: Integers, before: int) -> tuple[Matches, int]:
        """Return the matches among the tokens at these places, and the literals after the last one.

        ``before`` are the literals that come before the first token, in addition.
        """
        peeks = self._window.peeks
        first = peeks[places]
        counts = tables.counts[first]
        literals = before + np.cumsum(counts, dtype=np.int64)
        total = int(literals[-1]) if len(literals) else before
        chosen = np.flatnonzero(counts == 0)
        literals = literals[chosen]
        trailing = total - (int(literals[-1]) if len(literals) else 0)
        place = places[chosen]
        symbol = tables.symbols[first[chosen]]
        place += tables.sizes[symbol]
        lengths = _LENGTH.bases[symbol] + (peeks[place] & _LENGTH.masks[symbol])
        long_form = (symbol == _LONG_FORM) & (lengths == LONGEST_MATCH)
        place += _LENGTH.sizes[symbol]
        symbol = tables.distance_symbols[peeks[place]]
        place += tables.distance_sizes[symbol]
        bases = _DISTANCE.bases[symbol]
        if not bases.all():
            raise DeflateError("bits that are no distance")
        distances = bases + (peeks[place] & _DISTANCE.masks[symbol])
        return Matches(np.diff(literals, prepend=0), lengths, distances, long_form), trailing


def _marked_tokens(steps: bytes, distances: bytes) -> tuple[bytearray, int]:
    """Follow the steps from the first bit to one without a step; mark where each began.

    Returns the marks, one for each bit, and the bit without a step.
    """
    marks = bytearray(len(steps))
    place = 0
    while True:
        marks[place] = 1
        step = steps[place]
        place += step
        if step >= _IS_LENGTH:
            place += distances[place] - _IS_LENGTH
        elif not step:
            return marks, place
