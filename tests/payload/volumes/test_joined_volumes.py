"""Volumes read as one file: found, checked, asked for, and the same bytes as the whole."""

from __future__ import annotations

import io
import logging
import random
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast

import pytest

from docker_charon import PayloadError
from docker_charon.payload.random_access import RandomAccess
from docker_charon.payload.volumes.joined_volumes import JoinedVolumes, VolumePath, open_volumes
from docker_charon.payload.volumes.volume_names import list_path, volume_path
from images import random_bytes
from volumes import Drive, cut

SIZE = 30_000


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", random_bytes(1, 100_000))
    return file.getvalue()


WHOLE = zipped()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a payload that is in four volumes."""
    path = tmp_path / "usb" / "p.zip"
    path.parent.mkdir()
    cut(WHOLE, path, SIZE)
    return path


def content(path: Path, *directories: Path) -> bytes:
    with open_volumes(VolumePath(path, directories)) as volumes:
        assert volumes is not None
        return volumes.read()


@pytest.mark.parametrize("name", ["p.zip", "p.zip.001", "p.zip.003", "p.zip.volumes.json"])
def test_a_payload_is_found_by_any_of_its_names(base: Path, name: str) -> None:
    assert content(base.parent / name) == WHOLE


def test_any_stretch_is_what_the_whole_has_there(base: Path) -> None:
    chance = random.Random(1)  # noqa: S311  # repeatable on purpose
    with open_volumes(base) as volumes:
        assert volumes is not None
        for _ in range(200):
            start = chance.randrange(len(WHOLE) + 10)
            size = chance.choice((1, 7, SIZE, 3 * SIZE))
            assert volumes.seek(start) == start
            assert volumes.read(size) == WHOLE[start : start + size]
            assert volumes.tell() == max(start, min(start + size, len(WHOLE)))
        assert volumes.seek(-5, io.SEEK_END) == len(WHOLE) - 5
        assert volumes.seek(2, io.SEEK_CUR) == len(WHOLE) - 3
        assert zipfile.is_zipfile(cast(IO[bytes], volumes))


def test_threads_read_at_their_own_offsets(base: Path) -> None:
    with open_volumes(base) as volumes, ThreadPoolExecutor(8) as threads:
        file = RandomAccess(cast(IO[bytes], volumes))
        starts = [n * 1009 % len(WHOLE) for n in range(400)]
        for start, read in zip(
            starts, threads.map(lambda start: file.read(5000, start), starts), strict=True
        ):
            assert read == WHOLE[start : start + 5000]


def test_volumes_may_be_in_several_directories(base: Path, tmp_path: Path) -> None:
    for n, name in ((1, "usb2"), (3, "usb3")):
        (tmp_path / name).mkdir()
        volume_path(base, n).rename(volume_path(tmp_path / name / "p.zip", n))
    assert content(base, tmp_path / "usb2", tmp_path / "usb3") == WHOLE
    assert content(tmp_path / "usb2" / "p.zip.001", base.parent, tmp_path / "usb3") == WHOLE


def test_the_right_one_of_two_with_the_same_name_is_read(base: Path, tmp_path: Path) -> None:
    (tmp_path / "usb2").mkdir()
    shutil.copy(base.parent / "p.zip.002", tmp_path / "usb2")
    (base.parent / "p.zip.002").write_bytes(b"another one")
    assert content(base, tmp_path / "usb2") == WHOLE


def test_a_renamed_payload_is_read(base: Path) -> None:
    for path in base.parent.iterdir():
        path.rename(path.with_name(path.name.replace("p.zip", "q.zip")))
    assert content(base.with_name("q.zip")) == WHOLE


def test_a_single_file_is_no_volumes(base: Path) -> None:
    base.write_bytes(WHOLE)
    with open_volumes(base) as volumes:
        assert volumes is None
    with open_volumes(base.with_name("other.zip")) as volumes:
        assert volumes is None


def test_a_payload_that_is_named_like_a_volume_is_a_single_file(tmp_path: Path) -> None:
    """As in ``weekly.001``, ``weekly.002``: each is whole."""
    for n in (1, 2):
        (tmp_path / f"weekly.{n:03}").write_bytes(WHOLE)
        with open_volumes(tmp_path / f"weekly.{n:03}") as volumes:
            assert volumes is None


def remove(base: Path, n: int) -> None:
    volume_path(base, n).unlink()


def shorten(base: Path, n: int) -> None:
    volume_path(base, n).write_bytes(volume_path(base, n).read_bytes()[:-1])


def make_foreign(base: Path, n: int) -> None:
    volume_path(base, n).write_bytes(random_bytes(99, volume_path(base, n).stat().st_size))


def swap(base: Path, n: int) -> None:
    shutil.copy(volume_path(base, n % 3 + 1), volume_path(base, n))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (remove, "p.zip.{n:03} is missing; copy it beside"),
        (shorten, "p.zip.{n:03} has {cut:,} bytes instead of {size:,}; copy it from"),
        (make_foreign, "p.zip.{n:03} is damaged, or of another payload; copy it from"),
        (swap, "p.zip.{n:03} is the volume {other:03} of this payload; copy it from"),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_what_is_wrong_is_told_when_the_payload_is_opened(
    base: Path, damage: Callable[[Path, int], None], problem: str, n: int
) -> None:
    size = volume_path(base, n).stat().st_size
    damage(base, n)
    with pytest.raises(PayloadError) as raised:
        content(base)
    expected = problem.format(n=n, cut=size - 1, size=size, other=n % 3 + 1)
    assert expected in str(raised.value)


def test_all_that_is_wrong_is_told_in_one_line(base: Path) -> None:
    remove(base, 1)
    shorten(base, 3)
    with pytest.raises(PayloadError, match=r"p\.zip\.001 is missing; .*p\.zip\.003 has"):
        content(base)


def test_a_volume_of_another_number_is_told(base: Path) -> None:
    (base.parent / "p.zip.005").write_bytes(b"x")
    with pytest.raises(PayloadError, match=r"p\.zip\.005 is not in .*, which has 4 volumes"):
        content(base.parent / "p.zip.005")


def test_without_the_list_the_numbers_count_and_a_warning_is_logged(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    list_path(base).unlink()
    assert content(base) == WHOLE
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_without_the_list_a_gap_is_told(base: Path, n: int) -> None:
    list_path(base).unlink()
    remove(base, n)
    with pytest.raises(PayloadError, match=r"p\.zip\.volumes\.json is missing, and not all"):
        content(base.parent / "p.zip.001")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_the_list_a_cut_volume_is_told(base: Path, n: int) -> None:
    list_path(base).unlink()
    shorten(base, n)
    with pytest.raises(PayloadError, match="has another size than the volumes beside it"):
        content(base)


def test_a_volume_that_is_cut_while_it_is_read_is_told(base: Path) -> None:
    with open_volumes(base) as volumes:
        assert volumes is not None
        assert volumes.read(SIZE + 1) == WHOLE[: SIZE + 1]
        shorten(base, 2)
        with pytest.raises(PayloadError, match=r"p\.zip\.002 was cut short"):
            volumes.read()


def test_media_are_asked_for_in_turn(base: Path, tmp_path: Path) -> None:
    drive = Drive(base, tmp_path / "drive")
    listing = shutil.copy(list_path(base), tmp_path)
    with open_volumes(VolumePath(Path(listing), (drive.folder,), drive.ask)) as volumes:
        assert isinstance(volumes, JoinedVolumes)
        assert volumes.in_turn
        assert volumes.read() == WHOLE
    assert drive.asked == [f"p.zip.{n:03}" for n in (1, 2, 3, 4)]


def test_the_list_is_asked_for_first(base: Path, tmp_path: Path) -> None:
    drive = Drive(base, tmp_path / "drive")
    shutil.copy(volume_path(base, 1), drive.folder)
    with open_volumes(VolumePath(drive.folder / "p.zip.001", (), drive.ask)) as volumes:
        assert volumes is not None
        assert volumes.read() == WHOLE
    assert drive.asked[0] == "p.zip.volumes.json"


def test_nobody_is_asked_for_what_is_there(base: Path) -> None:
    with open_volumes(VolumePath(base, (), lambda _: pytest.fail("asked"))) as volumes:
        assert volumes is not None
        assert not volumes.in_turn
        assert volumes.read() == WHOLE


def test_what_nobody_brings_is_told(base: Path) -> None:
    remove(base, 2)
    with open_volumes(VolumePath(base, (), lambda _: False)) as volumes:
        assert volumes is not None
        assert volumes.read(SIZE) == WHOLE[:SIZE]
        with pytest.raises(PayloadError, match=r"p\.zip\.002 is missing"):
            volumes.read()
