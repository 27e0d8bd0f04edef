"""Sizes of volumes: how people write them, and what is refused."""

from __future__ import annotations

import pytest

from docker_charon import DockerCharonError
from docker_charon.payload.volumes.volume_size import checked_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000000", 1_000_000),
        ("500B", 500),
        ("700M", 700 * 1024**2),
        ("700MiB", 700 * 1024**2),
        ("700MB", 700_000_000),
        ("4.7GB", 4_700_000_000),
        ("4.7 gb", 4_700_000_000),
        ("25GB", 25_000_000_000),
        ("2g", 2 * 1024**3),
        ("1.5T", 3 * 1024**4 // 2),
        (" 1K ", 1024),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["4G", "4GiB", "4g", "4096M", "4294967296"])
def test_four_gigabytes_are_what_a_fat_file_system_can_hold(text: str) -> None:
    assert parse_size(text) == checked_size(4 * 1024**3) == 4 * 1024**3 - 1


@pytest.mark.parametrize("text", ["", "G", "4X", "4 G B", "-4G", "4,7GB", "1e9", "0", "0.1B", "٤G"])
def test_what_is_no_size_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(DockerCharonError, match=r"4G, 4\.7GB or 700MiB"):
        parse_size(text)
