"""Byte ranges: which part of a blob a ``Range`` header asks for."""

from __future__ import annotations

import pytest

from docker_charon.server.byte_range import Unsatisfiable, range_sent, range_to_read


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=2-", (2, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=5-99", (5, 10)),
        ("bytes=9-9", (9, 10)),
        ("bytes= 2 - 5", (2, 6)),
    ],
)
def test_one_range_is_read(header: str, expected: tuple[int, int]) -> None:
    assert range_to_read(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=-",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=a-b",
        "bytes=\N{SUPERSCRIPT ONE}-",
        f"bytes={'9' * 5000}-",
    ],
)
def test_what_may_be_passed_over_means_all(header: str | None) -> None:
    assert range_to_read(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=5-2"])
def test_a_range_in_which_there_is_nothing_cannot_be_read(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        range_to_read(header, 10)


def test_nothing_has_no_range() -> None:
    with pytest.raises(Unsatisfiable):
        range_to_read("bytes=0-", 0)


@pytest.mark.parametrize("header", ["2-5", "bytes 2-5", "bytes 2-5/10", "bytes 2-5/*", " 2-5 "])
def test_a_range_that_is_sent_is_written_in_more_than_one_way(header: str) -> None:
    assert range_sent(header) == (2, 6)


@pytest.mark.parametrize("header", ["", "5-2", "-5", "2-", "a-b", "bytes=2-5", f"0-{'9' * 5000}"])
def test_other_ways_are_none(header: str) -> None:
    assert range_sent(header) is None
