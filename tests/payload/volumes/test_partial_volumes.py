"""The volumes in which a payload grows: finished in order, moved away, gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from docker_charon import BlobNotFound, DigestMismatch, PayloadError, RegistryError
from docker_charon.payload.format.zip_records import Record
from docker_charon.payload.volumes.partial_volumes import PartialVolumes, partial_volumes
from docker_charon.payload.volumes.volume_content import verify_volume
from docker_charon.payload.volumes.volume_list import read_list
from docker_charon.payload.volumes.volume_names import volume_path
from images import random_bytes
from volumes import names_in

VOLUME = 10_000
FRONT = random_bytes(1, 500)


def payload() -> tuple[bytes, list[Record]]:
    """Return the bytes of a payload, and its entries: one of them is in three volumes."""
    records, end = [], len(FRONT)
    for n, size in enumerate((3_000, 25_000, 4_000, 100, 9_000)):
        records.append(Record(f"blobs/{n}", size, end))
        end = records[-1].end
    return FRONT + random_bytes(2, end - len(FRONT) + 700), records


WHOLE, RECORDS = payload()
LISTED = [WHOLE[start : start + VOLUME] for start in range(0, len(WHOLE), VOLUME)]
ALL = [*(f"p.zip.{n:03}" for n in range(1, len(LISTED) + 1)), "p.zip.volumes.json"]


def put(growing: PartialVolumes, record: Record) -> None:
    growing.write(WHOLE[record.offset : record.end], record.offset)
    growing.finish(record, record.size)


def put_end(growing: PartialVolumes) -> None:
    growing.write(WHOLE[RECORDS[-1].end :], RECORDS[-1].end)


def make(base: Path, records: Iterable[Record] = RECORDS, front: bytes = FRONT) -> None:
    """Write all volumes."""
    with partial_volumes(base, front, len(WHOLE), VOLUME) as growing:
        for record in records:
            put(growing, record)
        put_end(growing)


def interrupt(base: Path, records: Iterable[Record]) -> None:
    """Write some entries, and stop there."""
    with (
        pytest.raises(KeyboardInterrupt) as raised,
        partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing,
    ):
        for record in records:
            put(growing, record)
        raise KeyboardInterrupt
    assert raised.value.partial == base.with_name("p.zip.volumes.json.partial")  # type: ignore[attr-defined]


def joined(base: Path) -> bytes:
    return b"".join(volume_path(base, n).read_bytes() for n in range(1, len(LISTED) + 1))


def test_the_volumes_are_the_payload_and_the_list_is_true(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    make(base)
    assert names_in(tmp_path) == ALL
    assert joined(base) == WHOLE
    listed = read_list(tmp_path / "p.zip.volumes.json")
    assert listed.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert [volume.name for volume in listed.volumes] == ALL[:-1]
    for name in ALL[:-1]:
        verify_volume(tmp_path / name, tmp_path / "p.zip.volumes.json")


@pytest.mark.parametrize("records", [RECORDS[::-1], RECORDS[1:] + RECORDS[:1]])
def test_entries_may_come_in_any_order(tmp_path: Path, records: list[Record]) -> None:
    make(tmp_path / "p.zip", records)
    assert joined(tmp_path / "p.zip") == WHOLE
    listed = read_list(tmp_path / "p.zip.volumes.json")
    assert listed.sha256 == hashlib.sha256(WHOLE).hexdigest()


def test_entries_may_come_from_several_threads(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    with partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing:
        with ThreadPoolExecutor(5) as threads:
            list(threads.map(lambda record: put(growing, record), RECORDS))
        put_end(growing)
    assert joined(base) == WHOLE


def test_a_volume_gets_its_name_when_it_and_those_before_it_are_whole(tmp_path: Path) -> None:
    with partial_volumes(tmp_path / "p.zip", FRONT, len(WHOLE), VOLUME) as growing:
        assert not [name for name in names_in(tmp_path) if not name.endswith(".partial")]
        for record in RECORDS[2:]:
            put(growing, record)
        assert not [name for name in names_in(tmp_path) if not name.endswith(".partial")]
        put(growing, RECORDS[0])
        put(growing, RECORDS[1])  # it reaches into the third volume
        finished = [name for name in names_in(tmp_path) if not name.endswith(".partial")]
        assert finished == ["p.zip.001", "p.zip.002", "p.zip.003", "p.zip.004"]
        put_end(growing)


def test_what_is_written_can_be_read_across_volumes(tmp_path: Path) -> None:
    def look(growing: PartialVolumes) -> None:
        assert growing.read(25_000, 4_000) == WHOLE[4_000:29_000]
        assert growing.read(100, len(WHOLE) - 10) == WHOLE[-10:]
        assert growing.read(1, len(WHOLE)) == b""

    with partial_volumes(tmp_path / "p.zip", FRONT, len(WHOLE), VOLUME) as growing:
        growing.write(WHOLE[500:], 500)
        look(growing)
        for record in RECORDS:
            growing.finish(record, 0)
        assert "p.zip.003" in names_in(tmp_path)
        look(growing)


def test_a_volume_that_is_finished_can_be_moved_away(tmp_path: Path) -> None:
    """The next run neither wants it back nor writes it again."""
    base, media = tmp_path / "p.zip", tmp_path / "media"
    media.mkdir()
    interrupt(base, RECORDS[:2])
    for n in (1, 2):
        volume_path(base, n).rename(volume_path(media / "p.zip", n))
    with partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing:
        assert growing.known_crc(RECORDS[0]) == RECORDS[0].size
        assert growing.known_crc(RECORDS[1]) is None  # a part of it has to be made again
        for record in RECORDS[1:]:
            put(growing, record)
        put_end(growing)
    assert names_in(media) == ALL[:2]
    assert names_in(tmp_path) == ["media", *ALL[2:]]
    for path in media.iterdir():
        path.rename(tmp_path / path.name)
    assert joined(base) == WHOLE
    listed = read_list(tmp_path / "p.zip.volumes.json")
    assert listed.sha256 is None
    assert [v.sha256 for v in listed.volumes] == [hashlib.sha256(c).hexdigest() for c in LISTED]


def test_what_an_interrupted_run_finished_is_not_written_again(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    interrupt(base, RECORDS[:3])
    before = {n: volume_path(base, n).stat().st_ino for n in (1, 2, 3)}
    with partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing:
        assert [growing.known_crc(record) for record in RECORDS] == [
            3_000,
            25_000,
            None,
            None,
            None,
        ]
        assert (
            growing.read(4_000, RECORDS[2].data_offset) == (WHOLE[RECORDS[2].data_offset :][:4_000])
        )
        for record in RECORDS[2:]:
            put(growing, record)
        put_end(growing)
    assert {n: volume_path(base, n).stat().st_ino for n in (1, 2, 3)} == before
    assert joined(base) == WHOLE
    assert read_list(tmp_path / "p.zip.volumes.json").sha256 == hashlib.sha256(WHOLE).hexdigest()


@pytest.mark.parametrize("n", range(1, len(LISTED) + 1))
def test_a_volume_that_is_lost_later_is_made_again_and_the_others_are_kept(
    tmp_path: Path, n: int
) -> None:
    base = tmp_path / "p.zip"
    make(base)
    volume_path(base, n).unlink()
    before = {path: path.stat().st_ino for path in tmp_path.glob("p.zip.00*")}
    make(base)
    assert {path: path.stat().st_ino for path in before} == before
    assert joined(base) == WHOLE
    assert read_list(tmp_path / "p.zip.volumes.json").sha256 == hashlib.sha256(WHOLE).hexdigest()


def test_a_volume_that_was_damaged_meanwhile_is_made_again(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    interrupt(base, RECORDS[:3])
    volume_path(base, 2).write_bytes(bytes(VOLUME))
    with partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing:
        assert growing.known_crc(RECORDS[1]) is None
        for record in RECORDS:
            put(growing, record)
        put_end(growing)
    assert joined(base) == WHOLE
    assert read_list(tmp_path / "p.zip.volumes.json").sha256 == hashlib.sha256(WHOLE).hexdigest()


def test_a_power_failure_between_the_name_and_the_journal_costs_nothing(tmp_path: Path) -> None:
    base, journal = tmp_path / "p.zip", tmp_path / "p.zip.volumes.json.partial"
    interrupt(base, RECORDS[:3])
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # the last line was being written
    with partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing:
        assert growing.read(VOLUME, 2 * VOLUME) == WHOLE[2 * VOLUME : 3 * VOLUME]
        for record in RECORDS[1:]:
            put(growing, record)
        put_end(growing)
    assert names_in(tmp_path) == ALL
    assert joined(base) == WHOLE


def test_an_interrupted_run_for_other_images_is_dropped(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    with (
        pytest.raises(KeyboardInterrupt),
        partial_volumes(base, b"other", 2 * len(WHOLE), VOLUME) as growing,
    ):
        growing.write(b"x", 2 * len(WHOLE) - 1)
        growing.has_content = True
        raise KeyboardInterrupt
    make(base)
    assert names_in(tmp_path) == ALL
    assert joined(base) == WHOLE


def test_the_finished_volumes_of_other_images_are_removed(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    interrupt(base, RECORDS)
    moved, changed = tmp_path / "p.zip.001", tmp_path / "p.zip.003"
    moved.unlink()
    changed.write_bytes(bytes(VOLUME))  # somebody else's file, of the same size
    with partial_volumes(base, b"other", VOLUME, VOLUME) as growing:
        growing.write(b"x", 100)
    assert names_in(tmp_path) == ["p.zip.001", "p.zip.003", "p.zip.volumes.json"]
    assert changed.read_bytes() == bytes(VOLUME)


def test_a_failure_leaves_the_volumes_of_a_complete_payload(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    make(base)
    (tmp_path / "p.zip.001").unlink()
    with (
        pytest.raises(BlobNotFound),
        partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing,
    ):
        put(growing, RECORDS[0])
        put(growing, RECORDS[1])
        raise BlobNotFound("gone")
    assert names_in(tmp_path) == ALL


def test_the_volumes_of_an_older_payload_are_replaced(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    with partial_volumes(base, b"other", 9 * VOLUME, VOLUME) as growing:
        growing.write(b"older", 50)
    with partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing:
        assert "p.zip.009" in names_in(tmp_path)
        assert "p.zip.volumes.json" in names_in(tmp_path)
        put(growing, RECORDS[0])
        put(growing, RECORDS[1])
        assert "p.zip.009" not in names_in(tmp_path)
        assert "p.zip.volumes.json" not in names_in(tmp_path)
        for record in RECORDS[2:]:
            put(growing, record)
        put_end(growing)
    assert names_in(tmp_path) == ALL
    assert joined(base) == WHOLE


def test_the_same_volumes_are_kept_when_nothing_is_lost(tmp_path: Path) -> None:
    make(tmp_path / "p.zip")
    make(tmp_path / "p.zip", [])
    assert joined(tmp_path / "p.zip") == WHOLE


@pytest.mark.parametrize(
    ("error", "records"),
    [
        (RegistryError("it broke"), []),
        (DigestMismatch("bad"), RECORDS[2:]),
        (BlobNotFound("gone"), RECORDS[:3]),
    ],
    ids=["nothing was written", "it would fail again", "it would fail after two volumes"],
)
def test_nothing_is_left_that_nobody_can_go_on_with(
    tmp_path: Path, error: Exception, records: list[Record]
) -> None:
    with (
        pytest.raises(type(error)) as raised,
        partial_volumes(tmp_path / "p.zip", FRONT, len(WHOLE), VOLUME) as growing,
    ):
        for record in records:
            put(growing, record)
        raise error
    assert not names_in(tmp_path)
    assert raised.value.partial is None  # type: ignore[attr-defined]


def test_a_second_run_says_so_and_stops(tmp_path: Path) -> None:
    base = tmp_path / "p.zip"
    with (
        partial_volumes(base, FRONT, len(WHOLE), VOLUME) as growing,
        pytest.raises(PayloadError, match="another docker-charon is writing"),
    ):
        make(base)
    assert growing.has_content is False


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    journal = tmp_path / "p.zip.volumes.json.partial"
    journal.write_text("a diary")
    with pytest.raises(PayloadError, match=r"volumes\.json\.partial exists, and is not"):
        make(tmp_path / "p.zip")
    assert journal.read_text() == "a diary"


@pytest.mark.parametrize(
    "content", [b"", bytes(100), b'{"si', b'{"size": 4}\n[1]\n', b'{"size": 1']
)
def test_a_journal_that_a_power_failure_spoiled_is_begun_again(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "p.zip.volumes.json.partial").write_bytes(content)
    make(tmp_path / "p.zip")
    assert names_in(tmp_path) == ALL


@pytest.mark.parametrize("nonsense", [{"sha256": 7}, {"number": float("inf")}, {"crcs": 1}])
def test_a_journal_with_nonsense_in_it_is_read_as_far_as_it_makes_sense(
    tmp_path: Path, nonsense: dict[str, object]
) -> None:
    base, journal = tmp_path / "p.zip", tmp_path / "p.zip.volumes.json.partial"
    interrupt(base, RECORDS[:2])
    lines = journal.read_bytes().splitlines(keepends=True)
    changed = json.dumps({**json.loads(lines[2]), **nonsense}).encode() + b"\n"
    journal.write_bytes(b"".join([*lines[:2], changed]))
    make(base)
    assert joined(base) == WHOLE


def test_there_are_at_most_as_many_volumes_as_numbers(tmp_path: Path) -> None:
    with (
        pytest.raises(PayloadError, match=r"more than 999 volumes.*larger volume_size"),
        partial_volumes(tmp_path / "p.zip", FRONT, 100_000, 100),
    ):
        pass
    assert not names_in(tmp_path)


def test_space_is_taken_for_a_volume_when_it_begins(tmp_path: Path) -> None:
    with partial_volumes(tmp_path / "p.zip", FRONT, 5_000_000, 2_000_000) as growing:
        assert names_in(tmp_path) == ["p.zip.001.partial", "p.zip.volumes.json.partial"]
        assert os.stat(tmp_path / "p.zip.001.partial").st_blocks * 512 >= 2_000_000  # noqa: PTH116
        growing.write(b"end", 4_999_997)


def test_a_run_that_is_stopped_does_not_go_on_hashing(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        partial_volumes(tmp_path / "p.zip", FRONT, len(WHOLE), VOLUME, stop) as growing,
    ):
        for record in RECORDS:
            put(growing, record)
    assert "p.zip.001" not in names_in(tmp_path)
