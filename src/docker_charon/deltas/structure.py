"""The choices that a compressor made, as bytes that are alike where the content is alike.

A layer is its *raw* bytes, which are what the compressed data stands for, and its *structure*:

* *rows*, each of which says how the next raw bytes are stored in the layer,
* *headers*: the headers and trailers of gzip members as they are, and those of dynamic blocks as
  `block_header` writes them,
* *records*, one for each match: the literals before it, its length and its distance.

Nothing in them is an absolute position, so an insertion changes them where it is, and no further.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from docker_charon.deltas.codes import LONGEST_MATCH, SHORTEST_MATCH, DeflateError

Integers = NDArray[np.int64]


class Kind(IntEnum):
    """What a row stands for."""

    PLAIN = 0
    """Bytes outside of gzip members; the raw bytes are the same."""
    MEMBER = 1
    """The header of a gzip member."""
    STORED = 2
    """A stored block; ``padding`` is the unused bits before its length."""
    FIXED = 3
    """A block with the fixed code, or its first part."""
    DYNAMIC = 4
    """A block with a dynamic code, or its first part."""
    MORE = 5
    """Another part of the same block."""
    END = 6
    """The trailer of a gzip member; ``padding`` is the unused bits before it."""


ROW = np.dtype(
    [
        ("kind", "u1"),
        ("flags", "u1"),
        ("padding", "<u2"),
        ("header", "<u4"),
        ("records", "<u4"),
        ("trailing", "<u4"),
        ("raw", "<u4"),
    ]
)
"""``header``: bytes in headers; ``records``: how many; ``trailing``: literals after the last match;
``raw``: bytes in raw."""

LAST_BLOCK = 1
"""The flag of a block that is the last one of its member."""
BLOCK_ENDS = 2
"""The flag of a row with which a compressed block ends."""

ROW_RAW = 1 << 19
"""The raw bytes in a row after which the rest of its block goes into another row."""

MOST_ROW_RAW = 1 << 21
"""The most raw bytes in a row, which may end with many literals."""

RECORD = np.dtype([("literals", "u1"), ("length", "u1"), ("distance", "<u2")])
"""``length`` is 3 less than in the match, ``distance`` is 1 less. `pack` describes the escape.

A row has no more records than a third of its raw bytes: escapes are for at least 255 of these.
"""

_ESCAPE = 255


@dataclass(frozen=True, slots=True)
class Matches:
    """The matches of a row, each with the number of literals before it.

    ``long_form`` is true for a length of 258 that is sent as symbol 284 and 31 extra bits.
    """

    literals: Integers
    lengths: Integers
    distances: Integers
    long_form: NDArray[np.bool_]

    def __getitem__(self, part: slice) -> Matches:
        return Matches(
            self.literals[part], self.lengths[part], self.distances[part], self.long_form[part]
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def raw(self) -> int:
        """The raw bytes of these matches and of the literals before them."""
        return int(self.literals.sum() + self.lengths.sum())


@dataclass(frozen=True, slots=True)
class Row:
    """A row before it is packed; ``matches`` and then ``trailing`` literals are its tokens."""

    kind: Kind
    raw: int = 0
    flags: int = 0
    padding: int = 0
    header: bytes = b""
    matches: Matches | None = None
    trailing: int = 0


def plain_rows(size: int) -> Iterator[Row]:
    """Yield the rows of ``size`` bytes that are not compressed."""
    for start in range(0, size, ROW_RAW):
        yield Row(Kind.PLAIN, raw=min(ROW_RAW, size - start))


def concatenated(parts: Sequence[Matches]) -> Matches:
    """Return the matches of all parts."""
    if len(parts) == 1:
        return parts[0]
    return Matches(
        np.concatenate([part.literals for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.distances for part in parts]),
        np.concatenate([part.long_form for part in parts]),
    )


def pack(matches: Matches) -> bytes:
    """Return the records of ``matches``.

    A record whose first byte is 255 is an escape that changes the record behind it. Its other bytes
    are a number: how many literals come in addition, or zero for the long form of 258.
    """
    records = np.empty(len(matches), RECORD)
    many = matches.literals >= _ESCAPE
    records["literals"] = np.where(many, 0, matches.literals)
    records["length"] = matches.lengths - SHORTEST_MATCH
    records["distance"] = matches.distances - 1
    if many.any() or matches.long_form.any():
        runs, forms = np.flatnonzero(many), np.flatnonzero(matches.long_form)
        counts = np.append(matches.literals[runs], np.zeros(len(forms), np.int64))
        escapes = np.empty(len(counts), RECORD)
        escapes["literals"] = _ESCAPE
        escapes["length"] = counts & 0xFF
        escapes["distance"] = counts >> 8
        records = np.insert(records, np.append(runs, forms), escapes)
    return records.tobytes()


def unpack(data: bytes) -> Matches:
    """Return the matches of the records of a row."""
    records = np.frombuffer(data, RECORD)
    escape = records["literals"] == _ESCAPE
    numbers = None
    if escape.any():
        places = np.searchsorted(np.flatnonzero(~escape), np.flatnonzero(escape))
        escapes, records = records[escape], records[~escape]
        if places[-1] >= len(records):
            raise DeflateError("an escape without a record behind it")
        numbers = escapes["length"] + (escapes["distance"].astype(np.int64) << 8)
    literals = records["literals"].astype(np.int64)
    long_form = np.zeros(len(records), np.bool_)
    if numbers is not None:
        literals += np.bincount(places, numbers, len(records)).astype(np.int64)
        long_form[places[numbers == 0]] = True
    lengths = records["length"].astype(np.int64) + SHORTEST_MATCH
    if (lengths[long_form] != LONGEST_MATCH).any():
        raise DeflateError("a length that has no long form")
    return Matches(literals, lengths, records["distance"].astype(np.int64) + 1, long_form)
