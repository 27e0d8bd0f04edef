"""Any rows of a structure can be read again, a piece at a time or by what they stand for."""

from __future__ import annotations

import io

import numpy as np
import pytest

from docker_charon.deltas import structure_file
from docker_charon.deltas.structure import ROW, Kind, Matches, Row
from docker_charon.deltas.structure_file import MOST_ROWS, StructureFile, most_rows


def matches(count: int) -> Matches:
    zeros = np.zeros(count, np.int64)
    return Matches(zeros, zeros + 3, zeros + 1, zeros > 0)


@pytest.fixture
def structure() -> StructureFile:
    """Return a member of a header, blocks of 30 raw bytes each, and a trailer."""
    result = StructureFile(io.BytesIO(), io.BytesIO(), lambda size: None)
    result.add(Row(Kind.MEMBER, header=b"header"))
    for n in range(10):
        result.add(Row(Kind.DYNAMIC, header=b"%d" % n, matches=matches(10), raw=30))
    result.add(Row(Kind.END, header=b"trailer!"))
    return result


def test_a_part_has_what_belongs_to_its_rows(structure: StructureFile) -> None:
    part = structure.part(range(2, 4))
    assert np.frombuffer(part.rows, ROW)["raw"].tolist() == [30, 30]
    assert part.headers == b"12"
    assert len(part.records) == 2 * 10 * 4
    assert structure.raw_range(range(2, 4)) == (30, 90)
    assert structure.raw_size == 300


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        (0, 30, range(1, 2)),
        (0, 31, range(1, 3)),
        (29, 30, range(1, 2)),
        (30, 60, range(2, 3)),
        (45, 46, range(2, 3)),
        (270, 300, range(10, 11)),
    ],
)
def test_rows_are_found_by_their_raw_bytes(
    structure: StructureFile, start: int, end: int, rows: range
) -> None:
    assert structure.rows_within(start, end) == rows


@pytest.mark.parametrize(
    ("limit", "value", "count"),
    [("PIECE_RAW", 60, 6), ("PIECE_RAW", 1000, 1), ("PIECE_ROWS", 5, 3), ("PIECE_HEADERS", 8, 3)],
)
def test_a_piece_ends_where_it_has_enough_of_anything(
    structure: StructureFile, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, count: int
) -> None:
    monkeypatch.setattr(structure_file, limit, value)
    pieces = list(structure.pieces())
    assert len(pieces) == count
    assert [row for piece in pieces for row in piece] == list(range(12))


def test_what_is_kept_is_counted_before() -> None:
    counted: list[int] = []
    structure = StructureFile(io.BytesIO(), io.BytesIO(), counted.append)
    structure.add(Row(Kind.DYNAMIC, header=b"abc", matches=matches(10), raw=30))
    assert counted == [ROW.itemsize + 3 + 40]


def test_a_large_layer_has_more_rows_than_a_small_one_but_never_too_many() -> None:
    assert 0 < most_rows(0) < most_rows(10**6) < most_rows(10**12) == MOST_ROWS
