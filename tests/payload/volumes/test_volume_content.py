"""The content of a volume: what differs from the list is found and told."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from docker_charon import PayloadError
from docker_charon.payload.random_access import RandomAccess
from docker_charon.payload.volumes.volume_content import sample, verify_volume
from docker_charon.payload.volumes.volume_names import list_path, volume_path
from images import random_bytes
from volumes import listed


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
