"""Zip records: the same bytes as the standard library's, and readable by it at every size."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest

from docker_charon.payload.format.zip_records import Record, end_of_central_directory

GIB = 1024**3
LIMIT = 0xFFFFFFFF
LAST = b"what stands behind it all"
LOCATOR64 = b"PK\6\7"


def write_sparse(path: Path, record: Record) -> Record:
    """Write an archive of ``record``, all zeros that take no space, and one small entry.

    Return the small entry's record.
    """
    last = Record("last", len(LAST), record.end)
    crc = zlib.crc32(bytes(record.size)) if record.size < GIB else 0  # read to its end or not
    lines = record.central_header(crc) + last.central_header(zlib.crc32(LAST))
    with path.open("wb") as file:
        file.seek(record.offset)
        file.write(record.local_header(crc))
        file.seek(record.data_offset + record.size)
        if record.streamed:
            file.write(record.data_descriptor(crc))
        assert file.tell() == last.offset
        file.write(last.local_header(zlib.crc32(LAST)) + LAST + lines)
        file.write(end_of_central_directory(2, len(lines), last.end))
    return last


@pytest.mark.parametrize("size", [0, 1, 2**31 - 1, LIMIT, LIMIT + 1, 2**40])
def test_a_local_header_is_the_one_that_the_standard_library_writes(size: int) -> None:
    info = zipfile.ZipInfo("blobs/sha256/abc")
    info.file_size = info.compress_size = size
    info.CRC = 0x12345678
    ours = Record("blobs/sha256/abc", size, 0)
    assert ours.local_header(info.CRC) == info.FileHeader(zip64=size >= LIMIT)
    assert ours.data_offset == len(ours.local_header(info.CRC))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [0, 1000, LIMIT - 1, LIMIT, 5 * GIB])
def test_places_follow_from_sizes(size: int, streamed: bool) -> None:
    record = Record("path", size, 77, streamed)
    header = len(record.local_header(1))
    assert record.data_offset == 77 + header
    behind = len(record.data_descriptor(1)) if streamed else 0
    assert record.end == 77 + header + size + behind


def test_a_streamed_entry_tells_its_checksum_only_behind_its_content() -> None:
    record = Record("path", 1000, 0, streamed=True)
    assert record.local_header(0xABCD) == record.local_header(0)
    assert record.data_descriptor(0xABCD) != record.data_descriptor(0)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [0, LIMIT - 1, LIMIT, LIMIT + 1, 5 * GIB])
def test_an_entry_of_any_size_is_read_back_and_so_is_what_follows(
    tmp_path: Path, size: int, streamed: bool
) -> None:
    large = Record("large", size, 0, streamed)
    last = write_sparse(tmp_path / "archive.zip", large)
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        found = archive.getinfo("large")
        assert (found.file_size, found.compress_size) == (size, size)
        assert found.header_offset == 0
        with archive.open("large") as entry:  # holds the local header against the directory
            assert entry.read(1000) == bytes(min(size, 1000))
        assert archive.getinfo("last").header_offset == last.offset
        assert archive.read("last") == LAST


@pytest.mark.parametrize("offset", [LIMIT - 1, LIMIT, LIMIT + 1, 6 * GIB])
@pytest.mark.parametrize("size", [1000, 5 * GIB])
def test_an_entry_at_any_offset_is_read_back(tmp_path: Path, offset: int, size: int) -> None:
    write_sparse(tmp_path / "archive.zip", Record("far", size, offset))
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        assert archive.getinfo("far").header_offset == offset
        assert archive.getinfo("far").file_size == size
        with archive.open("far") as entry:
            assert entry.read(10) == bytes(10)
        assert archive.read("last") == LAST


@pytest.mark.parametrize("program", [("unzip", "-p"), ("bsdtar", "-xOf")], ids=lambda p: p[0])
@pytest.mark.parametrize("streamed", [False, True])
def test_other_programs_find_an_entry_behind_four_gigabytes(
    tmp_path: Path, program: tuple[str, str], streamed: bool
) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    archive = tmp_path / "archive.zip"
    write_sparse(archive, Record("large", 4 * GIB, 1, streamed))
    found = subprocess.run([*program, archive, "last"], capture_output=True, check=False)
    assert (found.stdout, found.returncode) == (LAST, 0), found.stderr


@pytest.mark.parametrize("count", [0, 1, 65_534, 65_535, 65_536])
def test_a_directory_has_any_number_of_lines(count: int) -> None:
    records = [Record(f"{n:x}", 0, 0) for n in range(count)]
    local = Record("0", 0, 0).local_header(0)
    lines = b"".join(record.central_header(0) for record in records)
    end = end_of_central_directory(count, len(lines), len(local))
    with zipfile.ZipFile(io.BytesIO(local + lines + end)) as archive:
        assert archive.namelist() == [record.path for record in records]
    assert (LOCATOR64 in end) == (count >= 65_535)


@pytest.mark.parametrize(
    ("size", "offset", "is_zip64"),
    [
        (LIMIT - 1, LIMIT - 1, False),
        (LIMIT, 0, True),
        (0, LIMIT, True),
        (46, 100 * GIB, True),
    ],
)
def test_the_end_has_zip64_records_where_a_32_bit_field_is_too_small(
    size: int, offset: int, is_zip64: bool
) -> None:
    end = end_of_central_directory(1, size, offset)
    assert (LOCATOR64 in end) == is_zip64
    assert len(end) == (56 + 20 + 22 if is_zip64 else 22)


def test_a_small_archive_has_nothing_of_zip64() -> None:
    record = Record("path", LIMIT - 1, LIMIT - 1)
    assert len(record.local_header(1)) == 30 + len("path")
    assert len(record.central_header(1)) == 46 + len("path")


def test_times_and_modes_are_always_the_same() -> None:
    record = Record("path", 0, 0)
    lines = record.central_header(0)
    end = end_of_central_directory(1, len(lines), record.end)
    with zipfile.ZipFile(io.BytesIO(record.local_header(0) + lines + end)) as archive:
        [info] = archive.infolist()
    assert info.date_time == (1980, 1, 1, 0, 0, 0)
    assert info.external_attr >> 16 == 0o100644
    assert info.compress_type == zipfile.ZIP_STORED
    assert info.create_system == 3
