"""Records are four bytes a match, and come back as the matches that they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_charon.deltas.codes import DeflateError
from docker_charon.deltas.structure import Matches, pack, unpack


def matches(*rows: tuple[int, int, int, bool]) -> Matches:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    literals, lengths, distances = (np.array(column, np.int64) for column in columns[:3])
    return Matches(literals, lengths, distances, np.array(columns[3], np.bool_))


def rows_of(value: Matches) -> list[tuple[int, int, int, bool]]:
    columns = (value.literals, value.lengths, value.distances, value.long_form)
    return list(zip(*(column.tolist() for column in columns), strict=True))


MATCH = st.tuples(
    st.one_of(st.integers(0, 300), st.integers(0, 2**24 - 1)),
    st.integers(3, 258),
    st.integers(1, 32768),
    st.booleans(),
).map(lambda row: (*row[:3], row[3] and row[1] == 258))


@given(st.lists(MATCH, max_size=30))
def test_matches_come_back(rows: list[tuple[int, int, int, bool]]) -> None:
    assert rows_of(unpack(pack(matches(*rows)))) == rows


def test_a_match_is_four_bytes() -> None:
    assert pack(matches((2, 3, 1, False), (254, 258, 32768, False))) == (
        b"\x02\0\0\0\xfe\xff\xff\x7f"
    )


def test_an_escape_is_four_more() -> None:
    assert pack(matches((255, 4, 1, False))) == b"\xff\xff\0\0" + b"\0\1\0\0"
    assert pack(matches((1, 258, 1, True))) == b"\xff\0\0\0" + b"\1\xff\0\0"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\1\0\0", "without a record"),
        (b"\0\0\0\0\xff\1\0\0", "without a record"),
        (b"\xff\0\0\0\1\1\0\0", "no long form"),
    ],
)
def test_escapes_that_nobody_writes_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(DeflateError, match=said):
        unpack(data)
