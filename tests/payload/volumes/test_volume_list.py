"""Volumes as values: sizes, names, the list, and one volume compared with it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from docker_charon import DockerCharonError, PayloadError
from docker_charon.payload.random_access import RandomAccess
from docker_charon.payload.volumes.volume_list import (
    MOST_VOLUMES,
    VolumeList,
    base_and_number,
    checked_size,
    list_path,
    parse_size,
    read_list,
    sample,
    verify_volume,
    volume_path,
    volume_sizes,
)
from images import random_bytes
from volumes import listed

HEX = "0" * 64


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


@pytest.mark.parametrize(
    ("name", "base", "number"),
    [
        ("payload.zip", "payload.zip", None),
        ("payload.zip.001", "payload.zip", 1),
        ("payload.zip.999", "payload.zip", 999),
        ("payload.zip.000", "payload.zip.000", None),
        ("payload.zip.01", "payload.zip.01", None),
        ("payload.zip.0001", "payload.zip.0001", None),
        ("payload.zip.volumes.json", "payload.zip", None),
        (".001", ".001", None),
        (".volumes.json", ".volumes.json", None),
    ],
)
def test_a_name_tells_the_payload_and_the_number(name: str, base: str, number: int | None) -> None:
    assert base_and_number(Path("usb") / name) == (Path("usb") / base, number)


def test_the_names_of_volumes_lead_back_to_their_payload() -> None:
    base = Path("usb/payload.zip")
    assert base_and_number(volume_path(base, 7)) == (base, 7)
    assert base_and_number(list_path(base)) == (base, None)


@pytest.mark.parametrize(
    ("size", "volume_size", "sizes"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (MOST_VOLUMES, 1, [1] * MOST_VOLUMES)],
)
def test_all_volumes_but_the_last_have_the_same_size(
    size: int, volume_size: int, sizes: list[int]
) -> None:
    assert volume_sizes(size, volume_size) == sizes


def test_there_are_not_more_volumes_than_numbers() -> None:
    with pytest.raises(ValueError, match="999"):
        volume_sizes(MOST_VOLUMES + 1, 1)


def test_a_list_is_the_same_when_it_is_read_again() -> None:
    volumes = listed(b"abcd", b"efgh", b"i")
    assert VolumeList.parse(volumes.encode()) == volumes


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"size": 10},
        {"size": -1},
        {"size": True},
        {"volume_size": 5},
        {"volume_size": 0},
        {"sha256": "x"},
        {"metadata_sha256": None},
        {"volumes": []},
        {"volumes": {}},
        {"volumes": [1, 2, 3]},
        {"volumes": [{"name": "a", "size": 9, "sha256": HEX}]},
        {"volumes": [{"name": 1, "size": 9, "sha256": HEX, "sample": HEX}]},
        {"volumes": [{"name": "a", "size": 1, "sha256": HEX, "sample": HEX}] * 1000},
    ],
    ids=str,
)
def test_a_list_that_does_not_fit_together_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    document = {**json.loads(listed(b"abcd", b"efgh", b"i").encode()), **change}
    path = tmp_path / "p.zip.volumes.json"
    path.write_text(json.dumps(document))
    with pytest.raises(PayloadError, match=f"{path} is not a list of volumes"):
        read_list(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 10_000, bytes(2 * 1024**2)])
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.zip.volumes.json"
    path.write_bytes(content)
    with pytest.raises(PayloadError, match="is not a list of volumes"):
        read_list(path)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=r"p\.zip\.volumes\.json: No such file"):
        read_list(tmp_path / "p.zip.volumes.json")


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 1_000_000])
def test_a_sample_has_the_first_and_the_last_byte(size: int) -> None:
    content = random_bytes(1, size)
    samples = {sample(RandomAccess(io.BytesIO(content)), size)}
    for offset in {0, size - 1}:
        changed = bytearray(content)
        changed[offset] ^= 1
        samples.add(sample(RandomAccess(io.BytesIO(changed)), size))
    assert len(samples) == 1 + len({0, size - 1})


CONTENTS = [random_bytes(n, 300_000) for n in range(3)] + [random_bytes(9, 10)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with four volumes and their list."""
    for n, content in enumerate(CONTENTS, 1):
        volume_path(tmp_path / "p.zip", n).write_bytes(content)
    list_path(tmp_path / "p.zip").write_bytes(listed(*CONTENTS).encode())
    return tmp_path


def test_a_volume_is_verified_without_the_others(folder: Path) -> None:
    for n in (1, 2, 4):
        volume_path(folder / "p.zip", n).unlink()
    verify_volume(folder / "p.zip.003", list_path(folder / "p.zip"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (CONTENTS[1][:100] + b"\0" + CONTENTS[1][101:], "is damaged, or of another payload"),
        (CONTENTS[1][:5000] + b"\0" + CONTENTS[1][5001:], "is damaged"),
        (CONTENTS[1][:-1], "has 299,999 bytes instead of 300,000"),
        (b"", "has 0 bytes instead of 300,000"),
        (CONTENTS[0], "is the volume 001 of this payload"),
        (CONTENTS[3], "is the volume 004 of this payload"),
    ],
    ids=["sample", "between samples", "cut", "empty", "swapped", "swapped with the last"],
)
def test_what_is_wrong_with_a_volume_is_told(folder: Path, content: bytes, problem: str) -> None:
    path = folder / "p.zip.002"
    path.write_bytes(content)
    with pytest.raises(PayloadError) as raised:
        verify_volume(path, list_path(folder / "p.zip"))
    assert str(raised.value) == f"{path} {problem}; copy it from its source again"


def test_a_volume_that_is_not_in_the_list_is_told(folder: Path) -> None:
    (folder / "p.zip.005").write_bytes(b"x")
    with pytest.raises(PayloadError, match=r"p\.zip\.005 is not in .*, which has 4 volumes"):
        verify_volume(folder / "p.zip.005", list_path(folder / "p.zip"))
    with pytest.raises(PayloadError, match=r"cannot read .*p\.zip\.004: No such file"):
        (folder / "p.zip.004").unlink()
        verify_volume(folder / "p.zip.004", list_path(folder / "p.zip"))
