"""The structure of a layer in temporary files, of which parts can be read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from docker_charon.deltas.codes import DeflateError
from docker_charon.deltas.structure import RECORD, ROW, Integers, Row, pack

MOST_ROWS = 1 << 20
"""The most rows of a layer, and of all old layers of a delta. They are in memory."""

_ROWS_OF_SMALL_LAYER = 1 << 12
_LEAST_BYTES_OF_ROW = 64

PIECE_RAW = 8 * 1024 * 1024
"""A piece of a layer ends with the row in which its raw bytes reach this size."""

PIECE_HEADERS = 4 * 1024 * 1024
PIECE_ROWS = 1 << 16
"""The same for its headers, and for the number of its rows."""

_ROW = struct.Struct("<BBHIIII")


@dataclass(frozen=True, slots=True)
class Structure:
    """Some rows of a layer, with their headers and records."""

    rows: bytes
    headers: bytes
    records: bytes

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self.rows) // _ROW.size


def most_rows(size: int) -> int:
    """Return the most rows that a layer of ``size`` bytes may have.

    A row takes about a millisecond, so a layer with more of them takes too long for its size.
    """
    return min(_ROWS_OF_SMALL_LAYER + size // _LEAST_BYTES_OF_ROW, MOST_ROWS)


def fills_piece(raw: bytes, structure: Structure) -> bool:
    """Return whether a piece is as large as every piece is, except the last one of a layer."""
    return (
        len(raw) >= PIECE_RAW
        or len(structure.headers) >= PIECE_HEADERS
        or structure.row_count >= PIECE_ROWS
    )


class StructureFile:
    """Stores the rows of a layer one after another, and returns any of them.

    There may be ``most_rows`` of them. ``count`` is called with the number of bytes before they are
    kept.
    """

    def __init__(
        self,
        headers: IO[bytes],
        records: IO[bytes],
        count: Callable[[int], None],
        most_rows: int = MOST_ROWS,
    ) -> None:
        self._headers = headers
        self._records = records
        self._count = count
        self._most_rows = most_rows
        self._rows = bytearray()
        self._ends: tuple[Integers, Integers, Integers] | None = None

    def add(self, row: Row) -> None:
        """Add one row."""
        if self.row_count >= self._most_rows:
            raise DeflateError("a gzip file of too many tiny blocks")
        records = b"" if row.matches is None else pack(row.matches)
        self._count(_ROW.size + len(row.header) + len(records))
        self._headers.write(row.header)
        self._records.write(records)
        self._rows += _ROW.pack(
            row.kind,
            row.flags,
            row.padding,
            len(row.header),
            len(records) // RECORD.itemsize,
            row.trailing,
            row.raw,
        )

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self._rows) // _ROW.size

    @property
    def _row_ends(self) -> tuple[Integers, Integers, Integers]:
        """Where each row ends in raw, headers and records, after a first zero."""
        if self._ends is None:
            rows = np.frombuffer(self._rows, ROW)
            raw, headers, records = (
                np.append(0, np.cumsum(rows[name], dtype=np.int64))
                for name in ("raw", "header", "records")
            )
            self._ends = raw, headers, records * RECORD.itemsize
        return self._ends

    @property
    def raw_size(self) -> int:
        """The raw bytes of all rows."""
        return int(self._row_ends[0][-1])

    def raw_range(self, rows: range) -> tuple[int, int]:
        """Return where the raw bytes of some rows begin and end."""
        raw = self._row_ends[0]
        return int(raw[rows.start]), int(raw[rows.stop])

    def rows_within(self, start: int, end: int) -> range:
        """Return the rows that have some of the raw bytes from ``start`` to ``end``."""
        raw = self._row_ends[0]
        first = int(np.searchsorted(raw, start, "right")) - 1
        last = int(np.searchsorted(raw, end, "left"))
        return range(max(first, 0), max(first, last, 0))

    def pieces(self) -> Iterator[range]:
        """Yield all rows, a piece at a time."""
        raw, headers, _ = self._row_ends
        start = 0
        while start < len(raw) - 1:
            stop = min(
                int(np.searchsorted(raw, raw[start] + PIECE_RAW)),
                int(np.searchsorted(headers, headers[start] + PIECE_HEADERS)),
                start + PIECE_ROWS,
                len(raw) - 1,
            )
            yield range(start, stop)
            start = stop

    def part(self, rows: range) -> Structure:
        """Return some rows with their headers and records."""
        return Structure(self.rows(rows), self.headers(rows), self.records(rows))

    def rows(self, rows: range, most: int | None = None) -> bytes:
        """Return the first ``most`` bytes of some rows."""
        start, end = rows.start * _ROW.size, rows.stop * _ROW.size
        return bytes(self._rows[start : end if most is None else min(end, start + most)])

    def headers(self, rows: range, most: int | None = None) -> bytes:
        """Return the first ``most`` bytes of the headers of some rows."""
        return _read(self._headers, self._row_ends[1], rows, most)

    def records(self, rows: range, most: int | None = None) -> bytes:
        """Return the first ``most`` bytes of the records of some rows."""
        return _read(self._records, self._row_ends[2], rows, most)


def _read(file: IO[bytes], ends: Integers, rows: range, most: int | None) -> bytes:
    size = int(ends[rows.stop] - ends[rows.start])
    file.seek(int(ends[rows.start]))
    return file.read(size if most is None else min(size, most))
