"""The list of volumes: it is read as it was written, and others are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docker_charon import PayloadError
from docker_charon.payload.volumes.volume_list import (
    MOST_VOLUMES,
    VolumeList,
    read_list,
    volume_sizes,
)
from volumes import listed

HEX = "0" * 64


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
