"""Numbers and sizes as people read them."""

from __future__ import annotations

import pytest

from docker_charon.progress import counted, counts, shown_part, shown_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        *((0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (4.7e9, "4.7 GB"), (2.5e15, "2500.0 TB")),
        *((999_900, "999.9 kB"), (999_949, "999.9 kB"), (999_999, "1.0 MB"), (1e6 - 50, "1.0 MB")),
    ],
)
def test_a_size_has_a_decimal_unit(size: float, text: str) -> None:
    assert shown_size(size) == text


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [(0, 999, "0 of 999 B"), (300, 4000, "0.3 of 4.0 kB"), (26_300_000, 4e7, "26.3 of 40.0 MB")],
)
def test_a_part_has_the_unit_of_the_whole(done: int, total: int, text: str) -> None:
    assert shown_part(done, total) == text


def test_a_noun_fits_its_number() -> None:
    assert [counted(number, "image") for number in (0, 1, 2000)] == [
        *("0 images", "1 image", "2,000 images")
    ]


def test_what_there_is_none_of_is_left_out() -> None:
    assert counts({"image": 2, "blob": 1}) == "2 images and 1 blob"
    assert counts({"image": 0, "blob": 3}) == "3 blobs"
    assert counts({"image": 0}) == ""
