"""Partial files: they are continued, locked, allocated, and never confused with other files."""

from __future__ import annotations

import os
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from docker_charon import DigestMismatch, PayloadError, RegistryError
from docker_charon.payload.format.paths import DESCRIPTOR_PATH
from docker_charon.payload.format.zip_records import Record
from docker_charon.payload.partial_files.arrival_mark import arrived
from docker_charon.payload.partial_files.partial_file import partial_file, partial_path
from images import image, layer
from payloads import path_of, payload_of, unzipped

FRONT = Record("oci-layout", 2, 0).local_header(7) + b"{}"
SIZE = 10_000


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupt(path: Path, front: bytes = FRONT) -> None:
    """Leave a partial file behind as an interruption does."""
    with pytest.raises(KeyboardInterrupt), partial_file(path, front, SIZE) as growing:
        growing.has_content = True
        growing.write(b"content", 5000)
        raise KeyboardInterrupt


def test_a_payload_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        assert names_in(tmp_path) == ["p.zip.partial"]
        growing.write(b"!", SIZE - 1)
    assert names_in(tmp_path) == ["p.zip"]
    content = (tmp_path / "p.zip").read_bytes()
    assert (len(content), content[: len(FRONT)], content[-1:]) == (SIZE, FRONT, b"!")


def test_an_older_payload_is_replaced_only_then(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"older")
    with partial_file(tmp_path / "p.zip", FRONT, SIZE):
        assert (tmp_path / "p.zip").read_bytes() == b"older"
    assert (tmp_path / "p.zip").stat().st_size == SIZE


def test_an_interruption_leaves_what_there_is_and_the_next_run_finds_it(tmp_path: Path) -> None:
    interrupt(tmp_path / "p.zip")
    assert names_in(tmp_path) == ["p.zip.partial"]
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        assert growing.leftover is None
        assert growing.read(7, 5000) == b"content"


def test_the_file_of_another_payload_is_set_aside_and_removed_at_the_end(tmp_path: Path) -> None:
    interrupt(tmp_path / "p.zip")
    other = FRONT + b"other"
    with partial_file(tmp_path / "p.zip", other, SIZE) as growing:
        assert names_in(tmp_path) == ["p.zip.partial", "p.zip.partial.old"]
        assert growing.leftover is not None
        assert list(growing.leftover.records) == ["oci-layout"]
    assert names_in(tmp_path) == ["p.zip"]


@pytest.mark.parametrize("size", [2**40, 2**62, 2**63, 2**64 - 1])
def test_an_old_file_that_claims_impossible_sizes_is_of_no_use(tmp_path: Path, size: int) -> None:
    header = Record(DESCRIPTOR_PATH, size, 0).local_header(0)
    (tmp_path / "p.zip.partial.old").write_bytes(header)
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        growing.write(b"!", SIZE - 1)
    assert names_in(tmp_path) == ["p.zip"]


def test_an_old_file_whose_sizes_add_up_to_too_much_is_of_no_use(tmp_path: Path) -> None:
    (tmp_path / "p.zip.partial.old").write_bytes(claiming(2**63 - 1))
    interrupt(tmp_path / "p.zip")
    with partial_file(tmp_path / "p.zip", FRONT + b"other", SIZE) as growing:
        assert growing.leftover is not None
        records = growing.leftover.records.values()
        assert all(arrived(growing.leftover.file, r) <= r.size for r in records)
    assert names_in(tmp_path) == ["p.zip"]


def claiming(size: int) -> bytes:
    """Return the beginning of a payload whose blobs have this size, as its manifest says."""
    app = image(layer(1), layer(2), layer(3))
    manifest = re.sub(rb'"size": ?[0-9]+', b'"size":%d' % size, app.manifest)
    content = bytearray()
    for path, old_content in unzipped(payload_of({"app:1": app})).items():
        if path in (path_of(blob) for blob in app.blobs):
            break
        entry = manifest if path == path_of(app.manifest) else old_content
        content += Record(path, len(entry), len(content)).local_header(0) + entry
    return bytes(content)


