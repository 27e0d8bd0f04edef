"""A request: the byte ranges that its headers name."""

from __future__ import annotations

import pytest

from docker_charon.server.http.request import RangeNotSatisfiable, parse_content_range, parse_range


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
def test_a_single_range_is_understood(header: str, expected: tuple[int, int]) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes=-",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=a-b",
        "bytes=\N{SUPERSCRIPT ONE}-",
        f"bytes={'9' * 5000}-",
    ],
)
def test_a_header_that_may_be_ignored_means_all_bytes(header: str) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=5-2"])
def test_a_range_without_any_bytes_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 10)


def test_an_empty_blob_has_no_satisfiable_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=0-", 0)


@pytest.mark.parametrize("header", ["2-5", "bytes 2-5", "bytes 2-5/10", "bytes 2-5/*", " 2-5 "])
def test_both_forms_of_content_range_are_understood(header: str) -> None:
    assert parse_content_range(header) == (2, 6)


@pytest.mark.parametrize("header", ["", "5-2", "-5", "2-", "a-b", "bytes=2-5", f"0-{'9' * 5000}"])
def test_other_forms_of_content_range_are_not(header: str) -> None:
    assert parse_content_range(header) is None