def test_the_error_names_the_partial_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RegistryError) as raised,
        partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing,
    ):
        growing.has_content = True
        raise RegistryError("it broke")
    assert raised.value.partial == partial_path(tmp_path / "p.zip")


@pytest.mark.parametrize(
    ("error", "has_content"), [(RegistryError("it broke"), False), (DigestMismatch("bad"), True)]
)
def test_a_useless_partial_file_is_removed(
    tmp_path: Path, error: Exception, has_content: bool
) -> None:
    with (
        pytest.raises(type(error)) as raised,
        partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing,
    ):
        growing.has_content = has_content
        raise error
    assert not names_in(tmp_path)
    assert raised.value.partial is None  # type: ignore[attr-defined]


def test_a_second_run_says_so_and_stops(tmp_path: Path) -> None:
    with partial_file(tmp_path / "p.zip", FRONT, SIZE):
        with (
            pytest.raises(PayloadError, match="another docker-charon is writing"),
            partial_file(tmp_path / "p.zip", FRONT, SIZE),
        ):
            pass
        assert names_in(tmp_path) == ["p.zip.partial"]
    assert names_in(tmp_path) == ["p.zip"]


@pytest.mark.parametrize("content", [b"", bytes(3000)])
def test_a_file_that_a_power_failure_left_empty_is_taken_over(
    tmp_path: Path, content: bytes
) -> None:
    partial_path(tmp_path / "p.zip").write_bytes(content)
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        assert growing.leftover is None


def test_an_unrelated_file_is_left_alone(tmp_path: Path) -> None:
    partial_path(tmp_path / "p.zip").write_bytes(b"a diary")
    with (
        pytest.raises(PayloadError, match="is not the partial file"),
        partial_file(tmp_path / "p.zip", FRONT, SIZE),
    ):
        pass
    assert partial_path(tmp_path / "p.zip").read_bytes() == b"a diary"


def test_space_is_taken_beforehand_and_its_lack_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with partial_file(tmp_path / "p.zip", FRONT, 5_000_000) as growing:
        assert os.fstat(growing.descriptor or -1).st_blocks * 512 >= 5_000_000
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1_000_000))
    with (
        pytest.raises(
            PayloadError, match=rf"[67],\d\d\d,\d\d\d more bytes, and {tmp_path} has 1,000"
        ),
        partial_file(tmp_path / "q.zip", FRONT, 7_000_000),
    ):
        pass
    assert names_in(tmp_path) == ["p.zip"]


def test_without_reservation_the_file_is_only_made_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        assert os.fstat(growing.descriptor or -1).st_size == SIZE


@pytest.mark.parametrize("kind", ["a link", "a link to nothing", "a pipe"])
@pytest.mark.posix
def test_what_is_no_regular_file_is_not_written_to(tmp_path: Path, kind: str) -> None:
    precious, partial = tmp_path / "precious", partial_path(tmp_path / "p.zip")
    if kind == "a pipe":
        os.mkfifo(partial)
    else:
        partial.symlink_to(precious)
    if kind == "a link":
        precious.write_bytes(b"")
    with (
        pytest.raises(PayloadError, match=r"p\.zip\.partial is a link, or no regular file"),
        partial_file(tmp_path / "p.zip", FRONT, SIZE),
    ):
        pass
    assert precious.exists() == (kind == "a link")
    assert not precious.exists() or precious.read_bytes() == b""


@pytest.mark.parametrize("size", [0, 1, 2**40])
def test_a_mark_tells_how_much_of_an_entry_has_arrived(tmp_path: Path, size: int) -> None:
    record = Record("blobs/x", 2**40, 0)
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        assert growing.arrived(record) == 0
        growing.mark(record, size)
        assert growing.arrived(record) == size
        growing.write(record.local_header(1), 0)
        assert growing.arrived(record) == record.size


def test_a_mark_of_more_than_the_entry_has_is_none(tmp_path: Path) -> None:
    record = Record("blobs/x", 1000, 100)
    with partial_file(tmp_path / "p.zip", FRONT, SIZE) as growing:
        growing.mark(record, 1001)
        assert growing.arrived(record) == 0
